//! Links the control domain as the SDK's guests are linked.

fn main() {
    println!("cargo::rustc-link-arg-bins=-Tpv-guest.ld");
    println!("cargo::rustc-link-arg-bins=--no-pie");
}
