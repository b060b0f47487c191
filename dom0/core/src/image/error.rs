//! What can go wrong between a file and the memory of a new domain, in the words that the operator reads after `dom create`.

use abi::Errno;
use core::fmt;
use image::ImageError;

/// Why a kernel or a ramdisk could not be loaded. `Display` gives the sentence for the operator.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum UnpackError {
    /// The unpacked kernel is no ELF that can run.
    Image(ImageError),
    /// The kernel's file has no bytes.
    EmptyKernel,
    /// Neither an ELF, nor a packed one, nor a bzImage; the first bytes.
    NotAKernel([u8; 4]),
    /// A bzImage whose boot protocol (major << 8 | minor) is older than 2.08 and does not say where the kernel is.
    OldBootProtocol(u16),
    /// A bzImage that is truncated, or whose header points outside of it.
    PayloadOutside,
    /// The packing of this name is not unpacked here.
    PackingUnsupported(&'static str),
    /// The packed data, of this packing, contradicts itself or its checksum.
    Damaged(&'static str),
    /// The packed data, of this packing, ends too early.
    Truncated(&'static str),
    /// It unpacked to another size than it announced.
    WrongSize {
        /// Bytes announced.
        announced: u64,
        /// Bytes unpacked.
        unpacked: u64,
    },
    /// It unpacks to more than the domain's memory.
    LargerThanMemory {
        /// The domain's memory in bytes.
        memory: u64,
    },
    /// The packing wants a larger dictionary than is allowed.
    DictionaryTooLarge {
        /// Bytes wanted.
        wanted: u64,
        /// Bytes allowed.
        allowed: u64,
    },
    /// Dom0's heap has no room for this many bytes.
    OutOfHeap(u64),
    /// The notes are strewn over the file in more places than are looked at.
    NotesScattered,
    /// The ramdisk does not fit behind the kernel.
    RamdiskTooLarge {
        /// Bytes that are free there.
        available: u64,
    },
    /// The domain's memory could not be written.
    Memory(Errno),
}

/// The largest dictionary that is allowed, in bytes: what Linux's own build uses for xz and zstd.
pub(super) const MAX_DICTIONARY: u64 = 128 << 20;

impl fmt::Display for UnpackError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mib = |bytes: u64| bytes.div_ceil(1 << 20);
        match *self {
            Self::Image(error) => write!(f, "kernel: {error}"),
            Self::EmptyKernel => f.write_str("kernel: the file is empty; name an ELF file (bare or packed) or a Linux bzImage"),
            Self::NotAKernel([a, b, c, d]) => write!(
                f,
                "kernel: neither an ELF file (bare or packed) nor a Linux bzImage: it begins with {a:02x} {b:02x} {c:02x} {d:02x}"
            ),
            Self::OldBootProtocol(version) => write!(
                f,
                "kernel: a bzImage of boot protocol {}.{:02}, which does not tell where the kernel is; 2.08 (Linux 2.6.26) or later is needed",
                version >> 8,
                version & 0xff
            ),
            Self::PayloadOutside => f.write_str("kernel: a truncated or damaged bzImage: its header points outside the file"),
            Self::PackingUnsupported(name) => {
                write!(f, "packed as {name}, which is not supported; gzip, xz, zstd and the kernel's lz4 are")
            }
            Self::Damaged(name) => write!(f, "the {name} data is damaged"),
            Self::Truncated(name) => write!(f, "the {name} data is truncated"),
            Self::WrongSize { announced, unpacked } => {
                write!(f, "the file is damaged: it unpacks to {unpacked} bytes and announces {announced}")
            }
            Self::LargerThanMemory { memory } => {
                write!(f, "it unpacks to more than the domain's memory of {} MiB", mib(memory))
            }
            Self::DictionaryTooLarge { wanted, allowed } => {
                write!(f, "it was packed with a dictionary of {} MiB; at most {} are supported", mib(wanted), mib(allowed))
            }
            Self::OutOfHeap(bytes) => {
                write!(f, "not enough free memory to unpack it: {} MiB are needed for a while", mib(bytes))
            }
            Self::NotesScattered => f.write_str("kernel: its notes lie in too many places; unpack it first"),
            Self::RamdiskTooLarge { available } => {
                write!(f, "ramdisk: it does not fit: the domain has {} KiB left behind the kernel", available >> 10)
            }
            Self::Memory(errno) => write!(f, "the domain's memory cannot be written: {}", errno.meaning()),
        }
    }
}

impl core::error::Error for UnpackError {}

impl From<ImageError> for UnpackError {
    fn from(error: ImageError) -> Self {
        Self::Image(error)
    }
}
