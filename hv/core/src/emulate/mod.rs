//! Emulation of what a guest kernel does that only ring 0 may: pure rules, from the bytes of an instruction to the change of state.
//!
//! A PV guest asks by hypercall, mostly. What is left reaches the hypervisor as a fault: #GP for privileged instructions, #UD for the
//! forced-emulation prefix before CPUID, #PF for writes to a read-only page table. For each the steps are the same: [`decode`] the
//! bytes at RIP, ask [`privop`] or [`ptwr`] what the instruction wants, let the caller do it with its own checks, write the result back.
//! Whatever is not understood is bounced to the guest as the fault that it was.
//!
//! The policies that answer are beside them, as data: [`cpuid`], [`msr`], [`ports`] with [`pit`].

pub mod address;
pub mod alu;
pub mod cpuid;
pub mod cr;
mod cursor;
pub mod decode;
pub mod features;
pub mod insn;
mod modrm;
pub mod msr;
pub mod pit;
pub mod ports;
mod prefix;
pub mod privop;
pub mod ptwr;
pub mod regs;
