//! What the hypervisor counts, of the machine and of this domain: read before and after, and compared.

use domus_test_kernels::report::Outcome;
use domus_test_kernels::same;
use pv_guest_sdk::abi::control::{DomainInfo, OP_DOMAIN_INFO};
use pv_guest_sdk::{control, hypercall};

/// The counters.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Books {
    free: u64,
    hypervisor: u64,
    dying: u64,
    domains: u32,
    frames: u64,
    tables: u64,
    pinned: u64,
    held: u64,
    grants: u64,
    ports: u64,
}

/// What is told of a domain; none if there is none of that number.
pub fn info(domid: u16) -> Option<DomainInfo> {
    let mut info = DomainInfo { domid: domid.into(), ..Default::default() };
    // SAFETY: the structure of the operation; it names no buffer.
    unsafe { control::op(OP_DOMAIN_INFO, &mut info) }.ok()?;
    (info.domid == u32::from(domid)).then_some(info)
}

impl Books {
    /// As they are now. Frames that nobody has, has free; frames of domains, each domain tells; all others are the hypervisor's: so a frame that
    /// is lost anywhere shows as one more of the hypervisor's.
    pub fn read() -> hypercall::Result<Books> {
        let (machine, own) = (control::machine_info()?, info(0).unwrap_or_default());
        Ok(Books {
            free: machine.free_frames,
            hypervisor: machine.hypervisor_frames,
            dying: machine.dying_frames,
            domains: machine.domains,
            frames: own.frames,
            tables: own.page_table_frames,
            pinned: own.pinned_tables,
            held: own.frames_held_by_others,
            grants: own.mapped_grants,
            ports: own.bound_ports,
        })
    }

    /// Complains if they are not the same now.
    pub fn compare(&self) -> Outcome {
        let now = Books::read();
        same!(now, Ok(*self), "the counters afterwards");
        Ok(())
    }
}
