//! How much of an image is read at most. The numbers are here, without anything else, because messages and readers both name them.

/// Program headers that are read at most; Linux has five.
pub const MAX_PROGRAM_HEADERS: u16 = 64;

/// The program headers must lie within this many bytes from the start of the file, which is what a streaming loader keeps.
pub const PREFIX_BYTES: usize = 16 * 1024;

/// Bytes of one segment or section of notes that are read at most; Debian's kernel has 0x1fc.
pub const MAX_NOTES_BYTES: u64 = 64 * 1024;

/// Section headers that are looked at when no segment has Xen notes; Debian's kernel has about 40.
pub const MAX_SECTIONS: u16 = 1024;
