//! `xen_version` (17): what the hypervisor says about itself. Guests ask it for features; and for nothing, as the cheapest call there is.

use abi::errno::Errno;
use abi::features;
use abi::layout::{HYPERVISOR_VIRT_START, PAGE_SIZE};
use abi::version::{
    CapabilitiesInfo, ChangesetInfo, CompileInfo, ExtraVersion, FeatureInfo, OP_BUILD_ID, OP_CAPABILITIES, OP_CHANGESET, OP_COMMANDLINE,
    OP_COMPILE_INFO, OP_EXTRAVERSION, OP_GET_FEATURES, OP_GUEST_HANDLE, OP_PAGESIZE, OP_PLATFORM_PARAMETERS, OP_VERSION,
    PlatformParameters,
};
use abi::vm_assist::TYPE_PAE_EXTENDED_CR3;
use zerocopy::FromZeros;

use crate::call::{Call, Outcome};
use crate::domain::Domain;
use crate::ids::DOM0;
use crate::machine::Machine;

/// The version of Xen whose ABI this is: 4.17.
const VERSION: i64 = 4 << 16 | 17;

/// `XENVER_*` in RDI, the address of its structure in RSI.
#[inline]
pub fn handler<M: Machine>(call: &mut Call<'_, M>, args: [u64; 5]) -> Outcome {
    match args[0] as u32 {
        OP_VERSION => Outcome::Done(VERSION),
        operation => tell(call, operation, args[1]).into(),
    }
}

#[inline(never)]
fn tell<M: Machine>(call: &mut Call<'_, M>, operation: u32, address: u64) -> Result<i64, Errno> {
    match operation {
        OP_EXTRAVERSION => call.write(address, &ExtraVersion { text: text(concat!(".0-domus-", env!("CARGO_PKG_VERSION"))) })?,
        OP_COMPILE_INFO => call.write(address, &compile_info())?,
        OP_CAPABILITIES => call.write(address, &CapabilitiesInfo { text: text("xen-3.0-x86_64 ") })?,
        OP_CHANGESET => call.write(address, &ChangesetInfo { text: text("unavailable") })?,
        OP_PLATFORM_PARAMETERS => call.write(address, &PlatformParameters { virt_start: HYPERVISOR_VIRT_START })?,
        OP_GET_FEATURES => get_features(call, address)?,
        OP_PAGESIZE if address == 0 => return Ok(PAGE_SIZE as i64),
        OP_PAGESIZE => return Err(Errno::INVAL),
        OP_GUEST_HANDLE => {
            let handle = call.domain().handle;
            call.write(address, &handle)?;
        }
        // The machine's business, which Xen denies in this way.
        OP_COMMANDLINE => call.write(address, b"<denied>\0")?,
        // There is none.
        OP_BUILD_ID => return Err(if call.domain().privileged { Errno::NODATA } else { Errno::PERM }),
        _ => return Err(Errno::NOSYS),
    }
    Ok(0)
}

fn get_features<M: Machine>(call: &mut Call<'_, M>, address: u64) -> Result<(), Errno> {
    let mut info: FeatureInfo = call.read(address)?;
    if info.submap_idx != 0 {
        return Err(Errno::INVAL);
    }
    info.submap = features_of(call.domain());
    Ok(call.write(address, &info)?)
}

/// The features of a domain, bit per `XENFEAT_*`.
fn features_of(domain: &Domain) -> u32 {
    let mut features = 1 << features::MMU_PT_UPDATE_PRESERVE_AD
        | 1 << features::HIGHMEM_ASSIST
        | 1 << features::GNTTAB_MAP_AVAIL_BITS
        | 1 << features::DIRECT_MAPPED;
    if domain.assists & 1 << TYPE_PAE_EXTENDED_CR3 != 0 {
        features |= 1 << features::PAE_PGDIR_ABOVE_4GB;
    }
    if domain.id == DOM0 {
        features |= 1 << features::DOM0;
    }
    features
}

fn compile_info() -> CompileInfo {
    CompileInfo { compiler: text("rustc"), compile_by: text("domus"), ..CompileInfo::new_zeroed() }
}

/// A text, cut off so that at least one NUL ends it.
fn text<const N: usize>(text: &str) -> [u8; N] {
    let mut bytes = [0; N];
    for (to, from) in bytes.iter_mut().take(N - 1).zip(text.bytes()) {
        *to = from;
    }
    bytes
}
