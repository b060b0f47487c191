//! Emulation of privileged instructions.
