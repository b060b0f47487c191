//! Event channels (`event_channel.h`) and the virtual interrupts (`xen.h`).

/// [`BindInterdomain`].
pub const OP_BIND_INTERDOMAIN: u32 = 0;
/// [`BindVirq`].
pub const OP_BIND_VIRQ: u32 = 1;
/// [`BindPirq`].
pub const OP_BIND_PIRQ: u32 = 2;
/// [`Port`].
pub const OP_CLOSE: u32 = 3;
/// [`Port`].
pub const OP_SEND: u32 = 4;
/// [`Status`].
pub const OP_STATUS: u32 = 5;
/// [`AllocUnbound`].
pub const OP_ALLOC_UNBOUND: u32 = 6;
/// [`BindIpi`].
pub const OP_BIND_IPI: u32 = 7;
/// [`BindVcpu`].
pub const OP_BIND_VCPU: u32 = 8;
/// [`Port`].
pub const OP_UNMASK: u32 = 9;
/// [`Reset`].
pub const OP_RESET: u32 = 10;
/// [`InitControl`] (FIFO).
pub const OP_INIT_CONTROL: u32 = 11;
/// [`ExpandArray`] (FIFO).
pub const OP_EXPAND_ARRAY: u32 = 12;
/// [`SetPriority`] (FIFO).
pub const OP_SET_PRIORITY: u32 = 13;

/// Ports of the two-level ABI: 0 to 4095.
pub const NR_CHANNELS_2L: u32 = 4096;

/// `status` of a port that is free.
pub const STATUS_CLOSED: u32 = 0;
/// Waiting for another domain to bind.
pub const STATUS_UNBOUND: u32 = 1;
/// Bound to another domain's port.
pub const STATUS_INTERDOMAIN: u32 = 2;
/// Bound to a physical interrupt.
pub const STATUS_PIRQ: u32 = 3;
/// Bound to a virtual interrupt.
pub const STATUS_VIRQ: u32 = 4;
/// Bound to a vCPU for interrupts between processors.
pub const STATUS_IPI: u32 = 5;

/// One-shot and periodic timer; of each vCPU.
pub const VIRQ_TIMER: u32 = 0;
/// Request to dump debug information; of each vCPU.
pub const VIRQ_DEBUG: u32 = 1;
/// Bytes received on the emergency console; of the privileged domain.
pub const VIRQ_CONSOLE: u32 = 2;
/// A domain changed state; of the privileged domain.
pub const VIRQ_DOM_EXC: u32 = 3;
/// Trace buffer has records.
pub const VIRQ_TBUF: u32 = 4;
/// A domain paused for debugging.
pub const VIRQ_DEBUGGER: u32 = 6;
/// Profiling; of each vCPU.
pub const VIRQ_XENOPROF: u32 = 7;
/// Bytes added to the console ring.
pub const VIRQ_CON_RING: u32 = 8;
/// A physical CPU changed state.
pub const VIRQ_PCPU_STATE: u32 = 9;
/// Memory events.
pub const VIRQ_MEM_EVENT: u32 = 10;
/// Argo messages; of each domain.
pub const VIRQ_ARGO: u32 = 11;
/// Memory is low.
pub const VIRQ_ENOMEM: u32 = 12;
/// Performance counters; of each vCPU.
pub const VIRQ_XENPMU: u32 = 13;
/// The first architecture-specific interrupt (machine checks).
pub const VIRQ_ARCH_0: u32 = 16;
/// How many there are.
pub const NR_VIRQS: u32 = 24;

/// Highest priority of FIFO queues.
pub const FIFO_PRIORITY_MAX: u32 = 0;
/// Priority of a new port.
pub const FIFO_PRIORITY_DEFAULT: u32 = 7;
/// Lowest priority.
pub const FIFO_PRIORITY_MIN: u32 = 15;

layout! {
    /// Allocates a port in `dom` that `remote_dom` may bind to.
    AllocUnbound [8] {
        /// Whose port; `SELF` unless privileged.
        @0 dom: u16,
        /// Who may bind.
        @2 remote_dom: u16,
        /// Out: the port.
        @4 port: u32,
    }

    /// Binds a new local port to an unbound port of another domain; the new port starts pending.
    BindInterdomain [12] {
        /// The other domain.
        @0 remote_dom: u16,
        /// Padding.
        @2 _pad: u16,
        /// Its port.
        @4 remote_port: u32,
        /// Out: the local port.
        @8 local_port: u32,
    }

    /// Binds a new port to a virtual interrupt.
    BindVirq [12] {
        /// One of the `VIRQ_*` numbers.
        @0 virq: u32,
        /// Which vCPU; 0 for interrupts of the whole domain.
        @4 vcpu: u32,
        /// Out: the port.
        @8 port: u32,
    }

    /// Binds a new port to a physical interrupt.
    BindPirq [12] {
        /// The interrupt.
        @0 pirq: u32,
        /// Bit 0: will share.
        @4 flags: u32,
        /// Out: the port.
        @8 port: u32,
    }

    /// Binds a new port for interrupts to a vCPU of the calling domain.
    BindIpi [8] {
        /// Which vCPU is notified.
        @0 vcpu: u32,
        /// Out: the port.
        @4 port: u32,
    }

    /// The argument of close, send and unmask.
    Port [4] {
        /// A port of the calling domain.
        @0 port: u32,
    }

    /// Describes a port.
    Status [24] {
        /// Whose port.
        @0 dom: u16,
        /// Padding.
        @2 _pad: u16,
        /// Which.
        @4 port: u32,
        /// Out: one of the `STATUS_*` numbers.
        @8 status: u32,
        /// Out: the vCPU that is notified.
        @12 vcpu: u32,
        /// Out: remote domain (low 16 bits), interrupt number, or nothing.
        @16 u0: u32,
        /// Out: remote port, for interdomain.
        @20 u1: u32,
    }

    /// Chooses the vCPU that a port notifies.
    BindVcpu [8] {
        /// The port.
        @0 port: u32,
        /// The vCPU.
        @4 vcpu: u32,
    }

    /// Closes all ports of a domain.
    Reset [2] {
        /// Which domain.
        @0 dom: u16,
    }

    /// Sets up FIFO event channels for a vCPU.
    InitControl [24] {
        /// Frame of the control block.
        @0 control_gfn: u64,
        /// Its offset in the frame, in bytes.
        @8 offset: u32,
        /// Which vCPU.
        @12 vcpu: u32,
        /// Out: width of a link.
        @16 link_bits: u8,
        /// Padding.
        @17 _pad: [u8; 7],
    }

    /// Adds a page of event words.
    ExpandArray [8] {
        /// Its frame.
        @0 array_gfn: u64,
    }

    /// Sets a port's priority.
    SetPriority [8] {
        /// The port.
        @0 port: u32,
        /// 0 (highest) to 15.
        @4 priority: u32,
    }
}
