//! Requests that only Dom0 may make: domains, features, quotas, and the server itself.

use alloc::{format, string::ToString};

use super::{
    DOM0, DomId, Error, SUPPORTED_FEATURES,
    answer::Answer,
    node::Nodes,
    quota::Quotas,
    request::AdminRequest,
    server::{Effect, Server},
};

/// Effects that may wait for the driver.
const EFFECTS_MAX: usize = 64;

impl Server {
    pub(super) fn admin(&mut self, request: &AdminRequest<'_>) -> Result<Answer, Error> {
        match request {
            AdminRequest::Introduce(domid, frame, port) => self.introduce_request(*domid, *frame, *port),
            AdminRequest::Release(domid) => {
                self.real(*domid)?;
                self.remove_domain(*domid);
                self.effect(Effect::Disconnect(*domid))
            }
            AdminRequest::Resume(domid) => {
                self.real(*domid)?.shut_down = false;
                Ok(Answer::ok())
            }
            AdminRequest::SetTarget(domid, target) => {
                self.real(*target)?;
                self.real(*domid)?.target = Some(*target);
                Ok(Answer::ok())
            }
            AdminRequest::GetFeature(domid) => Ok(Answer::text(&self.domains.get(*domid)?.features.to_string())),
            AdminRequest::SetFeature(domid, value) => self.set_feature(*domid, *value),
            AdminRequest::ListQuotas => Ok(Answer::text(&Quotas::NAMES.join(" "))),
            AdminRequest::GetQuota(domid, name) => Ok(Answer::text(&self.quota(*domid)?.get(name)?.to_string())),
            AdminRequest::SetQuota(domid, name, value) => {
                let quotas = match domid {
                    None => &mut self.domains.defaults,
                    Some(domid) => &mut self.domains.get_mut(*domid)?.quotas,
                };
                quotas.set(name, *value)?;
                Ok(Answer::ok())
            }
            AdminRequest::Control(words) => self.control(words),
        }
    }

    fn introduce_request(&mut self, domid: DomId, frame: u64, port: u32) -> Result<Answer, Error> {
        if domid == DOM0 || domid >= abi::domid::FIRST_RESERVED {
            return Err(Error::Invalid);
        }
        if self.domains.get(domid).is_ok_and(|d| d.introduced) {
            return Ok(Answer::ok());
        }
        let answer = self.effect(Effect::Connect { domid, frame, port })?;
        self.add_domain(domid);
        self.announce_introduction(domid);
        Ok(answer)
    }

    fn effect(&mut self, effect: Effect) -> Result<Answer, Error> {
        if self.effects.len() >= EFFECTS_MAX {
            return Err(Error::Busy);
        }
        self.effects.push_back(effect);
        Ok(Answer::ok())
    }

    fn set_feature(&mut self, domid: DomId, value: u32) -> Result<Answer, Error> {
        if value & !SUPPORTED_FEATURES != 0 {
            return Err(Error::Invalid);
        }
        let domain = self.domains.get_mut(domid)?;
        if domain.introduced {
            return Err(Error::Busy);
        }
        domain.features = value;
        Ok(Answer::ok())
    }

    fn quota(&self, domid: Option<DomId>) -> Result<Quotas, Error> {
        domid.map_or(Ok(self.domains.defaults), |d| self.domains.get(d).map(|known| known.quotas))
    }

    /// The commands that make sense here: there is no daemon to update and no log file.
    fn control(&mut self, words: &[&str]) -> Result<Answer, Error> {
        match words {
            ["help"] => Ok(Answer::text("check help quota")),
            ["check"] => Ok(Answer::text(if self.check() { "OK" } else { "the books do not match the tree" })),
            ["quota", domid] => {
                let domid = super::request::number(domid)?;
                let (nodes, domain) = (self.tree.usage(domid), self.domains.get(domid)?);
                let bytes = nodes.bytes + domain.transient_bytes;
                Ok(Answer::text(&format!("nodes: {}\nwatches: {}\nmemory: {bytes}\n", nodes.nodes, domain.watches)))
            }
            [] => Err(Error::Invalid),
            _ => Err(Error::NotSupported),
        }
    }

    /// A known domain other than Dom0.
    fn real(&mut self, domid: DomId) -> Result<&mut super::domains::Domain, Error> {
        if domid == DOM0 { Err(Error::Invalid) } else { self.domains.get_mut(domid) }
    }
}
