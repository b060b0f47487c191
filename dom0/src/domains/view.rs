//! Looking at domains: their names from here, the rest from the hypervisor.

use abi::DomId;
use abi::control::{DomainInfo, OP_DOMAIN_INFO};
use alloc::string::String;
use alloc::vec::Vec;
use dom0_core::commands::DomainRef;
use dom0_core::render::DomainRow;

use super::error::{Error, Result};
use super::{end, table};
use crate::hal::control;

/// What is known of a domain.
pub struct View {
    /// Its name, if Dom0 has made it.
    pub name: Option<String>,
    /// What the hypervisor says.
    pub info: DomainInfo,
}

impl View {
    /// For rendering.
    pub fn row(&self) -> DomainRow<'_> {
        DomainRow { name: self.name.as_deref(), info: &self.info }
    }
}

/// All domains, by number.
pub fn list() -> Vec<View> {
    let mut views = Vec::new();
    let mut next = 0;
    loop {
        let mut info = DomainInfo { domid: next, ..DomainInfo::default() };
        if control::op(OP_DOMAIN_INFO, &mut info).is_err() {
            return views;
        }
        views.push(View { name: table::name(info.domid as DomId), info });
        next = info.domid + 1;
    }
}

/// One domain.
pub fn info(domain: &DomainRef) -> Result<View> {
    let id = table::resolve(domain)?;
    let info = end::info(id).ok_or_else(|| Error::new("the hypervisor does not know the domain any more"))?;
    Ok(View { name: table::name(id), info })
}
