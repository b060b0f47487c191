//! `xen_version`: what the hypervisor says about itself (`version.h`).

/// Result: major << 16 | minor.
pub const OP_VERSION: u32 = 0;
/// Out: [`ExtraVersion`].
pub const OP_EXTRAVERSION: u32 = 1;
/// Out: [`CompileInfo`].
pub const OP_COMPILE_INFO: u32 = 2;
/// Out: [`CapabilitiesInfo`].
pub const OP_CAPABILITIES: u32 = 3;
/// Out: [`ChangesetInfo`].
pub const OP_CHANGESET: u32 = 4;
/// Out: [`PlatformParameters`].
pub const OP_PLATFORM_PARAMETERS: u32 = 5;
/// In and out: [`FeatureInfo`].
pub const OP_GET_FEATURES: u32 = 6;
/// Result: the page size.
pub const OP_PAGESIZE: u32 = 7;
/// Out: 16 bytes, the domain's handle.
pub const OP_GUEST_HANDLE: u32 = 8;
/// Out: [`CommandLine`].
pub const OP_COMMANDLINE: u32 = 9;
/// Out: [`BuildId`] and what follows it.
pub const OP_BUILD_ID: u32 = 10;

layout! {
    /// What follows the two numbers.
    ExtraVersion [16] {
        /// NUL-terminated.
        @0 text: [u8; 16],
    }

    /// How the hypervisor was built; all NUL-terminated.
    CompileInfo [144] {
        /// Compiler.
        @0 compiler: [u8; 64],
        /// By whom.
        @64 compile_by: [u8; 16],
        /// Where.
        @80 compile_domain: [u8; 32],
        /// When.
        @112 compile_date: [u8; 32],
    }

    /// Guest types that are supported, separated by spaces.
    CapabilitiesInfo [1024] {
        /// NUL-terminated.
        @0 text: [u8; 1024],
    }

    /// Source revision.
    ChangesetInfo [64] {
        /// NUL-terminated.
        @0 text: [u8; 64],
    }

    /// Where the hypervisor's part of the address space begins.
    PlatformParameters [8] {
        /// Address.
        @0 virt_start: u64,
    }

    /// 32 feature bits.
    FeatureInfo [8] {
        /// In: which 32; only 0 exists.
        @0 submap_idx: u32,
        /// Out: bit n is feature n.
        @4 submap: u32,
    }

    /// The hypervisor's command line.
    CommandLine [1024] {
        /// NUL-terminated.
        @0 text: [u8; 1024],
    }

    /// Header of a build identifier.
    BuildId [4] {
        /// In: room behind this header; out: bytes there.
        @0 len: u32,
    }
}
