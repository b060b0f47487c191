//! Packers for the kernels that the tests load, and a memory to load them into.

#![allow(dead_code, clippy::allow_attributes, reason = "each test file uses its own part")]

#[path = "../../../../abi/image/tests/common/mod.rs"]
pub mod elf;

use abi::Errno;
use domus_dom0_core::image::{DomainMemory, KernelLoad, RamdiskLoad, Step, UnpackError};
use image::KernelInfo;
use lzma_rust2::{CheckType, FilterType, Write, XzOptions, XzWriter};

/// A domain's memory. It refuses, by panicking, what `DomainMemory` promises not to be asked.
pub struct Memory(pub Vec<u8>);

impl Memory {
    pub fn new(bytes: usize) -> Self {
        Self(vec![0; bytes])
    }
}

impl DomainMemory for Memory {
    fn write(&mut self, address: u64, data: &[u8]) -> Result<(), Errno> {
        self.0[address as usize..][..data.len()].copy_from_slice(data);
        Ok(())
    }
}

/// Loads a kernel in one go; also says how many steps it took.
pub fn load(file: &[u8], memory: &mut Memory) -> Result<(KernelInfo, usize), UnpackError> {
    let mut load = KernelLoad::new(file, memory.0.len() as u64)?;
    for steps in 1.. {
        assert!(steps < 100_000, "loading does not end");
        if let Step::Done(kernel) = load.step(memory)? {
            return Ok((kernel, steps));
        }
    }
    unreachable!()
}

pub fn load_ramdisk(file: &[u8], start: u64, memory: &mut Memory) -> Result<u64, UnpackError> {
    let mut load = RamdiskLoad::new(file, start, memory.0.len() as u64)?;
    loop {
        if let Step::Done(bytes) = load.step(memory)? {
            return Ok(bytes);
        }
    }
}

/// Bytes that pack to about a third: words of a small vocabulary, with x86 calls among them for xz's filter.
pub fn code(bytes: usize, seed: u32) -> Vec<u8> {
    let mut state = seed | 1;
    let mut out = Vec::with_capacity(bytes + 8);
    while out.len() < bytes {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        match state >> 29 {
            0 => out.extend([0xe8, (state >> 8) as u8, (state >> 16) as u8, 0, 0]),
            1 => out.push((state >> 16) as u8),
            word => out.extend(&b"\x48\x89\xe5\x0f\x1f\x44\0\0\x55\xc3\x90\x90\x31\xc0\xff\xff"[word as usize..][..6]),
        }
    }
    out.truncate(bytes);
    out
}

pub fn gzip(data: &[u8]) -> Vec<u8> {
    // With a name and an extra field, which a reader must skip.
    let mut out = vec![0x1f, 0x8b, 8, 1 << 2 | 1 << 3, 0, 0, 0, 0, 0, 3, 3, 0, b'a', b'b', b'c'];
    out.extend(b"vmlinux\0");
    out.extend(miniz_oxide::deflate::compress_to_vec(data, 6));
    out.extend(crc32fast::hash(data).to_le_bytes());
    out.extend((data.len() as u32).to_le_bytes());
    out
}

/// As Linux's build does it: filter for x86 code, CRC-32.
pub fn xz(data: &[u8]) -> Vec<u8> {
    let mut options = XzOptions::with_preset(1);
    options.set_check_sum_type(CheckType::Crc32);
    options.prepend_pre_filter(FilterType::BcjX86, 0);
    xz_with(data, options)
}

/// As `xz` does it by default: CRC-64, no filter.
pub fn plain_xz(data: &[u8]) -> Vec<u8> {
    let mut options = XzOptions::with_preset(1);
    options.set_check_sum_type(CheckType::Crc64);
    xz_with(data, options)
}

pub fn xz_with(data: &[u8], options: XzOptions) -> Vec<u8> {
    let mut writer = XzWriter::new(Vec::new(), options).unwrap();
    writer.write_all(data).unwrap();
    writer.finish().unwrap()
}

pub fn lz4(data: &[u8]) -> Vec<u8> {
    let mut out = 0x184c_2102u32.to_le_bytes().to_vec();
    for block in data.chunks(8 << 20) {
        let packed = lz4_flex::block::compress(block);
        out.extend((packed.len() as u32).to_le_bytes());
        out.extend(packed);
    }
    out
}

pub fn zstd(data: &[u8]) -> Vec<u8> {
    ruzstd::encoding::compress_to_vec(data, ruzstd::encoding::CompressionLevel::Fastest)
}

pub type Packer = fn(&[u8]) -> Vec<u8>;

/// All packings by name.
pub const PACKERS: [(&str, Packer); 6] =
    [("bare", <[u8]>::to_vec), ("gzip", gzip), ("xz for kernels", xz), ("plain xz", plain_xz), ("lz4", lz4), ("zstd", zstd)];

/// A bzImage of boot protocol 2.15 around `packed`, which unpacks to `unpacked` bytes.
pub fn bzimage(packed: &[u8], unpacked: u32) -> Vec<u8> {
    let mut payload = packed.to_vec();
    if !packed.starts_with(&[0x1f, 0x8b]) && !packed.starts_with(b"\x7fELF") {
        payload.extend(unpacked.to_le_bytes());
    }
    let mut file = vec![0; 512 * 3 + 0x100];
    file[0x1f1] = 2;
    file[0x1fe..0x200].copy_from_slice(&[0x55, 0xaa]);
    file[0x202..0x206].copy_from_slice(b"HdrS");
    file[0x206..0x208].copy_from_slice(&0x20fu16.to_le_bytes());
    file[0x248..0x24c].copy_from_slice(&0x100u32.to_le_bytes());
    file[0x24c..0x250].copy_from_slice(&(payload.len() as u32).to_le_bytes());
    file.extend(payload);
    file.extend([0xaa; 100]);
    file
}
