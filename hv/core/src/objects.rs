//! Objects of the hypervisor that a domain pays for: whole frames, zeroed, charged to the domain's overhead and freed with it.

use zerocopy::FromZeros;

use crate::frames::order_of;
use crate::hypervisor::Hypervisor;
use crate::ids::DomId;
use crate::machine::Machine;

impl<M: Machine> Hypervisor<M> {
    /// A zeroed object in frames of its own, charged to `payer`; `None` without memory.
    pub fn new_object<T: FromZeros>(&mut self, payer: DomId) -> Option<&'static mut T> {
        let run = self.frames.allocate_run(&self.machine, order_of::<T>(), Some(payer))?;
        Some(self.machine.object(run))
    }

    /// Ends an object that [`Hypervisor::new_object`] made; its payer gets the charge back.
    pub fn free_object<T>(&mut self, object: &'static mut T) {
        let first = self.machine.reclaim(object);
        self.frames.free_run(first);
    }
}
