//! Groups of steps side by side. A machine in QEMU keeps one processor busy and cargo rarely two, so what needs the host's compilers is one lane
//! and what boots machines is the other. The steps of a group run one after the other: they share what is prepared for them.
//!
//! Two lanes are the most: then no more than two machines run at once, whose timeouts are meant for that.

use std::collections::VecDeque;
use std::sync::{Mutex, PoisonError};
use std::thread;

use super::suite::Suite;

/// The most lanes.
pub const MOST: usize = 2;

/// Where a group belongs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    /// It compiles, and runs on the host.
    Host,
    /// It boots machines.
    Machine,
}

/// Steps that run in order.
pub struct Group<'a> {
    name: &'static str,
    place: Place,
    steps: Box<dyn FnOnce(&mut Suite<'_>) + Send + 'a>,
}

impl<'a> Group<'a> {
    /// A group by its name.
    pub fn new(name: &'static str, place: Place, steps: impl FnOnce(&mut Suite<'_>) + Send + 'a) -> Self {
        Self { name, place, steps: Box::new(steps) }
    }
}

/// Runs all groups: in their order on one lane, else each lane its own in order. A lane that has no more takes the other's last: so the last of
/// each place should be short.
pub fn run<'a>(groups: Vec<Group<'_>>, jobs: usize, lane: impl Fn() -> Suite<'a> + Sync) {
    if jobs < MOST {
        let mut suite = lane();
        return groups.into_iter().for_each(|group| suite.group(group.name, group.steps));
    }
    let waiting = Mutex::new(VecDeque::from(groups));
    thread::scope(|scope| {
        for place in [Place::Machine, Place::Host] {
            let (waiting, lane) = (&waiting, &lane);
            scope.spawn(move || {
                let mut suite = lane();
                while let Some(group) = next(waiting, place) {
                    suite.group(group.name, group.steps);
                }
            });
        }
    });
}

fn next<'a>(waiting: &Mutex<VecDeque<Group<'a>>>, place: Place) -> Option<Group<'a>> {
    let mut waiting = waiting.lock().unwrap_or_else(PoisonError::into_inner);
    match waiting.iter().position(|group| group.place == place) {
        Some(own) => waiting.remove(own),
        None => waiting.pop_back(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli;
    use crate::test::report::Report;
    use domus_harness::verdict::Verdict;
    use std::sync::Barrier;

    /// Runs the groups, and gives the exit status and what was printed.
    fn results(groups: Vec<Group<'_>>, jobs: usize) -> (u8, String) {
        let (report, printed) = Report::for_tests();
        let all = cli::Test { filter: Vec::new(), list: false, jobs: None };
        run(groups, jobs, || Suite::new(&all, &report, jobs > 1));
        (report.finish(), printed.text())
    }

    /// The names of the steps, as they were printed.
    fn names(printed: &str) -> Vec<&str> {
        printed.lines().filter_map(|line| line.strip_prefix("ok       ")?.split(' ').next()).collect()
    }

    fn passing(name: &'static str, place: Place) -> Group<'static> {
        Group::new(name, place, move |suite| suite.step(name, || Ok(Verdict::Success)))
    }

    #[test]
    fn one_lane_keeps_the_order() {
        let groups = vec![passing("a", Place::Host), passing("b", Place::Machine), passing("c", Place::Host)];
        assert_eq!(names(&results(groups, 1).1), ["a", "b", "c"]);
    }

    /// Each lane waits for the other within a step: on one lane this would never end.
    #[test]
    fn two_lanes_run_at_once_and_each_in_order() {
        let both = Barrier::new(2);
        let group = |name: &'static str, place| {
            let both = &both;
            Group::new(name, place, move |suite| {
                for step in ["1", "2", "3"] {
                    suite.step(&format!("{name}{step}"), || {
                        both.wait();
                        Ok(Verdict::Success)
                    });
                }
            })
        };
        let (status, printed) = results(vec![group("host", Place::Host), group("machine", Place::Machine)], 2);
        assert_eq!(status, 0);
        assert!(printed.ends_with("6 passed, 0 failed, 0 skipped\n"), "{printed}");
        for lane in ["host", "machine"] {
            let own: Vec<_> = names(&printed).into_iter().filter_map(|name| name.strip_prefix(lane)).collect();
            assert_eq!(own, ["1", "2", "3"]);
        }
    }

    /// The machine's lane waits in its first group until the host's lane has run the other machine group.
    #[test]
    fn who_has_no_more_takes_the_others_last() {
        let taken = Barrier::new(2);
        let wait = |name: &'static str, place| {
            let taken = &taken;
            Group::new(name, place, move |suite| {
                suite.step(name, || {
                    taken.wait();
                    Ok(Verdict::Success)
                });
            })
        };
        let groups = vec![wait("first", Place::Machine), passing("host", Place::Host), wait("last", Place::Machine)];
        assert!(results(groups, 2).1.contains("3 passed, 0 failed, 0 skipped"));
    }

    #[test]
    fn a_panic_in_one_lane_leaves_the_other_and_the_counts() {
        let panics = Group::new("machine", Place::Machine, |suite| {
            suite.step("m1", || panic!("in a step"));
            suite.step("m2", || Ok(Verdict::Success));
            panic!("between steps");
        });
        let (status, printed) =
            results(vec![passing("a", Place::Host), panics, passing("b", Place::Machine), passing("c", Place::Host)], 2);
        assert_eq!(status, 1);
        assert!(printed.contains("failed: machine\n") && printed.contains("failed: m1\n"), "{printed}");
        assert!(printed.ends_with("4 passed, 2 failed, 0 skipped\n"), "{printed}");
    }

    #[test]
    fn each_result_is_in_one_piece() {
        let noisy = |name: &'static str, place| {
            Group::new(name, place, move |suite| {
                for _ in 0..50 {
                    suite.step(name, || {
                        crate::progress::show(&format!("begin {name}\n"));
                        std::thread::yield_now();
                        crate::progress::show(&format!("end {name}\n"));
                        Ok(Verdict::Failure("as it should".into()))
                    });
                }
            })
        };
        let printed = results(vec![noisy("x", Place::Host), noisy("y", Place::Machine)], 2).1;
        let lines: Vec<_> = printed.lines().take(300).collect();
        for result in lines.chunks(3) {
            let name = &result[0]["begin ".len()..];
            assert_eq!(result[1], format!("end {name}"));
            assert!(result[2].starts_with(&format!("FAILED   {name} (")), "{result:?}");
        }
        assert!(printed.ends_with("0 passed, 100 failed, 0 skipped\n"));
    }
}
