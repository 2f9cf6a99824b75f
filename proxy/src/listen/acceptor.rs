//! The one thread that owns the listening sockets.

use std::io::{self, ErrorKind};
use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use tokio::net::TcpListener;
use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;

use super::caps::Caps;
use super::redirect::Redirect;
use super::refusal::{ACCEPT_FAILED, PROXY_UNTRUSTED};
use super::serving::{Bound, Stage};
use super::world::{Arrival, Load, gave_up};
use super::{ConnectionEvents, CurrentTerms, Purpose};

/// After an error that the next `accept` would only repeat: no file descriptors, no memory.
const PAUSE: Duration = Duration::from_millis(100);

/// The way into one world.
#[derive(Clone)]
pub(super) struct Lane {
    pub(super) sender: mpsc::UnboundedSender<Arrival>,
    /// Connections it has.
    pub(super) load: Arc<AtomicUsize>,
}

/// Everything the acceptor works with.
pub(super) struct Accepting {
    pub(super) listen: Vec<Bound>,
    pub(super) hooks: Vec<Bound>,
    pub(super) redirecting: Vec<Bound>,
    pub(super) lanes: Vec<Lane>,
    pub(super) caps: Arc<Caps>,
    pub(super) hook_caps: Arc<Caps>,
    pub(super) redirect: Arc<Redirect>,
    pub(super) terms: CurrentTerms,
    pub(super) events: Arc<dyn ConnectionEvents>,
}

/// What a listener does with a connection.
enum Door {
    /// `announced`: whose place among the listeners that demand a PROXY header it is.
    Worlds {
        lanes: Vec<Lane>,
        next: usize,
        purpose: Purpose,
        terms: CurrentTerms,
        announced: Option<usize>,
    },
    Redirect(Arc<Redirect>),
}

/// Accepts until the stage is `Drain`, then what is still queued, and ends.
pub(super) fn run(accepting: Accepting, stage: watch::Receiver<Stage>) -> io::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let Accepting { listen, hooks, redirecting, lanes, caps, hook_caps, redirect, terms, events } = accepting;
    runtime.block_on(async move {
        let mut loops = JoinSet::new();
        let listen = listen.into_iter().map(|bound| (Purpose::Public, bound)).enumerate();
        let hooks = hooks.into_iter().map(|bound| (Purpose::Hooks, bound)).enumerate();
        for (place, (purpose, Bound { socket, address, announced })) in listen.chain(hooks) {
            let announced = announced.then_some(place);
            let door = Door::Worlds { lanes: lanes.clone(), next: 0, purpose, terms: terms.clone(), announced };
            let caps = if purpose == Purpose::Hooks { &hook_caps } else { &caps };
            loops.spawn(accept(socket, address, door, caps.clone(), events.clone(), stage.clone()));
        }
        for Bound { socket, address, .. } in redirecting {
            loops.spawn(accept(socket, address, Door::Redirect(redirect.clone()), caps.clone(), events.clone(), stage.clone()));
        }
        // The worlds end when no lane into them is left.
        drop(lanes);
        while loops.join_next().await.is_some() {}
    });
    runtime.shutdown_background();
    Ok(())
}

async fn accept(
    socket: std::net::TcpListener,
    local: SocketAddr,
    mut door: Door,
    caps: Arc<Caps>,
    events: Arc<dyn ConnectionEvents>,
    mut stage: watch::Receiver<Stage>,
) {
    // The second handle is for the end: only the system knows what is queued, not the reactor.
    let (listener, socket) = match socket.try_clone().and_then(|clone| Ok((TcpListener::from_std(clone)?, socket))) {
        Ok(both) => both,
        Err(error) => return tracing::error!(%error, %local, "cannot wait for connections"),
    };
    let mut visits = JoinSet::new();
    loop {
        tokio::select! {
            () = serving_ended(&mut stage) => break,
            accepted = listener.accept() => match accepted.and_then(|(stream, peer)| Ok((stream.into_std()?, peer))) {
                Ok((stream, peer)) => door.admit(stream, peer, local, &caps, &events, &mut visits),
                Err(error) if is_of_the_client(error.kind()) => {}
                Err(error) => {
                    tracing::warn!(%error, %local, "cannot accept a connection");
                    events.refused(IpAddr::V4(Ipv4Addr::UNSPECIFIED), ACCEPT_FAILED, None, "");
                    tokio::time::sleep(PAUSE).await;
                }
            },
            Some(_) = visits.join_next() => {}
        }
    }
    // Whoever is queued has been told by the system that we are here.
    while let Ok((stream, peer)) = socket.accept() {
        door.admit(stream, peer, local, &caps, &events, &mut visits);
    }
    drop((listener, socket, door));
    tokio::select! {
        () = async { while visits.join_next().await.is_some() {} } => {}
        () = gave_up(&mut stage) => {}
    }
}

async fn serving_ended(stage: &mut watch::Receiver<Stage>) {
    // An error means that the `Serving` was dropped.
    let _ = stage.wait_for(|stage| *stage != Stage::Serve).await;
}

/// `accept` also reports that a queued connection is gone already (accept(2)).
pub(crate) fn is_of_the_client(kind: ErrorKind) -> bool {
    matches!(
        kind,
        ErrorKind::ConnectionAborted
            | ErrorKind::ConnectionReset
            | ErrorKind::Interrupted
            | ErrorKind::NetworkUnreachable
            | ErrorKind::HostUnreachable
    )
}

impl Door {
    fn admit(
        &mut self,
        stream: TcpStream,
        peer: SocketAddr,
        local: SocketAddr,
        caps: &Arc<Caps>,
        events: &Arc<dyn ConnectionEvents>,
        visits: &mut JoinSet<()>,
    ) {
        let peer = SocketAddr::new(peer.ip().to_canonical(), peer.port());
        let refused = |reason| events.refused(peer.ip(), reason, None, "");
        match self {
            Self::Worlds { lanes, next, purpose, terms, announced } => {
                let mut permit = match caps.admit() {
                    Ok(permit) => permit,
                    Err(reason) => return refused(reason),
                };
                let announced = match *announced {
                    Some(place) if !may_announce(terms, place, peer.ip()) => return refused(PROXY_UNTRUSTED),
                    // The load balancer is not the client; the world counts when it knows who is.
                    Some(_) => true,
                    None => {
                        if let Err(reason) = permit.count_for(peer.ip()) {
                            return refused(reason);
                        }
                        false
                    }
                };
                let arrival = |socket, local, load| Arrival { socket, peer, local, purpose: *purpose, announced, permit, load };
                hand_over(lanes, next, stream, local, arrival);
            }
            Self::Redirect(redirect) => {
                let mut permit = match caps.admit() {
                    Ok(permit) => permit,
                    Err(reason) => return refused(reason),
                };
                if let Err(reason) = permit.count_for(peer.ip()) {
                    return refused(reason);
                }
                let redirect = redirect.clone();
                visits.spawn(async move {
                    redirect.serve(stream, peer.ip()).await;
                    drop(permit);
                });
            }
        }
    }
}

/// Whether the peer is one of those that the listener at this place expects.
fn may_announce(terms: &CurrentTerms, place: usize, peer: IpAddr) -> bool {
    let terms = terms.load();
    let trusted = terms.announcers.get(place).and_then(Option::as_ref);
    trusted.is_some_and(|trusted| trusted.iter().any(|network| network.contains(&peer)))
}

/// To the world with the fewest connections; of equals, each in turn.
fn hand_over(
    lanes: &[Lane],
    next: &mut usize,
    socket: TcpStream,
    local: SocketAddr,
    arrival: impl FnOnce(TcpStream, SocketAddr, Load) -> Arrival,
) {
    *next = next.wrapping_add(1);
    let start = *next % lanes.len().max(1);
    let (before, after) = lanes.split_at(start);
    // A world that is gone has no load, and would otherwise draw every connection to itself.
    let alive = after.iter().chain(before).filter(|lane| !lane.sender.is_closed());
    let Some(lane) = alive.min_by_key(|lane| lane.load.load(Ordering::Relaxed)) else { return };
    if socket.set_nonblocking(true).is_err() {
        return;
    }
    let local = socket.local_addr().map_or(local, |address| SocketAddr::new(address.ip().to_canonical(), address.port()));
    let load = Load::on(&lane.load);
    // A world that is gone takes nothing; then the connection ends here.
    let _ = lane.sender.send(arrival(socket, local, load));
}
