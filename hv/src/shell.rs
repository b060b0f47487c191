//! The shell around the core: takes the lock, lets the core decide, and does what it decided - exchange vCPUs, halt, end.

use abi::event::VIRQ_CONSOLE;
use hv_core::call::Call;
use hv_core::devices::msi;
use hv_core::frames::Frames;
use hv_core::hypervisor::Hypervisor;
use hv_core::ids::{CpuId, DOM0, VcpuRef};
use hv_core::machine::Machine;
use hv_core::mm::ldt;
use hv_core::sched::{MachineExit, Next};
use hv_core::traps::{self, ExceptionInfo, Way};
use hv_machine::lock::{self, Guard, Lock};
use hv_machine::{CpuUserRegs, Level, X86, apic, entry, log, paging, percpu, power, processor, serial};

type State = Hypervisor<X86>;
type Held = Guard<'static, { lock::STATE }, State>;

/// Everything there is to know, behind one lock: an entry takes it and gives it up on the way out.
static STATE: Lock<{ lock::STATE }, State> = Lock::new(Hypervisor::new(X86, Frames::new(&[])));

/// Works with the state while booting.
pub fn with<R>(work: impl FnOnce(&mut State) -> R) -> R {
    work(&mut STATE.lock())
}

/// SYSCALL from a guest.
pub fn system_call(regs: &mut CpuUserRegs) {
    let cpu = percpu::id();
    let mut state = STATE.lock();
    let who = running(&state, cpu);
    let mut call = Call { hv: &mut state, cpu, who, regs };
    if !traps::system_call(&mut call) {
        finish(state, cpu, regs);
    }
}

/// An exception of a guest.
pub fn exception(regs: &mut CpuUserRegs) {
    const PAGE_FAULT: u32 = 14;
    const DEBUG: u32 = 1;
    const NMI: u32 = 2;
    let cpu = percpu::id();
    let vector = regs.entry_vector;
    let fault_address = if vector == PAGE_FAULT { processor::fault_address() } else { 0 };
    let debug_status = if vector == DEBUG { processor::take_debug_status() } else { 0 };
    let mut state = STATE.lock();
    let who = running(&state, cpu);
    let mut call = Call { hv: &mut state, cpu, who, regs };
    let go_on = match vector {
        NMI => traps::quiet(&call),
        entry::BAD_RETURN => {
            let (vector, error_code) = entry::refusal();
            let info = ExceptionInfo { vector: vector as u8, error_code, fault_address: processor::fault_address(), debug_status: 0 };
            traps::bad_return(&mut call, info)
        }
        _ => {
            let info = ExceptionInfo { vector: vector as u8, error_code: call.regs.error_code, fault_address, debug_status };
            traps::exception_entry(&mut call, info)
        }
    };
    if !go_on {
        finish(state, cpu, regs);
    }
}

/// A device or another CPU interrupts, a guest or the idle halt.
pub fn interrupt(regs: &mut CpuUserRegs) {
    let cpu = percpu::id();
    let from_guest = regs.cs & 3 != 0;
    let mut state = STATE.lock();
    match regs.entry_vector {
        apic::TIMER_VECTOR => {
            let now = state.machine.now();
            state.timer_interrupt(cpu, now);
        }
        apic::CONSOLE_VECTOR => console_input(&mut state),
        apic::KICK_VECTOR => hv_machine::tlb::serve(cpu),
        vector if apic::MESSAGE_VECTORS.contains(&vector) => {
            msi::interrupt(&mut state, (vector - apic::MESSAGE_VECTORS.start) as usize);
        }
        _ => {}
    }
    if regs.entry_vector != apic::SPURIOUS_VECTOR {
        apic::end_of_interrupt();
    }
    if from_guest {
        finish(state, cpu, regs);
    }
}

/// Bytes typed for the first domain.
fn console_input(state: &mut State) {
    let mut any = false;
    while let Some(byte) = serial::CONSOLE.read() {
        state.console_input.push(byte);
        any = true;
    }
    if any {
        hv_core::events::send_global_virq(state, DOM0, VIRQ_CONSOLE);
    }
}

/// The vCPU whose state this CPU holds. A guest was interrupted, so there is one.
#[inline]
fn running(state: &State, cpu: CpuId) -> VcpuRef {
    state.cpus[cpu].current.expect("a guest entered, so one runs")
}

/// Goes back to a guest, not always the one that entered.
#[cold]
#[inline(never)]
fn finish(mut state: Held, cpu: CpuId, regs: &mut CpuUserRegs) {
    loop {
        let Some(who) = state.cpus[cpu].current else {
            state = switch(state, cpu, regs);
            continue;
        };
        let mut call = Call { hv: &mut state, cpu, who, regs };
        match traps::leave(&mut call) {
            Way::Guest => return,
            Way::Reschedule => state = switch(state, cpu, regs),
            Way::Exit(exit) => end(state, exit),
        }
    }
}

/// Asks who runs next and loads it; halts while that is nobody.
#[cold]
fn switch(mut state: Held, cpu: CpuId, regs: &mut CpuUserRegs) -> Held {
    loop {
        if let Some(exit) = state.machine_exit {
            end(state, exit);
        }
        let now = state.machine.now();
        match state.schedule(cpu, now) {
            Next::Run(who) => {
                if state.cpus[cpu].current != Some(who) {
                    unload(&mut state, cpu, regs);
                    load(&mut state, cpu, who, regs);
                }
                state.publish_on_schedule(cpu, who);
                state.arm_timer(cpu);
                return state;
            }
            Next::Idle => {
                unload(&mut state, cpu, regs);
                state.arm_timer(cpu);
                drop(state);
                processor::halt();
                state = STATE.lock();
                state.cpus[cpu].idle_ns += state.machine.now().saturating_sub(now);
            }
        }
    }
}

/// Puts the hardware's state back into the vCPU that ran here; no guest's table stays loaded.
fn unload(state: &mut State, cpu: CpuId, regs: &CpuUserRegs) {
    let Some(old) = state.cpus[cpu].current.take() else { return };
    let state = &mut *state;
    if let Some(vcpu) = state.domains.get_mut(old.domain).and_then(|domain| domain.vcpu_mut(old.vcpu)) {
        vcpu.regs = *regs;
        state.machine.save_vcpu(vcpu);
    }
    state.frames.load_page_table(&state.machine, cpu, paging::idle_table());
}

fn load(state: &mut State, cpu: CpuId, who: VcpuRef, regs: &mut CpuUserRegs) {
    ldt::prepare(state, who);
    let vcpu = state.vcpu(who).expect("the scheduler names vCPUs that exist");
    *regs = vcpu.regs;
    state.machine.load_vcpu(vcpu);
    state.cpus[cpu].current = Some(who);
}

/// Enters the first guest on this CPU.
pub fn start(cpu: CpuId) -> ! {
    let regs = entry::boot_registers(cpu);
    let state = switch(STATE.lock(), cpu, regs);
    finish(state, cpu, regs);
    entry::enter(cpu)
}

/// Ends the run as the first domain or the control domain asked.
fn end(state: Held, exit: MachineExit) -> ! {
    drop(state);
    match exit {
        MachineExit::PowerOff { status } => {
            say_exit(status);
            power::off()
        }
        MachineExit::Reboot { status } => {
            say_exit(status);
            power::reset()
        }
    }
}

/// Ends the run because the machine cannot be used as it is.
pub fn fail(why: core::fmt::Arguments<'_>) -> ! {
    log::write(Level::Error, why);
    say_exit(crate::panic::STATUS);
    power::off()
}

fn say_exit(status: u32) {
    log::write(Level::Info, format_args!("domus-exit: {status}"));
}
