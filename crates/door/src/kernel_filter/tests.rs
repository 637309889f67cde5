//! The filter on real sockets: what the kernel takes, whom it lets through, and what is left on accepted sockets.

use super::*;
use crate::accept::{Accepting, Arrival, Reception, serve};
use crate::entrance::Entrance;
use crate::gate::{Gate, Gates};
use crate::listen::{Bound, ListenerSettings, bind};
use crate::stream::Stream;
use nix::setsockopt_impl;
use pullgate_metrics::Metrics;
use pullgate_policy::hosts::HostTable;
use pullgate_policy::{Admission, Admissions, Rules};
use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::TcpSocket;
use tokio::sync::{mpsc, watch};
use tokio::time::timeout;

/// Longest wait for what is bound to happen.
const PATIENCE: Duration = Duration::from_secs(10);

/// Pause between two looks.
const LOOK: Duration = Duration::from_millis(2);

fn networks(list: &[&str]) -> Networks {
    Networks::new(list.iter().map(|network| network.parse().unwrap()))
}

fn open(filtering: &Filtering) -> (Bound, KernelFilter) {
    let settings = ListenerSettings { name: "test".into(), address: "127.0.0.1:0".parse().unwrap(), ipv6_only: false };
    bind(settings, filtering).unwrap()
}

/// Whether the kernel lets an address connect: waits until it has, or until it counts a packet that it dropped.
async fn connects(from: &str, to: &Bound, filter: &KernelFilter) -> bool {
    let socket = TcpSocket::new_v4().unwrap();
    socket.bind(SocketAddr::new(from.parse().unwrap(), 0)).unwrap();
    let dropped = async {
        while filter.figures().dropped == 0 {
            tokio::time::sleep(LOOK).await;
        }
    };
    let decided = async {
        tokio::select! {
            connected = socket.connect(to.address()) => connected.map(|_| true).unwrap(),
            () = dropped => false,
        }
    };
    timeout(PATIENCE, decided).await.unwrap()
}

/// Networks that lie apart, with 127.0.5.0/24 as the last of them.
fn many(count: u32) -> Networks {
    let scattered = (0..count).map(|index| std::net::Ipv4Addr::from(0x0a00_0000 + index * 0x200));
    Networks::new(scattered.map(|address| format!("{address}/24").parse().unwrap())).union(&networks(&["127.0.5.0/24"]))
}

#[tokio::test]
async fn listed_sources_connect_and_others_see_nothing() {
    let (bound, filter) = open(&Filtering::Auto(networks(&["127.0.5.0/24", "2001:db8::/32"])));
    assert!(connects("127.0.5.1", &bound, &filter).await && connects("127.0.5.255", &bound, &filter).await);
    assert_eq!(filter.figures(), FilterFigures { active: Some(true), dropped: 0 });
    assert!(!connects("127.0.4.255", &bound, &filter).await && !connects("127.0.6.0", &bound, &filter).await);
    assert_eq!(filter.figures().dropped, 0, "what was counted is not counted again");

    let (open, filter) = open(&Filtering::Off);
    assert!(connects("127.0.4.255", &open, &filter).await);
    assert_eq!(filter.figures(), FilterFigures { active: None, dropped: 0 });
}

#[tokio::test]
async fn a_filter_follows_who_is_admitted() {
    let one = Filtering::Auto(networks(&["127.0.5.0/24"]));
    let other = Filtering::Require(networks(&["127.0.6.0/24"]));
    let (bound, filter) = open(&one);
    filter.widen(&other).unwrap();
    assert!(connects("127.0.5.1", &bound, &filter).await && connects("127.0.6.1", &bound, &filter).await);
    assert!(!connects("127.0.7.1", &bound, &filter).await);
    filter.settle("test", &other);
    assert!(!connects("127.0.5.1", &bound, &filter).await && connects("127.0.6.1", &bound, &filter).await);
    for filtering in [Filtering::Off, one] {
        filter.widen(&filtering).unwrap();
        assert!(connects("127.0.6.1", &bound, &filter).await);
        filter.settle("test", &filtering);
        assert_eq!(connects("127.0.6.1", &bound, &filter).await, filtering == Filtering::Off);
        assert!(connects("127.0.5.1", &bound, &filter).await);
    }
}

#[tokio::test]
async fn the_kernel_takes_the_longest_of_programs() {
    for count in [0, 1, 300, 1000] {
        let (bound, filter) = open(&Filtering::Require(many(count)));
        assert_eq!(filter.figures().active, Some(true));
        assert!(
            connects("127.0.5.1", &bound, &filter).await && !connects("127.0.6.1", &bound, &filter).await,
            "{count}"
        );
    }
}

#[tokio::test]
async fn too_many_networks_are_left_to_the_accept_loop_or_refused() {
    let (bound, filter) = open(&Filtering::Auto(many(2000)));
    assert_eq!(filter.figures().active, Some(false));
    assert!(connects("127.0.6.1", &bound, &filter).await);
    let few = networks(&["127.0.5.0/24"]);
    filter.settle("test", &Filtering::Auto(few.clone()));
    assert!(!connects("127.0.6.1", &bound, &filter).await);

    // What is required and cannot be is told before anything has changed.
    assert!(matches!(filter.widen(&Filtering::Require(many(2000))), Err(FilterFault::TooLong(_))));
    assert!(!connects("127.0.6.1", &bound, &filter).await);
    // Two lists that fit one by one and not together follow one another all the same.
    filter.settle("test", &Filtering::Require(many(900)));
    let others =
        Filtering::Require(Networks::new((0..900).map(|index: u32| {
            format!("{}/24", std::net::Ipv4Addr::from(0x1400_0000 + index * 0x200)).parse().unwrap()
        })));
    filter.widen(&others).unwrap();
    assert!(connects("127.0.5.1", &bound, &filter).await);
    filter.settle("test", &others);
    assert!(!connects("127.0.5.1", &bound, &filter).await);

    // The next list does not fit: nobody who is on it may be kept out by the one before.
    filter.settle("test", &Filtering::Auto(many(2000)));
    assert!(connects("127.0.6.1", &bound, &filter).await && filter.figures().active == Some(false));
}

sockopt_impl!(
    /// From now on the socket's filter stays as it is.
    LockFilter,
    SetOnly,
    libc::SOL_SOCKET,
    libc::SO_LOCK_FILTER,
    bool
);

#[test]
fn where_the_kernel_refuses_auto_goes_without_and_require_does_not() {
    let address: SocketAddr = "127.0.0.1:0".parse().unwrap();
    let socket = Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None).unwrap();
    nix::sys::socket::setsockopt(&socket, LockFilter, &true).unwrap();
    let networks = networks(&["127.0.5.0/24"]);
    assert_eq!(Filtering::Auto(networks.clone()).begin("test", &socket, address).unwrap(), Standing::Missing);
    let fault = Filtering::Require(networks).begin("test", &socket, address).unwrap_err();
    assert!(fault.to_string().contains("CAP_NET_ADMIN") && matches!(fault, FilterFault::Kernel(_)), "{fault}");
}

/// A generation that admits 127.0.5.0/24.
#[derive(Debug)]
struct OneGate(Arc<Gate>);

impl OneGate {
    fn new() -> Arc<Self> {
        let listeners = HashMap::from([("test".into(), Admission::Networks(networks(&["127.0.5.0/24"])))]);
        let admissions = Arc::new(Admissions { cloudflare: Networks::none(), listeners, ..Admissions::default() });
        let hosts = HostTable::new(Vec::new()).unwrap();
        let (listener_hosts, access_keys) = (HashMap::new(), Arc::default());
        let rules = Arc::new(Rules { hosts: Arc::new(hosts), listener_hosts, admissions, access_keys });
        let entrance =
            Entrance { tls: false, connections: 100, connections_per_source: None, handshake_timeout: PATIENCE };
        let entrances = HashMap::from([("test".into(), Arc::new(entrance))]);
        Arc::new(Self(Arc::new(Gate { rules, tls: Vec::new().into(), entrances })))
    }
}

impl Gates for OneGate {
    fn current(&self) -> Arc<Gate> {
        Arc::clone(&self.0)
    }
}

/// Hands on what arrives.
#[derive(Clone)]
struct Guests(mpsc::UnboundedSender<Arrival>);

impl Reception for Guests {
    async fn receive(self, arrival: Arrival) {
        self.0.send(arrival).unwrap();
    }
}

#[tokio::test]
async fn accepted_sockets_carry_no_filter() {
    let (bound, _filter) = open(&Filtering::Require(networks(&["127.0.5.0/24"])));
    let (address, orders) = (bound.address(), watch::Sender::new(Accepting::On));
    let (sender, mut guests) = mpsc::unbounded_channel();
    tokio::spawn(serve(bound, OneGate::new(), Metrics::new().unwrap(), Guests(sender), orders.subscribe()));
    let socket = TcpSocket::new_v4().unwrap();
    socket.bind("127.0.5.1:0".parse().unwrap()).unwrap();
    let _client = socket.connect(address).await.unwrap();
    let Stream::Plain(accepted) = guests.recv().await.unwrap().stream else { panic!("no plain stream") };
    let none = SockRef::from(&accepted).detach_filter().unwrap_err();
    assert_eq!(none.raw_os_error(), Some(libc::ENOENT), "it had none any more");
}

/// A socket that comes from another process may carry that one's filter: it stays until this one is in force, and no longer.
#[tokio::test]
async fn a_socket_that_is_handed_on_keeps_its_filter_until_the_next_one_is_in_force() {
    let (theirs, their_filter) = open(&Filtering::Auto(networks(&["127.0.5.0/24"])));
    for next in [Filtering::Auto(networks(&["127.0.6.0/24"])), Filtering::Off] {
        let ours = Bound::adopt("test".into(), theirs.share().unwrap()).unwrap();
        let our_filter = KernelFilter::adopt(&ours).unwrap();
        our_filter.widen(&next).unwrap();
        assert!(connects("127.0.5.1", &ours, &our_filter).await);
        assert!(!connects("127.0.6.1", &ours, &our_filter).await);
        our_filter.settle("test", &next);
        assert!(connects("127.0.6.1", &ours, &our_filter).await);
        assert_eq!(connects("127.0.5.1", &ours, &our_filter).await, next == Filtering::Off);
        // Theirs goes on, and puts back what it needs.
        their_filter.settle("test", &Filtering::Auto(networks(&["127.0.5.0/24"])));
    }
}
