//! A machine on the host.
