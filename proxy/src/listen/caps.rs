//! How many connections there may be, in total and for each client.

use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use arc_swap::ArcSwap;
use dashmap::DashMap;
use dashmap::mapref::entry::Entry;
use ipnet::IpNet;

use super::ConnectionEvents;
use super::refusal::{CLIENT_CAP, TOTAL_CAP};
use crate::client_key::ClientKey;

/// The counters; one for all listeners.
pub(super) struct Caps {
    bounds: ArcSwap<Bounds>,
    live: AtomicUsize,
    clients: DashMap<ClientKey, usize>,
    events: Arc<dyn ConnectionEvents>,
}

struct Bounds {
    total: usize,
    per_client: usize,
    /// Proxies that many clients come through.
    shared: Vec<IpNet>,
}

/// A place for one connection; given back when dropped.
pub(super) struct Permit {
    caps: Arc<Caps>,
    client: Option<ClientKey>,
}

impl Caps {
    /// Addresses in `shared` stand for many clients and count in the total only.
    pub(super) fn new(total: usize, per_client: usize, shared: Vec<IpNet>, events: Arc<dyn ConnectionEvents>) -> Arc<Self> {
        let bounds = ArcSwap::from_pointee(Bounds { total, per_client, shared });
        Arc::new(Self { bounds, live: AtomicUsize::new(0), clients: DashMap::new(), events })
    }

    /// Other bounds from now on; nobody who is in is sent away.
    pub(super) fn change(&self, total: usize, per_client: usize, shared: Vec<IpNet>) {
        self.bounds.store(Arc::new(Bounds { total, per_client, shared }));
    }

    pub(super) fn live(&self) -> usize {
        self.live.load(Ordering::Relaxed)
    }

    /// A place in the total; the client is not known yet.
    pub(super) fn admit(self: &Arc<Self>) -> Result<Permit, &'static str> {
        if self.live.fetch_add(1, Ordering::Relaxed) >= self.bounds.load().total {
            self.live.fetch_sub(1, Ordering::Relaxed);
            return Err(TOTAL_CAP);
        }
        self.events.connection(1);
        Ok(Permit { caps: self.clone(), client: None })
    }
}

impl Permit {
    /// Counts the connection for its client as well.
    pub(super) fn count_for(&mut self, client: IpAddr) -> Result<(), &'static str> {
        let client = client.to_canonical();
        let bounds = self.caps.bounds.load();
        if bounds.shared.iter().any(|network| network.contains(&client)) {
            return Ok(());
        }
        let key = ClientKey::of(client);
        let mut count = self.caps.clients.entry(key).or_insert(0);
        if *count >= bounds.per_client {
            return Err(CLIENT_CAP);
        }
        *count += 1;
        drop(count);
        self.client = Some(key);
        Ok(())
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        if let Some(key) = self.client
            && let Entry::Occupied(mut entry) = self.caps.clients.entry(key)
        {
            *entry.get_mut() -= 1;
            // An address seen once must not be remembered for ever.
            if *entry.get() == 0 {
                entry.remove();
            }
        }
        self.caps.live.fetch_sub(1, Ordering::Relaxed);
        self.caps.events.connection(-1);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::listen::tests::Recorder;

    fn caps(total: usize, per_client: usize) -> (Arc<Caps>, Arc<Recorder>) {
        let recorder = Arc::new(Recorder::default());
        (Caps::new(total, per_client, vec!["198.51.100.0/24".parse().unwrap()], recorder.clone()), recorder)
    }

    #[test]
    fn dos_04_the_total_is_bounded() {
        let (caps, recorder) = caps(2, 10);
        let first = caps.admit().unwrap();
        let _second = caps.admit().unwrap();
        assert_eq!(caps.admit().err(), Some(TOTAL_CAP));
        assert_eq!((caps.live(), recorder.live()), (2, 2));
        drop(first);
        assert!(caps.admit().is_ok());
        assert_eq!((caps.live(), recorder.live()), (1, 1));
    }

    #[test]
    fn dos_04_clients_are_ipv4_addresses_and_ipv6_networks() {
        let (caps, _) = caps(100, 1);
        let held: Vec<_> = ["192.0.2.1", "192.0.2.2", "2001:db8::1", "2001:db8:0:1::1"]
            .map(|client| {
                let mut permit = caps.admit().unwrap();
                permit.count_for(client.parse().unwrap()).unwrap();
                permit
            })
            .into();
        for same in ["192.0.2.1", "::ffff:192.0.2.1", "2001:db8::ffff:2", "2001:db8:0:1:1::"] {
            assert_eq!(caps.admit().unwrap().count_for(same.parse().unwrap()), Err(CLIENT_CAP), "{same}");
        }
        assert_eq!(caps.clients.len(), 4);
        drop(held);
        assert!(caps.clients.is_empty());
        assert_eq!(caps.live(), 0);
        assert!(caps.admit().unwrap().count_for("192.0.2.1".parse().unwrap()).is_ok());
    }

    #[test]
    fn dos_04_a_proxy_that_many_come_through_is_not_one_client() {
        let (caps, _) = caps(10, 1);
        let admit = |client: &str| {
            let mut permit = caps.admit().unwrap();
            permit.count_for(client.parse().unwrap()).map(|()| permit)
        };
        let _held: Vec<Permit> = (0..3).map(|_| admit("198.51.100.7").unwrap()).collect();
        let _one = admit("192.0.2.1").unwrap();
        assert_eq!(admit("192.0.2.1").err(), Some(CLIENT_CAP));
    }
}
