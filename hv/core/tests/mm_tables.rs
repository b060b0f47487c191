//! Page tables, one rule a test: what validation must refuse and what it must count.

use std::sync::atomic::Ordering::Relaxed;

use abi::errno::Errno;
use abi::memory::{OP_DECREASE_RESERVATION, OP_POPULATE_PHYSMAP};
use abi::mmu::*;
use domus_hv_core::fake::kit::{Guest, Kit, RO, RW, entry, slot};
use domus_hv_core::frames::{MAX_REFS, PageType};
use domus_hv_core::ids::Mfn;
use domus_hv_core::machine::{Flush, Machine};

fn two() -> (Kit, Guest, Guest) {
    let mut kit = Kit::new(256);
    let a = kit.guest(1, 32, 16);
    let b = kit.guest(2, 32, 16);
    kit.run(a.id);
    kit.check();
    (kit, a, b)
}

fn refused(kit: &mut Kit, guest: &Guest, table: Mfn, index: usize, value: u64, error: Errno) {
    let before = kit.hv.machine.memory.word(table, index).load(core::sync::atomic::Ordering::Relaxed);
    assert_eq!(kit.mmu_update(guest.id, &[(slot(table, index), value)]), error.as_ret(), "entry {value:#x}");
    let after = kit.hv.machine.memory.word(table, index).load(core::sync::atomic::Ordering::Relaxed);
    assert_eq!(before, after, "a refused update changes nothing");
    kit.check();
}

fn usage(kit: &Kit, mfn: Mfn) -> domus_hv_core::frames::Usage {
    kit.hv.frames.get(mfn).expect("RAM").usage()
}

/// Unmaps a frame of the kit's guest everywhere.
fn unmap(kit: &mut Kit, guest: &Guest, index: usize) {
    assert_eq!(kit.mmu_update(guest.id, &[(slot(guest.l1(), index), 0)]), 0);
}

/// Makes frame `index` read-only and fills it with an empty table.
fn make_table(kit: &mut Kit, guest: &Guest, index: usize) -> Mfn {
    let mfn = guest.frames[index];
    assert_eq!(kit.mmu_update(guest.id, &[(slot(guest.l1(), index), entry(mfn, RO))]), 0);
    mfn
}

// Which frames an L1 entry may name

#[test]
fn a_guest_maps_its_own_frames_and_writes_through_them() {
    let (mut kit, a, _) = two();
    assert_eq!(kit.mmu_update(a.id, &[(slot(a.l1(), 100), entry(a.frames[9], RW))]), 0);
    kit.hv.machine.guest_write(a.va(100), 42).expect("mapped");
    assert_eq!(kit.hv.machine.guest_read(a.va(9)), Ok(42));
    assert_eq!(usage(&kit, a.frames[9]).count(), 2);
    kit.check();
}

#[test]
fn no_entry_names_another_domains_frame() {
    let (mut kit, a, b) = two();
    for flags in [RO, RW] {
        refused(&mut kit, &a, a.l1(), 100, entry(b.frames[9], flags), Errno::BUSY);
    }
}

#[test]
fn no_entry_names_a_frame_of_the_hypervisor_or_a_free_one() {
    let (mut kit, a, _) = two();
    let run = kit.hv.frames.allocate_run(&kit.hv.machine, 0, None).expect("RAM");
    refused(&mut kit, &a, a.l1(), 100, entry(run.first(), RO), Errno::BUSY);
    refused(&mut kit, &a, a.l1(), 100, entry(Mfn(200), RO), Errno::BUSY);
}

#[test]
fn no_entry_names_what_is_no_ram() {
    let (mut kit, a, _) = two();
    refused(&mut kit, &a, a.l1(), 100, entry(Mfn(256), RO), Errno::PERM);
    refused(&mut kit, &a, a.l1(), 100, entry(Mfn(0xfee00), RW), Errno::PERM);
    refused(&mut kit, &a, a.l1(), 100, pte::ADDR_MASK | RO, Errno::INVAL);
    refused(&mut kit, &a, a.l2(), 100, entry(Mfn(0xfee00), RW), Errno::INVAL);
}

#[test]
fn a_privileged_domain_maps_what_it_names_and_nothing_else() {
    let (mut kit, a, b) = two();
    let foreign = u64::from(b.id);
    let request = [(slot(a.l1(), 100), entry(b.frames[9], RW))];
    assert_eq!(kit.mmu_update_for(a.id, &request, foreign), Errno::PERM.as_ret());
    kit.privilege(a.id);
    refused(&mut kit, &a, a.l1(), 100, entry(b.frames[9], RW), Errno::BUSY);
    assert_eq!(kit.mmu_update_for(a.id, &[(slot(a.l1(), 100), entry(a.frames[9], RW))], foreign), Errno::BUSY.as_ret());
    assert_eq!(kit.mmu_update_for(a.id, &request, 77), Errno::SRCH.as_ret());
    assert_eq!(kit.mmu_update_for(a.id, &request, foreign), 0);
    kit.permitted.mappings.push((a.id, b.frames[9]));
    kit.check();
    // Not its tables, writable.
    let table = [(slot(a.l1(), 101), entry(b.l1(), RW))];
    assert_eq!(kit.mmu_update_for(a.id, &table, foreign), Errno::BUSY.as_ret());
    // Not as a table.
    let below = [(slot(a.l2(), 101), entry(b.l1(), RW))];
    assert_eq!(kit.mmu_update_for(a.id, &below, foreign), Errno::INVAL.as_ret());
    // The same by linear address.
    let value = entry(b.frames[10], RO);
    let args = [a.va(102), value, 0, foreign, 0];
    assert_eq!(kit.call(a.id, domus_hv_core::hypercalls::update_va_mapping::handler_other, args), 0);
    kit.permitted.mappings.push((a.id, b.frames[10]));
    kit.check();
}

#[test]
fn a_foreign_mapping_keeps_its_rights() {
    let (mut kit, a, b) = two();
    kit.privilege(a.id);
    kit.permitted.mappings.push((a.id, b.frames[9]));
    assert_eq!(kit.mmu_update_for(a.id, &[(slot(a.l1(), 100), entry(b.frames[9], RO))], b.id.into()), 0);
    refused(&mut kit, &a, a.l1(), 100, entry(b.frames[9], RW), Errno::BUSY);
    assert_eq!(kit.mmu_update_for(a.id, &[(slot(a.l1(), 100), entry(b.frames[9], RW))], b.id.into()), 0);
    refused(&mut kit, &a, a.l1(), 100, entry(b.frames[9], RO), Errno::BUSY);
    assert_eq!(kit.mmu_update(a.id, &[(slot(a.l1(), 100), 0)]), 0);
    kit.check();
}

#[test]
fn a_privileged_domain_builds_anothers_tables() {
    let (mut kit, a, b) = two();
    let tables = (u64::from(b.id) + 1) << 16 | u64::from(b.id);
    let request = [(slot(b.l1(), 100), entry(b.frames[9], RW))];
    assert_eq!(kit.mmu_update_for(a.id, &request, tables), Errno::PERM.as_ret());
    kit.privilege(a.id);
    assert_eq!(kit.mmu_update_for(a.id, &request, tables), 0);
    kit.check();
    let own = [(slot(a.l1(), 100), entry(a.frames[9], RW))];
    assert_eq!(kit.mmu_update_for(a.id, &own, tables), Errno::INVAL.as_ret(), "not its table");
    let mixed = (u64::from(b.id) + 1) << 16 | u64::from(a.id);
    assert_eq!(kit.mmu_update_for(a.id, &[(slot(b.l2(), 9), entry(b.l1(), RW))], mixed), Errno::INVAL.as_ret());
}

// Which bits

#[test]
fn cache_attributes_superpages_and_reserved_bits_are_refused() {
    let (mut kit, a, _) = two();
    for bit in [pte::PWT, pte::PCD, pte::PAT] {
        refused(&mut kit, &a, a.l1(), 100, entry(a.frames[9], RW | bit), Errno::INVAL);
        // On an entry that could take the fast path as well.
        refused(&mut kit, &a, a.l1(), 9, entry(a.frames[9], RW | bit), Errno::INVAL);
    }
    for (table, below) in [(a.l2(), a.l1()), (a.l3(), a.l2()), (a.l4(), a.l3())] {
        for bit in [pte::PWT, pte::PCD, pte::PSE, pte::GLOBAL] {
            refused(&mut kit, &a, table, 5, entry(below, RW | bit), Errno::INVAL);
            refused(&mut kit, &a, table, 0, entry(below, RW | bit), Errno::INVAL);
        }
    }
}

#[test]
fn a_superpage_of_ones_own_frames_is_refused_in_a_new_table() {
    let (mut kit, a, _) = two();
    for (index, cmd) in [(10, EXT_PIN_L2_TABLE), (11, EXT_PIN_L3_TABLE)] {
        let (table, below) = (a.frames[index], a.frames[index + 2]);
        kit.hv.machine.guest_write(a.va(index), entry(below, RW | pte::PSE)).expect("plain memory");
        make_table(&mut kit, &a, index);
        unmap(&mut kit, &a, index + 2);
        assert_eq!(kit.ext(a.id, cmd, table.0, 0), Errno::INVAL.as_ret());
        kit.check();
        assert_eq!(kit.mmu_update(a.id, &[(slot(table, 0), entry(below, RW))]), 0);
        assert_eq!(kit.ext(a.id, cmd, table.0, 0), 0, "without the bit it is a valid table");
        kit.check();
    }
}

#[test]
fn entries_are_for_ring_3_and_tell_the_kernels_pages() {
    let (mut kit, a, _) = two();
    let kernel = pte::PRESENT | pte::RW;
    let stored = |kit: &Kit, table, index| kit.hv.machine.memory.word(table, index).load(core::sync::atomic::Ordering::Relaxed);
    assert_eq!(kit.mmu_update(a.id, &[(slot(a.l1(), 100), entry(a.frames[9], kernel))]), 0);
    assert_eq!(stored(&kit, a.l1(), 100), entry(a.frames[9], kernel | pte::USER | pte::GUEST_KERNEL));
    assert_eq!(kit.mmu_update(a.id, &[(slot(a.l1(), 101), entry(a.frames[9], kernel | pte::USER | pte::GLOBAL))]), 0);
    assert_eq!(stored(&kit, a.l1(), 101), entry(a.frames[9], kernel | pte::USER), "G is taken out");
    kit.hv.machine.guest_write(a.va(100), 1).expect("ring 3 is where its kernel runs");
    make_table(&mut kit, &a, 10);
    unmap(&mut kit, &a, 20);
    assert_eq!(kit.mmu_update(a.id, &[(slot(a.l2(), 1), entry(a.frames[10], kernel))]), 0);
    assert_eq!(stored(&kit, a.l2(), 1), entry(a.frames[10], kernel | pte::USER));
    kit.check();
}

#[test]
fn validation_of_a_whole_table_adjusts_and_checks_each_entry() {
    let (mut kit, a, b) = two();
    let table = a.frames[10];
    kit.hv.machine.guest_write(a.va(10) + 8, entry(a.frames[9], pte::PRESENT | pte::RW | pte::GLOBAL)).expect("memory");
    make_table(&mut kit, &a, 10);
    assert_eq!(kit.ext(a.id, EXT_PIN_L1_TABLE, table.0, 0), 0);
    let stored = kit.hv.machine.memory.word(table, 1).load(core::sync::atomic::Ordering::Relaxed);
    assert_eq!(stored, entry(a.frames[9], pte::PRESENT | pte::RW | pte::USER | pte::GUEST_KERNEL));
    kit.check();
    for (index, bad) in
        [entry(b.frames[9], RO), entry(a.frames[9], RW | pte::PCD), entry(a.l2(), RW), entry(Mfn(999), RO)].into_iter().enumerate()
    {
        let frame = 11 + index;
        kit.hv.machine.guest_write(a.va(frame), entry(a.frames[9], RW)).expect("memory");
        kit.hv.machine.guest_write(a.va(frame) + 511 * 8, bad).expect("memory");
        make_table(&mut kit, &a, frame);
        assert_eq!(kit.ext(a.id, EXT_PIN_L1_TABLE, a.frames[frame].0, 0), Errno::INVAL.as_ret(), "{bad:#x}");
        kit.check();
        assert_eq!(kit.update_va(a.id, a.va(frame), entry(a.frames[frame], RW), 0), 0, "it is plain memory again");
        kit.check();
    }
}

#[test]
fn free_bits_change_without_a_check_and_rw_does_not() {
    let (mut kit, a, _) = two();
    let change = pte::NX | pte::AVAIL | pte::AVAIL_HIGH;
    assert_eq!(kit.mmu_update(a.id, &[(slot(a.l1(), 9), entry(a.frames[9], RW | change) & !pte::DIRTY & !pte::ACCESSED)]), 0);
    kit.check();
    assert_eq!(usage(&kit, a.frames[9]).count(), 1);
    assert_eq!(kit.mmu_update(a.id, &[(slot(a.l1(), 9), entry(a.frames[9], RO))]), 0);
    assert_eq!(usage(&kit, a.frames[9]).count(), 0);
    kit.check();
    refused(&mut kit, &a, a.l1(), 3, entry(a.l1(), RW), Errno::BUSY);
    for (table, below) in [(a.l2(), a.l1()), (a.l3(), a.l2()), (a.l4(), a.l3())] {
        assert_eq!(kit.mmu_update(a.id, &[(slot(table, 0), entry(below, RO))]), 0, "above L1, RW is free");
    }
    kit.check();
}

#[test]
fn accessed_and_dirty_are_kept_on_request() {
    let (mut kit, a, _) = two();
    let clean = entry(a.frames[9], pte::PRESENT | pte::RW | pte::USER);
    let address = slot(a.l1(), 9);
    let stored = |kit: &Kit| kit.hv.machine.memory.word(a.l1(), 9).load(core::sync::atomic::Ordering::Relaxed);
    assert_eq!(kit.mmu_update(a.id, &[(address | PT_UPDATE_PRESERVE_AD, clean)]), 0);
    assert_eq!(stored(&kit), clean | pte::ACCESSED | pte::DIRTY);
    assert_eq!(kit.mmu_update(a.id, &[(address | NORMAL_PT_UPDATE, clean)]), 0);
    assert_eq!(stored(&kit), clean);
    assert_eq!(kit.mmu_update(a.id, &[(address | PT_UPDATE_NO_TRANSLATE, clean | pte::NX)]), 0);
    assert_eq!(stored(&kit), clean | pte::NX);
    kit.check();
}

#[test]
fn a_non_present_entry_holds_anything_and_reaches_nothing() {
    let (mut kit, a, b) = two();
    assert_eq!(kit.mmu_update(a.id, &[(slot(a.l1(), 9), entry(b.frames[9], pte::RW | pte::PCD | pte::PAT))]), 0);
    assert_eq!(usage(&kit, a.frames[9]).count(), 0);
    kit.hv.flush(domus_hv_core::ids::CpuMask(1), Flush::All);
    assert!(kit.hv.machine.guest_read(a.va(9)).is_err());
    assert_eq!(kit.mmu_update(a.id, &[(slot(a.l2(), 0), 0)]), 0);
    assert_eq!(usage(&kit, a.l1()).count(), 0);
    kit.check();
}

// Types

#[test]
fn a_table_is_never_mapped_writable() {
    let (mut kit, a, _) = two();
    for table in [a.l1(), a.l2(), a.l3(), a.l4()] {
        refused(&mut kit, &a, a.l1(), 100, entry(table, RW), Errno::BUSY);
        assert_eq!(kit.update_va(a.id, a.va(0), entry(table, RW), 0), Errno::BUSY.as_ret());
        assert_eq!(kit.mmu_update(a.id, &[(slot(a.l1(), 100), entry(table, RO))]), 0, "reading is fine");
    }
    kit.check();
}

#[test]
fn a_writable_frame_does_not_become_a_table() {
    let (mut kit, a, _) = two();
    for cmd in [EXT_PIN_L1_TABLE, EXT_PIN_L2_TABLE, EXT_PIN_L3_TABLE, EXT_PIN_L4_TABLE] {
        assert_eq!(kit.ext(a.id, cmd, a.frames[9].0, 0), Errno::INVAL.as_ret());
        kit.check();
    }
    refused(&mut kit, &a, a.l2(), 9, entry(a.frames[9], RW), Errno::INVAL);
}

#[test]
fn a_page_shared_by_the_hypervisor_is_mapped_but_never_a_table() {
    let (mut kit, a, _) = two();
    let shared = kit.hv.frames.allocate_shared(&kit.hv.machine, a.id).expect("RAM");
    assert_eq!(kit.update_va(a.id, a.va(100), entry(shared, RW), 0), 0);
    kit.check();
    assert_eq!(kit.update_va(a.id, a.va(100), entry(shared, RO), 0), 0);
    assert_eq!(kit.ext(a.id, EXT_PIN_L1_TABLE, shared.0, 0), Errno::INVAL.as_ret());
    kit.hv.frames.free_shared(shared);
    assert_eq!(kit.ext(a.id, EXT_PIN_L1_TABLE, shared.0, 0), Errno::INVAL.as_ret(), "nor after the hypervisor let go of it");
    assert_eq!(kit.update_va(a.id, a.va(100), 0, 0), 0);
    kit.check();
    assert_eq!(kit.hv.frames.of(a.id).overhead, 0);
}

#[test]
fn a_table_does_not_map_itself_writable() {
    let (mut kit, a, _) = two();
    let table = a.frames[10];
    kit.hv.machine.guest_write(a.va(10), entry(table, RW)).expect("memory");
    make_table(&mut kit, &a, 10);
    assert_eq!(kit.ext(a.id, EXT_PIN_L1_TABLE, table.0, 0), Errno::INVAL.as_ret());
    kit.check();
}

#[test]
fn each_level_names_only_the_level_below() {
    let (mut kit, a, _) = two();
    let levels = [a.l1(), a.l2(), a.l3(), a.l4()];
    for (level, &table) in levels.iter().enumerate().skip(1) {
        for (other, &child) in levels.iter().enumerate() {
            if other + 1 != level {
                refused(&mut kit, &a, table, 20, entry(child, RW), Errno::INVAL);
                refused(&mut kit, &a, table, 20, entry(child, RO), Errno::INVAL);
            }
        }
    }
}

#[test]
fn a_top_level_table_keeps_the_hypervisors_slots() {
    let (mut kit, a, _) = two();
    for index in [256, 260, 271] {
        refused(&mut kit, &a, a.l4(), index, entry(a.l3(), RW), Errno::INVAL);
        refused(&mut kit, &a, a.l4(), index, 0, Errno::INVAL);
    }
    for index in [255, 272, 511] {
        assert_eq!(kit.mmu_update(a.id, &[(slot(a.l4(), index), entry(a.l3(), RW))]), 0);
    }
    // What the guest left in those slots of a new table is overwritten and never looked at.
    let table = a.frames[10];
    for index in 256..272 {
        kit.hv.machine.guest_write(a.va(10) + index * 8, entry(Mfn(250), RW | pte::PSE)).expect("memory");
    }
    make_table(&mut kit, &a, 10);
    assert_eq!(kit.ext(a.id, EXT_PIN_L4_TABLE, table.0, 0), 0);
    kit.check();
    assert_eq!(kit.ext(a.id, EXT_NEW_BASEPTR, table.0, 0), 0);
    assert!(kit.hv.machine.guest_read(0xffff_8000_0000_0000).is_err());
    kit.check();
}

#[test]
fn the_table_of_all_frames_shows_in_kernels_tables() {
    let (mut kit, a, _) = two();
    let shown = |kit: &Kit, table: Mfn| kit.hv.machine.word(table, 256).load(Relaxed) != 0;
    let table = a.frames[10];
    make_table(&mut kit, &a, 10);
    assert_eq!(kit.ext(a.id, EXT_PIN_L4_TABLE, table.0, 0), 0);
    assert_eq!(kit.ext(a.id, EXT_NEW_USER_BASEPTR, table.0, 0), 0);
    assert!(!shown(&kit, table), "for user mode only");
    assert_eq!(kit.ext(a.id, EXT_NEW_BASEPTR, table.0, 0), 0);
    assert_eq!(kit.ext(a.id, EXT_NEW_BASEPTR, a.l4().0, 0), 0);
    assert_eq!(kit.ext(a.id, EXT_NEW_USER_BASEPTR, table.0, 0), 0);
    assert!(shown(&kit, table) && shown(&kit, a.l4()), "it was a kernel's");
    kit.hv.domains.get_mut(a.id).unwrap().set_assists(1 << abi::vm_assist::TYPE_M2P_STRICT);
    assert_eq!(kit.ext(a.id, EXT_NEW_USER_BASEPTR, table.0, 0), 0);
    assert!(!shown(&kit, table), "but is one for user mode now");
    assert_eq!(kit.ext(a.id, EXT_NEW_BASEPTR, table.0, 0), 0);
    assert!(shown(&kit, table));
    kit.check();
}

#[test]
fn the_type_count_does_not_wrap() {
    let (mut kit, a, _) = two();
    let frame = kit.hv.frames.get(a.frames[9]).expect("RAM");
    frame.set_type_count_for_test(u32::MAX);
    assert_eq!(kit.mmu_update(a.id, &[(slot(a.l1(), 100), entry(a.frames[9], RW))]), Errno::BUSY.as_ret());
    frame.set_type_count_for_test(1);
    frame.set_refs_for_test(MAX_REFS);
    assert_eq!(kit.mmu_update(a.id, &[(slot(a.l1(), 100), entry(a.frames[9], RO))]), Errno::BUSY.as_ret());
    frame.set_refs_for_test(2);
    kit.check();
}

#[test]
fn memory_is_written_by_mmu_update_but_not_what_is_in_use_otherwise() {
    let (mut kit, a, b) = two();
    assert_eq!(kit.mmu_update(a.id, &[(slot(a.frames[9], 3), 0x1234_5678)]), 0);
    assert_eq!(kit.hv.machine.guest_read(a.va(9) + 24), Ok(0x1234_5678));
    assert_eq!(kit.mmu_update(a.id, &[(slot(b.frames[9], 3), 1)]), Errno::INVAL.as_ret());
    assert_eq!(kit.mmu_update(a.id, &[(slot(Mfn(9999), 3), 1)]), Errno::INVAL.as_ret());
    assert_eq!(kit.mmu_update(a.id, &[(slot(a.l1(), 100) + 4, 0)]), Errno::NOSYS.as_ret(), "misaligned");
    let descriptors = make_table(&mut kit, &a, 10);
    kit.hv.mm().get_frame_as(descriptors, a.id, PageType::Descriptor).expect("zeros are valid descriptors");
    assert_eq!(kit.mmu_update(a.id, &[(slot(descriptors, 3), u64::MAX)]), Errno::INVAL.as_ret());
    kit.hv.mm().put_frame_as(descriptors);
    assert_eq!(kit.mmu_update(a.id, &[(slot(descriptors, 3), u64::MAX)]), 0);
    kit.check();
}

// Descriptors

#[test]
fn descriptor_tables_hold_nothing_for_ring_0() {
    let (mut kit, a, _) = two();
    let data = 0x00cf_9200_0000_ffff;
    let gate = 0x0000_8c00_0008_0000 | 0x1000;
    for (index, (raw, good)) in [
        (0, true),
        (data, true),
        (0x0000_8900_0000_0067, false),
        (0x0000_0900_0000_0067, true),
        (0x0000_8e00_0008_1000, false),
        (gate, true),
        (gate | 3 << 45, true),
        (gate | 1 << 32, false),
        (0x0000_8c00_e008_1000, false),
        (0x0000_8200_0000_0000, false),
    ]
    .into_iter()
    .enumerate()
    {
        kit.hv.machine.guest_write(a.va(10 + index) + 4088, raw).expect("memory");
        let table = make_table(&mut kit, &a, 10 + index);
        let held = kit.hv.mm().get_frame_as(table, a.id, PageType::Descriptor);
        assert_eq!(held.is_ok(), good, "{raw:#x}");
        let stored = kit.hv.machine.memory.word(table, 511).load(core::sync::atomic::Ordering::Relaxed);
        if raw == data {
            assert_eq!(stored, data | 3 << 45, "forced to ring 3");
        }
        if raw | 3 << 45 == gate | 3 << 45 {
            assert_eq!(stored, gate | 3 << 16, "no call gate works without the hypervisor");
        }
        if held.is_ok() {
            assert_eq!(kit.mmu_update(a.id, &[(slot(a.l1(), 10 + index), entry(table, RW))]), Errno::BUSY.as_ret());
            kit.hv.mm().put_frame_as(table);
        }
        kit.check();
    }
}

#[test]
fn update_descriptor_writes_tables_and_memory_but_no_page_tables() {
    use domus_hv_core::mm::update::Slot;
    let (mut kit, a, b) = two();
    let at = |table, index| Slot { table, index };
    assert!(kit.hv.mm().update_descriptor(at(a.l1(), 9), 0, a.id).is_err());
    assert!(kit.hv.mm().update_descriptor(at(b.frames[9], 9), 0, a.id).is_err());
    assert!(kit.hv.mm().update_descriptor(at(Mfn(9999), 9), 0, a.id).is_err());
    assert!(kit.hv.mm().update_descriptor(at(a.frames[9], 9), 0x0000_8900_0000_0067, a.id).is_err());
    kit.hv.mm().update_descriptor(at(a.frames[9], 9), 0x0000_9200_0000_0000, a.id).expect("data, in memory");
    assert_eq!(kit.hv.machine.guest_read(a.va(9) + 72), Ok(0x0000_f200_0000_0000));
    kit.check();
}

// Pins and bases

#[test]
fn a_pin_is_one_and_keeps_the_table() {
    let (mut kit, a, b) = two();
    assert_eq!(kit.ext(a.id, EXT_UNPIN_TABLE, a.l1().0, 0), Errno::INVAL.as_ret(), "not pinned");
    assert_eq!(kit.ext(a.id, EXT_PIN_L1_TABLE, b.l1().0, 0), Errno::INVAL.as_ret(), "another's");
    assert_eq!(kit.ext(a.id, EXT_PIN_L1_TABLE, 9999, 0), Errno::INVAL.as_ret(), "no RAM");
    assert_eq!(kit.ext(a.id, EXT_PIN_L2_TABLE, a.l1().0, 0), Errno::INVAL.as_ret(), "another level");
    assert_eq!(kit.ext(a.id, EXT_PIN_L1_TABLE, a.l1().0, 0), 0);
    assert_eq!(kit.ext(a.id, EXT_PIN_L1_TABLE, a.l1().0, 0), Errno::INVAL.as_ret(), "pinned already");
    kit.check();
    assert_eq!(kit.ext(b.id, EXT_UNPIN_TABLE, a.l1().0, 0), Errno::INVAL.as_ret(), "another's");
    assert_eq!(kit.mmu_update(a.id, &[(slot(a.l2(), 0), 0)]), 0);
    assert!(usage(&kit, a.l1()).is(PageType::L1), "still a table");
    kit.check();
    assert_eq!(kit.ext(a.id, EXT_UNPIN_TABLE, a.l1().0, 0), 0);
    assert_eq!(kit.ext(a.id, EXT_UNPIN_TABLE, a.l1().0, 0), Errno::INVAL.as_ret());
    assert_eq!(usage(&kit, a.l1()).count(), 0);
    assert_eq!(usage(&kit, a.frames[9]).count(), 0, "its entries were let go");
    kit.check();
}

#[test]
fn a_privileged_domain_pins_for_another() {
    let (mut kit, a, b) = two();
    assert_eq!(kit.ext_for(a.id, EXT_PIN_L4_TABLE, b.l4().0, 0, b.id.into()), Errno::PERM.as_ret());
    kit.privilege(a.id);
    assert_eq!(kit.ext_for(a.id, EXT_PIN_L4_TABLE, b.l4().0, 0, b.id.into()), 0);
    assert_eq!(kit.ext_for(a.id, EXT_PIN_L4_TABLE, a.l4().0, 0, b.id.into()), Errno::INVAL.as_ret());
    for cmd in [EXT_NEW_BASEPTR, EXT_NEW_USER_BASEPTR, EXT_TLB_FLUSH_LOCAL, EXT_SET_LDT, EXT_TLB_FLUSH_ALL] {
        assert_eq!(kit.ext_for(a.id, cmd, b.l4().0, 0, b.id.into()), Errno::PERM.as_ret());
    }
    kit.hv.domains.get_mut(b.id).expect("exists").dying = true;
    assert_eq!(kit.ext_for(a.id, EXT_PIN_L3_TABLE, b.l3().0, 0, b.id.into()), Errno::SRCH.as_ret());
    kit.check();
}

/// A second tree that shares the guest's tables below the top.
fn second_root(kit: &mut Kit, guest: &Guest, index: usize) -> Mfn {
    kit.hv.machine.guest_write(guest.va(index), entry(guest.l3(), RW)).expect("memory");
    make_table(kit, guest, index)
}

#[test]
fn bases_are_valid_tables_of_ones_own_and_are_held() {
    let (mut kit, a, b) = two();
    for cmd in [EXT_NEW_BASEPTR, EXT_NEW_USER_BASEPTR] {
        for bad in [b.l4(), a.l3(), a.frames[9], Mfn(9999)] {
            assert_eq!(kit.ext(a.id, cmd, bad.0, 0), Errno::INVAL.as_ret());
            kit.check();
        }
    }
    assert_eq!(kit.ext(a.id, EXT_NEW_BASEPTR, 0, 0), Errno::INVAL.as_ret(), "a kernel needs a table");
    let root = second_root(&mut kit, &a, 10);
    assert_eq!(kit.ext(a.id, EXT_NEW_USER_BASEPTR, root.0, 0), 0);
    assert_eq!(usage(&kit, root).count(), 1);
    assert_eq!(kit.ext(a.id, EXT_NEW_USER_BASEPTR, root.0, 0), 0, "the same again");
    assert_eq!(usage(&kit, root).count(), 1);
    assert_eq!(kit.ext(a.id, EXT_NEW_BASEPTR, root.0, 0), 0);
    assert_eq!(kit.hv.machine.root(), root);
    assert_eq!(usage(&kit, a.l4()).count(), 0, "the old one was let go");
    assert_eq!(usage(&kit, a.l3()).count(), 1);
    kit.check();
    assert_eq!(kit.ext(a.id, EXT_NEW_USER_BASEPTR, 0, 0), 0);
    assert_eq!(usage(&kit, root).count(), 1);
    assert_eq!(kit.update_va(a.id, a.va(0), entry(a.l4(), RW), 0), 0, "the old root is memory now");
    kit.check();
}

#[test]
fn loading_the_same_base_flushes() {
    let (mut kit, a, _) = two();
    kit.run(a.id);
    kit.hv.machine.guest_read(a.va(9)).expect("mapped");
    unmap(&mut kit, &a, 9);
    kit.hv.machine.guest_read(a.va(9)).expect("stale: the guest did not flush");
    assert_eq!(kit.ext(a.id, EXT_NEW_BASEPTR, a.l4().0, 0), 0);
    assert!(kit.hv.machine.guest_read(a.va(9)).is_err());
    assert_eq!(usage(&kit, a.l4()).count(), 1);
    kit.check();
}

// Flushes

#[test]
fn a_frame_becomes_a_table_only_after_stale_translations_are_gone() {
    let (mut kit, a, _) = two();
    kit.set_cpus(2);
    kit.run_on(1, a.id);
    kit.hv.machine.guest_write(a.va(10), 0).expect("CPU 1 has a writable translation");
    kit.run_on(0, a.id);
    kit.hv.machine.guest_write(a.va(10), 0).expect("CPU 0, too");
    make_table(&mut kit, &a, 10);
    kit.check();
    assert_eq!(kit.ext(a.id, EXT_PIN_L1_TABLE, a.frames[10].0, 0), 0);
    assert!(kit.hv.machine.guest_write(a.va(10), entry(Mfn(250), RW)).is_err(), "no CPU writes to it");
    kit.hv.machine.cpu.set(1);
    assert!(kit.hv.machine.guest_write(a.va(10), entry(Mfn(250), RW)).is_err());
    kit.check();
}

#[test]
fn a_table_becomes_memory_only_after_the_caches_forgot_it() {
    let (mut kit, a, _) = two();
    let table = make_table(&mut kit, &a, 10);
    assert_eq!(kit.mmu_update(a.id, &[(slot(a.l2(), 1), entry(table, RW))]), 0);
    assert_eq!(kit.mmu_update(a.id, &[(slot(table, 0), entry(a.frames[9], RO))]), 0);
    kit.run(a.id);
    kit.hv.machine.guest_read(1 << 21).expect("the CPU remembers which table covers the range");
    assert_eq!(kit.mmu_update(a.id, &[(slot(a.l2(), 1), 0)]), 0);
    kit.check();
    assert_eq!(kit.update_va(a.id, a.va(10), entry(table, RW), 0), 0);
    kit.hv.machine.guest_write(a.va(10) + 8, entry(Mfn(250), RW)).expect("memory");
    assert!(kit.hv.machine.guest_read((1 << 21) + 4096).is_err(), "a table of the guest's own making");
    kit.check();
}

#[test]
fn a_frame_that_was_given_back_is_reached_by_nobody() {
    let (mut kit, a, b) = two();
    kit.run(a.id);
    kit.hv.machine.guest_write(a.va(9), 7).expect("mapped");
    unmap(&mut kit, &a, 9);
    assert_eq!(kit.reservation(a.id, OP_DECREASE_RESERVATION, abi::domid::SELF, 0, &[a.frames[9].0]).0, 1);
    // Domain 2, on the other CPU, gets the frame while domain 1 has not flushed.
    kit.set_cpus(2);
    kit.run_on(1, b.id);
    let (done, list) = kit.reservation(b.id, OP_POPULATE_PHYSMAP, abi::domid::SELF, 0, &[50]);
    assert_eq!((done, list[0]), (1, a.frames[9].0), "the same frame");
    kit.hv.machine.cpu.set(0);
    assert!(kit.hv.machine.guest_read(a.va(9)).is_err());
    kit.check();
}

#[test]
fn update_va_mapping_flushes_what_it_is_told() {
    let (mut kit, a, _) = two();
    kit.set_cpus(2);
    let touch = |kit: &Kit| kit.hv.machine.guest_read(a.va(9)).is_ok();
    let value = entry(a.frames[9], RO);
    for (flags, local, remote) in [
        (UVMF_NONE, true, true),
        (UVMF_INVLPG, false, true),
        (UVMF_TLB_FLUSH, false, true),
        (UVMF_INVLPG | UVMF_ALL, false, false),
        (UVMF_TLB_FLUSH | UVMF_ALL, false, false),
    ] {
        kit.run_on(1, a.id);
        assert_eq!(kit.update_va(a.id, a.va(9), value, UVMF_TLB_FLUSH | UVMF_ALL), 0);
        assert!(touch(&kit));
        kit.run_on(0, a.id);
        assert!(touch(&kit));
        assert_eq!(kit.update_va(a.id, a.va(9), 0, flags), 0);
        assert_eq!(touch(&kit), local, "flags {flags}");
        kit.hv.machine.cpu.set(1);
        assert_eq!(touch(&kit), remote, "flags {flags}, the other CPU");
    }
    assert_eq!(kit.update_va(a.id, a.va(9), value, UVMF_TLB_FLUSH | 0x7f00_0000_0000), Errno::FAULT.as_ret(), "no mask there");
    for address in [0xffff_8000_0000_0000, 0x8000_0000_0000, 5 << 39] {
        assert_eq!(kit.update_va(a.id, address, value, 0), Errno::INVAL.as_ret());
    }
}

#[test]
fn mmuext_flushes_whom_it_names() {
    let (mut kit, a, b) = two();
    kit.set_cpus(3);
    kit.run_on(1, a.id);
    // On a CPU that runs another domain there is nothing to flush.
    kit.run_on(2, b.id);
    kit.run_on(0, a.id);
    // vCPU 1 of the caller, and one that does not exist.
    kit.hv.machine.put(1024, &0x8000_0000_0000_0002_u64.to_le_bytes());
    let mask = domus_hv_core::fake::WINDOW + 1024;
    for (cmd, arg1, arg2, cpus, what) in [
        (EXT_TLB_FLUSH_LOCAL, 0, 0, 1, Flush::All),
        (EXT_INVLPG_LOCAL, 0x5000, 0, 1, Flush::Page(0x5000)),
        (EXT_TLB_FLUSH_ALL, 0, 0, 3, Flush::All),
        (EXT_INVLPG_ALL, 0x5000, 0, 3, Flush::Page(0x5000)),
        (EXT_TLB_FLUSH_MULTI, 0, mask, 2, Flush::All),
        (EXT_INVLPG_MULTI, 0x5000, mask, 2, Flush::Page(0x5000)),
    ] {
        kit.hv.machine.flushes.borrow_mut().clear();
        assert_eq!(kit.ext(a.id, cmd, arg1, arg2), 0);
        assert_eq!(*kit.hv.machine.flushes.borrow(), [(domus_hv_core::ids::CpuMask(cpus), what)], "operation {cmd}");
    }
    assert_eq!(kit.ext(a.id, EXT_TLB_FLUSH_MULTI, 0, 0x7f00_0000_0000), Errno::INVAL.as_ret());
}

// The rest of mmuext_op

#[test]
fn clear_and_copy_work_on_memory_of_ones_own() {
    let (mut kit, a, b) = two();
    kit.run(a.id);
    kit.hv.machine.guest_write(a.va(9), 7).expect("mapped");
    assert_eq!(kit.ext(a.id, EXT_COPY_PAGE, a.frames[10].0, a.frames[9].0), 0);
    assert_eq!(kit.hv.machine.guest_read(a.va(10)), Ok(7));
    assert_eq!(kit.ext(a.id, EXT_CLEAR_PAGE, a.frames[9].0, 0), 0);
    assert_eq!(kit.hv.machine.guest_read(a.va(9)), Ok(0));
    for bad in [a.l1(), b.frames[9], Mfn(9999)] {
        assert_eq!(kit.ext(a.id, EXT_CLEAR_PAGE, bad.0, 0), Errno::INVAL.as_ret());
        assert_eq!(kit.ext(a.id, EXT_COPY_PAGE, bad.0, a.frames[9].0), Errno::INVAL.as_ret());
        kit.check();
    }
    for bad in [b.frames[9], Mfn(9999)] {
        assert_eq!(kit.ext(a.id, EXT_COPY_PAGE, a.frames[9].0, bad.0), Errno::INVAL.as_ret());
    }
    kit.check();
}

#[test]
fn what_is_left_out_answers_as_documented() {
    let (mut kit, a, _) = two();
    assert_eq!(kit.ext(a.id, EXT_FLUSH_CACHE, 0, 0), Errno::ACCES.as_ret());
    assert_eq!(kit.ext(a.id, EXT_FLUSH_CACHE_GLOBAL, 0, 0), Errno::ACCES.as_ret());
    assert_eq!(kit.ext(a.id, EXT_MARK_SUPER, 0, 0), Errno::OPNOTSUPP.as_ret());
    assert_eq!(kit.ext(a.id, EXT_UNMARK_SUPER, 0, 0), Errno::OPNOTSUPP.as_ret());
    assert_eq!(kit.ext(a.id, 14, 0, 0), Errno::NOSYS.as_ret());
    assert_eq!(kit.ext(a.id, 99, 0, 0), Errno::NOSYS.as_ret());
}

#[test]
fn the_ldt_is_checked_and_held_frame_by_frame() {
    use domus_hv_core::ids::VcpuRef;
    use domus_hv_core::mm::ldt;
    let (mut kit, a, _) = two();
    let who = VcpuRef { domain: a.id, vcpu: 0 };
    for (base, entries) in [(a.va(10), 8193), (a.va(10) + 8, 1), (0xffff_8000_0000_0000, 1), (0x8000_0000_0000, 1)] {
        assert_eq!(kit.ext(a.id, EXT_SET_LDT, base, entries), Errno::INVAL.as_ret());
    }
    assert_eq!(kit.ext(a.id, EXT_SET_LDT, a.va(10), 513), 0);
    assert!(ldt::frame(&mut kit.hv, who, 0).is_err(), "mapped writable");
    make_table(&mut kit, &a, 10);
    make_table(&mut kit, &a, 11);
    make_table(&mut kit, &a, 12);
    assert_eq!(ldt::frame(&mut kit.hv, who, 1), Ok(a.frames[11]));
    assert_eq!(ldt::frame(&mut kit.hv, who, 1), Ok(a.frames[11]), "known already");
    assert!(ldt::frame(&mut kit.hv, who, 2).is_err() && ldt::frame(&mut kit.hv, who, 16).is_err());
    kit.check();
    assert_eq!(kit.mmu_update(a.id, &[(slot(a.l1(), 11), entry(a.frames[11], RW))]), Errno::BUSY.as_ret());
    assert_eq!(kit.ext(a.id, EXT_SET_LDT, 0, 0), 0);
    assert_eq!(kit.mmu_update(a.id, &[(slot(a.l1(), 11), entry(a.frames[11], RW))]), 0);
    kit.check();
    // Another address space: the frames come from the old one.
    make_table(&mut kit, &a, 11);
    assert_eq!(kit.ext(a.id, EXT_SET_LDT, a.va(10), 513), 0);
    assert_eq!(ldt::frame(&mut kit.hv, who, 1), Ok(a.frames[11]));
    let root = second_root(&mut kit, &a, 13);
    assert_eq!(kit.ext(a.id, EXT_NEW_BASEPTR, root.0, 0), 0);
    assert_eq!(usage(&kit, a.frames[11]).count(), 0);
    kit.check();
}

// Emulated writes

#[test]
fn an_emulated_write_is_checked_like_any_other() {
    let (mut kit, a, b) = two();
    kit.run(a.id);
    let root = a.l4();
    let address = a.va(3) + 100 * 8;
    let target = kit.hv.mm().ptwr_begin(root, a.id, address + 4).expect("a read-only L1 table");
    assert_eq!((target.slot.index, target.value), (100, 0));
    kit.hv.mm().ptwr_commit(target, entry(a.frames[9], RW), a.id).expect("valid");
    kit.check();
    let late = kit.hv.mm().ptwr_commit(target, entry(a.frames[9], RO), a.id);
    assert_eq!(late, Err(Errno::AGAIN.into()), "the entry changed");
    kit.check();
    let late = kit.hv.mm().ptwr_commit(target, entry(a.frames[10], RO), a.id);
    assert_eq!(late, Err(Errno::AGAIN.into()), "also when it names another frame");
    assert_eq!(kit.hv.mm().ptwr_commit(target, 0, a.id), Err(Errno::AGAIN.into()), "and when it is cleared");
    kit.check();
    let target = kit.hv.mm().ptwr_begin(root, a.id, address + 8).expect("a read-only L1 table");
    for bad in [entry(b.frames[9], RO), entry(a.l1(), RW), entry(a.frames[9], RW | pte::PCD)] {
        let result = kit.hv.mm().ptwr_commit(target, bad, a.id);
        assert!(result.is_err() && result != Err(Errno::AGAIN.into()), "not to be tried again: {result:?}");
        kit.check();
    }
    assert_eq!(kit.hv.mm().ptwr_begin(root, a.id, a.va(2)), None, "an L2 table");
    assert_eq!(kit.hv.mm().ptwr_begin(root, a.id, a.va(9)), None, "writable memory");
    make_table(&mut kit, &a, 10);
    assert_eq!(kit.hv.mm().ptwr_begin(root, a.id, a.va(10)), None, "no table");
    assert_eq!(kit.hv.mm().ptwr_begin(root, a.id, 5 << 39), None, "not mapped");
    kit.privilege(a.id);
    kit.permitted.mappings.push((a.id, b.l1()));
    assert_eq!(kit.mmu_update_for(a.id, &[(slot(a.l1(), 200), entry(b.l1(), RO))], b.id.into()), 0);
    assert_eq!(kit.hv.mm().ptwr_begin(root, a.id, a.va(200)), None, "another domain's table");
    kit.check();
}

// Granted frames

#[test]
fn a_granted_frame_is_mapped_and_unmapped_by_what_was_granted() {
    let (mut kit, a, b) = two();
    kit.run(a.id);
    kit.permitted.mappings.push((a.id, b.frames[9]));
    let (root, granted) = (a.l4(), b.frames[9]);
    assert!(kit.hv.mm().get_granted(granted, a.id, true).is_err(), "not its own");
    assert!(kit.hv.mm().get_granted(b.l1(), b.id, true).is_err(), "a table");
    for write in [false, true] {
        kit.hv.mm().get_granted(granted, b.id, write).expect("a plain frame");
        kit.hv.mm().map_granted(root, a.va(100), granted, write, 0).expect("there is a table");
        kit.check();
        // The same by machine address.
        kit.hv.mm().get_granted(granted, b.id, write).expect("a plain frame");
        kit.hv.mm().map_granted_at(a.id, slot(a.l1(), 101), granted, write, pte::NX).expect("an L1 table");
        kit.check();
        assert_eq!(kit.hv.machine.guest_write(a.va(101), 9).is_ok(), write);
        assert!(kit.hv.mm().unmap_granted(root, a.va(100), granted, !write).is_err(), "another right");
        assert!(kit.hv.mm().unmap_granted(root, a.va(100), a.frames[9], write).is_err(), "another frame");
        assert!(kit.hv.mm().unmap_granted(root, a.va(102), granted, write).is_err(), "nothing there");
        kit.hv.mm().unmap_granted(root, a.va(100), granted, write).expect("as mapped");
        kit.hv.mm().unmap_granted_at(a.id, slot(a.l1(), 101), granted, write).expect("as mapped");
        kit.check();
        kit.hv.flush(domus_hv_core::ids::CpuMask(1), Flush::All);
    }
    kit.hv.mm().get_granted(granted, b.id, true).expect("a plain frame");
    for bad in [slot(a.l1(), 100) + 4, slot(a.l2(), 100), slot(b.l1(), 100), slot(a.frames[9], 0), slot(Mfn(9999), 0)] {
        assert!(kit.hv.mm().map_granted_at(a.id, bad, granted, true, 0).is_err());
        assert!(kit.hv.mm().unmap_granted_at(a.id, bad, granted, true).is_err());
    }
    assert!(kit.hv.mm().map_granted(root, 5 << 39, granted, true, 0).is_err());
    kit.hv.mm().put_granted(granted, true);
    kit.check();
}

#[test]
fn overwriting_a_granted_mapping_lets_its_references_go() {
    let (mut kit, a, b) = two();
    kit.permitted.mappings.push((a.id, b.frames[9]));
    kit.hv.mm().get_granted(b.frames[9], b.id, false).expect("a plain frame");
    kit.hv.mm().map_granted(a.l4(), a.va(9), b.frames[9], false, 0).expect("there is a table");
    kit.check();
    refused(&mut kit, &a, a.l1(), 9, entry(b.frames[9], RW), Errno::BUSY);
    unmap(&mut kit, &a, 9);
    kit.check();
}

// Batches

#[test]
fn a_batch_stops_at_the_first_error_and_counts_what_is_done() {
    let (mut kit, a, _) = two();
    let requests =
        [(slot(a.l1(), 100), entry(a.frames[9], RW)), (slot(a.l1(), 101), entry(a.l1(), RW)), (slot(a.l1(), 102), entry(a.frames[9], RW))];
    for (index, (ptr, val)) in requests.into_iter().enumerate() {
        kit.hv.machine.put(index * 16, &[ptr.to_le_bytes(), val.to_le_bytes()].concat());
    }
    let window = domus_hv_core::fake::WINDOW;
    let args = [window, 3, window + 1024, abi::domid::SELF.into(), 0];
    assert_eq!(kit.call(a.id, domus_hv_core::hypercalls::mmu_update::handler, args), Errno::BUSY.as_ret());
    assert_eq!(kit.hv.machine.take(1024, 4), 1u32.to_le_bytes());
    assert_eq!(kit.hv.machine.memory.word(a.l1(), 102).load(core::sync::atomic::Ordering::Relaxed), 0);
    // A list of one is counted, too.
    for (first, result, done) in [(requests[0], 0, 1u32), (requests[1], Errno::BUSY.as_ret(), 0)] {
        kit.hv.machine.put(0, &[first.0.to_le_bytes(), first.1.to_le_bytes()].concat());
        kit.hv.machine.put(1024, &[9; 4]);
        let args = [window, 1, window + 1024, abi::domid::SELF.into(), 0];
        assert_eq!(kit.call(a.id, domus_hv_core::hypercalls::mmu_update::handler, args), result);
        assert_eq!(kit.hv.machine.take(1024, 4), done.to_le_bytes());
    }
    // Interrupted after some, it goes on and counts all.
    kit.hv.machine.interrupt_every.set(1);
    for index in 0..100u64 {
        let request = [slot(a.l1(), 100 + index as usize), entry(a.frames[9], RO)];
        kit.hv.machine.put(index as usize * 16, &request.map(u64::to_le_bytes).concat());
    }
    let args = [window, 100, window + 8192, abi::domid::SELF.into(), 0];
    assert_eq!(kit.call(a.id, domus_hv_core::hypercalls::mmu_update::handler, args), 0);
    assert_eq!(kit.hv.machine.take(8192, 4), 100u32.to_le_bytes());
    // Hostile lists.
    for list in [u64::MAX - 7, 0xffff_8000_0000_0000, 0x8000_0000_0000_0000, 5 << 39] {
        for handler in [domus_hv_core::hypercalls::mmu_update::handler, domus_hv_core::hypercalls::mmuext_op::handler] {
            assert_eq!(kit.call(a.id, handler, [list, u64::MAX, list, abi::domid::SELF.into(), 0]), Errno::FAULT.as_ret());
        }
    }
    kit.check();
}

#[test]
fn the_machine_to_physical_table_is_set_for_ones_own_frames() {
    let (mut kit, a, b) = two();
    let at = |mfn: Mfn| mfn.address() | MACHPHYS_UPDATE;
    assert_eq!(kit.mmu_update(a.id, &[(at(a.frames[9]), 77)]), 0);
    assert_eq!(kit.hv.machine.m2p(a.frames[9]), 77);
    assert_eq!(kit.mmu_update(a.id, &[(at(b.frames[9]), 77)]), Errno::INVAL.as_ret());
    assert_eq!(kit.mmu_update(a.id, &[(at(Mfn(9999)), 77)]), Errno::INVAL.as_ret());
    assert_eq!(kit.hv.machine.m2p(b.frames[9]), 9);
    kit.privilege(a.id);
    assert_eq!(kit.mmu_update_for(a.id, &[(at(b.frames[9]), 78)], b.id.into()), 0);
    assert_eq!(kit.hv.machine.m2p(b.frames[9]), 78);
    let tables = (u64::from(b.id) + 1) << 16 | u64::from(b.id);
    assert_eq!(kit.mmu_update_for(a.id, &[(at(b.frames[9]), 79)], tables), Errno::PERM.as_ret());
}
