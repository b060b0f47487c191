//! Domain identifiers, of which the topmost few name something other than a domain (`xen.h`).

/// A domain identifier as it stands in every layout; values from [`FIRST_RESERVED`] up are not domains.
pub type DomId = u16;

/// The lowest identifier that never names an ordinary domain.
pub const FIRST_RESERVED: DomId = 0x7ff0;
/// The calling domain itself.
pub const SELF: DomId = 0x7ff0;
/// The owner of I/O memory, for page-table updates.
pub const IO: DomId = 0x7ff1;
/// The owner of frames that the hypervisor shares with a privileged domain.
pub const XEN: DomId = 0x7ff2;
/// The owner of copy-on-write frames.
pub const COW: DomId = 0x7ff3;
/// Names no domain.
pub const INVALID: DomId = 0x7ff4;
/// The idle domain.
pub const IDLE: DomId = 0x7fff;
/// The bits that an identifier may use.
pub const MASK: DomId = 0x7fff;
