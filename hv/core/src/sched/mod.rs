//! Who runs, for how long, and who waits for what.
//!
//! Policy and mechanism are apart. The *policy* ([`policy::Scheduler`]; [`fair::Fair`] is the one in use) is told which vCPUs could run
//! and answers who should. The *mechanism* (the rest, as methods of the hypervisor) knows which vCPUs may run and which do: a policy
//! that answers nonsense can waste time, but never run a vCPU twice, or one that is paused, blocked or gone ([`dispatch`]).
//!
//! A vCPU may run if it has a context, is online and not blocked, and its domain is neither paused, shut down nor dying. Whatever
//! changes one of these facts then calls `reconsider` ([`runnable`]), the one place that moves a vCPU in or out of the queue.

pub mod block;
pub mod control;
pub mod dispatch;
pub mod fair;
pub mod policy;
pub mod runnable;
pub mod runstate;
pub mod shutdown;
pub mod state;
pub mod upcall;

pub use dispatch::Next;
pub use fair::Fair as Policy;
pub use policy::Scheduler;
pub use shutdown::MachineExit;
pub use state::{DomainSched, VcpuSched};
