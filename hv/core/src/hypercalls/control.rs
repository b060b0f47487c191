//! `control` (55): what the toolstack asks of the hypervisor; for privileged domains only ([`abi::control`] has the contract).

use abi::context::VcpuGuestContext;
use abi::control::{self, Domain, DomainCreate, DomainInfo, DomainLimits, LogRead, MmioPermit, MsiBind, Power, VERSION, VcpuContext};
use abi::errno::Errno;

use crate::call::{Call, Outcome};
use crate::ids::{DomId, VcpuRef};
use crate::lifecycle::{self, Limits, Progress};
use crate::machine::Machine;
use crate::sched::MachineExit;
use crate::{devices, events};

/// RDI: operation, RSI: interface version, RDX: the operation's structure.
pub fn handler<M: Machine>(call: &mut Call<'_, M>, args: [u64; 5]) -> Outcome {
    if !call.domain().privileged {
        return Errno::PERM.into();
    }
    let (op, version, at) = (args[0] as u32, args[1] as u32, args[2]);
    if op == control::OP_VERSION {
        return Outcome::Done(VERSION.into());
    }
    if version != VERSION {
        return Errno::PROTONOSUPPORT.into();
    }
    match op {
        control::OP_MACHINE_INFO => {
            lifecycle::reap(call.hv);
            let info = lifecycle::machine_info(call.hv);
            call.write(at, &info).map_err(Errno::from).into()
        }
        control::OP_DOMAIN_CREATE => create(call, at).into(),
        control::OP_DOMAIN_DESTROY => destroy(call, at, args),
        control::OP_DOMAIN_PAUSE => named(call, at).and_then(|id| call.hv.pause(id)).into(),
        control::OP_DOMAIN_UNPAUSE => unpause(call, at).into(),
        control::OP_DOMAIN_INFO => info(call, at).into(),
        control::OP_DOMAIN_LIMITS => limits(call, at).into(),
        control::OP_VCPU_CONTEXT => context(call, at).into(),
        control::OP_LOG_READ => log_read(call, at).into(),
        control::OP_POWER => power(call, at).into(),
        control::OP_MMIO_PERMIT => mmio_permit(call, at).into(),
        control::OP_MSI_BIND => msi_bind(call, at).into(),
        _ => Errno::NOSYS.into(),
    }
}

fn id(number: u32) -> Result<DomId, Errno> {
    DomId::try_from(number).map_err(|_| Errno::SRCH)
}

/// What is reserved must be 0, so that it can get a meaning later.
fn zero(reserved: u64) -> Result<(), Errno> {
    if reserved == 0 { Ok(()) } else { Err(Errno::INVAL) }
}

/// The other domain that a [`Domain`] structure names: existing, and not the caller.
fn named<M: Machine>(call: &mut Call<'_, M>, at: u64) -> Result<DomId, Errno> {
    let request: Domain = call.read(at)?;
    zero(request._pad.into())?;
    let id = id(request.domid)?;
    call.hv.domains.get(id).ok_or(Errno::SRCH)?;
    if id == call.who.domain {
        return Err(Errno::INVAL);
    }
    Ok(id)
}

fn create<M: Machine>(call: &mut Call<'_, M>, at: u64) -> Result<(), Errno> {
    let mut request: DomainCreate = call.read(at)?;
    zero(u64::from(request.flags) | request._reserved)?;
    let wanted = match request.domid {
        control::DOMID_ANY => None,
        number => Some(DomId::try_from(number).map_err(|_| Errno::INVAL)?),
    };
    let limits = Limits {
        vcpus: request.max_vcpus,
        frames: request.max_frames,
        event_channels: request.max_event_channels,
        grant_frames: request.max_grant_frames,
        maptrack_frames: request.max_maptrack_frames,
    };
    let id = lifecycle::create(call.hv, wanted, &limits, request.handle)?;
    request.domid = id.into();
    request.shared_info_mfn = call.hv.domains.get(id).map_or(0, |domain| domain.shared_info);
    Ok(call.write(at, &request)?)
}

fn destroy<M: Machine>(call: &mut Call<'_, M>, at: u64, args: [u64; 5]) -> Outcome {
    match named(call, at).and_then(|id| lifecycle::destroy(call.hv, id)) {
        Ok(Progress::More) => Outcome::Again(args),
        Ok(Progress::HeldByOthers | Progress::Gone) => Outcome::Done(0),
        Err(error) => error.into(),
    }
}

fn unpause<M: Machine>(call: &mut Call<'_, M>, at: u64) -> Result<(), Errno> {
    let id = named(call, at)?;
    if !call.hv.vcpu(VcpuRef { domain: id, vcpu: 0 }).is_some_and(|vcpu| vcpu.initialised) {
        return Err(Errno::INVAL);
    }
    call.hv.unpause(id)
}

fn info<M: Machine>(call: &mut Call<'_, M>, at: u64) -> Result<(), Errno> {
    let request: DomainInfo = call.read(at)?;
    lifecycle::reap(call.hv);
    let info = lifecycle::domain_info(call.hv, request.domid).ok_or(Errno::SRCH)?;
    Ok(call.write(at, &info)?)
}

fn limits<M: Machine>(call: &mut Call<'_, M>, at: u64) -> Result<(), Errno> {
    let request: DomainLimits = call.read(at)?;
    zero(request._pad.into())?;
    let id = id(request.domid)?;
    call.hv.domains.get(id).ok_or(Errno::SRCH)?;
    // Caps are not there yet.
    if request.cap != 0 && request.cap != control::CAP_NONE {
        return Err(Errno::OPNOTSUPP);
    }
    if request.weight != 0 {
        call.hv.set_weight(id, request.weight)?;
    }
    if request.max_frames != 0 {
        call.hv.frames.set_limit(id, request.max_frames);
    }
    Ok(())
}

fn context<M: Machine>(call: &mut Call<'_, M>, at: u64) -> Result<(), Errno> {
    let request: VcpuContext = call.read(at)?;
    zero(request._pad.into())?;
    let who = VcpuRef { domain: id(request.domid)?, vcpu: u16::try_from(request.vcpu).map_err(|_| Errno::NOENT)? };
    if who.domain == call.who.domain {
        return Err(Errno::INVAL);
    }
    if call.hv.domain(who.domain).is_some_and(|domain| !domain.paused) {
        return Err(Errno::BUSY);
    }
    match request.set {
        0 => {
            let context = crate::context::get(call.hv, who)?;
            Ok(call.write(request.context, &context)?)
        }
        1 => {
            let context: VcpuGuestContext = call.read(request.context)?;
            crate::context::set(call.hv, who, &context)
        }
        _ => Err(Errno::INVAL),
    }
}

fn mmio_permit<M: Machine>(call: &mut Call<'_, M>, at: u64) -> Result<(), Errno> {
    let request: MmioPermit = call.read(at)?;
    zero(request._pad.into())?;
    let range = devices::Range::new(request.first_frame, request.frames)?;
    match request.allow {
        0 => devices::withdraw(call.hv, call.who.domain, range),
        1 => devices::permit(call.hv, call.who.domain, range),
        _ => Err(Errno::INVAL),
    }
}

fn msi_bind<M: Machine>(call: &mut Call<'_, M>, at: u64) -> Result<(), Errno> {
    let mut request: MsiBind = call.read(at)?;
    zero(request._pad.into())?;
    let function = devices::Function { segment: request.segment, bus: request.bus, devfn: request.devfn };
    let domain = call.who.domain;
    request.port = devices::msi::bind(call.hv, domain, function, request.entry)?;
    if let Err(fault) = call.write(at, &request) {
        events::close(call.hv, domain, request.port)?;
        return Err(fault.into());
    }
    Ok(())
}

/// Bytes copied at a time.
const CHUNK: usize = 256;

fn log_read<M: Machine>(call: &mut Call<'_, M>, at: u64) -> Result<(), Errno> {
    let mut request: LogRead = call.read(at)?;
    let length = request.length.min(control::LOG_READ_MAX);
    request.written = 0;
    let mut first = true;
    while request.written < length {
        let mut chunk = [0; CHUNK];
        let room = (length - request.written).min(CHUNK as u32) as usize;
        let (start, count) = call.hv.machine.log_read(request.sequence, &mut chunk[..room]);
        if count == 0 || !first && start != request.sequence {
            break;
        }
        let to = Call::<M>::element(request.buffer, request.written.into(), 1)?;
        call.hv.machine.copy_to_guest(to, &chunk[..count])?;
        request.written += count as u32;
        request.sequence = start + count as u64;
        first = false;
    }
    Ok(call.write(at, &request)?)
}

fn power<M: Machine>(call: &mut Call<'_, M>, at: u64) -> Result<(), Errno> {
    let request: Power = call.read(at)?;
    let exit = match request.action {
        control::POWER_OFF => MachineExit::PowerOff { status: request.status },
        control::POWER_REBOOT => MachineExit::Reboot { status: request.status },
        _ => return Err(Errno::INVAL),
    };
    call.hv.machine_exit = Some(exit);
    let cpu = call.cpu;
    call.hv.choose_anew(cpu);
    Ok(())
}
