//! The states that both ends of a paravirtual device write to their `state` node in xenstore (`io/xenbus.h`), as decimal numbers.

/// No state, or the other end is gone.
pub const UNKNOWN: u32 = 0;
/// The toolstack has made the device; this end begins.
pub const INITIALISING: u32 = 1;
/// The back end has told what it offers and waits for the front end's ring.
pub const INIT_WAIT: u32 = 2;
/// The front end has told where its ring is.
pub const INITIALISED: u32 = 3;
/// In use.
pub const CONNECTED: u32 = 4;
/// This end wants to stop.
pub const CLOSING: u32 = 5;
/// This end has stopped.
pub const CLOSED: u32 = 6;
/// Being set up anew.
pub const RECONFIGURING: u32 = 7;
/// Has been set up anew.
pub const RECONFIGURED: u32 = 8;
