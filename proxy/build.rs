//! How the program is linked.

use std::process::Command;

fn main() {
    println!("cargo:rerun-if-changed=build.rs");
    if is_packing_understood().unwrap_or(false) {
        // A position-independent program is told where it is by tens of thousands of relocations. Packed they take 10 KB instead
        // of 870, which every start would read into memory.
        println!("cargo:rustc-link-arg-bins=-Wl,-z,pack-relative-relocs");
    }
}

/// Whether the C library here loads packed relocations: glibc 2.36 and later. An older one would not start the program at all.
fn is_packing_understood() -> Option<bool> {
    let told = |name: &str| std::env::var(name).unwrap_or_default();
    if told("HOST") != told("TARGET") || told("CARGO_CFG_TARGET_OS") != "linux" || told("CARGO_CFG_TARGET_ENV") != "gnu" {
        return None;
    }
    let said = Command::new("getconf").arg("GNU_LIBC_VERSION").output().ok()?.stdout;
    let (major, minor) = std::str::from_utf8(&said).ok()?.trim().strip_prefix("glibc ")?.split_once('.')?;
    Some((major.parse::<u32>().ok()?, minor.parse::<u32>().ok()?) >= (2, 36))
}
