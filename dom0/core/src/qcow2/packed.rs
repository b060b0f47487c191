//! Packed clusters, as `qemu-img convert -c` makes them: raw deflate, or a zstd frame. They are only read; a write makes an ordinary cluster.

use alloc::boxed::Box;
use alloc::rc::Rc;

use miniz_oxide::inflate::core::inflate_flags::TINFL_FLAG_USING_NON_WRAPPING_OUTPUT_BUF;
use miniz_oxide::inflate::core::{DecompressorOxide, decompress};
use ruzstd::decoding::{FrameDecoder, StreamingDecoder};
use ruzstd::io::Read;

use super::entry::Packed;
use super::header::Compression;
use super::inner::Inner;
use super::store::zeroes;
use crate::block::DiskError;

const DAMAGED: DiskError = DiskError::Corrupt("a compressed cluster cannot be unpacked");
/// The largest window of a frame, in bytes: QEMU's level packs clusters of at most 2 MiB with 2 MiB.
const MAX_WINDOW: u64 = 8 << 20;

impl Inner {
    /// The bytes of a whole cluster.
    pub async fn unpack(&self, packed: Packed) -> Result<Rc<[u8]>, DiskError> {
        if let Some(cluster) = self.known(packed) {
            return Ok(cluster);
        }
        let _turn = self.unpacking.enter().await;
        // Who was there before may have wanted the same.
        if let Some(cluster) = self.known(packed) {
            return Ok(cluster);
        }
        let data = self.store.read(packed.at, packed.bytes as usize).await?;
        let mut cluster = zeroes(self.geometry.cluster() as usize)?;
        match self.header.borrow().compression {
            Compression::Deflate => inflate(&data, &mut cluster)?,
            Compression::Zstd => unzstd(&data, &mut cluster)?,
        }
        let cluster: Rc<[u8]> = cluster.into();
        self.unpacked.replace(Some((packed.at, cluster.clone())));
        Ok(cluster)
    }

    /// The last that was unpacked, if it is this one.
    fn known(&self, packed: Packed) -> Option<Rc<[u8]>> {
        self.unpacked.borrow().as_ref().filter(|(at, _)| *at == packed.at).map(|(_, cluster)| cluster.clone())
    }
}

/// The data ends somewhere in its last sector; what follows is not looked at.
fn inflate(data: &[u8], into: &mut [u8]) -> Result<(), DiskError> {
    let mut state: Box<DecompressorOxide> = Box::default();
    let (_, _, made) = decompress(&mut state, data, into, 0, TINFL_FLAG_USING_NON_WRAPPING_OUTPUT_BUF);
    if made == into.len() { Ok(()) } else { Err(DAMAGED) }
}

fn unzstd(data: &[u8], into: &mut [u8]) -> Result<(), DiskError> {
    let decoder = StreamingDecoder::<_, FrameDecoder>::new_with_max_window_size(data, MAX_WINDOW);
    decoder.map_err(|_| DAMAGED)?.read_exact(into).map_err(|_| DAMAGED)
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::vec;
    use miniz_oxide::deflate::compress_to_vec;

    #[test]
    fn a_cluster_comes_out_whole_or_not_at_all() {
        let cluster: alloc::vec::Vec<u8> = (0..65536u32).map(|index| (index / 7) as u8).collect();
        let mut data = compress_to_vec(&cluster, 6);
        let length = data.len();
        data.resize(length.next_multiple_of(512), 0x55);
        let mut into = vec![0; cluster.len()];
        inflate(&data, &mut into).unwrap();
        assert_eq!(into, cluster);
        assert_eq!(inflate(&data[..length / 2], &mut into), Err(DAMAGED));
        assert_eq!(inflate(&[0xff; 512], &mut into), Err(DAMAGED));
        assert_eq!(unzstd(&data, &mut into), Err(DAMAGED));
    }
}
