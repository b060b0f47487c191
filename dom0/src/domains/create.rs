//! Making a domain, from its configuration to its first instruction. Whatever fails on the way, nothing is left of it.

use core::sync::atomic::{AtomicU64, Ordering};

use abi::DomId;
use abi::control::{
    DOMID_ANY, DomainCreate, DomainLimits, MachineInfo, OP_DOMAIN_CREATE, OP_DOMAIN_LIMITS, OP_DOMAIN_UNPAUSE, OP_MACHINE_INFO,
};
use alloc::borrow::Cow;
use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;
use dom0_core::config::DomainConfig;
use dom0_core::toolstack::{self, Channel, NewDomain, Request, State};
use pv_guest_sdk::{events, time};

use super::build::{self, Built, Files, Ground};
use super::error::{Error, Result};
use super::table::{self, Domain, Returning};
use super::{consoles, disks, end, xenstored};
use crate::blkback;
use crate::hal::{control, foreign};
use crate::storage;

/// Pages in a MiB.
const PAGES_PER_MIB: u64 = 256;

/// Makes a domain that has ended anew. Its name is its own until it is in the table again.
pub async fn again(config: DomainConfig, name: Returning) -> Result<DomId> {
    let files = Loaded::new(&config).await.map_err(|missing| Error::about(missing.key, missing.why))?;
    drop(name);
    create_from(config, files, false).await
}

/// Makes a domain and lets it run, unless it is to begin paused.
pub async fn create_from(config: DomainConfig, files: Loaded, paused: bool) -> Result<DomId> {
    check_name(&config)?;
    check_memory(&config)?;
    let uuid = config.uuid.unwrap_or_else(new_uuid);
    let made = make(&config, uuid)?;
    let domid = made.domid as DomId;
    table::insert(domid, Domain { config: config.clone(), uuid, state: State::Building, since: time::now() });
    let unfinished = Unfinished(domid);
    if let Err(error) = furnish(&config, uuid, files.files(), &made).await {
        drop(unfinished);
        blkback::ended(domid).await;
        return Err(error);
    }
    core::mem::forget(unfinished);
    start(domid, paused)?;
    Ok(domid)
}

/// A domain that is destroyed if making it fails.
struct Unfinished(DomId);

impl Drop for Unfinished {
    fn drop(&mut self) {
        end::tear_down(self.0, false);
    }
}

fn check_name(config: &DomainConfig) -> Result {
    let taken = |name: &str| table::by_name(name).is_some() || table::returns(name);
    toolstack::check_free(&config.name, taken).map_err(|error| Error::new(error.to_string()))
}

/// The files of a domain: borrowed from the archive, or read from a volume.
pub struct Loaded {
    kernel: Cow<'static, [u8]>,
    ramdisk: Option<Cow<'static, [u8]>>,
}

/// A file that a configuration names and that cannot be had.
pub struct Missing {
    /// The key that names it.
    pub key: &'static str,
    /// Why it cannot be had.
    pub why: String,
}

impl Loaded {
    /// Reads what a configuration names.
    pub async fn new(config: &DomainConfig) -> core::result::Result<Self, Missing> {
        let kernel = Self::read("kernel", &config.kernel).await?;
        let ramdisk = match &config.ramdisk {
            Some(path) => Some(Self::read("ramdisk", path).await?),
            None => None,
        };
        Ok(Self { kernel, ramdisk })
    }

    async fn read(key: &'static str, path: &str) -> core::result::Result<Cow<'static, [u8]>, Missing> {
        storage::read(path).await.map_err(|error| Missing { key, why: error.to_string() })
    }

    fn files(&self) -> Files<'_> {
        Files { kernel: &self.kernel, ramdisk: self.ramdisk.as_deref() }
    }
}

/// What the hypervisor says about the machine.
pub fn machine() -> Result<MachineInfo> {
    let mut info = MachineInfo::default();
    control::op(OP_MACHINE_INFO, &mut info).map_err(Error::refused("describe the machine"))?;
    Ok(info)
}

/// Too much memory is told before anything is made.
fn check_memory(config: &DomainConfig) -> Result {
    let free = machine()?.free_frames / PAGES_PER_MIB;
    if config.memory_mib <= free {
        return Ok(());
    }
    Err(no_memory(config, free))
}

fn no_memory(config: &DomainConfig, free: u64) -> Error {
    Error::new(format!(
        "{}: memory = {} MiB, but only {free} MiB are free; give it less, or end another domain",
        config.name, config.memory_mib
    ))
}

/// A number that no other domain of this boot has, and hardly one of another boot.
fn new_uuid() -> [u8; 16] {
    static MADE: AtomicU64 = AtomicU64::new(0);
    let (seconds, nanoseconds) = time::wall_clock();
    let when = seconds << 30 | u64::from(nanoseconds);
    let count = MADE.fetch_add(1, Ordering::Relaxed);
    toolstack::make_uuid((u128::from(when) << 64 | u128::from(count)).to_be_bytes())
}

fn make(config: &DomainConfig, uuid: [u8; 16]) -> Result<DomainCreate> {
    let mut request = DomainCreate {
        domid: DOMID_ANY,
        max_vcpus: config.maxvcpus,
        max_frames: config.maxmem_mib * PAGES_PER_MIB,
        max_event_channels: config.max_event_channels,
        max_grant_frames: config.max_grant_frames,
        max_maptrack_frames: config.max_maptrack_frames,
        handle: uuid,
        ..DomainCreate::default()
    };
    control::op(OP_DOMAIN_CREATE, &mut request).map_err(Error::refused("create another domain"))?;
    Ok(request)
}

/// Memory and what is in it, services, the vCPU's first state.
async fn furnish(config: &DomainConfig, uuid: [u8; 16], files: Files<'_>, made: &DomainCreate) -> Result {
    let domid = made.domid as DomId;
    set_weight(config, domid)?;
    let ground = Ground { domid, shared_info: made.shared_info_mfn, store_port: port_for_us(domid)?, console_port: port_for_us(domid)? };
    let frames = memory(config, domid).await?;
    let built = build::fill(config, files, &ground, &frames).await?;
    // Its window is gone, so tables are writable to nobody.
    foreign::pin_top_table(domid, built.root).map_err(Error::refused("accept the domain's page tables"))?;
    foreign::seed_grants(domid, built.console, built.store).map_err(Error::refused("set up the domain's grants"))?;
    connect(config, uuid, &ground, &built)?;
    for disk in &config.disks {
        disks::attach(domid, &config.name, disk).await?;
    }
    let mut context = image::context::vcpu_context(&built.kernel, &built.plan, built.root);
    control::set_context(domid.into(), 0, &mut context).map_err(Error::refused("accept the domain's first state"))
}

fn set_weight(config: &DomainConfig, domid: DomId) -> Result {
    if config.cpu_weight == abi::control::WEIGHT_DEFAULT {
        return Ok(());
    }
    let mut limits = DomainLimits { domid: domid.into(), weight: config.cpu_weight, ..DomainLimits::default() };
    control::op(OP_DOMAIN_LIMITS, &mut limits).map_err(Error::refused("set the domain's weight"))
}

async fn memory(config: &DomainConfig, domid: DomId) -> Result<Vec<u64>> {
    let pages = usize::try_from(config.memory_mib * PAGES_PER_MIB).unwrap_or(usize::MAX);
    let frames = foreign::populate(domid, pages).await;
    frames.map_err(|_| no_memory(config, machine().map_or(0, |info| info.free_frames / PAGES_PER_MIB)))
}

fn port_for_us(domid: DomId) -> Result<u32> {
    events::alloc_unbound_for(domid, dom0_core::xenstore::DOM0).map_err(Error::refused("give the domain event channels"))
}

/// Xenstore's tree, and the services at both rings.
fn connect(config: &DomainConfig, uuid: [u8; 16], ground: &Ground, built: &Built) -> Result {
    let nodes = toolstack::tree(&NewDomain {
        domid: ground.domid,
        name: &config.name,
        uuid,
        memory_mib: config.memory_mib,
        maxmem_mib: config.maxmem_mib,
        vcpus: config.vcpus,
        maxvcpus: config.maxvcpus,
        store: Channel { port: ground.store_port, ring: built.store },
        console: Channel { port: ground.console_port, ring: built.console },
    });
    xenstored::with(|server| server.populate(ground.domid, nodes)).map_err(|error| Error::about("xenstore", error))?;
    xenstored::attach(ground.domid, built.store, ground.store_port)?;
    consoles::attach(ground.domid, &config.name, built.console, ground.console_port)
}

/// Lets a finished domain run, unless it is to begin paused.
fn start(domid: DomId, paused: bool) -> Result {
    table::advance(domid, Request::Finish { paused })?;
    if !paused {
        let mut domain = abi::control::Domain { domid: domid.into(), ..Default::default() };
        let unpaused = control::op(OP_DOMAIN_UNPAUSE, &mut domain);
        if let Err(errno) = unpaused {
            end::tear_down(domid, false);
            return Err(Error::refused("start the domain")(errno));
        }
    }
    Ok(())
}
