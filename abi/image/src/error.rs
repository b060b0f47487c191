//! What can be wrong with a kernel image, each as a case of its own, because the person who started the domain reads the message and
//! must learn what to change.

use core::fmt;

/// Why an image cannot become a domain. `Display` gives the sentence for the user.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ImageError {
    /// The first bytes are not `\x7fELF`.
    NotElf,
    /// The file or the prefix given ends before the ELF header does.
    HeaderTruncated,
    /// An ELF of a 32-bit machine (EI_CLASS).
    Not64Bit,
    /// A big-endian ELF (EI_DATA).
    NotLittleEndian,
    /// `e_machine` is not x86-64 (62).
    WrongMachine(u16),
    /// `e_type` is neither ET_EXEC nor ET_DYN: an object file or a core dump.
    NotExecutable(u16),
    /// `e_phentsize` is not 56.
    ProgramHeaderSize(u16),
    /// More program headers than [`crate::limits::MAX_PROGRAM_HEADERS`].
    TooManyProgramHeaders(u16),
    /// The program headers do not lie in the first [`crate::limits::PREFIX_BYTES`] bytes, or past the end of the file.
    ProgramHeadersOutOfReach(u64),
    /// No PT_LOAD segment with a size.
    NothingToLoad,
    /// Segment `index`: `p_filesz` is larger than `p_memsz`.
    SegmentFileLargerThanMemory(u16),
    /// Segment `index`: offset or address plus size passes the end of the 64-bit space.
    SegmentWraps(u16),
    /// Segments `.0` and `.1` claim the same physical addresses.
    SegmentsOverlap(u16, u16),
    /// Segment `index` reaches past the end of the file.
    SegmentTruncated(u16),
    /// Segment `index` lies below the kernel's PADDR_OFFSET.
    SegmentBelowOffset(u16),
    /// A note's sizes contradict those of the segment or section that holds it, or the notes cannot be read.
    BadNotes,
    /// The notes are larger than [`crate::limits::MAX_NOTES_BYTES`].
    NotesTooLarge(u64),
    /// Xen note `.0` holds a value whose size is not 1, 2, 4 or 8 bytes.
    BadNumber(u32),
    /// The XEN_VERSION note is not `xen-3.0`.
    WrongXenVersion,
    /// The LOADER note is not `generic`.
    WrongLoader,
    /// The only entry is the PVH one: no PV kernel.
    PvhOnly,
    /// A feature that the kernel requires and that Domus does not have.
    FeatureMissing(&'static str),
    /// The FEATURES string requires a feature whose name nobody knows.
    FeatureUnknown,
    /// PADDR_OFFSET without VIRT_BASE has no meaning.
    OffsetWithoutBase,
    /// VIRT_BASE is not a multiple of the page size.
    VirtBaseUnaligned(u64),
    /// The entry point lies outside the loaded image.
    EntryOutside(u64),
    /// The HYPERCALL_PAGE is not a whole page inside the loaded image.
    HypercallPageOutside(u64),
    /// The kernel requires to be domain 0.
    NeedsDomain0,
    /// The initial mapping passes the end of the address space, or touches the hypervisor's part of it.
    AddressSpace {
        /// First virtual address of the range.
        start: u64,
        /// Its size in bytes.
        bytes: u64,
    },
    /// INIT_P2M's range overlaps the initial mapping.
    P2mOverlaps(u64),
    /// The domain is too small: pages needed to start, pages it has.
    TooLittleMemory {
        /// Pages that the kernel, ramdisk and start-of-day structures take.
        needed: u64,
        /// Pages of the domain.
        available: u64,
    },
    /// The command line has more bytes than `start_info` can hold with its final NUL.
    CommandLineTooLong(usize),
}

impl fmt::Display for ImageError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        use ImageError::*;
        match *self {
            NotElf => f.write_str("not an ELF file: it does not begin with \\x7fELF"),
            HeaderTruncated => f.write_str("the file ends inside the ELF header"),
            Not64Bit => f.write_str("a 32-bit ELF; only 64-bit x86-64 kernels can run"),
            NotLittleEndian => f.write_str("a big-endian ELF; only x86-64 kernels can run"),
            WrongMachine(m) => write!(f, "an ELF for machine type {m}; only x86-64 (62) can run"),
            NotExecutable(t) => write!(f, "an ELF of type {t}; only executables (2) and position-independent ones (3) can run"),
            ProgramHeaderSize(n) => write!(f, "the ELF's program headers have {n} bytes each instead of 56"),
            TooManyProgramHeaders(n) => {
                write!(f, "the ELF has {n} program headers; at most {} are read", crate::limits::MAX_PROGRAM_HEADERS)
            }
            ProgramHeadersOutOfReach(offset) => write!(
                f,
                "the ELF's program headers at offset {offset:#x} do not lie within its first {} bytes",
                crate::limits::PREFIX_BYTES
            ),
            NothingToLoad => f.write_str("the ELF has no segment to load"),
            SegmentFileLargerThanMemory(i) => write!(f, "ELF segment {i} is larger in the file than in memory"),
            SegmentWraps(i) => write!(f, "ELF segment {i} passes the end of the address space"),
            SegmentsOverlap(a, b) => write!(f, "ELF segments {a} and {b} overlap in physical memory"),
            SegmentTruncated(i) => write!(f, "the file is truncated: ELF segment {i} reaches past its end"),
            SegmentBelowOffset(i) => write!(f, "ELF segment {i} lies below the address that the note PADDR_OFFSET gives"),
            BadNotes => f.write_str("the ELF notes are damaged: a note reaches past the end of its segment or section"),
            NotesTooLarge(n) => {
                write!(f, "the ELF notes have {n} bytes; at most {} are read", crate::limits::MAX_NOTES_BYTES)
            }
            BadNumber(kind) => write!(f, "Xen ELF note {kind} should be a number, but has not 1, 2, 4 or 8 bytes"),
            WrongXenVersion => f.write_str("the ELF note XEN_VERSION is not \"xen-3.0\": the kernel was built for another hypervisor ABI"),
            WrongLoader => f.write_str("the ELF note LOADER is not \"generic\": the kernel wants a loader of its own"),
            PvhOnly => f.write_str("the kernel has only a PVH entry; it must be built with paravirtual (PV) support"),
            FeatureMissing(name) => write!(f, "the kernel requires the feature {name}, which PV domains do not have here"),
            FeatureUnknown => f.write_str("the kernel requires, in its note FEATURES, a feature of unknown name"),
            OffsetWithoutBase => f.write_str("the kernel has the ELF note PADDR_OFFSET but not VIRT_BASE"),
            VirtBaseUnaligned(a) => write!(f, "the kernel's VIRT_BASE {a:#x} is not a multiple of 4096"),
            EntryOutside(a) => write!(f, "the kernel's entry point {a:#x} lies outside its loaded image"),
            HypercallPageOutside(a) => write!(f, "the kernel's HYPERCALL_PAGE {a:#x} is not a whole page inside its loaded image"),
            NeedsDomain0 => f.write_str("the kernel requires to be domain 0"),
            AddressSpace { start, bytes } => write!(
                f,
                "the initial mapping of {bytes:#x} bytes at {start:#x} leaves the part of the address space that belongs to the guest"
            ),
            P2mOverlaps(a) => write!(f, "the kernel's INIT_P2M {a:#x} overlaps its initial mapping"),
            TooLittleMemory { needed, available } => write!(
                f,
                "too little memory: the domain needs at least {} KiB to start and has {} KiB",
                needed.saturating_mul(4),
                available.saturating_mul(4)
            ),
            CommandLineTooLong(n) => write!(f, "the command line has {n} bytes; at most 1023 fit"),
        }
    }
}

impl core::error::Error for ImageError {}
