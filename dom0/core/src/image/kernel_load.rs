//! Loading a kernel: unpacked once, in pieces, each of which goes to the domain's memory at once. The program headers come first and tell
//! where; the notes come somewhere later, are kept aside and read at the end. Only for kernels whose notes turn out to be elsewhere, or
//! to move the kernel (PADDR_OFFSET), the file is unpacked again: Linux is not among them.

use alloc::vec::Vec;

use image::limits::PREFIX_BYTES;
use image::pages::PAGE;
use image::{Elf, ImageError, KernelInfo, notes};

use super::error::UnpackError;
use super::kept::Kept;
use super::memory::{DomainMemory, Step};
use super::packing::Packing;
use super::payload::Payload;
use super::place::Place;
use super::stream::Stream;

/// A kernel file on its way into a domain's memory.
pub struct KernelLoad<'a> {
    payload: Payload<'a>,
    stream: Stream<'a>,
    /// Bytes unpacked in this run.
    position: u64,
    /// The beginning of the unpacked file, with the program headers.
    head: Vec<u8>,
    layout: Option<Layout>,
    memory_bytes: u64,
    /// Whether this run writes to memory, or only looks for notes.
    placing: bool,
    /// Known from the start if the file is not packed.
    kernel: Option<KernelInfo>,
}

/// What is known once the program headers are there.
struct Layout {
    place: Place,
    kept: Kept,
}

impl<'a> KernelLoad<'a> {
    /// Looks at the kernel in `file`, for a domain with `memory_bytes` bytes of memory. Takes its large buffers from the heap.
    pub fn new(file: &'a [u8], memory_bytes: u64) -> Result<Self, UnpackError> {
        let payload = Payload::of_kernel(file)?;
        let stream = Stream::open(&payload)?;
        let mut load = Self { payload, stream, position: 0, head: Vec::new(), layout: None, memory_bytes, placing: true, kernel: None };
        if payload.packing == Packing::Bare {
            load.read_bare()?;
        }
        Ok(load)
    }

    /// The most that loading `file` asks of the heap at a time, in bytes.
    pub fn heap_bytes(file: &[u8]) -> Result<u64, UnpackError> {
        // Windows of notes and the head.
        const SMALL_THINGS: u64 = 2 << 20;
        Ok(Stream::heap_bytes(&Payload::of_kernel(file)?)? + SMALL_THINGS)
    }

    /// Unpacks and places the next piece. After an error the domain's memory holds part of the kernel and is of no use.
    pub fn step(&mut self, memory: &mut impl DomainMemory) -> Result<Step<KernelInfo>, UnpackError> {
        let Some(piece) = self.stream.next()? else {
            return self.finish(memory);
        };
        let start = self.position;
        self.position = start + piece.len() as u64;
        if self.payload.packing != Packing::Bare && self.position > self.memory_bytes {
            return Err(UnpackError::LargerThanMemory { memory: self.memory_bytes });
        }
        match &mut self.layout {
            Some(layout) => layout.pass(start, piece, self.placing, memory)?,
            None => {
                // A piece is either larger than the head or the last one, but nothing here depends on it.
                self.head.extend_from_slice(piece);
                if self.head.len() >= PREFIX_BYTES {
                    self.begin(memory)?;
                }
            }
        }
        Ok(Step::More { done: self.position, total: self.payload.unpacked_bytes })
    }

    /// A file that is not packed can be read anywhere, so that everything is known before the first byte is placed.
    fn read_bare(&mut self) -> Result<(), UnpackError> {
        let mut file = self.payload.data;
        let elf = Elf::parse(file)?;
        elf.check_length(file.len() as u64)?;
        let kernel = notes::read(&elf, &mut file)?;
        self.check_memory(&kernel)?;
        let mut place = Place::new(&elf, self.memory_bytes);
        place.set_offset(kernel.paddr_offset);
        self.layout = Some(Layout { place, kept: Kept::default() });
        self.kernel = Some(kernel);
        Ok(())
    }

    /// The program headers are there, or never will be: from here on pieces can be placed.
    fn begin(&mut self, memory: &mut impl DomainMemory) -> Result<(), UnpackError> {
        let elf = Elf::parse(&self.head)?;
        let place = Place::new(&elf, self.memory_bytes);
        let mut layout = Layout { place, kept: Kept::for_notes(elf.segments())? };
        layout.pass(0, &self.head, self.placing, memory)?;
        self.head.truncate(PREFIX_BYTES);
        self.layout = Some(layout);
        Ok(())
    }

    fn finish(&mut self, memory: &mut impl DomainMemory) -> Result<Step<KernelInfo>, UnpackError> {
        match self.payload.unpacked_bytes {
            Some(announced) if announced != self.position => {
                return Err(UnpackError::WrongSize { announced, unpacked: self.position });
            }
            _ => {}
        }
        if self.layout.is_none() {
            self.begin(memory)?;
        }
        if let Some(kernel) = self.kernel {
            return Ok(Step::Done(kernel));
        }
        let elf = Elf::parse(&self.head)?;
        elf.check_length(self.position)?;
        let Some(layout) = &mut self.layout else {
            return Err(UnpackError::NotAKernel([0; 4]));
        };
        let kernel = notes::read(&elf, &mut layout.kept);
        if layout.kept.wants_another_run()? {
            return self.run_again(false);
        }
        let kernel = kernel?;
        self.check_memory(&kernel)?;
        if kernel.paddr_offset == 0 {
            return Ok(Step::Done(kernel));
        }
        let Some(layout) = &mut self.layout else {
            return Err(UnpackError::NotAKernel([0; 4]));
        };
        layout.place.clear(memory)?;
        layout.place.set_offset(kernel.paddr_offset);
        self.kernel = Some(kernel);
        self.run_again(true)
    }

    fn run_again(&mut self, placing: bool) -> Result<Step<KernelInfo>, UnpackError> {
        // The old buffers are given back before new ones are taken.
        self.stream = Stream::Bare(&[]);
        self.stream = Stream::open(&self.payload)?;
        self.position = 0;
        self.placing = placing;
        Ok(Step::More { done: 0, total: self.payload.unpacked_bytes })
    }

    fn check_memory(&self, kernel: &KernelInfo) -> Result<(), UnpackError> {
        if kernel.phys_end <= self.memory_bytes {
            return Ok(());
        }
        let (needed, available) = (kernel.phys_end.div_ceil(PAGE), self.memory_bytes / PAGE);
        Err(UnpackError::Image(ImageError::TooLittleMemory { needed, available }))
    }
}

impl Layout {
    fn pass(&mut self, position: u64, piece: &[u8], placing: bool, memory: &mut impl DomainMemory) -> Result<(), UnpackError> {
        self.kept.take(position, piece);
        if placing {
            self.place.write(position, piece, memory)?;
        }
        Ok(())
    }
}
