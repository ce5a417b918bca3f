use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr};

use socket2::{Domain, Socket, Type};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::*;
use crate::settings::Proxy;

const LOCAL: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);
const SOON: Duration = Duration::from_secs(5);

/// This machine's end of a control connection.
fn local() -> SocketAddr {
    SocketAddr::new(LOCAL, 21)
}

fn loopback(last: u8) -> IpAddr {
    IpAddr::V4(Ipv4Addr::new(127, 0, 0, last))
}

/// A range of ports that nobody listens on at this moment. Each test looks in a region of its own.
fn range(first: u16, length: u16) -> PortRange {
    let candidate = |first: u16| PortRange { first, last: first.saturating_add(length).saturating_sub(1) };
    let free =
        |range: &PortRange| (range.first..=range.last).all(|port| std::net::TcpListener::bind((LOCAL, port)).is_ok());
    (first..).step_by(usize::from(length)).map(candidate).find(free).unwrap()
}

async fn connect(from: IpAddr, port: u16) -> TcpStream {
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
    socket.bind(&SocketAddr::new(from, 0).into()).unwrap();
    socket.set_nonblocking(true).unwrap();
    let socket = tokio::net::TcpSocket::from_std_stream(socket.into());
    socket.connect(SocketAddr::new(LOCAL, port)).await.unwrap()
}

async fn arrives(reservation: &mut Reservation) -> TcpStream {
    timeout(SOON, reservation.accept()).await.unwrap().unwrap()
}

#[tokio::test]
async fn two_clients_share_the_only_port() {
    let range = range(21_000, 1);
    let ports = PassivePorts::new(range, Proxies::default());
    let mut one = ports.reserve(local(), loopback(1)).unwrap();
    let mut two = ports.reserve(local(), "::ffff:127.0.0.2".parse::<IpAddr>().unwrap()).unwrap();
    assert_eq!((one.port(), two.port()), (range.first, range.first));
    assert!(matches!(ports.reserve(local(), loopback(1)), Err(ReserveFault::Exhausted)));
    assert_eq!((ports.in_use(), ports.open_ports()), (2, 1));

    let mut second = connect(loopback(2), two.port()).await;
    let mut first = connect(loopback(1), one.port()).await;
    second.write_all(b"2").await.unwrap();
    first.write_all(b"1").await.unwrap();
    for (reservation, expected) in [(&mut one, b'1'), (&mut two, b'2')] {
        assert_eq!(arrives(reservation).await.read_u8().await.unwrap(), expected);
    }
    assert_eq!(ports.in_use(), 2, "held until they are dropped");
    drop(one);
    let again = ports.reserve(local(), loopback(1)).unwrap();
    drop((two, again));
    assert_eq!(ports.in_use(), 0);
}

#[tokio::test]
async fn a_connection_that_came_first_takes_nothing_from_the_right_one() {
    let ports = PassivePorts::new(range(21_300, 1), Proxies::default());
    let mut reservation = ports.reserve(local(), loopback(1)).unwrap();
    let mut others = Vec::new();
    for _ in 0..3 {
        others.push(connect(loopback(1), reservation.port()).await);
        arrives(&mut reservation).await;
    }
    assert!(timeout(Duration::from_millis(20), reservation.accept()).await.is_err(), "and a lost wait loses nothing");
    let mut right = connect(loopback(1), reservation.port()).await;
    right.write_all(b"r").await.unwrap();
    assert_eq!(arrives(&mut reservation).await.read_u8().await.unwrap(), b'r');
}

#[tokio::test]
async fn connections_that_nobody_takes_are_bounded_and_end() {
    let ports = PassivePorts::new(range(21_400, 1), Proxies::default());
    let reservation = ports.reserve(local(), loopback(1)).unwrap();
    let mut held = Vec::new();
    for _ in 0..UNTAKEN_MAX {
        held.push(connect(loopback(1), reservation.port()).await);
    }
    let mut one_more = connect(loopback(1), reservation.port()).await;
    assert_eq!(timeout(SOON, one_more.read(&mut [0; 1])).await.unwrap().unwrap(), 0);
    drop(reservation);
    for mut stream in held {
        assert_eq!(timeout(SOON, stream.read(&mut [0; 1])).await.unwrap().unwrap(), 0, "an end, no reset");
    }
}

#[tokio::test]
async fn the_scope_of_a_link_local_address_is_kept() {
    let ports = PassivePorts::new(range(21_500, 1), Proxies::default());
    let control = SocketAddr::V6(std::net::SocketAddrV6::new(std::net::Ipv6Addr::LOCALHOST, 21, 0, 1));
    let reservation = ports.reserve(control, IpAddr::from(std::net::Ipv6Addr::LOCALHOST)).unwrap();
    assert!(matches!(reservation.local, SocketAddr::V6(local) if local.scope_id() == 1), "{:?}", reservation.local);
}

#[tokio::test]
async fn a_stranger_is_turned_away_and_the_rightful_client_still_served() {
    let ports = PassivePorts::new(range(21_100, 1), Proxies::default());
    let mut reports = ports.strangers().unwrap();
    assert!(ports.strangers().is_none());
    let mut reservation = ports.reserve(local(), loopback(1)).unwrap();
    let mut stranger = connect(loopback(3), reservation.port()).await;
    assert_eq!(timeout(SOON, stranger.read(&mut [0; 1])).await.unwrap().unwrap(), 0);
    let report = timeout(SOON, reports.recv()).await.unwrap().unwrap();
    assert_eq!(report.peer, stranger.local_addr().unwrap());
    assert_eq!((report.local.port(), report.waiting), (reservation.port(), 1));

    let _client = connect(loopback(1), reservation.port()).await;
    arrives(&mut reservation).await;
    drop(reservation);
    let port = report.local.port();
    let mut late = connect(loopback(1), port).await;
    assert_eq!(timeout(SOON, late.read(&mut [0; 1])).await.unwrap().unwrap(), 0, "an end, no reset");
    assert!(reports.try_recv().is_err(), "a late client is no stranger");
}

#[tokio::test]
async fn reports_are_bounded_and_the_rest_counted() {
    let ports = PassivePorts::new(range(21_200, 1), Proxies::default());
    let mut reports = ports.strangers().unwrap();
    let reservation = ports.reserve(local(), loopback(1)).unwrap();
    for _ in 0..50 {
        let mut stranger = connect(loopback(4), reservation.port()).await;
        let _ = timeout(SOON, stranger.read(&mut [0; 1])).await.unwrap();
    }
    let mut seen = 0;
    while reports.try_recv().is_ok() {
        seen += 1;
    }
    assert!((1..50).contains(&seen), "{seen}");
    assert_eq!(seen + ports.lock().unreported, 50);
}

#[tokio::test]
async fn ports_are_spread_evenly_and_stay_in_the_range() {
    let range = range(22_000, 10);
    let ports = PassivePorts::new(range, Proxies::default());
    let mut counts: BTreeMap<u16, f64> = BTreeMap::new();
    let rounds = 5_000;
    for _ in 0..rounds {
        *counts.entry(ports.reserve(local(), loopback(1)).unwrap().port()).or_default() += 1.0;
    }
    assert!(counts.keys().all(|port| range.contains(*port)));
    let expected = f64::from(rounds) / 10.0;
    let chi_squared: f64 = counts.values().map(|count| (count - expected).powi(2) / expected).sum();
    // Nine degrees of freedom: exceeded by chance once in ten million runs.
    assert!(counts.len() == 10 && chi_squared < 50.0, "{chi_squared} {counts:?}");
}

#[tokio::test]
async fn five_hundred_reservations() {
    let ports = PassivePorts::new(range(23_000, 50), Proxies::default());
    let mut held = Vec::new();
    for client in 1..=10 {
        let of_client: Vec<_> = (0..50).map(|_| ports.reserve(local(), loopback(client)).unwrap()).collect();
        let distinct: HashSet<_> = of_client.iter().map(Reservation::port).collect();
        assert_eq!(distinct.len(), 50);
        assert!(matches!(ports.reserve(local(), loopback(client)), Err(ReserveFault::Exhausted)));
        held.extend((0..50).map(|_| client).zip(of_client));
    }
    assert_eq!((ports.in_use(), ports.open_ports()), (500, 50));
    for (client, reservation) in &mut held {
        let _client = connect(loopback(*client), reservation.port()).await;
        assert_eq!(arrives(reservation).await.peer_addr().unwrap().ip(), loopback(*client));
    }
    drop(held);
    assert_eq!(ports.in_use(), 0);
    assert!(ports.lock().held.is_empty());
}

#[tokio::test]
async fn taken_ports_are_skipped_and_errors_told_apart() {
    let range = range(24_000, 3);
    let _taken: Vec<_> =
        (range.first..range.last).map(|port| std::net::TcpListener::bind((LOCAL, port)).unwrap()).collect();
    let ports = PassivePorts::new(range, Proxies::default());
    let only = ports.reserve(local(), loopback(1)).unwrap();
    assert_eq!(only.port(), range.last);
    assert!(matches!(ports.reserve(local(), loopback(1)), Err(ReserveFault::Exhausted)));
    let elsewhere = "192.0.2.1:21".parse().unwrap();
    assert!(matches!(ports.reserve(elsewhere, loopback(1)), Err(ReserveFault::Bind(_))));
}

#[tokio::test]
async fn an_unused_port_is_closed_after_a_while() {
    let ports = PassivePorts::with_stay(range(24_100, 1), Proxies::default(), Duration::from_millis(30));
    let mut reservation = ports.reserve(local(), loopback(1)).unwrap();
    sleep(Duration::from_millis(150)).await;
    assert_eq!(ports.open_ports(), 1, "not while somebody waits");
    let _client = connect(loopback(1), reservation.port()).await;
    arrives(&mut reservation).await;
    drop(reservation);
    for _ in 0..100 {
        if ports.open_ports() == 0 {
            break;
        }
        sleep(Duration::from_millis(30)).await;
    }
    assert_eq!(ports.open_ports(), 0);
    let mut reopened = ports.reserve(local(), loopback(1)).unwrap();
    let _client = connect(loopback(1), reopened.port()).await;
    arrives(&mut reopened).await;
}

#[tokio::test]
async fn who_waits_for_a_port_gets_it_in_turn() {
    let ports = PassivePorts::new(range(24_200, 2), Proxies::default());
    let mut held = vec![ports.reserve(local(), loopback(1)).unwrap(), ports.reserve(local(), loopback(1)).unwrap()];
    let (served, mut order) = mpsc::unbounded_channel();
    for number in 0..20 {
        let (shared, served) = (Arc::clone(&ports), served.clone());
        tokio::spawn(async move {
            let mut reservation = shared.reserve_within(local(), loopback(1), SOON).await.unwrap();
            served.send(number).unwrap();
            // It is a working one, whoever had the port before.
            let _client = connect(loopback(1), reservation.port()).await;
            arrives(&mut reservation).await;
        });
        while ports.queued() <= number {
            tokio::task::yield_now().await;
        }
    }
    assert_eq!(
        ports.reserve_within(local(), loopback(2), SOON).await.unwrap().comer.address,
        loopback(2),
        "others need not"
    );
    assert!(order.try_recv().is_err());
    held.clear();
    for number in 0..20 {
        assert_eq!(timeout(SOON, order.recv()).await.unwrap(), Some(number));
    }
    drop(order);
    while ports.in_use() > 0 {
        sleep(Duration::from_millis(1)).await;
    }
    let state = ports.lock();
    assert!(state.held.is_empty());
}

#[tokio::test]
async fn who_stops_waiting_keeps_no_port_from_the_next() {
    let ports = PassivePorts::new(range(24_300, 1), Proxies::default());
    let held = ports.reserve(local(), loopback(1)).unwrap();
    let brief = ports.reserve_within(local(), loopback(1), Duration::from_millis(20)).await;
    assert!(matches!(brief, Err(ReserveFault::Exhausted)));
    let mut lost = Box::pin(ports.reserve_within(local(), loopback(1), SOON));
    assert!(timeout(Duration::from_millis(1), &mut lost).await.is_err());
    let mut next = Box::pin(ports.reserve_within(local(), loopback(1), SOON));
    assert!(timeout(Duration::from_millis(1), &mut next).await.is_err());
    // The port is on its way to the first of them as it goes.
    drop(held);
    drop(lost);
    assert_eq!(timeout(SOON, next).await.unwrap().unwrap().comer.address, loopback(1));
    assert_eq!((ports.in_use(), ports.queued()), (0, 0));
}

/// The proxy of these tests connects from 127.0.0.9.
fn behind_a_proxy(first: u16, data: ProxyData) -> (Arc<PassivePorts>, Via) {
    let proxies = Proxies::new(&[Proxy { from: loopback(9).into(), data }]);
    let via = proxies.find(SocketAddr::new(loopback(9), 1)).unwrap();
    (PassivePorts::new(range(first, 1), proxies), via)
}

#[tokio::test]
async fn behind_headers_each_client_has_its_own_reservation() {
    let (ports, via) = behind_a_proxy(21_600, ProxyData::Header);
    let mut reports = ports.strangers().unwrap();
    let comer = |last: u8| Comer { address: IpAddr::from([192, 0, 2, last]), told_by: Some(via.entry) };
    let mut one = ports.reserve(local(), comer(1)).unwrap();
    let mut two = ports.reserve(local(), comer(2)).unwrap();
    assert_eq!(one.port(), two.port());
    let from = async |header: &str| {
        let mut stream = connect(loopback(9), one.port()).await;
        stream.write_all(header.as_bytes()).await.unwrap();
        stream
    };
    let slow = from("PROXY TCP4 192.0.2.1").await;
    let _second = from("PROXY TCP4 192.0.2.2 127.0.0.1 4000 50000\r\n2").await;
    assert_eq!(arrives(&mut two).await.read_u8().await.unwrap(), b'2', "though another still tells who it is");
    let mut stranger = from("PROXY TCP4 192.0.2.3 127.0.0.1 4000 50000\r\n").await;
    assert_eq!(timeout(SOON, stranger.read(&mut [0; 1])).await.unwrap().unwrap(), 0);
    let report = timeout(SOON, reports.recv()).await.unwrap().unwrap();
    assert_eq!((report.reason, report.peer.ip()), ("no_reservation", IpAddr::from([192, 0, 2, 3])));
    assert_eq!(report.proxy.map(|proxy| proxy.ip()), Some(loopback(9)));
    let mut mute = from("USER alice\r\n").await;
    assert_eq!(timeout(SOON, mute.read(&mut [0; 1])).await.unwrap().unwrap(), 0);
    assert_eq!(timeout(SOON, reports.recv()).await.unwrap().unwrap().reason, "proxy_header_missing");
    drop(slow);
    let _first = from("PROXY TCP4 192.0.2.1 127.0.0.1 4000 50000\r\n1").await;
    assert_eq!(arrives(&mut one).await.read_u8().await.unwrap(), b'1');
}

#[tokio::test]
async fn nobody_gets_past_the_proxy_to_what_is_reserved_behind_it() {
    let (ports, via) = behind_a_proxy(21_700, ProxyData::Header);
    let mut reports = ports.strangers().unwrap();
    let comer = Comer { address: loopback(2), told_by: Some(via.entry) };
    let mut reservation = ports.reserve(local(), comer).unwrap();
    let mut past = connect(loopback(2), reservation.port()).await;
    assert_eq!(timeout(SOON, past.read(&mut [0; 1])).await.unwrap().unwrap(), 0);
    assert_eq!(timeout(SOON, reports.recv()).await.unwrap().unwrap().peer.ip(), loopback(2));
    assert!(timeout(Duration::from_millis(20), reservation.accept()).await.is_err());
}

#[tokio::test]
async fn without_headers_the_proxys_own_address_holds_the_reservations() {
    let (ports, via) = behind_a_proxy(21_800, ProxyData::SameAddress);
    let mut reservation = ports.reserve(local(), via.address.ip()).unwrap();
    assert!(matches!(ports.reserve(local(), via.address.ip()), Err(ReserveFault::Exhausted)), "one port, one session");
    let mut client = connect(loopback(9), reservation.port()).await;
    client.write_all(b"PROXY").await.unwrap();
    assert_eq!(arrives(&mut reservation).await.read_u8().await.unwrap(), b'P', "no header is looked for");
}
