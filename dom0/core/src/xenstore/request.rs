//! What a message asks for. All of the syntax is checked here; whether it may be done is decided later.

use abi::xenstore::msg;
use alloc::vec::Vec;
use core::str::FromStr;

use super::{DomId, Error, perms::Permissions, wire::Message};

/// A parsed request. Paths are as sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Request<'a> {
    /// Read, change or list a node.
    Node(NodeRequest<'a>),
    /// Register a watch: path, token, depth.
    Watch(&'a str, &'a [u8], Option<u32>),
    /// Remove a watch: path, token.
    Unwatch(&'a str, &'a [u8]),
    /// Remove all watches and transactions of the caller.
    ResetWatches,
    /// Open a transaction.
    TransactionStart,
    /// Close one: whether to commit.
    TransactionEnd(bool),
    /// The home of a domain.
    GetDomainPath(DomId),
    /// Whether a domain is connected.
    IsIntroduced(DomId),
    /// The features that the caller sees.
    GetOwnFeatures,
    /// Something that only Dom0 may ask.
    Admin(AdminRequest<'a>),
}

/// A request about one node; the only ones that a transaction covers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum NodeRequest<'a> {
    /// The names of the children.
    Directory(&'a str),
    /// The names of the children from a byte offset on.
    DirectoryPart(&'a str, usize),
    /// The value.
    Read(&'a str),
    /// The permissions.
    GetPerms(&'a str),
    /// Set the value.
    Write(&'a str, &'a [u8]),
    /// Create without a value.
    Mkdir(&'a str),
    /// Remove with all below.
    Rm(&'a str),
    /// Set the permissions.
    SetPerms(&'a str, Permissions),
}

/// A request of Dom0.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AdminRequest<'a> {
    /// Connect a domain: ring frame, event channel.
    Introduce(DomId, u64, u32),
    /// Disconnect a domain.
    Release(DomId),
    /// Announce the next shutdown of a domain again.
    Resume(DomId),
    /// Give the first domain the rights of the second.
    SetTarget(DomId, DomId),
    /// The features that a domain sees.
    GetFeature(DomId),
    /// Set them.
    SetFeature(DomId, u32),
    /// The names of all quotas.
    ListQuotas,
    /// One quota, of a domain or of new domains.
    GetQuota(Option<DomId>, &'a str),
    /// Set it.
    SetQuota(Option<DomId>, &'a str, u32),
    /// A command for the server itself.
    Control(Vec<&'a str>),
}

impl<'a> Request<'a> {
    /// Parses a message.
    pub fn parse(message: &'a Message) -> Result<Self, Error> {
        let payload = &message.payload[..];
        Ok(match message.kind {
            msg::DIRECTORY => Self::Node(NodeRequest::Directory(one(payload)?)),
            msg::DIRECTORY_PART => {
                let [path, offset] = strings(payload)?;
                Self::Node(NodeRequest::DirectoryPart(path, number(offset)?))
            }
            msg::READ => Self::Node(NodeRequest::Read(one(payload)?)),
            msg::GET_PERMS => Self::Node(NodeRequest::GetPerms(one(payload)?)),
            msg::WRITE => {
                let (path, value) = split(payload)?;
                Self::Node(NodeRequest::Write(text(path)?, value))
            }
            msg::MKDIR => Self::Node(NodeRequest::Mkdir(one(payload)?)),
            msg::RM => Self::Node(NodeRequest::Rm(one(payload)?)),
            msg::SET_PERMS => {
                let (path, entries) = split(payload)?;
                let entries = list(entries)?;
                Self::Node(NodeRequest::SetPerms(text(path)?, Permissions::parse(entries.into_iter())?))
            }
            msg::WATCH => watch(payload)?,
            msg::UNWATCH => {
                let (path, rest) = split(payload)?;
                Self::Unwatch(text(path)?, split(rest)?.0)
            }
            msg::RESET_WATCHES => Self::ResetWatches,
            msg::TRANSACTION_START => Self::TransactionStart,
            msg::TRANSACTION_END => match one(payload)? {
                "T" => Self::TransactionEnd(true),
                "F" => Self::TransactionEnd(false),
                _ => return Err(Error::Invalid),
            },
            msg::GET_DOMAIN_PATH => Self::GetDomainPath(number(one(payload)?)?),
            msg::IS_DOMAIN_INTRODUCED => Self::IsIntroduced(number(one(payload)?)?),
            msg::GET_FEATURE if payload.is_empty() => Self::GetOwnFeatures,
            other => Self::Admin(AdminRequest::parse(other, payload)?),
        })
    }
}

impl<'a> AdminRequest<'a> {
    fn parse(kind: u32, payload: &'a [u8]) -> Result<Self, Error> {
        Ok(match kind {
            msg::INTRODUCE => {
                let parts = list(payload)?;
                let [domid, frame, port, ..] = parts[..] else {
                    return Err(Error::Invalid);
                };
                Self::Introduce(number(domid)?, number(frame)?, number(port)?)
            }
            msg::RELEASE => Self::Release(number(one(payload)?)?),
            msg::RESUME => Self::Resume(number(one(payload)?)?),
            msg::SET_TARGET => {
                let [domid, target] = strings(payload)?;
                Self::SetTarget(number(domid)?, number(target)?)
            }
            msg::GET_FEATURE => Self::GetFeature(number(one(payload)?)?),
            msg::SET_FEATURE => {
                let [domid, value] = strings(payload)?;
                Self::SetFeature(number(domid)?, number(value)?)
            }
            msg::GET_QUOTA => match list(payload)?[..] {
                [] | [""] => Self::ListQuotas,
                [name] => Self::GetQuota(None, name),
                [domid, name] => Self::GetQuota(Some(number(domid)?), name),
                _ => return Err(Error::Invalid),
            },
            msg::SET_QUOTA => match list(payload)?[..] {
                [name, value] => Self::SetQuota(None, name, number(value)?),
                [domid, name, value] => Self::SetQuota(Some(number(domid)?), name, number(value)?),
                _ => return Err(Error::Invalid),
            },
            msg::CONTROL => Self::Control(list(payload)?),
            _ => return Err(Error::NotSupported),
        })
    }
}

fn watch(payload: &[u8]) -> Result<Request<'_>, Error> {
    let (path, rest) = split(payload)?;
    let (token, depth) = split(rest)?;
    let depth = if depth.is_empty() { None } else { Some(number(one(depth)?)?) };
    Ok(Request::Watch(text(path)?, token, depth))
}

/// A decimal number without sign or blanks.
pub(super) fn number<T: FromStr>(digits: &str) -> Result<T, Error> {
    if !digits.bytes().all(|b| b.is_ascii_digit()) {
        return Err(Error::Invalid);
    }
    digits.parse().map_err(|_| Error::Invalid)
}

/// The string before the first NUL, and what follows it.
fn split(payload: &[u8]) -> Result<(&[u8], &[u8]), Error> {
    let end = memchr::memchr(0, payload).ok_or(Error::Invalid)?;
    Ok((payload.get(..end).unwrap_or_default(), payload.get(end + 1..).unwrap_or_default()))
}

fn text(bytes: &[u8]) -> Result<&str, Error> {
    core::str::from_utf8(bytes).map_err(|_| Error::Invalid)
}

/// All strings of a payload, each of which ends with a NUL.
fn list(payload: &[u8]) -> Result<Vec<&str>, Error> {
    let (mut rest, mut found) = (payload, Vec::new());
    while !rest.is_empty() {
        let (next, after) = split(rest)?;
        found.push(text(next)?);
        rest = after;
    }
    Ok(found)
}

/// A payload of exactly `N` strings.
fn strings<const N: usize>(payload: &[u8]) -> Result<[&str; N], Error> {
    list(payload)?.try_into().map_err(|_| Error::Invalid)
}

/// A payload of exactly one string.
fn one(payload: &[u8]) -> Result<&str, Error> {
    let [only] = strings(payload)?;
    Ok(only)
}
