//! The clock that guests read: the numbers are right, and a reader at any moment sees either the old or the new ones, or that it must
//! look again; the registered areas and the wall clock.

mod sched_world;

use core::cell::RefCell;
use core::mem::offset_of;

use abi::shared_info::{PVCLOCK_TSC_STABLE, VcpuInfo, VcpuTimeInfo};
use abi::vcpu::{RUNSTATE_RUNNING, RUNSTATE_UPDATE, RunstateInfo};
use domus_hv_core::ids::VcpuRef;
use domus_hv_core::machine::ClockParameters;
use domus_hv_core::time::{clock, wallclock};
use sched_world::{UNMAPPED, World};
use zerocopy::{FromBytes, IntoBytes};

const V: VcpuRef = VcpuRef { domain: 1, vcpu: 0 };

/// The pages of the guest that hold the areas.
const TIME_AREA: u64 = 6 << 12 | 0x40;
const RUNSTATE_AREA: u64 = 7 << 12 | 0x100;

fn next(state: &mut u64) -> u64 {
    *state ^= *state << 13;
    *state ^= *state >> 7;
    *state ^= *state << 17;
    *state
}

#[test]
fn system_time_is_what_the_frequency_says() {
    let mut random = 0x9e37_79b9_7f4a_7c15;
    for _ in 0..20_000 {
        // 300 MHz to 8 GHz; nanoseconds per tick as a fraction of 2^64, of which the upper 32 significant bits go to the guest.
        let khz = 300_000 + next(&mut random) % 7_700_000;
        let per_tick = (1_000_000_u128 << 64) / u128::from(khz);
        let shift = 64 - per_tick.leading_zeros() as i8;
        let scale = per_tick >> (32 + shift);
        let info = VcpuTimeInfo {
            tsc_timestamp: next(&mut random),
            system_time: next(&mut random) >> 8,
            tsc_to_system_mul: scale as u32,
            tsc_shift: shift,
            ..VcpuTimeInfo::default()
        };
        let ticks = next(&mut random) >> 24;
        let told = clock::system_time(&info, info.tsc_timestamp.wrapping_add(ticks)) - info.system_time;
        let exact = u128::from(ticks) * 1_000_000 / u128::from(khz);
        let error = u128::from(told).abs_diff(exact);
        // The multiplier has 31 significant bits and more.
        assert!(error <= exact / 500_000_000 + 3, "{khz} kHz, {ticks} ticks: {told} instead of {exact}");
    }
}

#[test]
fn shifts_of_both_signs_and_any_size_are_computed() {
    let info = |tsc_shift| VcpuTimeInfo { tsc_to_system_mul: 1 << 31, tsc_shift, ..VcpuTimeInfo::default() };
    assert_eq!(clock::system_time(&info(1), 1000), 1000);
    assert_eq!(clock::system_time(&info(0), 1000), 500);
    assert_eq!(clock::system_time(&info(-1), 1000), 250);
    assert_eq!(clock::system_time(&info(-1), u64::MAX), u64::MAX >> 2);
    assert_eq!(clock::system_time(&info(i8::MIN), u64::MAX), 0);
    assert_eq!(clock::system_time(&info(i8::MAX), u64::MAX), 0);
}

#[test]
fn versions_are_even_grow_and_wrap() {
    let parameters = ClockParameters { stable: true, ..ClockParameters::default() };
    for (old, new) in [(0, 2), (1, 2), (2, 4), (u32::MAX, 0), (u32::MAX - 1, 0)] {
        let info = clock::time_info(&parameters, old);
        assert_eq!((info.version, info.flags), (new, PVCLOCK_TSC_STABLE));
        assert_eq!(clock::unfinished(&info).version % 2, 1);
    }
    assert_eq!(clock::time_info(&ClockParameters::default(), 0).flags, 0);
}

/// Reads as a guest does: the numbers, or `None` if it must look again.
fn read(memory: &[u8]) -> Option<VcpuTimeInfo> {
    let info = VcpuTimeInfo::read_from_bytes(memory).expect("32 bytes");
    (info.version % 2 == 0).then_some(info)
}

#[test]
fn a_reader_between_any_two_stores_sees_old_or_new_or_looks_again() {
    let old = VcpuTimeInfo { version: 2, tsc_timestamp: 1, system_time: 2, tsc_to_system_mul: 3, ..VcpuTimeInfo::default() };
    let new = VcpuTimeInfo { version: 4, tsc_timestamp: 5, system_time: 6, tsc_to_system_mul: 7, ..old };
    let memory = RefCell::new(old.as_bytes().to_vec());
    let mut states = Vec::new();
    clock::store(&new, |word, value| {
        memory.borrow_mut()[word * 8..word * 8 + 8].copy_from_slice(&value.to_le_bytes());
        states.push(memory.borrow().clone());
    });
    assert!(states.len() >= 5);
    for (index, state) in states.iter().enumerate() {
        let finished = index == states.len() - 1;
        assert_eq!(read(state), finished.then_some(new), "after store {index}");
    }
    // A reader that began before the first store sees that the version has changed.
    assert!(states.iter().all(|state| VcpuTimeInfo::read_from_bytes(state).unwrap().version != old.version));
}

fn world() -> World {
    let mut world = World::new();
    world.domain(1, 1);
    world.pass(1_000_000);
    world.run(V);
    world
}

fn in_vcpu_info(world: &mut World) -> VcpuTimeInfo {
    let (mfn, offset) = (world.state(V).info_mfn, world.state(V).info_offset as usize);
    world.read(domus_hv_core::ids::Mfn(mfn), offset + offset_of!(VcpuInfo, time))
}

fn at<T: FromBytes>(world: &World, address: u64) -> T {
    let words: Vec<u8> = (0..size_of::<T>() as u64 / 8)
        .flat_map(|word| world.kit.hv.machine.guest_read(address + word * 8).expect("mapped").to_le_bytes())
        .collect();
    T::read_from_bytes(&words).expect("as many bytes as it has")
}

#[test]
fn a_vcpu_that_begins_to_run_finds_the_time() {
    let mut world = world();
    let info = in_vcpu_info(&mut world);
    assert_eq!((info.version, info.flags), (2, PVCLOCK_TSC_STABLE));
    world.pass(123_456_789);
    // The fake machine's TSC counts nanoseconds.
    assert_eq!(clock::system_time(&info, world.now()), world.now());
    // The same clock is not published again.
    world.schedule();
    assert_eq!(in_vcpu_info(&mut world).version, 2);
}

#[test]
fn the_registered_areas_are_current_when_the_vcpu_runs() {
    let mut world = world();
    world.state(V).time.time_area = TIME_AREA;
    world.state(V).time.runstate_area = RUNSTATE_AREA;
    world.hv().republish_clock(V);
    world.pass(77);
    world.schedule();
    let time: VcpuTimeInfo = at(&world, TIME_AREA);
    assert_eq!(time, in_vcpu_info(&mut world));
    assert_eq!(time.version, 4);
    let runstate: RunstateInfo = at(&world, RUNSTATE_AREA);
    assert_eq!((runstate.state, runstate.state_entry_time), (RUNSTATE_RUNNING, world.now()));
    assert_eq!(runstate.time.iter().sum::<u64>(), world.now());
}

#[test]
fn from_user_mode_the_areas_wait_for_the_kernel() {
    let mut world = world();
    world.state(V).time.runstate_area = RUNSTATE_AREA;
    world.state(V).in_kernel = false;
    let root = world.state(V).kernel_table;
    world.state(V).user_table = root;
    world.schedule();
    assert_eq!(at::<RunstateInfo>(&world, RUNSTATE_AREA).state_entry_time, 0);
    assert!(world.state(V).time.areas_stale);
    world.state(V).in_kernel = true;
    world.hv().publish_if_stale(V);
    assert_eq!(at::<RunstateInfo>(&world, RUNSTATE_AREA).state_entry_time, world.now());
    assert!(!world.state(V).time.areas_stale);
    world.state(V).user_table = 0;
}

#[test]
fn an_area_that_is_not_mapped_harms_nobody() {
    let mut world = world();
    for area in [UNMAPPED, 0xffff_8000_0000_0000, u64::MAX - 8, 3 << 12] {
        world.state(V).time.time_area = area;
        world.state(V).time.runstate_area = area;
        world.hv().republish_clock(V);
        world.schedule();
    }
    world.kit.check();
}

#[test]
fn a_guest_that_asks_for_it_sees_the_account_being_written() {
    let mut world = world();
    let info = RunstateInfo { state: 1, state_entry_time: 99, time: [1, 2, 3, 4], ..RunstateInfo::default() };
    for flagged in [false, true] {
        world.hv().write_runstate_area(RUNSTATE_AREA, &info, flagged).unwrap();
        assert_eq!(at::<RunstateInfo>(&world, RUNSTATE_AREA), info);
    }
    // The last eight bytes of a mapped page, the rest in one that is not: the mark that comes first stays.
    let edge = (sched_world::PAGES as u64) << 12;
    let _ = world.hv().write_runstate_area(edge - 16, &info, true);
    assert_eq!(world.kit.hv.machine.guest_read(edge - 8), Ok(99 | RUNSTATE_UPDATE));
    assert!(world.hv().write_runstate_area(u64::MAX - 3, &info, true).is_err());
}

#[test]
fn the_wall_clock_tells_when_system_time_began() {
    let mut world = world();
    world.hv().publish_wallclock(1);
    let info = world.shared_info(1);
    assert_eq!((info.wc_sec, info.wc_sec_hi, info.wc_nsec), (1_767_225_600, 0, 0));
    assert_eq!(info.wc_version % 2, 0);
    world.hv().publish_wallclock(1);
    assert_eq!(world.shared_info(1).wc_version, info.wc_version + 2);
    let nanoseconds = (3u64 << 32 | 7) * 1_000_000_000 + 123;
    assert_eq!(wallclock::words(nanoseconds, 9), [7 << 32 | 9, 3 << 32 | 123]);
}
