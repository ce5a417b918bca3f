//! The way of a connection: from the client to this machine, straight or through a named proxy.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use ipnet::IpNet;

use crate::settings::{Proxy, ProxyData};

/// The proxies that the policy names.
#[derive(Clone, Debug, Default)]
pub struct Proxies(Vec<Proxy>);

/// One of them, by the addresses it connects from: so it stays the same where others are named
/// before it while the server runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct ProxyEntry(IpNet);

/// The way of a control connection.
#[derive(Clone, Copy, Debug)]
pub struct Route {
    /// The client.
    pub client: SocketAddr,
    /// What the client connected to: this machine, or the proxy.
    pub server: SocketAddr,
    /// This machine's end.
    pub local: SocketAddr,
    /// The proxy in between.
    pub proxy: Option<Via>,
}

/// A proxy that a connection came through.
#[derive(Clone, Copy, Debug)]
pub struct Via {
    /// Its end of the connection to this machine.
    pub address: SocketAddr,
    /// Which of the policy's it is.
    pub entry: ProxyEntry,
    /// How data connections of its clients come.
    pub data: ProxyData,
}

/// Who may come to a passive port.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Comer {
    /// The address it comes from; behind a header, the one that the header tells.
    pub address: IpAddr,
    /// The proxy that has to tell it.
    pub told_by: Option<ProxyEntry>,
}

impl Proxies {
    /// Takes them from the policy.
    pub fn new(proxies: &[Proxy]) -> Self {
        Self(proxies.to_vec())
    }

    /// Which of them has the address.
    pub fn find(&self, address: SocketAddr) -> Option<Via> {
        let ip = address.ip().to_canonical();
        let proxy = self.0.iter().find(|proxy| proxy.from.contains(&ip))?;
        Some(Via { address, entry: ProxyEntry(proxy.from), data: proxy.data })
    }
}

impl Route {
    /// The way of a connection without a proxy.
    pub fn straight(client: SocketAddr, local: SocketAddr) -> Self {
        Self { client, server: local, local, proxy: None }
    }

    /// Whether passive data connections come from an address that other clients share.
    pub fn is_of_a_shared_address(&self) -> bool {
        self.proxy.is_some_and(|via| via.data == ProxyData::SameAddress)
    }

    /// Where data connections of this session arrive at this machine, and from whom.
    pub fn of_data(&self) -> (SocketAddr, Comer) {
        let client = Comer::from(self.client.ip());
        let Some(via) = self.proxy else { return (self.local, client) };
        match via.data {
            ProxyData::Header => (self.local, Comer { told_by: Some(via.entry), ..client }),
            ProxyData::SameAddress => (self.local, Comer::from(via.address.ip())),
            // By which of this machine's addresses clients reach it is not to be seen from here.
            ProxyData::Direct => (everywhere(self.client.ip()), client),
        }
    }
}

impl From<IpAddr> for Comer {
    fn from(address: IpAddr) -> Self {
        Self { address: address.to_canonical(), told_by: None }
    }
}

/// Every address of this machine in the family of this one.
fn everywhere(family: IpAddr) -> SocketAddr {
    match family.to_canonical() {
        IpAddr::V4(_) => (Ipv4Addr::UNSPECIFIED, 0).into(),
        IpAddr::V6(_) => (Ipv6Addr::UNSPECIFIED, 0).into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn proxies() -> Proxies {
        let proxy = |from: &str, data| Proxy { from: from.parse().unwrap(), data };
        Proxies::new(&[proxy("10.0.0.4/31", ProxyData::Header), proxy("10.0.0.6/32", ProxyData::Direct)])
    }

    #[test]
    fn a_proxy_is_found_by_its_address_however_it_is_written() {
        let entry = |address: &str| proxies().find(address.parse().unwrap()).map(|via| via.entry);
        assert_eq!(entry("10.0.0.4:1"), entry("[::ffff:10.0.0.5]:2"));
        assert_ne!(entry("10.0.0.4:1"), entry("10.0.0.6:1"));
        assert_eq!(entry("10.0.0.7:1"), None);
        assert_eq!(entry("[2001:db8::1]:1"), None);
    }

    #[test]
    fn data_connections_are_awaited_where_they_will_come() {
        let [client, local] = ["192.0.2.7:4000", "10.0.0.1:21"].map(|text| text.parse().unwrap());
        let through = |proxy: &str| Route {
            client,
            server: "203.0.113.7:21".parse().unwrap(),
            local,
            proxy: proxies().find(proxy.parse().unwrap()),
        };
        assert_eq!(Route::straight(client, local).of_data(), (local, client.ip().into()));
        let (at, comer) = through("10.0.0.5:9").of_data();
        assert!(at == local && comer.address == client.ip() && comer.told_by.is_some());
        assert_eq!(through("10.0.0.6:9").of_data(), ("0.0.0.0:0".parse().unwrap(), client.ip().into()));
        let mut plain = through("10.0.0.6:9");
        plain.proxy.as_mut().unwrap().data = ProxyData::SameAddress;
        assert_eq!(plain.of_data(), (local, Comer::from("10.0.0.6".parse::<IpAddr>().unwrap())));
    }
}
