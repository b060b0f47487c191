//! The end of a domain: what it has mapped of others is let go, then what it granted, once nobody uses it.

use super::map::grant_of;
use super::maptrack;
use super::pin::unpin;
use super::table::free_frames;
use crate::hypervisor::Hypervisor;
use crate::ids::DomId;
use crate::machine::Machine;

/// How many handles are looked at before others get their turn.
const SLICE: u32 = 512;

/// How far the grants of a dying domain are taken down.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Teardown {
    /// There is more to do: call again.
    More,
    /// Other domains use grants of this one still: call again when they have unmapped, or died.
    InUse,
    /// Nothing is left, and the memory is given back.
    Done,
}

/// Takes down the grants of a dying domain, a slice at a time. To be called when its page tables are gone: with their entries went the
/// references to the frames, and with a flush the translations; what is left is to tell the granters.
pub fn close<M: Machine>(hv: &mut Hypervisor<M>, owner: DomId) -> Teardown {
    if !release_mappings(hv, owner) {
        return Teardown::More;
    }
    maptrack::free_memory(hv, owner);
    match hv.domains.get(owner) {
        Some(domain) if domain.grants.in_use() != 0 => Teardown::InUse,
        _ => {
            free_frames(hv, owner);
            Teardown::Done
        }
    }
}

/// Ends the uses of the grants that a domain had mapped; false if there are more.
fn release_mappings<M: Machine>(hv: &mut Hypervisor<M>, owner: DomId) -> bool {
    for _ in 0..SLICE {
        let Some(domain) = hv.domains.get_mut(owner) else {
            return true;
        };
        let Some(mapping) = domain.grants.maptrack.pop() else {
            return true;
        };
        if let Some(mapping) = mapping {
            unpin(hv, grant_of(mapping));
        }
    }
    false
}
