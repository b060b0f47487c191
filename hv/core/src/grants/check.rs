//! The invariants of a domain's grants, for tests.

use super::entry::Entry;
use super::map::grant_of;
use crate::domain::Domain;
use crate::hypervisor::Hypervisor;
use crate::ids::DomId;
use crate::machine::Machine;
use abi::grant::{GTF_READING, GTF_WRITING};
use core::sync::atomic::Ordering;

/// Checks that counts are what a walk finds, that each use in a record is marked in the shared entry, and that the mappings of all
/// domains are exactly the uses that their granters counted. Answers with what is wrong.
pub fn check<M: Machine>(hv: &Hypervisor<M>, granter: DomId) -> Result<(), &'static str> {
    let Some(domain) = hv.domains.get(granter) else {
        return Ok(());
    };
    let mut in_use = 0;
    for reference in domain.grants.references() {
        let (mfn, slot, record) = domain.grants.entry(reference).ok_or("an entry has no record")?;
        in_use += u32::from(record.in_use());
        let flags = Entry(hv.machine.word(mfn, slot).load(Ordering::SeqCst)).flags();
        if record.in_use() && flags & GTF_READING == 0 {
            return Err("a grant in use is not marked as read");
        }
        if record.writers != 0 && flags & GTF_WRITING == 0 {
            return Err("a grant in use for writing is not marked as written");
        }
        if record.in_use() {
            let (readers, writers) = uses(hv, record.user, granter, reference);
            if (readers, writers) != (u32::from(record.readers), u32::from(record.writers)) {
                return Err("the uses of a grant are not the mappings of it");
            }
        }
    }
    if in_use != domain.grants.in_use() {
        return Err("the count of grants in use is wrong");
    }
    check_mappings(hv, domain)
}

/// How many mappings of one grant a domain has: for reading, for writing.
fn uses<M: Machine>(hv: &Hypervisor<M>, user: DomId, granter: DomId, reference: u32) -> (u32, u32) {
    let Some(domain) = hv.domains.get(user) else {
        return (0, 0);
    };
    let track = &domain.grants.maptrack;
    let mappings = (0..track.end()).filter_map(|handle| track.get(handle));
    let of_grant = mappings.filter(|mapping| mapping.granter == granter && mapping.reference == reference);
    of_grant.fold((0, 0), |(readers, writers), mapping| if mapping.writes() { (readers, writers + 1) } else { (readers + 1, writers) })
}

fn check_mappings<M: Machine>(hv: &Hypervisor<M>, domain: &Domain) -> Result<(), &'static str> {
    let track = &domain.grants.maptrack;
    let mut mapped = 0;
    for mapping in (0..track.end()).filter_map(|handle| track.get(handle)) {
        mapped += 1;
        let grant = grant_of(mapping);
        let granter = hv.domains.get(grant.granter).ok_or("a mapping of a domain that is gone")?;
        let (_, _, record) = granter.grants.entry(grant.reference).ok_or("a mapping of no entry")?;
        if !record.in_use() || record.user != domain.id {
            return Err("a mapping of a grant that its granter does not know to be in use");
        }
    }
    if mapped != track.mapped() {
        return Err("the count of mappings is wrong");
    }
    Ok(())
}
