//! A granter that takes its grant back, changes it or fights over it, in every interleaving with the hypervisor's own marking of the entry.

use core::cell::{Cell, RefCell};

use abi::grant::{
    GTF_ACCEPT_TRANSFER, GTF_INVALID, GTF_PERMIT_ACCESS, GTF_READING, GTF_READONLY, GTF_SUB_PAGE, GTF_TRANSITIVE, GTF_WRITING,
};
use domus_hv_core::grants::Refused;
use domus_hv_core::grants::entry::{Claim, Entry, EntryWord, TRIES, mark, unmark};

const USER: u16 = 7;
const FRAME: u32 = 0x1234;
const OTHER_FRAME: u32 = 0x5678;

const fn entry(flags: u16, domain: u16, frame: u32) -> u64 {
    flags as u64 | (domain as u64) << 16 | (frame as u64) << 32
}

/// What the granting guest does in one atomic step.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Deed {
    /// As Linux ends foreign access: exchanges the flags for 0 unless a mark is set.
    Revoke,
    /// Writes another frame into the entry without asking.
    ChangeFrame,
    /// Allows reading only, if nobody writes.
    MakeReadOnly,
    /// Names another domain.
    ChangeDomain,
}

/// An entry whose guest acts before the operations of the hypervisor that a choice names.
struct Fought {
    word: Cell<u64>,
    deeds: RefCell<Vec<(usize, Deed)>>,
    operation: Cell<usize>,
    revoked: Cell<bool>,
}

impl Fought {
    fn act(&self, deed: Deed) {
        let now = Entry(self.word.get());
        let marks = GTF_READING | GTF_WRITING;
        match deed {
            Deed::Revoke if now.flags() & marks == 0 => {
                self.word.set(entry(0, now.domain(), now.frame()));
                self.revoked.set(true);
            }
            Deed::Revoke => {}
            Deed::ChangeFrame => self.word.set(entry(now.flags(), now.domain(), OTHER_FRAME)),
            Deed::MakeReadOnly if now.flags() & GTF_WRITING == 0 => self.word.set(now.0 | u64::from(GTF_READONLY)),
            Deed::MakeReadOnly => {}
            Deed::ChangeDomain => self.word.set(entry(now.flags(), USER + 1, now.frame())),
        }
    }

    fn before_operation(&self) {
        let operation = self.operation.get();
        let due: Vec<_> = self.deeds.borrow().iter().filter(|(when, _)| *when == operation).map(|(_, deed)| *deed).collect();
        due.into_iter().for_each(|deed| self.act(deed));
        self.operation.set(operation + 1);
    }
}

impl EntryWord for Fought {
    fn load(&self) -> u64 {
        self.before_operation();
        self.word.get()
    }

    fn replace(&self, old: u64, new: u64) -> Result<(), u64> {
        self.before_operation();
        if self.word.get() == old {
            self.word.set(new);
            Ok(())
        } else {
            Err(self.word.get())
        }
    }

    fn clear(&self, bits: u64) {
        self.before_operation();
        self.word.set(self.word.get() & !bits);
    }
}

/// Every way to put up to three deeds before the first six operations of the hypervisor.
fn schedules() -> Vec<Vec<(usize, Deed)>> {
    let deeds = [Deed::Revoke, Deed::ChangeFrame, Deed::MakeReadOnly, Deed::ChangeDomain];
    let single: Vec<_> = (0..6).flat_map(|when| deeds.map(|deed| (when, deed))).collect();
    let mut all = vec![vec![]];
    for &first in &single {
        all.push(vec![first]);
        for &second in single.iter().filter(|second| second.0 >= first.0) {
            all.push(vec![first, second]);
            all.extend(single.iter().filter(|third| third.0 >= second.0).map(|&third| vec![first, second, third]));
        }
    }
    all
}

#[test]
fn a_grant_is_used_or_taken_back_but_never_both() {
    for schedule in schedules() {
        for write in [false, true] {
            let fought = Fought {
                word: Cell::new(entry(GTF_PERMIT_ACCESS, USER, FRAME)),
                deeds: RefCell::new(schedule.clone()),
                operation: Cell::new(0),
                revoked: Cell::new(false),
            };
            let claim = Claim { who: USER, write, map: true, again: false };
            let marked = mark(&fought, &claim);
            let now = Entry(fought.word.get());
            match marked {
                Ok(frame) => {
                    assert!(!fought.revoked.get(), "used after it was taken back: {schedule:?}");
                    assert!(now.flags() & GTF_READING != 0 && (!write || now.flags() & GTF_WRITING != 0));
                    assert_eq!(frame, now.frame(), "the frame is of another moment than the mark: {schedule:?}");
                    assert_eq!(now.domain(), USER, "{schedule:?}");
                    assert!(!write || now.flags() & GTF_READONLY == 0, "written though read-only: {schedule:?}");
                    fought.act(Deed::Revoke);
                    assert!(!fought.revoked.get(), "taken back while in use: {schedule:?}");
                    unmark(&fought, true, write);
                    fought.act(Deed::Revoke);
                    assert!(fought.revoked.get(), "not free again: {schedule:?}");
                }
                Err(refused) => {
                    assert_eq!(refused, Refused::GENERAL);
                    assert_eq!(now.flags() & (GTF_READING | GTF_WRITING), 0, "a mark was left behind: {schedule:?}");
                    assert!(!schedule.is_empty());
                }
            }
        }
    }
}

/// A guest that changes the entry before every operation.
struct Restless {
    word: Cell<u64>,
    operations: Cell<usize>,
}

impl EntryWord for Restless {
    fn load(&self) -> u64 {
        self.operations.set(self.operations.get() + 1);
        self.word.get()
    }

    fn replace(&self, _old: u64, _new: u64) -> Result<(), u64> {
        self.operations.set(self.operations.get() + 1);
        self.word.set(self.word.get() ^ u64::from(GTF_READONLY));
        Err(self.word.get())
    }

    fn clear(&self, _bits: u64) {}
}

#[test]
fn an_unstable_entry_is_given_up() {
    let restless = Restless { word: Cell::new(entry(GTF_PERMIT_ACCESS, USER, FRAME)), operations: Cell::new(0) };
    let claim = Claim { who: USER, write: false, map: true, again: false };
    assert_eq!(mark(&restless, &claim), Err(Refused::GENERAL));
    assert_eq!(restless.operations.get(), TRIES + 1);
}

/// An entry that nobody changes meanwhile.
fn try_mark(word: u64, claim: Claim) -> Result<u64, Refused> {
    let quiet = core::sync::atomic::AtomicU64::new(word);
    mark(&quiet, &claim)?;
    Ok(quiet.into_inner())
}

#[test]
fn only_what_is_granted_is_used() {
    let map = Claim { who: USER, write: true, map: true, again: false };
    let read = Claim { write: false, ..map };
    let copy = Claim { map: false, ..map };
    let marks = u64::from(GTF_READING | GTF_WRITING);
    let good = entry(GTF_PERMIT_ACCESS, USER, FRAME);
    assert_eq!(try_mark(good, map), Ok(good | marks));
    assert_eq!(try_mark(good, read), Ok(good | u64::from(GTF_READING)));
    for kind in [GTF_INVALID, GTF_ACCEPT_TRANSFER, GTF_TRANSITIVE] {
        assert_eq!(try_mark(entry(kind, USER, FRAME), read), Err(Refused::GENERAL), "type {kind}");
    }
    assert_eq!(try_mark(entry(GTF_PERMIT_ACCESS, USER + 1, FRAME), read), Err(Refused::GENERAL));
    let readonly = entry(GTF_PERMIT_ACCESS | GTF_READONLY, USER, FRAME);
    assert_eq!(try_mark(readonly, map), Err(Refused::GENERAL));
    assert_eq!(try_mark(readonly, read), Ok(readonly | u64::from(GTF_READING)));
    let part = entry(GTF_PERMIT_ACCESS | GTF_SUB_PAGE, USER, FRAME);
    assert_eq!(try_mark(part, map), Err(Refused::GENERAL), "a part of a page is never mapped");
    assert_eq!(try_mark(part, copy), Ok(part | marks));
}

#[test]
fn a_second_use_depends_on_the_right_to_write_alone() {
    let again = Claim { who: USER, write: true, map: true, again: true };
    let withdrawn = entry(GTF_READING, USER + 1, OTHER_FRAME);
    assert_eq!(try_mark(withdrawn, again), Ok(withdrawn | u64::from(GTF_WRITING)));
    assert_eq!(try_mark(withdrawn | u64::from(GTF_READONLY), again), Err(Refused::GENERAL));
}
