//! Hands the linker script to whoever links a guest kernel.
//!
//! The search path reaches every kernel that depends on the SDK; the script itself must be asked for by the kernel's own build script:
//! `fn main() { println!("cargo::rustc-link-arg-bins=-Tpv-guest.ld"); println!("cargo::rustc-link-arg-bins=--no-pie"); }`

use std::env;

fn main() {
    let folder = env::var("CARGO_MANIFEST_DIR").expect("cargo sets CARGO_MANIFEST_DIR");
    println!("cargo::rerun-if-changed=pv-guest.ld");
    println!("cargo::rustc-link-search={folder}");
    println!("cargo::metadata=linker_scripts={folder}");
    println!("cargo::rustc-link-arg-examples=-Tpv-guest.ld");
    println!("cargo::rustc-link-arg-examples=--no-pie");
}
