//! One entry of a guest into the hypervisor: who asks, on which CPU, with which registers; and what shall happen next.

use abi::context::CpuUserRegs;
use abi::errno::Errno;

use crate::domain::Domain;
use crate::hypervisor::Hypervisor;
use crate::ids::{CpuId, DomId, VcpuRef};
use crate::machine::{GuestFault, Machine};
use crate::vcpu::Vcpu;

/// What a hypercall may work with.
pub struct Call<'a, M: Machine> {
    /// Everything.
    pub hv: &'a mut Hypervisor<M>,
    /// The CPU that runs this.
    pub cpu: CpuId,
    /// Who asks.
    pub who: VcpuRef,
    /// The caller's registers; RIP is behind the `syscall`.
    pub regs: &'a mut CpuUserRegs,
}

/// What a hypercall came to.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Outcome {
    /// Put this into RAX (or into the multicall entry) and go on.
    Done(i64),
    /// A slice of long work is done: call again with these arguments after looking for interrupts. The shell rewinds RIP by the
    /// two bytes of `syscall` and writes the arguments to RDI, RSI, RDX, R10, R8.
    Again([u64; 5]),
    /// The registers were replaced (iret): touch none, end a multicall.
    Replaced,
    /// The domain cannot go on (it was crashed, or shut down); choose another vCPU.
    Gone,
}

impl From<Errno> for Outcome {
    fn from(error: Errno) -> Self {
        Outcome::Done(error.as_ret())
    }
}

impl From<Result<i64, Errno>> for Outcome {
    fn from(result: Result<i64, Errno>) -> Self {
        match result {
            Ok(value) => Outcome::Done(value),
            Err(error) => error.into(),
        }
    }
}

impl From<Result<(), Errno>> for Outcome {
    fn from(result: Result<(), Errno>) -> Self {
        result.map(|()| 0).into()
    }
}

impl<M: Machine> Call<'_, M> {
    /// The calling domain. It exists: it is running.
    pub fn domain(&mut self) -> &mut Domain {
        self.hv.domains.get_mut(self.who.domain).expect("the caller's domain exists while it runs")
    }

    /// The calling vCPU. It exists: it is running.
    pub fn vcpu(&mut self) -> &mut Vcpu {
        self.hv.vcpu_mut(self.who).expect("the caller exists while it runs")
    }

    /// The domain that a `domid` argument names: the caller by its own number or `DOMID_SELF` (0x7ff0), another one only
    /// if the caller is privileged (else -EPERM; -ESRCH if there is none).
    pub fn target(&mut self, domid: DomId) -> Result<DomId, Errno> {
        if domid == DOMID_SELF || domid == self.who.domain {
            return Ok(self.who.domain);
        }
        if !self.domain().privileged {
            return Err(Errno::PERM);
        }
        match self.hv.domains.get(domid) {
            Some(_) => Ok(domid),
            None => Err(Errno::SRCH),
        }
    }

    /// Reads a value of the ABI from the caller's memory: copied once, checked once by what follows.
    pub fn read<T: zerocopy::FromBytes + zerocopy::FromZeros + zerocopy::IntoBytes>(&self, address: u64) -> Result<T, GuestFault> {
        let mut value = T::new_zeroed();
        self.hv.machine.copy_from_guest(address, value.as_mut_bytes())?;
        Ok(value)
    }

    /// Writes a value of the ABI to the caller's memory.
    pub fn write<T: zerocopy::IntoBytes + zerocopy::Immutable>(&self, address: u64, value: &T) -> Result<(), GuestFault> {
        self.hv.machine.copy_to_guest(address, value.as_bytes())
    }

    /// The address of element `index` of an array of `size`-byte elements at `base`; wrapping is a fault.
    pub fn element(base: u64, index: u64, size: usize) -> Result<u64, GuestFault> {
        index.checked_mul(size as u64).and_then(|offset| base.checked_add(offset)).ok_or(GuestFault)
    }
}

/// `DOMID_SELF` of `xen.h`: the calling domain.
pub const DOMID_SELF: DomId = 0x7ff0;
