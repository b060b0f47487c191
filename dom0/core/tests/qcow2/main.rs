//! Images against QEMU's own tools, against a flat model, and against losses of power.

mod crash;
mod faults;
mod foreign;
mod hostile;
mod memory;
mod ours;
mod power;
mod support;
mod together;
