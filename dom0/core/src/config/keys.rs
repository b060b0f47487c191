//! Every key that xl.cfg(5) has, and what becomes of it here.

/// What becomes of a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Handling {
    /// It is honoured.
    Honoured,
    /// It makes no difference to a PV domain here; the operator is told.
    Ignored,
    /// Without it the domain would boot something else, lack a device, or be exposed differently. An error, unless the value is empty,
    /// 0 or false. The text says what to do.
    Refused(&'static str),
}

const HONOURED: &[&str] = &[
    "builder",
    "cmdline",
    "cpu_weight",
    "disk",
    "extra",
    "kernel",
    "max_event_channels",
    "max_grant_frames",
    "max_maptrack_frames",
    "maxmem",
    "maxvcpus",
    "memory",
    "name",
    "on_crash",
    "on_poweroff",
    "on_reboot",
    "on_watchdog",
    "ramdisk",
    "root",
    "type",
    "uuid",
    "vcpus",
];

/// Those that take a list.
pub const LISTS: &[&str] = &["disk"];

const IGNORED: &[&str] = &[
    "acpi",
    "acpi_laptop_slate",
    "acpi_s3",
    "acpi_s4",
    "altp2m",
    "altp2mhvm",
    "apic",
    "bios",
    "boot",
    "cap",
    "cpus",
    "cpus_soft",
    "device_model_args",
    "device_model_args_hvm",
    "device_model_args_pv",
    "device_model_override",
    "device_model_stubdomain_override",
    "device_model_user",
    "device_model_version",
    "dm_restrict",
    "e820_host",
    "extratime",
    "gfx_passthru",
    "hap",
    "hdtype",
    "hpet",
    "keymap",
    "latency",
    "localtime",
    "max_grant_version",
    "mmio_hole",
    "ms_vm_genid",
    "nestedhvm",
    "nographic",
    "nomigrate",
    "nx",
    "on_soft_reset",
    "oos",
    "opengl",
    "pae",
    "pci_msitranslate",
    "pci_permissive",
    "pci_power_mgmt",
    "pci_seize",
    "period",
    "pool",
    "rdm",
    "rdm_mem_boundary",
    "rtc_timeoffset",
    "sdl",
    "serial",
    "shadow_memory",
    "slice",
    "smbios",
    "soundhw",
    "spice",
    "stdvga",
    "stubdomain_cmdline",
    "stubdomain_kernel",
    "stubdomain_memory",
    "stubdomain_ramdisk",
    "timer_mode",
    "tsc_mode",
    "vdispl",
    "vfb",
    "vga",
    "videoram",
    "viridian",
    "vkb",
    "vmtrace_buf_kb",
    "vnc",
    "vncconsole",
    "vncdisplay",
    "vnclisten",
    "vncpasswd",
    "vncunused",
    "vnuma",
    "vpmu",
    "vpt_align",
    "vsnd",
    "vuart",
    "xen_platform_pci",
];

const BOOTLOADER: &str = "boot loaders are not run; name the kernel with `kernel` and its ramdisk with `ramdisk`";
const NO_DEVICE: &str = "such devices do not exist here yet; remove the key";
const NO_PASSTHROUGH: &str = "no device is passed through; remove the key";
const NO_POLICY: &str = "this is not enforced here; remove the key if the domain may run without it";

const REFUSED: &[(&str, &str)] = &[
    ("bootloader", BOOTLOADER),
    ("bootloader_args", BOOTLOADER),
    ("bootloader_restrict", BOOTLOADER),
    ("bootloader_user", BOOTLOADER),
    ("channel", NO_DEVICE),
    ("cpuid", NO_POLICY),
    ("device_tree", NO_PASSTHROUGH),
    ("driver_domain", NO_POLICY),
    ("dtdev", NO_PASSTHROUGH),
    ("firmware", BOOTLOADER),
    ("firmware_override", BOOTLOADER),
    ("init_seclabel", NO_POLICY),
    ("iomem", NO_PASSTHROUGH),
    ("ioports", NO_PASSTHROUGH),
    ("irqs", NO_PASSTHROUGH),
    ("msr_relaxed", NO_POLICY),
    ("p9", NO_DEVICE),
    ("passthrough", NO_PASSTHROUGH),
    ("pci", NO_PASSTHROUGH),
    ("pvcalls", NO_DEVICE),
    ("pvshim", "the PV shim is for Xen; remove the key"),
    ("pvshim_cmdline", "the PV shim is for Xen; remove the key"),
    ("pvshim_extra", "the PV shim is for Xen; remove the key"),
    ("pvshim_path", "the PV shim is for Xen; remove the key"),
    ("seclabel", NO_POLICY),
    ("usb", NO_DEVICE),
    ("usbctrl", NO_DEVICE),
    ("usbdev", NO_DEVICE),
    ("usbdevice", NO_DEVICE),
    ("vif", "there are no network devices yet; remove the key"),
    ("virtio", NO_DEVICE),
    ("vtpm", NO_DEVICE),
    ("xend_suspend_evtchn_compat", NO_POLICY),
    ("xenstore_feature_mask", NO_POLICY),
    ("xenstore_quota", NO_POLICY),
];

/// What becomes of a key; `None` if xl.cfg has no such key.
pub fn handling(key: &str) -> Option<Handling> {
    if HONOURED.contains(&key) {
        return Some(Handling::Honoured);
    }
    if IGNORED.contains(&key) {
        return Some(Handling::Ignored);
    }
    REFUSED.iter().find(|(name, _)| *name == key).map(|(_, why)| Handling::Refused(why))
}

/// All known keys, those that are honoured first.
pub fn all() -> impl Iterator<Item = &'static str> {
    HONOURED.iter().chain(IGNORED).copied().chain(REFUSED.iter().map(|(name, _)| *name))
}
