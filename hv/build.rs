//! Says how the hypervisor's image is linked, so that any `cargo build` for the bare-metal target links the same.

fn main() {
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/machine/link.ld");
    println!("cargo::rerun-if-changed={script}");
    println!("cargo::rustc-link-arg-bins=-T{script}");
    // PML4 slots 256-271 lie outside the top 2 GiB, so addresses must be relative to RIP, which is the target's default; but the image is
    // linked at one address and relocates nothing.
    println!("cargo::rustc-link-arg-bins=-no-pie");
}
