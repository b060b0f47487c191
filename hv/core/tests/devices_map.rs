//! Device memory: who may map which frames, as what, and how that ends.

use abi::control::{self, MmioPermit, VERSION};
use abi::domid::{IO, SELF};
use abi::errno::Errno;
use abi::mmu::{EXT_PIN_L1_TABLE, EXT_UNPIN_TABLE, pte};
use domus_hv_core::fake::kit::{Guest, Kit, RO, RW, entry, slot};
use domus_hv_core::fake::machine::WINDOW;
use domus_hv_core::firmware::Ecam;
use domus_hv_core::hypercalls::{control as call, update_va_mapping};
use domus_hv_core::ids::Mfn;
use domus_hv_core::machine::{Flush, Machine};
use std::sync::atomic::Ordering::Relaxed;
use zerocopy::IntoBytes;

const RAM: usize = 64;
const HOLE: usize = 8;
/// A device's first frame: in the frame table's hole, and behind its end.
const DEVICE: u64 = RAM as u64 + 2;
const FAR: u64 = 0x8_0000;
/// Addresses of the guest where nothing is mapped.
const FREE: u64 = 40;
const UNCACHED: u64 = pte::PCD | pte::PWT;
const DOM0: u16 = 0;
const DOMU: u16 = 1;

struct World {
    kit: Kit,
    dom0: Guest,
    domu: Guest,
}

fn world() -> World {
    let mut kit = Kit::with_hole(RAM, HOLE);
    let (dom0, domu) = (kit.guest(DOM0, 16, 4), kit.guest(DOMU, 16, 4));
    kit.privilege(DOM0);
    World { kit, dom0, domu }
}

fn error(errno: Errno) -> i64 {
    errno.as_ret()
}

impl World {
    fn permit(&mut self, allow: u32, first_frame: u64, frames: u64) -> i64 {
        self.kit.hv.machine.put(0, MmioPermit { first_frame, frames, allow, _pad: 0 }.as_bytes());
        let result = self.kit.call(DOM0, call::handler, [control::OP_MMIO_PERMIT.into(), VERSION.into(), WINDOW, 0, 0]);
        self.kit.check();
        result
    }

    fn map(&mut self, index: u64, value: u64) -> i64 {
        let at = slot(self.dom0.l1(), index as usize);
        let result = self.kit.mmu_update_for(DOM0, &[(at, value)], IO.into());
        self.kit.check();
        result
    }

    fn word(&self, table: Mfn, index: u64) -> u64 {
        self.kit.hv.machine.word(table, index as usize).load(Relaxed)
    }

    fn mapped(&self) -> u64 {
        self.kit.hv.frames.devices.iter().map(|range| range.mapped).sum()
    }
}

#[test]
fn what_is_permitted_is_mapped_uncached_and_counted() {
    let mut world = world();
    assert_eq!((world.permit(1, DEVICE, 2), world.permit(1, FAR, 4)), (0, 0));
    for (index, mfn) in [(FREE, DEVICE), (FREE + 1, FAR + 3), (FREE + 2, FAR + 3)] {
        assert_eq!(world.map(index, entry(Mfn(mfn), RW)), 0);
        assert_eq!(world.word(world.dom0.l1(), index), entry(Mfn(mfn), RW | UNCACHED));
    }
    assert_eq!(world.mapped(), 3);
    // Cache attributes of one's own may be given, and change nothing; others may not.
    assert_eq!(world.map(FREE, entry(Mfn(DEVICE + 1), RO | pte::PCD)), 0);
    assert_eq!(world.word(world.dom0.l1(), FREE), entry(Mfn(DEVICE + 1), RO | UNCACHED));
    assert_eq!(world.map(FREE, entry(Mfn(DEVICE), RW | pte::PAT)), error(Errno::INVAL));
    assert_eq!(world.map(FREE, 0), 0);
    assert_eq!(world.mapped(), 2);
    let va = world.dom0.va(FREE as usize);
    let result = world.kit.call(DOM0, update_va_mapping::handler_other, [va, entry(Mfn(FAR), RW), 0, IO.into(), 0]);
    assert_eq!((result, world.mapped()), (0, 3), "the other way to say it");
    world.kit.check();
}

#[test]
fn what_is_not_permitted_is_not_mapped() {
    let mut world = world();
    assert_eq!(world.permit(1, DEVICE, 2), 0);
    let ram = world.domu.frames[8];
    for mfn in [DEVICE - 1, DEVICE + 2, FAR, (1 << 40) - 1, ram.0, world.dom0.frames[8].0, 0] {
        assert_eq!(world.map(FREE, entry(Mfn(mfn), RW)), error(Errno::PERM), "{mfn:#x}");
    }
    // Without the name that says so, device memory is what it was to everybody.
    let at = slot(world.dom0.l1(), FREE as usize);
    assert_eq!(world.kit.mmu_update(DOM0, &[(at, entry(Mfn(DEVICE), RW))]), error(Errno::PERM));
    assert_eq!(world.kit.mmu_update(DOM0, &[(at, entry(Mfn(DEVICE), RW | UNCACHED))]), error(Errno::INVAL));
    // No table lies in it, and no table of a higher level maps it.
    for table in [world.dom0.l2(), world.dom0.l3(), world.dom0.l4()] {
        let requests = [(slot(table, 7), entry(Mfn(DEVICE), RW))];
        assert_eq!(world.kit.mmu_update_for(DOM0, &requests, IO.into()), error(Errno::INVAL));
    }
    for mfn in [DEVICE, FAR] {
        assert_eq!(world.kit.ext(DOM0, EXT_PIN_L1_TABLE, mfn, 0), error(Errno::INVAL));
        assert_eq!(world.kit.mmu_update(DOM0, &[(slot(Mfn(mfn), 0), 0)]), error(Errno::INVAL));
        assert_eq!(world.kit.mmu_update(DOM0, &[(slot(Mfn(mfn), 0) | abi::mmu::MACHPHYS_UPDATE, 0)]), error(Errno::INVAL));
    }
    assert_eq!(world.mapped(), 0);
    world.kit.check();
}

#[test]
fn an_ordinary_domain_reaches_none_of_it() {
    let mut world = world();
    assert_eq!(world.permit(1, DEVICE, 2), 0);
    let at = slot(world.domu.l1(), FREE as usize);
    let value = entry(Mfn(DEVICE), RW);
    assert_eq!(world.kit.mmu_update_for(DOMU, &[(at, value)], IO.into()), error(Errno::PERM));
    assert_eq!(world.kit.mmu_update_for(DOMU, &[(at, value)], SELF.into()), error(Errno::PERM));
    assert_eq!(world.kit.mmu_update_for(DOMU, &[(at, value | UNCACHED)], SELF.into()), error(Errno::INVAL));
    let va = world.domu.va(FREE as usize);
    assert_eq!(world.kit.call(DOMU, update_va_mapping::handler_other, [va, value, 0, IO.into(), 0]), error(Errno::PERM));
    assert_eq!(world.kit.update_va(DOMU, va, value, 0), error(Errno::PERM));
    // The privileged domain's permission is not good for another's tables.
    let other = u64::from(IO) | u64::from(DOMU + 1) << 16;
    assert_eq!(world.kit.mmu_update_for(DOM0, &[(at, value)], other), error(Errno::PERM));
    // Nor would one of its own be, which nothing gives it: it may not even name devices.
    world.kit.hv.frames.devices.permit(DOMU, FAR, FAR + 1).expect("room");
    assert_eq!(world.kit.mmu_update_for(DOMU, &[(at, entry(Mfn(FAR), RW))], IO.into()), error(Errno::PERM));
    assert_eq!(world.kit.call(DOMU, update_va_mapping::handler_other, [va, entry(Mfn(FAR), RW), 0, IO.into(), 0]), error(Errno::PERM));
    world.kit.hv.frames.devices.withdraw(DOMU, FAR, FAR + 1).expect("unused");
    world.kit.hv.machine.put(0, MmioPermit { first_frame: FAR, frames: 1, allow: 1, _pad: 0 }.as_bytes());
    let asked = world.kit.call(DOMU, call::handler, [control::OP_MMIO_PERMIT.into(), VERSION.into(), WINDOW, 0, 0]);
    assert_eq!(asked, error(Errno::PERM));
    // A table that it filled by itself does not become valid.
    let table = world.domu.frames[10];
    world.kit.update_va(DOMU, world.domu.va(10), entry(table, RO), 0);
    world.kit.hv.machine.word(table, 0).store(value | UNCACHED, Relaxed);
    assert_eq!(world.kit.ext(DOMU, EXT_PIN_L1_TABLE, table.0, 0), error(Errno::INVAL));
    world.kit.check();
}

#[test]
fn permission_is_for_devices_that_are_nobodys() {
    let mut world = world();
    let end = 1 << 24;
    for (first, frames) in [(FAR, 0), (end, 1), (end - 1, 2), (u64::MAX, 1), (FAR, u64::MAX), (1 << 40, 1)] {
        assert_eq!(world.permit(1, first, frames), error(Errno::INVAL), "{first:#x} {frames:#x}");
    }
    for (first, frames) in [(0, 1), (1, 1), (RAM as u64 - 1, 1), (RAM as u64 - 1, 10), (0, end)] {
        assert_eq!(world.permit(1, first, frames), error(Errno::PERM), "{first:#x} {frames:#x} has RAM");
    }
    world.kit.hv.platform.own_devices[3] = Some((0xfee0_0000, 0xfee0_0400));
    for (first, frames) in [(0xfee00, 1), (0xfedff, 2), (0xfe000, 0x2000)] {
        assert_eq!(world.permit(1, first, frames), error(Errno::PERM), "{first:#x} {frames:#x} is the hypervisor's");
    }
    assert_eq!((world.permit(1, 0xfee01, 1), world.permit(1, 0xfedff, 1), world.permit(2, FAR, 1)), (0, 0, error(Errno::INVAL)));
    for range in 0..62 {
        assert_eq!(world.permit(1, FAR + 2 * range, 1), 0);
    }
    assert_eq!(world.permit(1, FAR - 2, 1), error(Errno::NOSPC));
}

#[test]
fn permission_is_not_withdrawn_while_it_is_used() {
    let mut world = world();
    assert_eq!(world.permit(1, FAR, 4), 0);
    assert_eq!(world.map(FREE, entry(Mfn(FAR + 1), RW)), 0);
    assert_eq!(world.permit(0, FAR + 1, 1), error(Errno::BUSY));
    // The processor remembers what the guest touched; the entry goes without a flush.
    world.kit.run(DOM0);
    world.kit.hv.machine.guest_read(world.dom0.va(FREE as usize)).expect("mapped");
    assert_eq!(world.map(FREE, 0), 0);
    assert_eq!(world.permit(0, FAR + 1, 1), 0);
    assert!(world.kit.hv.machine.flushes.borrow().iter().any(|(_, what)| *what == Flush::All));
    assert_eq!(world.map(FREE, entry(Mfn(FAR + 1), RW)), error(Errno::PERM));
    assert_eq!(world.map(FREE, entry(Mfn(FAR), RW)), 0);
    assert_eq!(world.permit(0, FAR + 2, 2), 0, "another part");
    assert_eq!(world.permit(0, 0, 1), 0, "what was never permitted");
}

#[test]
fn a_table_that_is_let_go_and_comes_back_brings_its_devices() {
    let mut world = world();
    assert_eq!(world.permit(1, FAR, 2), 0);
    let table = world.dom0.frames[10];
    world.kit.update_va(DOM0, world.dom0.va(10), entry(table, RO), 0);
    world.kit.hv.machine.zero_frame(table);
    world.kit.hv.machine.word(table, 3).store(entry(Mfn(FAR), RW | pte::PCD), Relaxed);
    world.kit.hv.machine.word(table, 4).store(entry(Mfn(FAR + 1), RW | UNCACHED), Relaxed);
    for _ in 0..2 {
        assert_eq!(world.kit.ext(DOM0, EXT_PIN_L1_TABLE, table.0, 0), 0);
        assert_eq!((world.mapped(), world.word(table, 3)), (2, entry(Mfn(FAR), RW | UNCACHED)));
        world.kit.check();
        assert_eq!(world.kit.ext(DOM0, EXT_UNPIN_TABLE, table.0, 0), 0);
        assert_eq!(world.mapped(), 0);
        world.kit.check();
    }
    assert_eq!(world.permit(0, FAR + 1, 1), 0);
    assert_eq!(world.kit.ext(DOM0, EXT_PIN_L1_TABLE, table.0, 0), error(Errno::INVAL));
    assert_eq!(world.mapped(), 0, "of what failed nothing is left");
    world.kit.check();
}

#[test]
fn rights_change_and_entries_are_replaced_by_memory_and_back() {
    let mut world = world();
    assert_eq!(world.permit(1, FAR, 2), 0);
    assert_eq!(world.map(FREE, entry(Mfn(FAR), RW)), 0);
    let at = slot(world.dom0.l1(), FREE as usize);
    // Bits that change nothing may change in its own name; writability only in the name of devices.
    assert_eq!(world.kit.mmu_update(DOM0, &[(at, entry(Mfn(FAR), RW | UNCACHED | pte::NX))]), 0);
    assert_eq!(world.kit.mmu_update(DOM0, &[(at, entry(Mfn(FAR), RO | UNCACHED))]), error(Errno::INVAL));
    assert_eq!((world.map(FREE, entry(Mfn(FAR), RO)), world.mapped()), (0, 1));
    let page = world.dom0.frames[9];
    assert_eq!((world.kit.mmu_update(DOM0, &[(at, entry(page, RW))]), world.mapped()), (0, 0));
    world.kit.check();
    assert_eq!((world.map(FREE, entry(Mfn(FAR + 1), RW)), world.mapped()), (0, 1));
}

#[test]
fn a_domain_that_ends_leaves_no_permission_behind() {
    let mut world = world();
    assert_eq!(world.permit(1, FAR, 2), 0);
    assert_eq!(world.map(FREE, entry(Mfn(FAR), RW)), 0);
    world.kit.destroy(DOM0);
    world.kit.check();
    assert_eq!(world.kit.hv.frames.devices.iter().count(), 0);
}

/// A bus with a function that has MSI-X: the table at the second frame of its 64-bit address register.
fn with_function(world: &mut World, ecam_frame: u64, table_frame: u64) {
    let base = ecam_frame << 12;
    world.kit.hv.platform.ecam[0] = Some(Ecam { base, segment: 0, first_bus: 0, last_bus: 0 });
    let function = base + (3 << 15);
    let bar = (table_frame - 1) << 12;
    let words = [
        (0x00, 0x1234_1af4),
        (0x04, 0x0010_0006),
        (0x0c, 0),
        (0x18, bar as u32 | 4),
        (0x1c, (bar >> 32) as u32),
        (0x34, 0x40),
        (0x40, 0x0000_5009),
        (0x50, 0x0004_0011),
        (0x54, 0x1000 | 2),
        (0x58, 0x1800 | 2),
    ];
    world.kit.hv.machine.registers.borrow_mut().extend(words.map(|(offset, word)| (function + offset, word)));
}

#[test]
fn a_table_of_interrupts_stays_with_the_hypervisor() {
    let mut world = world();
    let table = 0x12_3456;
    with_function(&mut world, 0x4000, table);
    for (first, frames) in [(table, 1), (table - 1, 2), (table - 1, 0x100)] {
        assert_eq!(world.permit(1, first, frames), error(Errno::PERM), "{first:#x} {frames:#x}");
    }
    assert_eq!((world.permit(1, table - 1, 1), world.permit(1, table + 1, 1)), (0, 0), "its neighbours are registers");
    assert_eq!(world.permit(1, 0x4000, 0x100), 0, "so is configuration space");
    // The function gets another address: where its table is, is looked up each time.
    let register = (0x4000u64 << 12) + (3 << 15) + 0x1c;
    world.kit.hv.machine.registers.borrow_mut().insert(register, 2);
    let moved = table & 0xf_ffff | 2 << 20;
    assert_eq!((world.permit(1, table, 1), world.permit(1, moved, 1)), (0, error(Errno::PERM)));
}

#[test]
fn nonsense_in_configuration_space_ends() {
    let mut world = world();
    with_function(&mut world, 0x4000, 0x12_3456);
    let function = (0x4000u64 << 12) + (3 << 15);
    // A list of capabilities that is a circle, and address registers that are none.
    for words in
        [&[(0x40, 0x4009u32), (0x18, 4)][..], &[(0x40, 0x5009), (0x54, 0x1007)], &[(0x54, 0x1002), (0x18, 1)], &[(0x18, 4), (0x1c, 0)]]
    {
        for &(offset, word) in words {
            world.kit.hv.machine.registers.borrow_mut().insert(function + offset, word);
        }
        assert_eq!(world.permit(1, 0x12_3456, 1), 0);
        assert_eq!(world.permit(0, 0x12_3456, 1), 0);
    }
    // A range that the firmware puts into memory is not read.
    world.kit.hv.platform.ecam[1] = Some(Ecam { base: 0x1000, segment: 1, first_bus: 0, last_bus: 255 });
    assert_eq!(world.permit(1, 0x12_3456, 1), 0);
}
