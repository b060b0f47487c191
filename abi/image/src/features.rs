//! The features that a kernel says it supports or requires (`xen/features.h`). Only a requirement matters to a loader: a kernel that needs
//! what a PV domain does not have must be refused with the feature's name, not left to crash.

use abi::features as bit;

use crate::error::ImageError;
use crate::text::until_nul;

/// Bit numbers and names, from `xen/features.h` without the prefix XENFEAT_.
const NAMES: [(u32, &str); 13] = [
    // Linux requires this one and means that writes to its page tables may be emulated, which `vm_assist` offers.
    (bit::WRITABLE_PAGE_TABLES, "writable_page_tables"),
    (bit::WRITABLE_DESCRIPTOR_TABLES, "writable_descriptor_tables"),
    (bit::AUTO_TRANSLATED_PHYSMAP, "auto_translated_physmap"),
    (bit::SUPERVISOR_MODE_KERNEL, "supervisor_mode_kernel"),
    (bit::PAE_PGDIR_ABOVE_4GB, "pae_pgdir_above_4gb"),
    (bit::MMU_PT_UPDATE_PRESERVE_AD, "mmu_pt_update_preserve_ad"),
    (bit::HIGHMEM_ASSIST, "highmem_assist"),
    (bit::GNTTAB_MAP_AVAIL_BITS, "gnttab_map_avail_bits"),
    (bit::HVM_CALLBACK_VECTOR, "hvm_callback_vector"),
    (bit::HVM_SAFE_PVCLOCK, "hvm_safe_pvclock"),
    (bit::HVM_PIRQS, "hvm_pirqs"),
    (bit::DOM0, "dom0"),
    (bit::MEMORY_OP_VNODE_SUPPORTED, "memory_op_vnode_supported"),
];

/// What a PV domain can have. Whether a kernel that requires `dom0` gets it, the layout plan decides.
const OFFERED: u32 = 1 << bit::WRITABLE_PAGE_TABLES
    | 1 << bit::PAE_PGDIR_ABOVE_4GB
    | 1 << bit::MMU_PT_UPDATE_PRESERVE_AD
    | 1 << bit::HIGHMEM_ASSIST
    | 1 << bit::GNTTAB_MAP_AVAIL_BITS
    | 1 << bit::DOM0;

/// Sets of feature bits.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Features {
    /// Bits that the kernel can deal with.
    pub supported: u32,
    /// Bits without which it cannot run.
    pub required: u32,
}

impl Features {
    /// Whether `bit` is required.
    pub fn requires(&self, bit: u32) -> bool {
        self.required & (1u32 << (bit & 31)) != 0
    }

    /// Adds the features of a FEATURES string: names separated by `|`, those with a leading `!` required. It ends at a NUL if there is
    /// one; Linux's has none.
    pub(crate) fn add_string(&mut self, raw: &[u8]) -> Result<(), ImageError> {
        for item in until_nul(raw).split(|&byte| byte == b'|') {
            let (required, name) = match item {
                [b'!', rest @ ..] => (true, rest),
                _ => (false, item),
            };
            match NAMES.iter().find(|(_, known)| known.as_bytes() == name) {
                Some(&(known, _)) => self.add(known, required),
                None if required => return Err(ImageError::FeatureUnknown),
                None => {}
            }
        }
        Ok(())
    }

    /// Refuses a kernel that requires what a PV domain does not have.
    pub(crate) fn check(&self) -> Result<(), ImageError> {
        match NAMES.iter().find(|(known, _)| self.requires(*known) && OFFERED & (1 << known) == 0) {
            Some(&(_, name)) => Err(ImageError::FeatureMissing(name)),
            None => Ok(()),
        }
    }

    fn add(&mut self, bit: u32, required: bool) {
        self.supported |= 1 << bit;
        if required {
            self.required |= 1 << bit;
        }
    }
}
