//! The invariant of isolation, as a function: what must hold between any two operations, whatever guests did.
//!
//! It trusts nothing that the rules keep: references and type counts are counted anew from the tables, the lists and the vCPUs, and the
//! tables that CPUs have loaded are walked as the processor would, through what its caches remember.

use core::sync::atomic::Ordering::Relaxed;
use std::collections::BTreeMap;
use std::vec::Vec;

use abi::layout::{ENTRIES, FIRST_HYPERVISOR_SLOT};
use abi::mmu::pte;

use super::machine::FakeMachine;
use crate::frames::{Owner, PageType};
use crate::hypervisor::Hypervisor;
use crate::ids::{DomId, MAX_DOMAINS, Mfn};
use crate::machine::Machine;
use crate::mm::entry::{ALLOWED_L1, ALLOWED_UPPER, UNCACHED, frame_of, hypervisor_slot, is_device, present, writable};

/// References that something outside page tables, pins and vCPUs holds (grants, shared pages, tests).
#[derive(Clone, Copy, Debug)]
pub struct Holder {
    /// Of which frame.
    pub mfn: Mfn,
    /// As what; `None` is a reference alone.
    pub kind: Option<PageType>,
}

/// What the tests permit beyond ownership.
#[derive(Default)]
pub struct Permitted {
    /// Holders outside.
    pub holders: Vec<Holder>,
    /// Which domain may map which other domain's frames.
    pub mappings: Vec<(DomId, Mfn)>,
}

#[derive(Default)]
struct Expected {
    refs: BTreeMap<u64, u64>,
    types: BTreeMap<u64, BTreeMap<u8, u32>>,
    /// Entries that name device memory, by domain and frame.
    devices: BTreeMap<(DomId, u64), u64>,
}

impl Expected {
    fn add(&mut self, mfn: Mfn, kind: Option<PageType>) {
        *self.refs.entry(mfn.0).or_default() += 1;
        if let Some(kind) = kind {
            *self.types.entry(mfn.0).or_default().entry(kind as u8).or_default() += 1;
        }
    }
}

/// Panics, with what is wrong, if anything is.
pub fn check(hv: &Hypervisor<FakeMachine>, permitted: &Permitted) {
    let mut expected = Expected::default();
    for holder in &permitted.holders {
        expected.add(holder.mfn, holder.kind);
    }
    count_lists(hv, &mut expected);
    count_vcpus(hv, &mut expected);
    for mfn in frames(hv) {
        count_frame(hv, mfn, permitted, &mut expected);
    }
    for mfn in frames(hv) {
        compare(hv, mfn, &expected);
    }
    compare_devices(hv, &expected);
    check_free(hv);
    check_caches(hv, permitted);
    check_roots(hv);
}

fn frames(hv: &Hypervisor<FakeMachine>) -> impl Iterator<Item = Mfn> + use<'_> {
    (0..hv.frames.stats().end).map(Mfn).filter(|&mfn| hv.frames.get(mfn).is_some())
}

fn count_lists(hv: &Hypervisor<FakeMachine>, expected: &mut Expected) {
    let (mut queued, mut owned) = (0, 0);
    for domain in 0..MAX_DOMAINS as DomId {
        let lists = hv.frames.lists_for_check(domain);
        let mut total = 0;
        for (allocated, list) in [(true, &lists.allocated), (false, &lists.lingering), (false, &lists.released)] {
            for &mfn in list {
                let frame = hv.frames.get(mfn).expect("RAM is on the list");
                assert!(frame.belongs_to(domain) && frame.allocated() == allocated && !frame.shared(), "{mfn:?} is on the wrong list");
                total += 1;
                if allocated {
                    expected.add(mfn, None);
                }
            }
        }
        let account = hv.frames.of(domain);
        assert_eq!(total, account.total, "the account of domain {domain}");
        assert_eq!((lists.lingering.len() + lists.released.len()) as u64, account.given_back, "what domain {domain} gave back");
        if total != 0 {
            check_tables(hv, domain);
        }
        for &mfn in &lists.work {
            let usage = hv.frames.get(mfn).expect("RAM is on the list").usage();
            assert!(usage.queued() && usage.kind().below().is_some(), "{mfn:?} is to be taken apart: {usage:?}");
        }
        queued += lists.work.len();
        owned += total;
    }
    assert_eq!(owned, hv.frames.stats().owned, "what all domains have");
    let marked = frames(hv).filter(|&mfn| hv.frames.known(mfn).usage().queued()).count();
    assert_eq!(marked, queued, "frames marked as queued are on a list");
}

fn check_tables(hv: &Hypervisor<FakeMachine>, domain: DomId) {
    let of_domain = frames(hv).map(|mfn| hv.frames.known(mfn)).filter(|frame| frame.belongs_to(domain));
    let usages: Vec<_> = of_domain.map(|frame| frame.usage()).collect();
    let tables = usages.iter().filter(|usage| usage.count() != 0 && usage.kind().level().is_some()).count();
    let pinned = usages.iter().filter(|usage| usage.pinned()).count();
    let account = hv.frames.of(domain);
    assert_eq!((account.tables, account.pinned), (tables as u64, pinned as u64), "the page tables of domain {domain}");
}

fn count_vcpus(hv: &Hypervisor<FakeMachine>, expected: &mut Expected) {
    for domain in hv.domains.iter() {
        for vcpu in domain.vcpus.iter().flatten() {
            for table in [vcpu.kernel_table, vcpu.user_table] {
                if table != 0 {
                    expected.add(Mfn(table), Some(PageType::L4));
                }
            }
            for &mfn in vcpu.gdt_frames.iter().chain(&vcpu.ldt_frames).filter(|&&mfn| mfn != 0) {
                expected.add(Mfn(mfn), Some(PageType::Descriptor));
            }
        }
    }
}

/// What a frame itself holds: by a pin, by unfinished work, and through its entries if it is a table.
fn count_frame(hv: &Hypervisor<FakeMachine>, mfn: Mfn, permitted: &Permitted, expected: &mut Expected) {
    let frame = hv.frames.known(mfn);
    let usage = frame.usage();
    let Owner::Domain(owner) = frame.owner() else {
        return;
    };
    if usage.pinned() {
        expected.add(mfn, Some(usage.kind()));
    }
    if usage.partial() || usage.queued() {
        expected.add(mfn, None);
    }
    let Some(_) = usage.kind().level() else {
        return;
    };
    let entries = match (usage.count(), usage.partial()) {
        (0, false) => 0,
        (0, true) => usage.progress(),
        (_, true) => panic!("{mfn:?} is both held and partial: {usage:?}"),
        (_, false) => {
            assert!(usage.validated(), "{mfn:?} is held and not validated: {usage:?}");
            ENTRIES
        }
    };
    for index in 0..entries {
        if usage.kind() == PageType::L4 && hypervisor_slot(usage.kind(), index) {
            if usage.count() != 0 {
                let entry = hv.machine.word(mfn, index).load(Relaxed);
                let hidden = index == FIRST_HYPERVISOR_SLOT && entry == 0;
                assert!(hidden || entry == FakeMachine::hypervisor_entry(index), "slot {index} of {mfn:?} is the hypervisor's");
            }
            continue;
        }
        let entry = hv.machine.word(mfn, index).load(Relaxed);
        if present(entry) {
            count_entry(hv, (mfn, index, entry), usage.kind(), owner, permitted, expected);
        }
    }
}

fn count_entry(
    hv: &Hypervisor<FakeMachine>,
    (table, index, entry): (Mfn, usize, u64),
    kind: PageType,
    owner: DomId,
    permitted: &Permitted,
    expected: &mut Expected,
) {
    let at = || std::format!("entry {index} of {kind:?} {table:?}, {entry:#x},");
    let device = kind == PageType::L1 && is_device(entry);
    let allowed = match kind {
        PageType::L1 if device => ALLOWED_L1 & !pte::GLOBAL | UNCACHED,
        PageType::L1 => ALLOWED_L1 & !pte::GLOBAL,
        _ => ALLOWED_UPPER,
    };
    assert_eq!(entry & !allowed, 0, "{} has bits that are not allowed", at());
    assert_ne!(entry & pte::USER, 0, "{} lacks U", at());
    let child = frame_of(entry);
    if device {
        assert_eq!(entry & UNCACHED, UNCACHED, "{} lets a device be cached", at());
        assert!(hv.frames.get(child).is_none(), "{} is for a device and names RAM", at());
        *expected.devices.entry((owner, child.0)).or_default() += 1;
        return;
    }
    let frame = hv.frames.get(child).unwrap_or_else(|| panic!("{} names no RAM", at()));
    let may = frame.belongs_to(owner) || kind == PageType::L1 && permitted.mappings.contains(&(owner, child));
    assert!(may, "{} of domain {owner} names a frame of {:?}", at(), frame.owner());
    let as_what = match kind.below() {
        Some(below) => Some(below),
        None => writable(entry).then_some(PageType::Writable),
    };
    expected.add(child, as_what);
}

fn compare(hv: &Hypervisor<FakeMachine>, mfn: Mfn, expected: &Expected) {
    let frame = hv.frames.known(mfn);
    let usage = frame.usage();
    let mut refs = expected.refs.get(&mfn.0).copied().unwrap_or(0);
    let mut types = expected.types.get(&mfn.0).cloned().unwrap_or_default();
    if frame.shared() {
        // The hypervisor's own hold, while it lasts.
        let held = u64::from(frame.refs() == refs + 1);
        refs += held;
        *types.entry(PageType::Writable as u8).or_default() += held as u32;
    }
    types.retain(|_, count| *count != 0);
    if let Owner::Domain(_) = frame.owner() {
        assert_eq!(frame.refs(), refs, "references of {mfn:?}: {frame:?}");
        assert_ne!(refs, 0, "{mfn:?} is a domain's without a reference");
        assert!(types.len() <= 1, "{mfn:?} is of several types at once: {types:?}");
        let count = types.get(&(usage.kind() as u8)).copied().unwrap_or(0);
        assert_eq!(usage.count(), count, "type count of {mfn:?}: {usage:?}, found {types:?}");
    } else {
        assert!(refs == 0 && types.is_empty(), "{mfn:?} of {:?} is in use", frame.owner());
    }
}

/// Every entry for device memory is permitted and counted.
fn compare_devices(hv: &Hypervisor<FakeMachine>, expected: &Expected) {
    for &(domain, mfn) in expected.devices.keys() {
        assert!(hv.frames.devices.permitted(domain, Mfn(mfn)), "domain {domain} maps device frame {mfn:#x} and may not");
    }
    for range in hv.frames.devices.iter() {
        let found: u64 = expected.devices.range((range.domain, range.first)..(range.domain, range.end)).map(|(_, count)| count).sum();
        assert_eq!(range.mapped, found, "entries that name {range:x?}");
        assert!(!hv.frames.has_ram(range.first, range.end), "{range:x?} is no device's");
    }
}

fn check_free(hv: &Hypervisor<FakeMachine>) {
    let free = frames(hv).filter(|&mfn| hv.frames.known(mfn).owner() == Owner::Free).count() as u64;
    assert_eq!(free, hv.frames.stats().free, "frames that are free");
}

/// True for a frame that no guest may ever write or have walked unseen.
fn is_guarded(hv: &Hypervisor<FakeMachine>, mfn: Mfn) -> bool {
    let Some(frame) = hv.frames.get(mfn) else { return false };
    let usage = frame.usage();
    let special = usage.kind().level().is_some() || usage.kind() == PageType::Descriptor;
    frame.owner() == Owner::Hypervisor || special && (usage.count() != 0 || usage.partial())
}

/// No cache lets a guest do what its tables no longer do, if that could break isolation.
fn check_caches(hv: &Hypervisor<FakeMachine>, permitted: &Permitted) {
    for (cpu, page, translation) in hv.machine.mmu.translations() {
        let at = std::format!("CPU {cpu} translates page {page:#x} as {translation:?}:");
        let Owner::Domain(domain) = hv.frames.known(translation.root).owner() else { panic!("{at} a root without an owner") };
        let Some(frame) = hv.frames.get(translation.mfn) else {
            assert!(hv.frames.devices.permitted(domain, translation.mfn), "{at} device memory that it may not have");
            continue;
        };
        if translation.writable {
            assert!(!is_guarded(hv, translation.mfn), "{at} writable and {frame:?}");
        }
        match frame.owner() {
            Owner::Free => {}
            Owner::Domain(owner) => {
                let may = owner == domain || permitted.mappings.contains(&(domain, translation.mfn));
                assert!(may, "{at} the frame is domain {owner}'s");
            }
            owner => panic!("{at} the frame is {owner:?}'s"),
        }
    }
    for (cpu, range, directory) in hv.machine.mmu.directories() {
        // A table that was let go is harmless as long as nobody can have written to it: what its entries named is stamped.
        let frame = hv.frames.known(directory.table);
        let unchanged = frame.usage().kind() == PageType::L1 || frame.owner() == Owner::Free;
        assert!(unchanged, "CPU {cpu} uses {:?} as L1 table of {range:#x}: {frame:?}", directory.table);
    }
}

/// What is loaded is validated, at every level.
fn check_roots(hv: &Hypervisor<FakeMachine>) {
    for &root in hv.machine.roots.borrow().iter().filter(|root| root.is_some()) {
        check_loaded(hv, root, PageType::L4);
    }
}

fn check_loaded(hv: &Hypervisor<FakeMachine>, table: Mfn, kind: PageType) {
    let usage = hv.frames.known(table).usage();
    assert!(usage.is(kind) && usage.validated(), "{table:?} is walked as {kind:?}: {usage:?}");
    for index in (0..ENTRIES).filter(|&index| !hypervisor_slot(kind, index)) {
        let entry = hv.machine.word(table, index).load(Relaxed);
        if !present(entry) {
            continue;
        }
        match kind.below() {
            Some(below) => check_loaded(hv, frame_of(entry), below),
            None => {
                assert!(!(writable(entry) && is_guarded(hv, frame_of(entry))), "entry {index} of {table:?} maps a guarded frame writable")
            }
        }
    }
}
