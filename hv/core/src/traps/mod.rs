//! Traps: how exceptions, events and system calls reach a guest.
