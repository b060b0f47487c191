//! The local APIC: the timer that wakes a CPU, interrupts between CPUs, end of interrupt; and the I/O APIC's line of the console.

use core::sync::atomic::{AtomicU32, AtomicU64, Ordering};

use crate::paging::BootMemory;
use crate::{clock, msr};

/// Interrupt vector of the timer.
pub const TIMER_VECTOR: u32 = 0xf0;
/// Interrupt vector by which one CPU asks another to look at its mailbox and its run queue.
pub const KICK_VECTOR: u32 = 0xf1;
/// Interrupt vector of the console's UART.
pub const CONSOLE_VECTOR: u32 = 0x40;
/// Interrupt vectors of devices' messages: the first, and the one behind the last.
pub const MESSAGE_VECTORS: core::ops::Range<u32> = 0x50..0x50 + hv_core::devices::msi::MAX_MESSAGES as u32;
/// Spurious interrupts.
pub const SPURIOUS_VECTOR: u32 = 0xff;

const _: () = assert!(MESSAGE_VECTORS.end <= TIMER_VECTOR && MESSAGE_VECTORS.start > CONSOLE_VECTOR);

const ID: u64 = 0x20;
const TASK_PRIORITY: u64 = 0x80;
const END_OF_INTERRUPT: u64 = 0xb0;
const SPURIOUS: u64 = 0xf0;
const IN_REQUEST: u64 = 0x200;
const COMMAND_LOW: u64 = 0x300;
const COMMAND_HIGH: u64 = 0x310;
const LVT_TIMER: u64 = 0x320;
const TIMER_INITIAL: u64 = 0x380;
const TIMER_CURRENT: u64 = 0x390;
const TIMER_DIVIDE: u64 = 0x3e0;

/// Linear address of the registers.
static REGISTERS: AtomicU64 = AtomicU64::new(0);
/// Timer ticks per second.
static TIMER_HZ: AtomicU64 = AtomicU64::new(0);
/// APIC numbers of the CPUs.
static IDS: [AtomicU32; hv_core::ids::MAX_CPUS] = [const { AtomicU32::new(0) }; hv_core::ids::MAX_CPUS];

fn register(offset: u64) -> *mut u32 {
    (REGISTERS.load(Ordering::Relaxed) + offset) as *mut u32
}

fn read(offset: u64) -> u32 {
    // SAFETY: the registers were mapped in `init`, uncached; reading one has no effect on memory.
    unsafe { register(offset).read_volatile() }
}

fn write(offset: u64, value: u32) {
    // SAFETY: as in `read`; the values written here only steer interrupts to this crate's gates.
    unsafe { register(offset).write_volatile(value) }
}

/// Where the local APIC's registers are, by physical address: first byte and the one behind the last.
pub fn registers() -> (u64, u64) {
    let base = msr::read(msr::APIC_BASE) & 0x000f_ffff_ffff_f000;
    (base, base + 4096)
}

/// Maps and enables this CPU's local APIC; the timer still off.
pub fn init(memory: &mut BootMemory) {
    REGISTERS.store(crate::paging::map_device(0, registers().0, memory), Ordering::Relaxed);
    write(SPURIOUS, 0x100 | SPURIOUS_VECTOR);
    write(TASK_PRIORITY, 0);
    write(TIMER_DIVIDE, 0xb); // by 1
    write(LVT_TIMER, 0x1_0000 | TIMER_VECTOR);
    write(TIMER_INITIAL, u32::MAX);
    IDS[0].store(read(ID) >> 24, Ordering::Relaxed);
    // The legacy controllers stay silent: everything comes through the APICs.
    crate::port::outb(0x21, 0xff);
    crate::port::outb(0xa1, 0xff);
}

/// The timer's count so far, upwards, for its calibration.
pub fn timer_ticks() -> u64 {
    u64::from(u32::MAX - read(TIMER_CURRENT))
}

/// Makes the timer an alarm, knowing its frequency.
pub fn start_timer(hz: u64) {
    TIMER_HZ.store(hz.max(1), Ordering::Relaxed);
    write(TIMER_INITIAL, 0);
    write(LVT_TIMER, TIMER_VECTOR);
}

/// Asks for an interrupt at `deadline` (ns since boot), soon if it has passed; or for none. An early one is harmless: the handler
/// asks again.
pub fn set_timer(deadline: Option<u64>) {
    let Some(deadline) = deadline else {
        return write(TIMER_INITIAL, 0);
    };
    let delay = deadline.saturating_sub(clock::now()).clamp(1000, 1_000_000_000);
    let ticks = u128::from(delay) * u128::from(TIMER_HZ.load(Ordering::Relaxed)) / 1_000_000_000;
    write(TIMER_INITIAL, ticks.clamp(1, u128::from(u32::MAX)) as u32);
}

/// Ends the handling of an interrupt.
pub fn end_of_interrupt() {
    write(END_OF_INTERRUPT, 0);
}

/// True if an interrupt waits for this CPU.
#[inline]
pub fn interrupt_pending() -> bool {
    // Vectors 0x20 and above: the request registers from the second word on.
    (1..8).any(|word| read(IN_REQUEST + word * 0x10) != 0)
}

/// Interrupts another CPU.
pub fn kick(cpu: usize) {
    write(COMMAND_HIGH, IDS[cpu].load(Ordering::Relaxed) << 24);
    write(COMMAND_LOW, KICK_VECTOR);
}

/// The message (address, data; SDM 3, 11.11) that raises message vector `slot` on this CPU: fixed, by an edge, to its number.
pub fn message(slot: usize) -> (u64, u32) {
    let id = IDS[crate::percpu::id()].load(Ordering::Relaxed);
    (0xfee0_0000 | u64::from(id) << 12, MESSAGE_VECTORS.start + slot as u32)
}

/// Sends ISA line `irq` to this CPU as `vector`, through the I/O APIC at physical address `io_apic`, whose input `pin` it is.
pub fn route(io_apic: u64, pin: u32, low_active: bool, level: bool, vector: u32, memory: &mut BootMemory) {
    let registers = crate::paging::map_device(1, io_apic, memory);
    let set = |index: u32, value: u32| {
        // SAFETY: the I/O APIC's two registers (select at 0, window at 0x10), just mapped uncached.
        unsafe {
            (registers as *mut u32).write_volatile(index);
            ((registers + 0x10) as *mut u32).write_volatile(value);
        }
    };
    set(0x10 + 2 * pin + 1, IDS[0].load(Ordering::Relaxed) << 24);
    set(0x10 + 2 * pin, vector | u32::from(low_active) << 13 | u32::from(level) << 15);
}
