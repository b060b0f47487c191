//! What follows the header: the backing file's format, and names for features.

use alloc::string::String;

use super::error::ImageError;
use super::header::{text, word};

const END: u32 = 0;
const BACKING_FORMAT: u32 = 0xe279_2aca;
const FEATURE_NAMES: u32 = 0x6803_f857;
/// An entry of the feature name table: which bitmap (0: incompatible), which bit, the name.
const NAME_ENTRY: usize = 48;
const INCOMPATIBLE: u8 = 0;

/// What is kept of them.
#[derive(Default)]
pub(super) struct Extensions {
    /// The backing file's format.
    pub backing_format: Option<String>,
    /// The name of the first feature that `needed` asked for.
    pub feature: Option<String>,
}

/// The extensions in an image's first cluster, behind a header of `length` bytes. Each takes eight bytes at least, so the walk ends.
pub(super) fn parse(cluster: &[u8], length: usize, needed: &dyn Fn(u32) -> bool) -> Result<Extensions, ImageError> {
    let mut found = Extensions::default();
    let mut rest = cluster.get(length..).unwrap_or(&[]);
    // In version 2, and in images of others, the area may end with the cluster and without an end mark.
    while rest.len() >= 8 {
        let (kind, bytes) = (word(rest, 0)?, word(rest, 4)? as usize);
        if kind == END {
            break;
        }
        let data = rest.get(8..).and_then(|rest| rest.get(..bytes));
        let data = data.ok_or(ImageError::Damaged("a header extension is longer than its first cluster"))?;
        match kind {
            BACKING_FORMAT => found.backing_format = text(data),
            FEATURE_NAMES => found.feature = feature(data, needed),
            _ => {}
        }
        rest = rest.get(8 + bytes.next_multiple_of(8)..).unwrap_or(&[]);
    }
    Ok(found)
}

/// The name of the highest-numbered feature that is needed: the lower ones are known.
fn feature(table: &[u8], needed: &dyn Fn(u32) -> bool) -> Option<String> {
    let wanted = |entry: &&[u8]| entry.first() == Some(&INCOMPATIBLE) && entry.get(1).is_some_and(|&bit| bit < 64 && needed(bit.into()));
    let entry = table.chunks_exact(NAME_ENTRY).filter(wanted).max_by_key(|entry| entry.get(1))?;
    let name = entry.get(2..)?;
    text(name.split(|&byte| byte == 0).next()?)
}
