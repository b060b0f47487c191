//! The ELF file of a kernel, checked once. Only a prefix with the program headers is needed, so that a kernel can be placed while it is
//! still being decompressed; whatever `Elf::parse` accepts can be added and compared later without a second check.

use crate::error::ImageError;
use crate::limits::{MAX_PROGRAM_HEADERS, PREFIX_BYTES};
use crate::segment::{Load, Segment};
use crate::source::{u16_at, u32_at, u64_at};

/// Size of the ELF64 file header in bytes (`Elf64_Ehdr`).
const FILE_HEADER_BYTES: usize = 64;
/// Size of an ELF64 program header in bytes (`Elf64_Phdr`).
const PROGRAM_HEADER_BYTES: usize = 56;
const EM_X86_64: u16 = 62;
const ET_EXEC: u16 = 2;
const ET_DYN: u16 = 3;

/// The header and the program headers of an ELF64 x86-64 executable.
#[derive(Clone, Copy, Debug)]
pub struct Elf<'a> {
    program_headers: &'a [u8],
    /// `e_entry`: a virtual address, or a physical one (Linux).
    pub entry: u64,
    /// `e_shoff`: where the section headers begin, as the file claims.
    pub section_headers: u64,
    /// `e_shnum`.
    pub section_count: u16,
    /// `e_shentsize`.
    pub section_header_bytes: u16,
    /// `e_shstrndx`: the section that holds the names of the sections.
    pub section_names: u16,
}

impl<'a> Elf<'a> {
    /// Reads and checks the headers. `prefix` is the beginning of the file: all of it, or at least the first [`PREFIX_BYTES`].
    pub fn parse(prefix: &'a [u8]) -> Result<Self, ImageError> {
        check_identity(prefix)?;
        let header = prefix.get(..FILE_HEADER_BYTES).ok_or(ImageError::HeaderTruncated)?;
        let short = |offset| u16_at(header, offset).ok_or(ImageError::HeaderTruncated);
        let long = |offset| u64_at(header, offset).ok_or(ImageError::HeaderTruncated);
        let elf = Self {
            program_headers: program_headers(prefix, long(32)?, short(54)?, short(56)?)?,
            entry: long(24)?,
            section_headers: long(40)?,
            section_header_bytes: short(58)?,
            section_count: short(60)?,
            section_names: short(62)?,
        };
        elf.check_loads()?;
        Ok(elf)
    }

    /// The program headers in file order, of whatever type.
    pub fn segments(&self) -> impl Iterator<Item = Segment> + Clone + use<'a> {
        let headers = self.program_headers.chunks_exact(PROGRAM_HEADER_BYTES);
        headers.zip(0..).filter_map(|(header, index)| Segment::read(header, index))
    }

    /// The segments to load: those of type PT_LOAD that have a size. No two overlap and none wraps.
    pub fn loads(&self) -> impl Iterator<Item = Load> + Clone + use<'a> {
        self.segments().filter_map(|segment| segment.as_load())
    }

    /// First and last-plus-one physical address over all loaded segments, as `p_paddr` has it.
    pub fn physical_extent(&self) -> (u64, u64) {
        let start = self.loads().map(|load| load.paddr).min().unwrap_or(0);
        let end = self.loads().map(|load| load.physical_end()).max().unwrap_or(0);
        (start, end)
    }

    /// Checks that a file of `length` bytes holds all that the segments claim.
    pub fn check_length(&self, length: u64) -> Result<(), ImageError> {
        match self.loads().find(|load| load.file_end() > length) {
            Some(load) => Err(ImageError::SegmentTruncated(load.index)),
            None => Ok(()),
        }
    }

    fn check_loads(&self) -> Result<(), ImageError> {
        for segment in self.segments() {
            segment.check()?;
        }
        if self.loads().next().is_none() {
            return Err(ImageError::NothingToLoad);
        }
        for (count, load) in self.loads().enumerate() {
            if let Some(other) = self.loads().take(count).find(|other| other.overlaps(&load)) {
                return Err(ImageError::SegmentsOverlap(other.index, load.index));
            }
        }
        Ok(())
    }
}

/// Magic, class, byte order, machine and type.
fn check_identity(prefix: &[u8]) -> Result<(), ImageError> {
    if prefix.get(..4).is_none_or(|magic| magic != b"\x7fELF") {
        return Err(ImageError::NotElf);
    }
    let (Some(class), Some(order), Some(kind), Some(machine), Some(_version)) =
        (prefix.get(4), prefix.get(5), u16_at(prefix, 16), u16_at(prefix, 18), u32_at(prefix, 20))
    else {
        return Err(ImageError::HeaderTruncated);
    };
    match (*class, *order, machine, kind) {
        (2, 1, EM_X86_64, ET_EXEC | ET_DYN) => Ok(()),
        (2, 1, EM_X86_64, other) => Err(ImageError::NotExecutable(other)),
        (2, 1, other, _) => Err(ImageError::WrongMachine(other)),
        (2, _, _, _) => Err(ImageError::NotLittleEndian),
        _ => Err(ImageError::Not64Bit),
    }
}

fn program_headers(prefix: &[u8], offset: u64, entry_bytes: u16, count: u16) -> Result<&[u8], ImageError> {
    if count == 0 {
        return Err(ImageError::NothingToLoad);
    }
    if usize::from(entry_bytes) != PROGRAM_HEADER_BYTES {
        return Err(ImageError::ProgramHeaderSize(entry_bytes));
    }
    if count > MAX_PROGRAM_HEADERS {
        return Err(ImageError::TooManyProgramHeaders(count));
    }
    let reach = &prefix[..prefix.len().min(PREFIX_BYTES)];
    let bytes = usize::from(count) * PROGRAM_HEADER_BYTES;
    usize::try_from(offset)
        .ok()
        .and_then(|start| reach.get(start..start.checked_add(bytes)?))
        .ok_or(ImageError::ProgramHeadersOutOfReach(offset))
}
