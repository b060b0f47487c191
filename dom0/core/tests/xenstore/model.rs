//! The server against a model of a few lines: a map, and transactions that are replayed at the moment of their commit.

use crate::rig::{Rig, strings};
use abi::xenstore::msg;
use proptest::prelude::*;
use std::collections::BTreeMap;

#[derive(Clone, Debug)]
enum Op {
    Write(String, u8),
    Mkdir(String),
    Rm(String),
    Read(String),
    List(String),
}

#[derive(Clone, Debug)]
enum Step {
    Direct(usize, Op),
    Start(usize),
    Within(usize, Op),
    End(usize, bool),
}

#[derive(Clone, Default)]
struct Model(BTreeMap<String, Vec<u8>>);

impl Model {
    fn new() -> Self {
        Self([("/".into(), vec![])].into())
    }

    fn apply(&mut self, op: &Op) -> Result<Vec<u8>, String> {
        let missing = || "ENOENT".to_string();
        match op {
            Op::Write(path, value) => {
                self.make(path);
                self.0.insert(path.clone(), vec![*value]);
                Ok(b"OK\0".to_vec())
            }
            Op::Mkdir(path) => {
                self.make(path);
                Ok(b"OK\0".to_vec())
            }
            Op::Rm(path) => {
                let parent = &path[..path.rfind('/').unwrap().max(1)];
                if !self.0.contains_key(parent) {
                    return Err(missing());
                }
                self.0.retain(|p, _| p != path && !p.starts_with(&format!("{path}/")));
                Ok(b"OK\0".to_vec())
            }
            Op::Read(path) => self.0.get(path).cloned().ok_or_else(missing),
            Op::List(path) => {
                self.0.get(path).ok_or_else(missing)?;
                let prefix = format!("{path}/");
                let names = self.0.keys().filter_map(|p| p.strip_prefix(&prefix)).filter(|n| !n.contains('/'));
                Ok(strings(&names.collect::<Vec<_>>()))
            }
        }
    }

    fn make(&mut self, path: &str) {
        for (at, _) in path.match_indices('/').skip(1) {
            self.0.entry(path[..at].into()).or_default();
        }
        self.0.entry(path.into()).or_default();
    }
}

/// What a client has done in its open transaction, with what it was told.
type Open = (u32, Vec<(Op, Result<Vec<u8>, String>)>);

fn path() -> impl Strategy<Value = String> {
    prop::collection::vec(prop_oneof!["a", "b", "a-b"], 1..4).prop_map(|parts| format!("/{}", parts.join("/")))
}

fn op() -> impl Strategy<Value = Op> {
    prop_oneof![
        (path(), any::<u8>()).prop_map(|(p, v)| Op::Write(p, v)),
        path().prop_map(Op::Mkdir),
        path().prop_map(Op::Rm),
        path().prop_map(Op::Read),
        path().prop_map(Op::List),
    ]
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        2 => (0usize..3, op()).prop_map(|(c, op)| Step::Direct(c, op)),
        1 => (0usize..3).prop_map(Step::Start),
        4 => (0usize..3, op()).prop_map(|(c, op)| Step::Within(c, op)),
        1 => (0usize..3, any::<bool>()).prop_map(|(c, commit)| Step::End(c, commit)),
    ]
}

fn encode(op: &Op) -> (u32, Vec<u8>) {
    match op {
        Op::Write(path, value) => (msg::WRITE, [path.as_bytes(), &[0, *value]].concat()),
        Op::Mkdir(path) => (msg::MKDIR, strings(&[path])),
        Op::Rm(path) => (msg::RM, strings(&[path])),
        Op::Read(path) => (msg::READ, strings(&[path])),
        Op::List(path) => (msg::DIRECTORY, strings(&[path])),
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    #[test]
    fn committed_transactions_behave_as_if_run_at_their_commit(steps in prop::collection::vec(step(), 1..120)) {
        let mut rig = Rig::default();
        let conns = [rig.dom0(), rig.dom0(), rig.dom0()];
        let mut model = Model::new();
        let mut open: [Option<Open>; 3] = [None, None, None];
        for step in steps {
            match step {
                Step::Direct(c, op) => {
                    let (kind, payload) = encode(&op);
                    prop_assert_eq!(rig.ask_in(conns[c], 0, kind, &payload), model.apply(&op));
                }
                Step::Start(c) if open[c].is_none() => open[c] = Some((rig.start(conns[c]), Vec::new())),
                Step::Within(c, op) => {
                    if let Some((tx, done)) = &mut open[c] {
                        let (kind, payload) = encode(&op);
                        let reply = rig.ask_in(conns[c], *tx, kind, &payload);
                        done.push((op, reply));
                    }
                }
                Step::End(c, commit) => {
                    let Some((tx, done)) = open[c].take() else { continue };
                    match rig.end(conns[c], tx, commit) {
                        Ok(()) if commit => {
                            for (op, told) in done {
                                prop_assert_eq!(model.apply(&op), told);
                            }
                        }
                        Ok(()) => {}
                        Err(error) => prop_assert_eq!(error, "EAGAIN"),
                    }
                }
                Step::Start(_) => {}
            }
            prop_assert!(rig.server.check());
        }
        let tree: BTreeMap<String, Vec<u8>> = rig.server.iter().map(|(p, n)| (p.to_string(), n.value.clone())).collect();
        prop_assert_eq!(tree, model.0);
    }

    /// Without another client in between, a transaction always commits.
    #[test]
    fn nobody_in_between_means_no_conflict(ops in prop::collection::vec(op(), 0..40)) {
        let mut rig = Rig::default();
        let conn = rig.dom0();
        let mut model = Model::new();
        let tx = rig.start(conn);
        for op in ops {
            let (kind, payload) = encode(&op);
            prop_assert_eq!(rig.ask_in(conn, tx, kind, &payload), model.apply(&op));
        }
        prop_assert_eq!(rig.end(conn, tx, true), Ok(()));
    }
}
