//! A small writer of ELF files, since the tests need damaged ones as much as good ones.

#![allow(dead_code, clippy::allow_attributes, reason = "each test file uses its own part")]

/// A note with owner "Xen": type and value.
pub type Note<'a> = (u32, &'a [u8]);

/// A segment to load: physical address, bytes in the file, further bytes in memory.
#[derive(Clone)]
pub struct Load {
    pub paddr: u64,
    pub bytes: Vec<u8>,
    pub zeroes: u64,
}

/// The parts of a file. `notes` go behind the segments, in a PT_NOTE segment, a section or a string.
#[derive(Clone, Default)]
pub struct Builder {
    pub entry: u64,
    pub loads: Vec<Load>,
    pub notes: Vec<u8>,
    pub as_section: bool,
    pub legacy: Option<Vec<u8>>,
}

impl Builder {
    pub fn new(entry: u64) -> Self {
        Self { entry, ..Self::default() }
    }

    pub fn load(mut self, paddr: u64, bytes: Vec<u8>, zeroes: u64) -> Self {
        self.loads.push(Load { paddr, bytes, zeroes });
        self
    }

    pub fn note(mut self, kind: u32, value: &[u8]) -> Self {
        self.notes.extend(note_bytes(b"Xen\0", kind, value));
        self
    }

    pub fn number(self, kind: u32, value: u64) -> Self {
        self.note(kind, &value.to_le_bytes())
    }

    /// The file.
    pub fn build(&self) -> Vec<u8> {
        let note_segment = !self.notes.is_empty() && !self.as_section;
        let header_count = self.loads.len() + usize::from(note_segment);
        let mut bodies: Vec<u8> = Vec::new();
        let base = (64 + 56 * header_count) as u64;
        let mut headers = Vec::new();
        for load in &self.loads {
            let offset = base + bodies.len() as u64;
            let file = load.bytes.len() as u64;
            headers.extend(program_header(1, offset, load.paddr, file, file + load.zeroes));
            bodies.extend(&load.bytes);
        }
        let note_offset = base + bodies.len() as u64;
        if note_segment {
            headers.extend(program_header(4, note_offset, 0, self.notes.len() as u64, self.notes.len() as u64));
        }
        bodies.extend(&self.notes);
        let legacy_offset = base + bodies.len() as u64;
        let legacy = self.legacy.clone().unwrap_or_default();
        bodies.extend(&legacy);

        // Section 1 holds the names, 2 notes or the legacy string.
        let names = b"\0.names\0__xen_guest\0.note\0";
        let names_offset = base + bodies.len() as u64;
        bodies.extend(names);
        let sections_offset = base + bodies.len() as u64;
        let mut sections = section_header(0, 0, 0, 0);
        sections.extend(section_header(1, 3, names_offset, names.len() as u64));
        if self.as_section {
            sections.extend(section_header(20, 7, note_offset, self.notes.len() as u64));
        }
        if self.legacy.is_some() {
            sections.extend(section_header(8, 1, legacy_offset, legacy.len() as u64));
        }
        let section_count = sections.len() / 64;
        bodies.extend(sections);

        let mut file = file_header(self.entry, header_count as u16, sections_offset, section_count as u16);
        file.extend(headers);
        file.extend(bodies);
        file
    }
}

pub fn note_bytes(owner: &[u8], kind: u32, value: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::new();
    for field in [owner.len() as u32, value.len() as u32, kind] {
        bytes.extend(field.to_le_bytes());
    }
    for part in [owner, value] {
        bytes.extend(part);
        bytes.resize(bytes.len().next_multiple_of(4), 0);
    }
    bytes
}

pub fn program_header(kind: u32, offset: u64, paddr: u64, file: u64, memory: u64) -> Vec<u8> {
    let mut bytes = Vec::new();
    bytes.extend(kind.to_le_bytes());
    bytes.extend(7u32.to_le_bytes());
    for field in [offset, 0, paddr, file, memory, 4096] {
        bytes.extend(field.to_le_bytes());
    }
    bytes
}

fn section_header(name: u32, kind: u32, offset: u64, size: u64) -> Vec<u8> {
    let mut bytes = Vec::new();
    bytes.extend(name.to_le_bytes());
    bytes.extend(kind.to_le_bytes());
    for field in [0, 0, offset, size, 0, 0, 0] {
        bytes.extend(u64::to_le_bytes(field));
    }
    bytes.resize(64, 0);
    bytes
}

fn file_header(entry: u64, program_headers: u16, sections: u64, section_count: u16) -> Vec<u8> {
    let mut bytes = b"\x7fELF\x02\x01\x01".to_vec();
    bytes.resize(16, 0);
    bytes.extend(2u16.to_le_bytes());
    bytes.extend(62u16.to_le_bytes());
    bytes.extend(1u32.to_le_bytes());
    for field in [entry, 64, sections] {
        bytes.extend(field.to_le_bytes());
    }
    bytes.extend(0u32.to_le_bytes());
    for field in [64, 56, program_headers, 64, section_count, 1] {
        bytes.extend(field.to_le_bytes());
    }
    bytes
}

/// A kernel with Linux's shape and notes: 16 MiB up, a per-CPU segment, INIT_P2M, MOD_START_PFN.
pub fn linux_like() -> Builder {
    Builder::new(0x100_0000)
        .load(0x100_0000, vec![0x90; 0x3000], 0)
        .load(0x101_0000, vec![1; 0x1000], 0x2000)
        .note(6, b"linux\0")
        .note(5, b"xen-3.0\0")
        .number(3, 0xffff_ffff_8000_0000)
        .number(15, 0x80_0000_0000)
        .number(1, 0xffff_ffff_8101_0000)
        .note(10, b"!writable_page_tables|pae_pgdir_above_4gb")
        .note(17, &0x8801u32.to_le_bytes())
        .note(8, b"generic\0")
        .note(16, &1u32.to_le_bytes())
}
