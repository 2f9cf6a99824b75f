//! Ports that are known before anybody listens on them.

use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::sync::atomic::{AtomicU16, Ordering};

/// A place on loopback that is free, and stays free until its owner comes: it lies below the ports that the system gives to
/// whoever connects, and no two calls answer the same.
///
/// # Panics
/// When thousands are taken.
pub fn free() -> SocketAddr {
    const FIRST: u16 = 23_000;
    const COUNT: u16 = 9_000;
    static CALLS: AtomicU16 = AtomicU16::new(0);
    // Another run at the same time begins elsewhere.
    let start = std::process::id().wrapping_mul(131) % u32::from(COUNT);
    let start = u16::try_from(start).unwrap_or_default();
    for _ in 0..COUNT {
        let call = CALLS.fetch_add(1, Ordering::Relaxed) % COUNT;
        let place = (Ipv4Addr::LOCALHOST, FIRST + (start + call) % COUNT).into();
        if TcpListener::bind(place).is_ok() {
            return place;
        }
    }
    panic!("no port of {COUNT} on loopback is free")
}
