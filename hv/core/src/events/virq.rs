//! Who may bind which virtual interrupt (the list in `xen.h`).

use abi::event::{NR_VIRQS, VIRQ_ARGO, VIRQ_DEBUG, VIRQ_TIMER, VIRQ_XENOPROF, VIRQ_XENPMU};

/// Whose a virtual interrupt is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Kind {
    /// Each vCPU has its own; the binding cannot move.
    Vcpu,
    /// Each domain has its own; bound on vCPU 0, may move.
    Domain,
    /// There is one, of the privileged domain; bound on vCPU 0, may move.
    Global,
}

/// The kind of a virtual interrupt; `None` if there is none of that number.
pub fn kind(virq: u32) -> Option<Kind> {
    match virq {
        VIRQ_TIMER | VIRQ_DEBUG | VIRQ_XENOPROF | VIRQ_XENPMU => Some(Kind::Vcpu),
        VIRQ_ARGO => Some(Kind::Domain),
        0..NR_VIRQS => Some(Kind::Global),
        _ => None,
    }
}
