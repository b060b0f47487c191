//! What a vCPU finds in memory when it begins to run: the clock in its `vcpu_info`, and the areas that it registered by linear address.
//!
//! An area can only be written while the vCPU's own page table is loaded, and with kernel rights; a vCPU that begins to run in user mode
//! gets its areas when it next enters its kernel ([`Hypervisor::publish_if_stale`]). An area that is not mapped is skipped: registering
//! one obliges the guest, not us.

use core::mem::offset_of;

use abi::shared_info::VcpuTimeInfo;
use abi::vcpu::{RUNSTATE_UPDATE, RunstateInfo};
use abi::vm_assist::TYPE_RUNSTATE_UPDATE_FLAG;
use zerocopy::IntoBytes;

use crate::hypervisor::Hypervisor;
use crate::ids::{CpuId, VcpuRef};
use crate::machine::{GuestFault, Machine};

use super::clock;

impl<M: Machine> Hypervisor<M> {
    /// A vCPU begins to run on `cpu`; its state is loaded. Its clock and accounts are brought up to date, and it gets a tick that it
    /// missed.
    pub fn publish_on_schedule(&mut self, cpu: CpuId, who: VcpuRef) {
        let now = self.machine.now();
        self.tick_running(cpu, now);
        self.publish_clock(who);
        let Some(vcpu) = self.vcpu_mut(who) else { return };
        vcpu.time.areas_stale |= vcpu.time.runstate_area != 0;
        if vcpu.in_kernel {
            self.publish_if_stale(who);
        }
    }

    /// Brings the registered areas of the running vCPU, which is in kernel mode, up to date if they are not.
    #[inline]
    pub fn publish_if_stale(&mut self, who: VcpuRef) {
        if self.vcpu(who).is_some_and(|vcpu| vcpu.time.areas_stale) {
            self.publish_areas(who);
        }
    }

    /// Publishes the clock anew even if it has not changed, since `vcpu_info` or the time area lies elsewhere now.
    pub fn republish_clock(&mut self, who: VcpuRef) {
        if let Some(vcpu) = self.vcpu_mut(who) {
            let version = vcpu.time.published.version;
            vcpu.time.published = VcpuTimeInfo { version, ..VcpuTimeInfo::default() };
        }
        self.publish_clock(who);
    }

    /// Writes the clock to `vcpu_info` if its rate has changed; the time area is stale then.
    fn publish_clock(&mut self, who: VcpuRef) {
        let clock = self.machine.clock();
        let Some(domain) = self.domains.get_mut(who.domain) else { return };
        let Some(vcpu) = domain.vcpu_mut(who.vcpu) else { return };
        let old = vcpu.time.published;
        let new = clock::time_info(&clock, old.version);
        if !clock::same_rate(&old, &new) {
            vcpu.time.published = new;
            vcpu.time.areas_stale |= vcpu.time.time_area != 0;
            clock::write_to_vcpu_info(&self.machine, vcpu, &new);
        }
    }

    fn publish_areas(&mut self, who: VcpuRef) {
        let Some(domain) = self.domains.get_mut(who.domain) else { return };
        let flagged = domain.assists & (1 << TYPE_RUNSTATE_UPDATE_FLAG) != 0;
        let Some(vcpu) = domain.vcpu_mut(who.vcpu) else { return };
        vcpu.time.areas_stale = false;
        let (time_area, runstate_area) = (vcpu.time.time_area, vcpu.time.runstate_area);
        let (info, runstate) = (vcpu.time.published, vcpu.sched.runstate.info());
        if time_area != 0 {
            // An area that cannot be written is the guest's loss.
            let _ = self.write_time_area(time_area, &info);
        }
        if runstate_area != 0 {
            // Likewise.
            let _ = self.write_runstate_area(runstate_area, &runstate, flagged);
        }
    }

    fn write_time_area(&self, area: u64, info: &VcpuTimeInfo) -> Result<(), GuestFault> {
        let unfinished = clock::unfinished(info);
        self.machine.copy_to_guest(area, unfinished.version.as_bytes())?;
        self.machine.copy_to_guest(area, unfinished.as_bytes())?;
        self.machine.copy_to_guest(area, info.version.as_bytes())
    }

    /// Writes the account of run states to `area`; `flagged` if the guest wants to see that it is being written.
    pub fn write_runstate_area(&self, area: u64, info: &RunstateInfo, flagged: bool) -> Result<(), GuestFault> {
        if !flagged {
            return self.machine.copy_to_guest(area, info.as_bytes());
        }
        let entry_time = area.checked_add(offset_of!(RunstateInfo, state_entry_time) as u64).ok_or(GuestFault)?;
        let unfinished = RunstateInfo { state_entry_time: info.state_entry_time | RUNSTATE_UPDATE, ..*info };
        self.machine.copy_to_guest(entry_time, unfinished.state_entry_time.as_bytes())?;
        self.machine.copy_to_guest(area, unfinished.as_bytes())?;
        self.machine.copy_to_guest(entry_time, info.state_entry_time.as_bytes())
    }
}
