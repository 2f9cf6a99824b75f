//! Ports that are known before anybody listens on them.

use std::net::{Ipv4Addr, TcpListener};
use std::sync::atomic::{AtomicU32, Ordering};

/// A port on loopback that is free, and stays free until its owner comes, even after a restart: it lies below the ports
/// that the system gives to whoever asks for any, and no two calls answer the same.
pub fn free_port() -> u16 {
    const FIRST: u32 = 20_000;
    const COUNT: u32 = 12_000;
    static CALLS: AtomicU32 = AtomicU32::new(0);
    // Another run at the same time begins elsewhere.
    let start = std::process::id().wrapping_mul(131);
    for _ in 0..COUNT {
        let call = CALLS.fetch_add(1, Ordering::Relaxed);
        let port = u16::try_from(FIRST + start.wrapping_add(call) % COUNT).expect("below 65536");
        if TcpListener::bind((Ipv4Addr::LOCALHOST, port)).is_ok() {
            return port;
        }
    }
    panic!("no port of {COUNT} on loopback is free");
}
