//! Cuts a machine's power at random moments, and looks for what its guest had been promised.

mod chance;
mod log;
mod replay;
