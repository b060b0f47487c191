//! Every binary here is a guest kernel, linked as the SDK says.

fn main() {
    println!("cargo::rustc-link-arg-bins=-Tpv-guest.ld");
    println!("cargo::rustc-link-arg-bins=--no-pie");
}
