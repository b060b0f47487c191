//! Grants by hypercall: each operation, each check of its arguments, and that no frame stays reachable once its grant is free again.

mod events_world;

use abi::Errno;
use abi::grant::*;
use core::sync::atomic::Ordering::SeqCst;
use domus_hv_core::call::Outcome;
use domus_hv_core::fake::Random;
use domus_hv_core::frames::PageType;
use domus_hv_core::grants::{self, Teardown};
use domus_hv_core::ids::{CpuMask, DomId, Mfn, VcpuRef};
use domus_hv_core::machine::{Flush, Machine};
use domus_hv_core::mm::base;
use domus_hv_core::mm::update::Store;
use events_world::{FRAMES, Number, Space, World};

const SELF: u16 = 0x7ff0;

/// Where tests map: beyond the pages that every domain has.
const AT: u64 = 0x10_0000;

/// Domain 1 grants, domain 2 maps; 0 is privileged.
struct Scene {
    world: World,
    spaces: [Space; 3],
}

fn scene() -> Scene {
    let mut world = World::new();
    let spaces = core::array::from_fn(|id| world.domain(id as DomId, 1));
    Scene { world, spaces }
}

impl Scene {
    /// A new frame of a domain, filled with a byte.
    fn frame(&mut self, domain: DomId, fill: u8) -> Mfn {
        let frame = self.world.hv.frames.allocate_for(&self.world.hv.machine, domain).expect("memory");
        self.world.hv.machine.write_frame(frame, 0, &[fill; 4096]);
        frame
    }

    fn entry(&self, granter: DomId, reference: u32) -> (Mfn, usize) {
        let grants = &self.world.hv.domain(granter).expect("exists").grants;
        let frame = grants.frame(reference / ENTRIES_PER_FRAME_V1).expect("the table is long enough");
        (frame, (reference % ENTRIES_PER_FRAME_V1) as usize)
    }

    /// Writes an entry as the granting guest does.
    fn grant(&self, granter: DomId, reference: u32, flags: u16, user: DomId, frame: Mfn) {
        let (table, slot) = self.entry(granter, reference);
        let entry = u64::from(flags) | u64::from(user) << 16 | frame.0 << 32;
        self.world.hv.machine.word(table, slot).store(entry, SeqCst);
    }

    fn flags(&self, granter: DomId, reference: u32) -> u16 {
        let (table, slot) = self.entry(granter, reference);
        self.world.hv.machine.word(table, slot).load(SeqCst) as u16
    }

    /// Takes a grant back as Linux does; false if it is in use.
    fn revoke(&self, granter: DomId, reference: u32) -> bool {
        let (table, slot) = self.entry(granter, reference);
        let free = self.flags(granter, reference) & (GTF_READING | GTF_WRITING) == 0;
        if free {
            self.world.hv.machine.word(table, slot).fetch_and(!0xffff, SeqCst);
        }
        free
    }

    fn map(&mut self, user: DomId, dom: DomId, grant_ref: u32, flags: u32, host_addr: u64) -> Result<u32, i16> {
        let mut request = [MapGrantRef { host_addr, flags, grant_ref, dom, handle: 0xdead, ..MapGrantRef::default() }];
        assert_eq!(self.world.grant_op(user, OP_MAP_GRANT_REF, &mut request), 0);
        let [answer] = request;
        if answer.status == GNTST_OKAY {
            assert_eq!(answer.dev_bus_addr & 0xfff, 0);
            Ok(answer.handle)
        } else {
            assert_eq!(answer.handle, 0xdead, "left alone");
            Err(answer.status)
        }
    }

    fn unmap(&mut self, user: DomId, handle: u32, host_addr: u64) -> i16 {
        let mut request = [UnmapGrantRef { host_addr, handle, status: 99, ..UnmapGrantRef::default() }];
        assert_eq!(self.world.grant_op(user, OP_UNMAP_GRANT_REF, &mut request), 0);
        request[0].status
    }

    fn copy(&mut self, user: DomId, request: Copy) -> i16 {
        let mut requests = [Copy { status: 99, ..request }];
        assert_eq!(self.world.grant_op(user, OP_COPY, &mut requests), 0);
        requests[0].status
    }

    /// The machine address of the L1 entry of a linear address of a domain.
    fn slot(&self, domain: DomId, address: u64) -> u64 {
        self.spaces[usize::from(domain)].l1.address() + (address >> 12 & 511) * 8
    }

    /// What a domain reaches at an address, as the processor would.
    fn reach(&mut self, domain: DomId, address: u64) -> Option<(Mfn, bool)> {
        self.world.run(VcpuRef { domain, vcpu: 0 });
        self.world.reach(address)
    }

    fn refs(&self, frame: Mfn) -> (u64, u32) {
        let frame = self.world.hv.frames.get(frame).expect("RAM");
        (frame.refs(), if frame.usage().is(PageType::Writable) { frame.usage().count() } else { 0 })
    }
}

const READ: u32 = GNTMAP_HOST_MAP | GNTMAP_READONLY;
const WRITE: u32 = GNTMAP_HOST_MAP;

#[test]
fn a_frame_is_mapped_and_given_back() {
    let mut s = scene();
    let frame = s.frame(1, 0x5a);
    s.grant(1, 9, GTF_PERMIT_ACCESS, 2, frame);
    let handle = s.map(2, 1, 9, WRITE, AT).unwrap();
    assert_eq!(s.reach(2, AT), Some((frame, true)));
    assert_eq!(s.world.read::<u64>(2, AT), 0x5a5a_5a5a_5a5a_5a5a);
    assert_eq!(s.flags(1, 9), GTF_PERMIT_ACCESS | GTF_READING | GTF_WRITING);
    assert_eq!(s.refs(frame), (2, 1));
    assert!(!s.revoke(1, 9));
    s.world.check();
    assert_eq!(s.unmap(2, handle, AT), GNTST_OKAY);
    assert_eq!(s.reach(2, AT), None, "not even from the translation cache");
    assert_eq!(s.flags(1, 9), GTF_PERMIT_ACCESS);
    assert_eq!(s.refs(frame), (1, 0));
    assert!(s.revoke(1, 9));
    s.world.check();
}

#[test]
fn the_entry_is_as_the_request_says() {
    use abi::mmu::pte;
    let mut s = scene();
    let frame = s.frame(1, 0);
    s.grant(1, 9, GTF_PERMIT_ACCESS, 2, frame);
    let software = 0b101 << GNTMAP_GUEST_AVAIL_SHIFT | 1 << 31;
    let cases = [
        (WRITE, pte::RW | pte::DIRTY, pte::GUEST_KERNEL),
        (READ, 0, pte::GUEST_KERNEL),
        (WRITE | GNTMAP_APPLICATION_MAP, pte::RW | pte::DIRTY, 0),
        (READ | software, pte::AVAIL & 0b101 << 9, pte::GUEST_KERNEL),
    ];
    for (flags, bits, kernel) in cases {
        let handle = s.map(2, 1, 9, flags, AT).unwrap();
        let entry = s.world.hv.machine.word(s.spaces[2].l1, AT as usize >> 12).load(SeqCst);
        let common = frame.address() | pte::PRESENT | pte::ACCESSED | pte::USER | pte::NX;
        assert_eq!(entry, common | bits | kernel, "flags {flags:#x}");
        assert_eq!(s.unmap(2, handle, AT), GNTST_OKAY);
    }
}

#[test]
fn an_entry_named_by_its_machine_address() {
    let mut s = scene();
    let frame = s.frame(1, 0x77);
    s.grant(1, 9, GTF_PERMIT_ACCESS, 2, frame);
    let slot = s.slot(2, AT);
    let by_entry = WRITE | GNTMAP_CONTAINS_PTE;
    let handle = s.map(2, 1, 9, by_entry, slot).unwrap();
    assert_eq!(s.reach(2, AT), Some((frame, true)));
    assert_eq!(s.unmap(2, handle, AT), GNTST_GENERAL_ERROR, "undone as it was made, not by linear address");
    assert_eq!(s.unmap(2, handle, slot), GNTST_OKAY);
    assert_eq!(s.reach(2, AT), None);
    for wrong in [slot + 4, slot + 1, s.slot(1, AT), s.spaces[2].root.address(), s.spaces[2].pages[0].address(), !7, 0] {
        assert_eq!(s.map(2, 1, 9, by_entry, wrong), Err(GNTST_GENERAL_ERROR), "{wrong:#x}");
        assert_eq!(s.flags(1, 9), GTF_PERMIT_ACCESS, "{wrong:#x}");
    }
    assert_eq!(s.refs(frame), (1, 0));
    s.world.check();
}

#[test]
fn mapping_takes_only_what_is_granted() {
    let mut s = scene();
    let frame = s.frame(1, 0);
    s.grant(1, 9, GTF_PERMIT_ACCESS, 2, frame);
    assert_eq!(s.map(0, 1, 9, WRITE, AT), Err(GNTST_GENERAL_ERROR), "privilege does not stand in for a grant");
    assert_eq!(s.map(2, 1, 8, WRITE, AT), Err(GNTST_GENERAL_ERROR), "an empty entry");
    assert_eq!(s.map(2, 1, ENTRIES_PER_FRAME_V1, WRITE, AT), Err(GNTST_BAD_GNTREF), "beyond the table");
    assert_eq!(s.map(2, 1, u32::MAX, WRITE, AT), Err(GNTST_BAD_GNTREF));
    assert_eq!(s.map(2, 7, 9, WRITE, AT), Err(GNTST_BAD_DOMAIN));
    assert_eq!(s.map(2, SELF, 9, WRITE, AT), Err(GNTST_BAD_DOMAIN), "a granter is named by number");
    assert_eq!(s.map(2, 1, 9, 0, AT), Err(GNTST_BAD_GNTREF), "neither kind of mapping");
    assert_eq!(s.map(2, 1, 9, GNTMAP_READONLY, AT), Err(GNTST_BAD_GNTREF));
    assert_eq!(s.map(2, 1, 9, WRITE | GNTMAP_DEVICE_MAP, AT), Err(GNTST_NO_DEVICE_SPACE));
    s.grant(1, 10, GTF_PERMIT_ACCESS | GTF_READONLY, 2, frame);
    assert_eq!(s.map(2, 1, 10, WRITE, AT), Err(GNTST_GENERAL_ERROR));
    let reader = s.map(2, 1, 10, READ, AT).unwrap();
    assert_eq!(s.reach(2, AT), Some((frame, false)));
    assert_eq!(s.map(2, 1, 10, WRITE, AT + 0x1000), Err(GNTST_GENERAL_ERROR), "a second use is no way round");
    assert_eq!(s.flags(1, 10), GTF_PERMIT_ACCESS | GTF_READONLY | GTF_READING);
    assert_eq!(s.unmap(2, reader, AT), GNTST_OKAY);
    assert_eq!((s.flags(1, 9), s.flags(1, 10)), (GTF_PERMIT_ACCESS, GTF_PERMIT_ACCESS | GTF_READONLY));
    assert_eq!(s.refs(frame), (1, 0));
    assert_eq!(s.world.hv.domain(2).unwrap().grants.mapped(), 0, "failures leave no handle");
    s.world.check();
}

#[test]
fn a_grant_of_what_is_not_the_granters_is_refused() {
    let mut s = scene();
    let foreign = s.frame(0, 0);
    let free = s.frame(1, 0);
    s.world.hv.frames.give_back(free, 1).unwrap();
    for frame in [foreign, s.spaces[2].pages[0], free, Mfn(0), Mfn(u64::from(u32::MAX)), Mfn(FRAMES as u64)] {
        s.grant(1, 9, GTF_PERMIT_ACCESS, 2, frame);
        for flags in [READ, WRITE] {
            assert_eq!(s.map(2, 1, 9, flags, AT), Err(GNTST_BAD_PAGE), "{frame:?}");
            assert_eq!(s.flags(1, 9), GTF_PERMIT_ACCESS, "no mark is left");
        }
        let request = Copy {
            flags: GNTCOPY_SOURCE_GREF,
            len: 8,
            source: CopyPtr { ref_or_frame: 9, domid: 1, ..CopyPtr::default() },
            dest: own(&s, 2),
            ..Copy::default()
        };
        assert_eq!(s.copy(2, request), GNTST_BAD_PAGE);
        assert_eq!(s.flags(1, 9), GTF_PERMIT_ACCESS, "no mark is left");
    }
    s.world.check();
}

#[test]
fn a_page_table_is_never_granted_for_writing() {
    let mut s = scene();
    let table = s.spaces[1].l1;
    s.grant(1, 9, GTF_PERMIT_ACCESS, 2, table);
    assert_eq!(s.map(2, 1, 9, WRITE, AT), Err(GNTST_GENERAL_ERROR));
    assert_eq!(s.flags(1, 9), GTF_PERMIT_ACCESS);
    let handle = s.map(2, 1, 9, READ, AT).unwrap();
    assert_eq!(s.reach(2, AT), Some((table, false)));
    let dest = CopyPtr { ref_or_frame: 9, domid: 1, ..CopyPtr::default() };
    let request = Copy { flags: GNTCOPY_DEST_GREF, len: 8, source: own(&s, 2), dest, ..Copy::default() };
    assert_eq!(s.copy(2, request), GNTST_GENERAL_ERROR);
    let before = s.world.hv.machine.word(table, 0).load(SeqCst);
    let dest = CopyPtr { ref_or_frame: table.0, domid: SELF, ..CopyPtr::default() };
    assert_eq!(s.copy(1, Copy { len: 8, source: own(&s, 1), dest, ..Copy::default() }), GNTST_GENERAL_ERROR);
    assert_eq!(s.world.hv.machine.word(table, 0).load(SeqCst), before);
    assert_eq!(s.unmap(2, handle, AT), GNTST_OKAY);
    s.world.check();
}

/// A table of tables that was let go holds references until it is taken apart; then it is memory like any other.
#[test]
fn a_former_page_table_can_be_granted_once_it_is_taken_apart() {
    let mut s = scene();
    let [l2, l1] = [s.frame(1, 0), s.frame(1, 0)];
    s.world.hv.machine.word(l2, 5).store(l1.address() | 7, SeqCst);
    s.grant(1, 9, GTF_PERMIT_ACCESS, 2, l2);
    let let_go = |s: &mut Scene| {
        s.world.hv.machine.word(l2, 5).store(l1.address() | 7, SeqCst);
        s.world.hv.mm().get_frame_as(l2, 1, PageType::L2).expect("a valid table");
        s.world.hv.mm().put_frame_as(l2);
        assert!(s.world.hv.frames.get(l2).unwrap().usage().partial());
    };
    let_go(&mut s);
    let handle = s.map(2, 1, 9, WRITE, AT).unwrap();
    assert_eq!(s.reach(2, AT), Some((l2, true)));
    assert_eq!(s.unmap(2, handle, AT), GNTST_OKAY);
    let_go(&mut s);
    let dest = CopyPtr { ref_or_frame: 9, domid: 1, ..CopyPtr::default() };
    let request = Copy { flags: GNTCOPY_DEST_GREF, len: 8, source: own(&s, 2), dest, ..Copy::default() };
    assert_eq!(s.copy(2, request), GNTST_OKAY);
    s.world.check_memory();
}

#[test]
fn there_must_be_a_place_for_the_mapping() {
    let mut s = scene();
    let frame = s.frame(1, 0);
    s.grant(1, 9, GTF_PERMIT_ACCESS, 2, frame);
    for wrong in [0x20_0000, 0x4000_0000, 0x80_0000_0000, 0x8000_0000_0000, 0xffff_8000_0000_0000, 0xffff_8800_0000_0000, u64::MAX] {
        assert_eq!(s.map(2, 1, 9, WRITE, wrong), Err(GNTST_GENERAL_ERROR), "{wrong:#x}");
    }
    assert_eq!((s.flags(1, 9), s.refs(frame)), (GTF_PERMIT_ACCESS, (1, 0)));
    assert_eq!(s.world.hv.domain(2).unwrap().grants.mapped(), 0);
    s.world.check();
}

#[test]
fn what_lay_there_is_let_go() {
    let mut s = scene();
    let (frame, old) = (s.frame(1, 0), s.spaces[2].pages[3]);
    s.grant(1, 9, GTF_PERMIT_ACCESS, 2, frame);
    assert_eq!(s.refs(old), (2, 1));
    let handle = s.map(2, 1, 9, WRITE, 0x3000).unwrap();
    assert_eq!(s.refs(old), (1, 0));
    assert_eq!(s.unmap(2, handle, 0x3000), GNTST_OKAY);
}

/// XSA-224, XSA-234: what is undone must be what was done.
#[test]
fn unmapping_must_match_the_mapping() {
    let mut s = scene();
    let (frame, other) = (s.frame(1, 0), s.frame(1, 0));
    s.grant(1, 9, GTF_PERMIT_ACCESS, 2, frame);
    s.grant(1, 10, GTF_PERMIT_ACCESS, 2, other);
    let writer = s.map(2, 1, 9, WRITE, AT).unwrap();
    let reader = s.map(2, 1, 9, READ, AT + 0x1000).unwrap();
    let second = s.map(2, 1, 10, WRITE, AT + 0x2000).unwrap();
    assert_eq!(s.refs(frame), (3, 1));
    assert_eq!(s.unmap(2, writer, AT + 0x1000), GNTST_GENERAL_ERROR, "a reading mapping");
    assert_eq!(s.unmap(2, reader, AT), GNTST_GENERAL_ERROR, "a writing mapping");
    assert_eq!(s.unmap(2, writer, AT + 0x2000), GNTST_GENERAL_ERROR, "another frame");
    assert_eq!(s.unmap(2, writer, AT + 0x3000), GNTST_GENERAL_ERROR, "nothing");
    assert_eq!(s.unmap(2, writer, 0x8000_0000_0000), GNTST_GENERAL_ERROR, "no address");
    assert_eq!(s.unmap(2, second + 1, AT), GNTST_BAD_HANDLE, "never used");
    assert_eq!(s.unmap(2, 512, AT), GNTST_BAD_HANDLE);
    assert_eq!(s.unmap(2, u32::MAX, AT), GNTST_BAD_HANDLE);
    assert_eq!(s.unmap(0, writer, AT), GNTST_BAD_HANDLE, "another's");
    assert_eq!(s.unmap(2, writer, 0), GNTST_OKAY, "names no place: nothing to do");
    assert_eq!(s.reach(2, AT), Some((frame, true)));
    s.world.check();
    assert_eq!(s.unmap(2, writer, AT), GNTST_OKAY);
    assert_eq!(s.flags(1, 9), GTF_PERMIT_ACCESS | GTF_READING, "still read");
    assert_eq!(s.unmap(2, writer, AT), GNTST_BAD_HANDLE, "twice");
    assert_eq!(s.unmap(2, reader, AT + 0x1000), GNTST_OKAY);
    assert_eq!(s.flags(1, 9), GTF_PERMIT_ACCESS);
    assert_eq!(s.unmap(2, second, AT + 0x2000), GNTST_OKAY);
    assert_eq!((s.refs(frame), s.refs(other)), ((1, 0), (1, 0)));
    s.world.check();
}

#[test]
fn one_user_at_a_time_and_as_often_as_can_be_counted() {
    let mut s = scene();
    let frame = s.frame(1, 0);
    s.grant(1, 9, GTF_PERMIT_ACCESS, 2, frame);
    let handles: Vec<u32> = (0..255).map(|page| s.map(2, 1, 9, READ, AT + page * 0x1000).unwrap()).collect();
    assert_eq!(s.map(2, 1, 9, READ, AT + 255 * 0x1000), Err(GNTST_GENERAL_ERROR), "the count is full");
    // The granter names another domain while it is in use: that one must wait.
    s.grant(1, 9, s.flags(1, 9), 0, frame);
    assert_eq!(s.map(0, 1, 9, READ, AT), Err(GNTST_GENERAL_ERROR));
    s.world.check();
    for (page, handle) in (0..).zip(handles) {
        assert_eq!(s.unmap(2, handle, AT + page * 0x1000), GNTST_OKAY);
    }
    assert_eq!(s.flags(1, 9), GTF_PERMIT_ACCESS);
    assert!(s.map(0, 1, 9, READ, AT).is_ok());
    s.world.check();
}

#[test]
fn an_entry_that_the_mapper_overwrites_keeps_the_grant_in_use() {
    let mut s = scene();
    let frame = s.frame(1, 0);
    s.grant(1, 9, GTF_PERMIT_ACCESS, 2, frame);
    let lost = s.map(2, 1, 9, WRITE, AT).unwrap();
    let slot = s.world.hv.mm().walk(s.spaces[2].root, AT).unwrap();
    s.world.hv.mm().update_l1(slot, 0, 2, Store::Replace).expect("a guest may clear an entry");
    assert_eq!(s.refs(frame), (1, 0), "the references went with the entry");
    assert!(!s.revoke(1, 9), "but the granter does not know");
    assert_eq!(s.unmap(2, lost, AT), GNTST_GENERAL_ERROR);
    let again = s.map(2, 1, 9, WRITE, AT).unwrap();
    assert_eq!(s.unmap(2, again, AT), GNTST_OKAY);
    assert!(!s.revoke(1, 9));
    // The frame goes elsewhere meanwhile: the old use gives no right to it.
    s.world.hv.frames.give_back(frame, 1).unwrap();
    assert_eq!(s.map(2, 1, 9, READ, AT), Err(GNTST_BAD_PAGE));
    s.world.check();
}

/// The two ends of copies: the first page of a domain.
fn own(s: &Scene, domain: DomId) -> CopyPtr {
    CopyPtr { ref_or_frame: s.spaces[usize::from(domain)].pages[3].0, domid: SELF, offset: 0, _pad: 0 }
}

fn granted(reference: u32, domid: DomId, offset: u16) -> CopyPtr {
    CopyPtr { ref_or_frame: u64::from(reference), domid, offset, _pad: 0 }
}

#[test]
fn bytes_are_copied_either_way() {
    let mut s = scene();
    let (from, to) = (s.frame(1, 0xaa), s.frame(1, 0xbb));
    s.grant(1, 9, GTF_PERMIT_ACCESS | GTF_READONLY, 2, from);
    s.grant(1, 10, GTF_PERMIT_ACCESS, 2, to);
    let own = CopyPtr { offset: 100, ..own(&s, 2) };
    let inward = Copy { source: granted(9, 1, 4000), dest: own, len: 96, flags: GNTCOPY_SOURCE_GREF, ..Copy::default() };
    assert_eq!(s.copy(2, inward), GNTST_OKAY);
    let mut bytes = [0; 98];
    s.world.hv.machine.read_frame(s.spaces[2].pages[3], 99, &mut bytes);
    assert_eq!((bytes[0], bytes[1], bytes[96], bytes[97]), (0, 0xaa, 0xaa, 0));
    let outward = Copy { source: own, dest: granted(10, 1, 0), len: 1, flags: GNTCOPY_DEST_GREF, ..Copy::default() };
    assert_eq!(s.copy(2, outward), GNTST_OKAY);
    let both = Copy {
        source: granted(9, 1, 0),
        dest: granted(10, 1, 4095),
        len: 1,
        flags: GNTCOPY_SOURCE_GREF | GNTCOPY_DEST_GREF,
        ..Copy::default()
    };
    assert_eq!(s.copy(2, both), GNTST_OKAY);
    s.world.hv.machine.read_frame(to, 0, &mut bytes);
    assert_eq!((bytes[0], bytes[1]), (0xaa, 0xbb));
    let neither = Copy { source: own, dest: CopyPtr { offset: 0, ..own }, len: 1, ..Copy::default() };
    assert_eq!(s.copy(2, neither), GNTST_OKAY);
    assert_eq!((s.flags(1, 9), s.flags(1, 10)), (GTF_PERMIT_ACCESS | GTF_READONLY, GTF_PERMIT_ACCESS));
    assert_eq!((s.refs(from), s.refs(to), s.refs(s.spaces[2].pages[3])), ((1, 0), (1, 0), (2, 1)));
    s.world.check();
}

#[test]
fn copying_takes_only_what_is_granted() {
    let mut s = scene();
    let frame = s.frame(1, 0xaa);
    s.grant(1, 9, GTF_PERMIT_ACCESS | GTF_READONLY, 2, frame);
    let dest = own(&s, 2);
    let good = Copy { source: granted(9, 1, 0), dest, len: 8, flags: GNTCOPY_SOURCE_GREF, ..Copy::default() };
    let back = Copy { source: dest, dest: granted(9, 1, 0), len: 8, flags: GNTCOPY_DEST_GREF, ..Copy::default() };
    assert_eq!(s.copy(2, back), GNTST_GENERAL_ERROR, "for reading only");
    assert_eq!(s.copy(0, good), GNTST_GENERAL_ERROR, "granted to another");
    assert_eq!(s.copy(2, Copy { source: granted(8, 1, 0), ..good }), GNTST_GENERAL_ERROR);
    assert_eq!(s.copy(2, Copy { source: granted(512, 1, 0), ..good }), GNTST_BAD_GNTREF);
    assert_eq!(s.copy(2, Copy { source: granted(9, 7, 0), ..good }), GNTST_BAD_DOMAIN);
    let named = CopyPtr { ref_or_frame: frame.0, domid: 1, ..CopyPtr::default() };
    assert_eq!(s.copy(2, Copy { source: named, flags: 0, ..good }), GNTST_PERMISSION_DENIED);
    assert_eq!(s.copy(0, Copy { source: named, flags: 0, ..good }), GNTST_PERMISSION_DENIED, "not even the privileged one");
    assert_eq!(s.copy(2, Copy { source: CopyPtr { domid: SELF, ..named }, flags: 0, ..good }), GNTST_BAD_PAGE, "another's frame");
    assert_eq!(s.copy(2, Copy { dest: CopyPtr { domid: SELF, ..named }, ..good }), GNTST_BAD_PAGE);
    let nowhere = CopyPtr { ref_or_frame: u64::MAX, domid: SELF, ..CopyPtr::default() };
    assert_eq!(s.copy(2, Copy { dest: nowhere, ..good }), GNTST_BAD_PAGE);
    assert_eq!(s.copy(2, Copy { len: 4097, ..good }), GNTST_BAD_COPY_ARG);
    assert_eq!(s.copy(2, Copy { source: granted(9, 1, 4089), ..good }), GNTST_BAD_COPY_ARG);
    assert_eq!(s.copy(2, Copy { dest: CopyPtr { offset: 4089, ..dest }, ..good }), GNTST_BAD_COPY_ARG);
    assert_eq!(s.copy(2, Copy { source: granted(9, 1, u16::MAX), len: u16::MAX, ..good }), GNTST_BAD_COPY_ARG);
    assert_eq!(s.copy(2, Copy { source: granted(9, 1, 4096), len: 0, ..good }), GNTST_OKAY, "nothing");
    assert_eq!(s.copy(2, Copy { source: granted(9, 1, 4097), len: 0, ..good }), GNTST_BAD_COPY_ARG);
    assert_eq!(s.copy(2, Copy { source: CopyPtr { domid: 7, ..named }, flags: 0, ..good }), GNTST_BAD_DOMAIN);
    assert_eq!(s.copy(2, Copy { source: granted(9, 1, 4088), ..good }), GNTST_OKAY, "to the last byte");
    assert_eq!(s.copy(2, Copy { len: 4096, ..good }), GNTST_OKAY);
    assert_eq!((s.flags(1, 9), s.refs(frame)), (GTF_PERMIT_ACCESS | GTF_READONLY, (1, 0)));
    s.world.check();
}

#[test]
fn a_copy_leaves_a_mapping_of_the_same_grant_in_use() {
    let mut s = scene();
    let frame = s.frame(1, 0xaa);
    s.grant(1, 9, GTF_PERMIT_ACCESS, 2, frame);
    let handle = s.map(2, 1, 9, READ, AT).unwrap();
    let out = Copy { source: own(&s, 2), dest: granted(9, 1, 0), len: 8, flags: GNTCOPY_DEST_GREF, ..Copy::default() };
    assert_eq!(s.copy(2, out), GNTST_OKAY);
    assert_eq!(s.flags(1, 9), GTF_PERMIT_ACCESS | GTF_READING);
    assert_eq!(s.unmap(2, handle, AT), GNTST_OKAY);
    assert_eq!(s.flags(1, 9), GTF_PERMIT_ACCESS);
}

fn setup(s: &mut Scene, caller: DomId, dom: DomId, nr_frames: u32, frame_list: u64) -> i16 {
    let mut request = [SetupTable { dom, nr_frames, frame_list, status: 99, ..SetupTable::default() }];
    assert_eq!(s.world.grant_op(caller, OP_SETUP_TABLE, &mut request), 0);
    request[0].status
}

#[test]
fn a_table_grows_to_its_limit_and_is_paid_for() {
    let mut s = scene();
    let before = s.world.hv.frames.of(1).overhead;
    let first = s.world.hv.domain(1).unwrap().grants.frame(0).unwrap();
    assert_eq!(setup(&mut s, 1, SELF, 3, 0x3000), GNTST_OKAY);
    assert_eq!(s.world.hv.frames.of(1).overhead, before + 4);
    assert_eq!(s.world.read::<u64>(1, 0x3000), first.0, "the first frame stays");
    for index in 0..3 {
        let mfn = Mfn(s.world.read::<u64>(1, 0x3000 + 8 * index));
        let frame = s.world.hv.frames.get(mfn).unwrap();
        assert!(frame.belongs_to(1) && frame.shared(), "the domain can map it");
    }
    assert_eq!(setup(&mut s, 1, SELF, 65, 0x3000), GNTST_GENERAL_ERROR, "beyond the limit");
    assert_eq!(setup(&mut s, 1, SELF, u32::MAX, 0x3000), GNTST_GENERAL_ERROR);
    assert_eq!(setup(&mut s, 1, SELF, 1, 0x3000), GNTST_OKAY, "it never shrinks");
    assert_eq!(s.world.hv.domain(1).unwrap().grants.count(), 3);
    assert_eq!(setup(&mut s, 1, SELF, 2, 0x4000), GNTST_BAD_VIRT_ADDR, "the list cannot be written");
    assert_eq!(setup(&mut s, 1, SELF, 2, u64::MAX - 3), GNTST_BAD_VIRT_ADDR);
    assert_eq!(setup(&mut s, 1, 2, 1, 0x3000), GNTST_PERMISSION_DENIED);
    assert_eq!(setup(&mut s, 0, 7, 1, 0x3000), GNTST_BAD_DOMAIN);
    assert_eq!(setup(&mut s, 0, 1, 2, 0x3000), GNTST_OKAY, "the privileged domain fills in entries of a new one");
    assert_eq!(s.world.read::<u64>(0, 0x3000), first.0);
    assert_eq!(setup(&mut s, 1, SELF, 64, 0x3000), GNTST_OKAY);
    let frame = s.frame(1, 0);
    s.grant(1, 64 * 512 - 1, GTF_PERMIT_ACCESS, 2, frame);
    assert!(s.map(2, 1, 64 * 512 - 1, READ, AT).is_ok(), "the last entry");
    assert_eq!(s.map(2, 1, 64 * 512, READ, AT), Err(GNTST_BAD_GNTREF));
    s.world.check();
}

#[test]
fn a_lower_limit_and_an_empty_machine_are_refusals() {
    let mut s = scene();
    assert!(grants::init(&mut s.world.hv, 1, 0, 1).is_err());
    grants::init(&mut s.world.hv, 1, 2, 1).unwrap();
    assert_eq!(setup(&mut s, 1, SELF, 3, 0x3000), GNTST_GENERAL_ERROR);
    grants::init(&mut s.world.hv, 1, 1000, u32::MAX).unwrap();
    let limits = &s.world.hv.domain(1).unwrap().grants;
    assert_eq!((limits.limit(), limits.maptrack_limit()), (64, grants::MAPTRACK_FRAMES_DEFAULT), "as much as there can be");
    let hog: Vec<_> = core::iter::from_fn(|| s.world.hv.frames.allocate_run(&s.world.hv.machine, 0, None)).collect();
    assert_eq!(setup(&mut s, 1, SELF, 9, 0x3000), GNTST_GENERAL_ERROR, "no memory");
    s.grant(1, 9, GTF_PERMIT_ACCESS, 2, s.spaces[1].pages[3]);
    assert_eq!(s.map(2, 1, 9, READ, AT), Err(GNTST_NO_SPACE), "no memory for the handle");
    // One frame: enough for the directory of handles, or for half of what a frame of entries needs.
    let mut hog = hog.into_iter();
    s.world.hv.frames.free_run(hog.next().unwrap().first());
    assert_eq!(setup(&mut s, 1, SELF, 9, 0x3000), GNTST_GENERAL_ERROR);
    assert_eq!(s.world.hv.frames.stats().free, 1, "given back");
    assert_eq!(s.map(2, 1, 9, READ, AT), Err(GNTST_NO_SPACE));
    s.world.hv.frames.free_run(hog.next().unwrap().first());
    assert!(s.map(2, 1, 9, READ, AT).is_ok());
    s.world.check();
}

#[test]
fn handles_are_limited_and_used_again() {
    let mut s = scene();
    grants::init(&mut s.world.hv, 2, 1, 2).unwrap();
    let frames: Vec<Mfn> = (0..5).map(|_| s.frame(1, 0)).collect();
    for (reference, frame) in (8..).zip(&frames) {
        s.grant(1, reference, GTF_PERMIT_ACCESS, 2, *frame);
    }
    // Each mapping replaces the last at the same place: the handles are lost, as a guest's carelessness.
    for count in 0..1024 {
        let reference = 8 + count / 250;
        assert!(s.map(2, 1, reference, READ, AT).is_ok(), "handle {count}");
    }
    assert_eq!(s.map(2, 1, 12, READ, AT), Err(GNTST_NO_SPACE), "two frames of handles");
    assert_eq!(s.unmap(2, 1023, AT), GNTST_OKAY);
    assert_eq!(s.map(2, 1, 12, READ, AT), Ok(1023), "the free one");
    assert_eq!(s.unmap(2, 1023, AT), GNTST_OKAY);
    assert_eq!(s.world.hv.domain(2).unwrap().grants.mapped(), 1023);
    s.world.check();
}

#[test]
fn sizes_and_versions() {
    let mut s = scene();
    let mut size = [QuerySize { dom: SELF, status: 99, ..QuerySize::default() }];
    assert_eq!(s.world.grant_op(1, OP_QUERY_SIZE, &mut size), 0);
    assert_eq!((size[0].nr_frames, size[0].max_nr_frames, size[0].status), (1, 64, GNTST_OKAY));
    size[0].dom = 2;
    assert_eq!(s.world.grant_op(1, OP_QUERY_SIZE, &mut size), 0);
    assert_eq!(size[0].status, GNTST_PERMISSION_DENIED);
    assert_eq!(s.world.grant_op(0, OP_QUERY_SIZE, &mut size), 0);
    assert_eq!(size[0].status, GNTST_OKAY);
    size[0].dom = 7;
    assert_eq!(s.world.grant_op(0, OP_QUERY_SIZE, &mut size), 0);
    assert_eq!(size[0].status, GNTST_BAD_DOMAIN);
    for (asked, result) in [(1, 0), (2, Errno::NOSYS.as_ret()), (0, Errno::INVAL.as_ret()), (3, Errno::INVAL.as_ret())] {
        let mut version = [SetVersion { version: asked }];
        assert_eq!(s.world.grant_op(1, OP_SET_VERSION, &mut version), result);
        assert_eq!(version[0].version, 1, "in force");
    }
    let mut version = [GetVersion { dom: SELF, ..GetVersion::default() }];
    assert_eq!(s.world.grant_op(1, OP_GET_VERSION, &mut version), 0);
    assert_eq!(version[0].version, 1);
    version[0].dom = 2;
    assert_eq!(s.world.grant_op(1, OP_GET_VERSION, &mut version), Errno::PERM.as_ret());
    version[0].dom = 7;
    assert_eq!(s.world.grant_op(0, OP_GET_VERSION, &mut version), Errno::SRCH.as_ret());
}

#[test]
fn unknown_and_left_out_operations_are_refused() {
    let mut s = scene();
    let left_out = [OP_DUMP_TABLE, OP_TRANSFER, OP_UNMAP_AND_REPLACE, OP_GET_STATUS_FRAMES, OP_SWAP_GRANT_REF, OP_CACHE_FLUSH];
    for operation in left_out.into_iter().chain([13, 0xfff]) {
        assert_eq!(s.world.call(1, Number::Grants, [u64::from(operation), 0x1000, 1, 0, 0]), Errno::NOSYS.as_ret());
    }
    for operation in [0x1000, u32::MAX] {
        assert_eq!(s.world.call(1, Number::Grants, [u64::from(operation), 0x1000, 1, 0, 0]), Errno::INVAL.as_ret());
    }
    for operation in [OP_SETUP_TABLE, OP_QUERY_SIZE] {
        for count in [0, 2] {
            assert_eq!(s.world.call(1, Number::Grants, [u64::from(operation), 0x1000, count, 0, 0]), Errno::INVAL.as_ret());
        }
    }
    for operation in 0..13 {
        assert_eq!(s.world.call(1, Number::Grants, [operation, 0x1000, 0x8000_0000, 0, 0]), Errno::INVAL.as_ret());
    }
    for operation in [OP_MAP_GRANT_REF, OP_UNMAP_GRANT_REF, OP_COPY] {
        assert_eq!(s.world.call(1, Number::Grants, [u64::from(operation), u64::MAX, 0, 0, 0]), 0, "nothing to do");
    }
}

#[test]
fn hostile_addresses_fault() {
    let mut s = scene();
    let operations = [OP_MAP_GRANT_REF, OP_UNMAP_GRANT_REF, OP_SETUP_TABLE, OP_COPY, OP_QUERY_SIZE, OP_SET_VERSION, OP_GET_VERSION];
    for operation in operations {
        for address in [0x4000, 0x3fff, 0x7fff_ffff_f000, 0x8000_0000_0000, 0xffff_8000_0000_0000, u64::MAX, u64::MAX - 40] {
            let result = s.world.call(1, Number::Grants, [u64::from(operation), address, 1, 0, 0]);
            assert_eq!(result, Errno::FAULT.as_ret(), "operation {operation} at {address:#x}");
        }
    }
    s.world.check();
}

#[test]
fn long_arrays_are_done_in_slices() {
    let mut s = scene();
    let frame = s.frame(1, 0);
    s.grant(1, 9, GTF_PERMIT_ACCESS, 2, frame);
    let mut requests: [MapGrantRef; 80] = core::array::from_fn(|index| MapGrantRef {
        host_addr: AT + index as u64 * 0x1000,
        flags: WRITE,
        grant_ref: 9,
        dom: 1,
        ..MapGrantRef::default()
    });
    let next = s.world.try_call(2, Number::Grants, [u64::from(OP_MAP_GRANT_REF), 0x1000, 80, 5, 6]);
    let rest = 0x1000 + 32 * size_of::<MapGrantRef>() as u64;
    assert_eq!(next, Outcome::Again([u64::from(OP_MAP_GRANT_REF), rest, 48, 5, 6]));
    assert_eq!(s.world.grant_op(2, OP_MAP_GRANT_REF, &mut requests), 0);
    assert!(requests.iter().all(|request| request.status == GNTST_OKAY));
    let mut undo: [UnmapGrantRef; 80] =
        requests.map(|request| UnmapGrantRef { host_addr: request.host_addr, handle: request.handle, ..UnmapGrantRef::default() });
    let flushes = s.world.hv.machine.flushes.borrow().len();
    assert_eq!(s.world.grant_op(2, OP_UNMAP_GRANT_REF, &mut undo), 0);
    assert_eq!(s.world.hv.machine.flushes.borrow().len() - flushes, 3, "one flush for 32");
    assert!(undo.iter().all(|request| request.status == GNTST_OKAY));
    assert_eq!((s.flags(1, 9), s.refs(frame)), (GTF_PERMIT_ACCESS, (1, 0)));
    s.world.check();
}

/// The second element of an array lies on a page that is missing: what was done for the first holds, and its grant ends only after the flush.
#[test]
fn a_fault_in_the_middle_leaves_nothing_half_done() {
    let mut s = scene();
    let frame = s.frame(1, 0);
    s.grant(1, 9, GTF_PERMIT_ACCESS, 2, frame);
    let handle = s.map(2, 1, 9, WRITE, AT).unwrap();
    s.reach(2, AT);
    let last = 0x4000 - size_of::<UnmapGrantRef>() as u64;
    s.world.write(2, last, &UnmapGrantRef { host_addr: AT, handle, ..UnmapGrantRef::default() });
    assert_eq!(s.world.call(2, Number::Grants, [u64::from(OP_UNMAP_GRANT_REF), last, 2, 0, 0]), Errno::FAULT.as_ret());
    assert_eq!(s.reach(2, AT), None);
    assert_eq!((s.flags(1, 9), s.refs(frame)), (GTF_PERMIT_ACCESS, (1, 0)));
    s.world.check();
}

/// What stands behind an element that faulted is not looked at.
#[test]
fn a_fault_ends_the_array() {
    let mut s = scene();
    let frame = s.frame(1, 0);
    s.grant(1, 9, GTF_PERMIT_ACCESS, 2, frame);
    let handle = s.map(2, 1, 9, WRITE, AT).unwrap();
    // The first element lies on a page that can only be read, the second on one that can be written.
    let first = 0x3000 - size_of::<UnmapGrantRef>() as u64;
    s.world.write(2, first, &UnmapGrantRef { handle: 99, host_addr: AT, status: 77, ..UnmapGrantRef::default() });
    s.world.write(2, 0x3000, &UnmapGrantRef { handle, host_addr: AT, ..UnmapGrantRef::default() });
    let slot = s.world.hv.mm().walk(s.spaces[2].root, 0x2000).unwrap();
    let read_only = s.spaces[2].pages[2].address() | abi::mmu::pte::PRESENT | abi::mmu::pte::USER;
    s.world.hv.mm().update_l1(slot, read_only, 2, Store::Replace).expect("a guest may make a page read-only");
    s.world.hv.cpus[0].current = None;
    let result = s.world.call(2, Number::Grants, [u64::from(OP_UNMAP_GRANT_REF), first, 2, 0, 0]);
    assert_eq!(result, Errno::FAULT.as_ret());
    assert!(s.reach(2, AT).is_some() && !s.revoke(1, 9));
    s.world.check();
}

fn close_until(s: &mut Scene, domain: DomId) -> Teardown {
    for _ in 0..1000 {
        match grants::close(&mut s.world.hv, domain) {
            Teardown::More => {}
            end => return end,
        }
    }
    panic!("no end");
}

/// Takes down what the page tables of a domain hold, as its destruction does before the grants.
fn drop_tables(s: &mut Scene, domain: DomId) {
    s.world.hv.domains.get_mut(domain).unwrap().dying = true;
    s.world.hv.cpus[0].current = None;
    base::drop_tables(&mut s.world.hv, VcpuRef { domain, vcpu: 0 });
    while !s.world.hv.mm().settle(domain) {}
    s.world.hv.frames.flush(&s.world.hv.machine, CpuMask(1), Flush::All);
}

#[test]
fn a_mapper_that_dies_lets_go() {
    let mut s = scene();
    let free = s.world.hv.frames.stats().free;
    let (frame, other) = (s.frame(1, 0), s.frame(0, 0));
    s.grant(1, 9, GTF_PERMIT_ACCESS, 2, frame);
    s.grant(0, 9, GTF_PERMIT_ACCESS, 2, other);
    for page in 0..40 {
        s.map(2, 1, 9, WRITE, AT + page * 0x2000).unwrap();
        s.map(2, 0, 9, READ, AT + page * 0x2000 + 0x1000).unwrap();
    }
    s.map(2, 1, 9, WRITE, AT).unwrap();
    drop_tables(&mut s, 2);
    assert_eq!((s.refs(frame), s.refs(other)), ((1, 0), (1, 0)));
    assert_eq!(close_until(&mut s, 2), Teardown::Done);
    assert_eq!((s.flags(1, 9), s.flags(0, 9)), (GTF_PERMIT_ACCESS, GTF_PERMIT_ACCESS));
    assert_eq!(s.world.hv.domain(2).unwrap().grants.count(), 0);
    let request = MapGrantRef { host_addr: AT, flags: READ, grant_ref: 9, dom: 1, ..MapGrantRef::default() };
    let refused = grants::map(&mut s.world.hv, VcpuRef { domain: 2, vcpu: 0 }, &request);
    assert_eq!(refused, Err(grants::Refused::NO_SPACE), "a dying domain takes nothing new");
    assert_eq!(close_until(&mut s, 2), Teardown::Done);
    assert!(s.world.hv.frames.stats().free >= free - 2, "all memory of the tables is back");
    s.world.check();
}

#[test]
fn a_mapper_with_many_mappings_dies_in_slices() {
    let mut s = scene();
    let frame = s.frame(1, 0);
    for reference in 8..24 {
        s.grant(1, reference, GTF_PERMIT_ACCESS, 2, frame);
        for _ in 0..100 {
            s.map(2, 1, reference, READ, AT).unwrap();
        }
    }
    drop_tables(&mut s, 2);
    assert_eq!(grants::close(&mut s.world.hv, 2), Teardown::More);
    s.world.check();
    assert_eq!(close_until(&mut s, 2), Teardown::Done);
    assert_eq!(s.world.hv.domain(1).unwrap().grants.in_use(), 0);
    s.world.check();
}

#[test]
fn a_granter_that_dies_waits_for_its_users() {
    let mut s = scene();
    let frame = s.frame(1, 0x11);
    s.grant(1, 9, GTF_PERMIT_ACCESS, 2, frame);
    let handle = s.map(2, 1, 9, WRITE, AT).unwrap();
    let request = Copy { source: granted(9, 1, 0), dest: own(&s, 2), len: 8, flags: GNTCOPY_SOURCE_GREF, ..Copy::default() };
    s.world.hv.domains.get_mut(1).unwrap().dying = true;
    s.world.hv.frames.give_back(frame, 1).unwrap();
    assert_eq!(close_until(&mut s, 1), Teardown::InUse);
    assert_eq!(s.reach(2, AT), Some((frame, true)), "the frame is still referred to, so nobody else gets it");
    assert!(s.world.hv.frames.get(frame).unwrap().belongs_to(1));
    assert_eq!(s.map(2, 1, 9, READ, AT + 0x1000), Err(GNTST_GENERAL_ERROR), "nothing new of a dying domain");
    assert_eq!(s.copy(2, request), GNTST_GENERAL_ERROR);
    assert_eq!(setup(&mut s, 0, 1, 2, 0x3000), GNTST_GENERAL_ERROR);
    assert_eq!(s.unmap(2, handle, AT), GNTST_OKAY);
    assert!(!s.world.hv.frames.get(frame).unwrap().belongs_to(1), "freed");
    assert_eq!(close_until(&mut s, 1), Teardown::Done);
    assert_eq!(s.map(2, 1, 9, READ, AT), Err(GNTST_GENERAL_ERROR));
    s.world.check();
}

/// Random operations of three domains that grant to each other. After each, what a granter believes to be free again is reachable by nobody:
/// not by page tables and not by cached translations; and all counts are what a walk finds.
#[test]
fn no_grant_is_mapped_after_revocation() {
    for seed in 1..=8u64 {
        let mut random = Random(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15));
        let mut s = scene();
        let frames: Vec<Vec<Mfn>> = (0..3).map(|domain| (0..4).map(|_| s.frame(domain, 0)).collect()).collect();
        let mut handles: Vec<(DomId, u32, u64)> = vec![];
        for _ in 0..250 {
            let (who, other) = (random.below(3) as DomId, random.below(3) as DomId);
            let reference = 8 + random.below(6) as u32;
            let place = AT + random.below(8) * 0x1000;
            let frame = frames[usize::from(who)][random.below(4) as usize];
            match random.below(9) {
                0 if s.revoke(who, reference) => s.grant(who, reference, GTF_PERMIT_ACCESS, other, frame),
                1 if s.revoke(who, reference) => s.grant(who, reference, GTF_PERMIT_ACCESS | GTF_READONLY, other, frame),
                2 => drop(s.revoke(who, reference)),
                3 | 4 => {
                    let flags = [READ, WRITE, READ | GNTMAP_APPLICATION_MAP][random.below(3) as usize];
                    let taken = handles.iter().any(|(user, _, at)| (*user, *at) == (who, place));
                    if !taken && let Ok(handle) = s.map(who, other, reference, flags, place) {
                        handles.push((who, handle, place));
                    }
                }
                5 => drop(s.map(who, other, reference, WRITE | GNTMAP_CONTAINS_PTE, random.below(1 << 24) & !7)),
                6 if !handles.is_empty() => {
                    let (user, handle, at) = handles.swap_remove(random.below(handles.len() as u64) as usize);
                    assert_eq!(s.unmap(user, handle, at), GNTST_OKAY);
                }
                7 => drop(s.copy(
                    who,
                    Copy {
                        source: granted(reference, other, 0),
                        dest: own(&s, who),
                        len: 64,
                        flags: GNTCOPY_SOURCE_GREF,
                        ..Copy::default()
                    },
                )),
                _ => drop(s.reach(who, place)),
            }
            s.world.check();
            s.world.check_memory();
            nothing_stale(&s, &frames, seed);
        }
        for (user, handle, at) in handles {
            assert_eq!(s.unmap(user, handle, at), GNTST_OKAY);
        }
        s.world.check();
        assert!((0..3).all(|id| s.world.hv.domain(id).unwrap().grants.in_use() <= 6));
    }
}

/// Every frame that a domain reaches and does not own is marked in use in some entry of its owner's, with the right to do so.
fn nothing_stale(s: &Scene, frames: &[Vec<Mfn>], seed: u64) {
    for user in 0..3 {
        let reached = s.world.reachable(s.spaces[usize::from(user)].root);
        for (frame, writable) in reached {
            let Some(owner) = (0..3).find(|&owner| owner != user && frames[usize::from(owner)].contains(&frame)) else {
                continue;
            };
            let needed = if writable { GTF_READING | GTF_WRITING } else { GTF_READING };
            let marked = (8..14).any(|reference| {
                let (table, slot) = s.entry(owner, reference);
                let entry = s.world.hv.machine.word(table, slot).load(SeqCst);
                entry >> 32 == frame.0 && entry as u16 & needed == needed
            });
            assert!(marked, "domain {user} reaches {frame:?} of {owner} without a grant (seed {seed})");
        }
    }
}
