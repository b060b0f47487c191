//! Images against QEMU's own tools, against a flat model, and against losses of power.

mod foreign;
mod ours;
mod support;
