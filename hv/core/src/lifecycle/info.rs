//! What the control domain can ask about the machine and about a domain.

use abi::control::{self, CAP_NONE, DomainInfo, MachineInfo};
use abi::sched::SHUTDOWN_CRASH;

use crate::domain::Domain;
use crate::hypervisor::Hypervisor;
use crate::ids::{MAX_DOMAINS, MAX_VCPUS};
use crate::machine::Machine;
use crate::sched::Scheduler;

/// The first domain whose number is at least `from`.
pub fn domain_info<M: Machine>(hv: &Hypervisor<M>, from: u32) -> Option<DomainInfo> {
    let domain = hv.domains.iter().find(|domain| u32::from(domain.id) >= from)?;
    let account = hv.frames.of(domain.id);
    Some(DomainInfo {
        domid: domain.id.into(),
        flags: flags(domain),
        shutdown_reason: domain.shutdown_reason,
        vcpus_online: domain.vcpus.iter().flatten().filter(|vcpu| vcpu.sched.online).count() as u32,
        max_vcpu: domain.max_vcpus,
        weight: hv.scheduler.weight(domain.id),
        frames: account.total,
        max_frames: account.limit,
        shared_info_mfn: domain.shared_info,
        cpu_time_ns: hv.processor_time(domain.id),
        pinned_tables: account.pinned,
        mapped_grants: domain.grants.mapped().into(),
        bound_ports: domain.events.open().into(),
        page_table_frames: account.tables,
        frames_held_by_others: account.given_back,
        cap: CAP_NONE,
        handle: domain.handle,
        ..DomainInfo::default()
    })
}

fn flags(domain: &Domain) -> u32 {
    let running = domain.vcpus.iter().flatten().any(|vcpu| vcpu.sched.running);
    let blocked = domain.vcpus.iter().flatten().filter(|vcpu| vcpu.sched.online).all(|vcpu| vcpu.sched.blocked);
    [
        (domain.dying, control::FLAG_DYING),
        (domain.shut_down, control::FLAG_SHUTDOWN),
        (domain.paused, control::FLAG_PAUSED),
        (blocked, control::FLAG_BLOCKED),
        (running, control::FLAG_RUNNING),
        (domain.shut_down && domain.shutdown_reason == SHUTDOWN_CRASH, control::FLAG_CRASHED),
        (domain.privileged, control::FLAG_PRIVILEGED),
    ]
    .into_iter()
    .filter_map(|(set, flag)| set.then_some(flag))
    .sum()
}

/// Facts about the machine. Those that `platform` knows are its own: CPUs and ECAM ranges.
pub fn machine_info<M: Machine>(hv: &Hypervisor<M>) -> MachineInfo {
    let stats = hv.frames.stats();
    let mut info = MachineInfo {
        cpus_present: hv.platform.cpus_present,
        cpus_running: hv.cpus.iter().filter(|cpu| cpu.active).count() as u32,
        total_frames: stats.total,
        free_frames: stats.free,
        hypervisor_frames: stats.total - stats.free - stats.owned,
        max_mfn: stats.end.saturating_sub(1),
        tsc_khz: hv.machine.clock().tsc_khz.into(),
        uptime_ns: hv.machine.now(),
        idle_ns: hv.cpus.iter().map(|cpu| cpu.idle_ns).sum(),
        domains: hv.domains.len(),
        max_domains: MAX_DOMAINS as u32,
        max_vcpus: MAX_VCPUS as u32,
        log_end: hv.machine.log_end(),
        dying_frames: hv.domains.dying().map(|id| hv.frames.of(id).total).sum(),
        ..MachineInfo::default()
    };
    for (slot, ecam) in info.ecam.iter_mut().zip(hv.platform.ecam.iter().flatten()) {
        slot.base = ecam.base;
        slot.segment = ecam.segment;
        (slot.bus_start, slot.bus_end) = (ecam.first_bus, ecam.last_bus);
        info.ecam_count += 1;
    }
    info
}
