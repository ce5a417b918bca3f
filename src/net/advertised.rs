//! The address that `PASV` announces: stated by the policy, or that of a host name, which is looked
//! up in the background so that no client waits for it.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv4Addr};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::sleep;
use tracing::{info, warn};

use super::names::{LookupFault, Names};
use crate::settings::{Announced, Passive};

/// How soon a lookup that failed is tried again, where the policy does not want it sooner: after a
/// start ahead of the network, `PASV` is not to be refused until the usual time.
const RETRY_TIME: Duration = Duration::from_secs(5);

/// What is announced to whom, and what the names among it stand for now.
#[derive(Debug)]
pub struct Advertised {
    settings: Passive,
    known: Mutex<HashMap<Arc<str>, Known>>,
}

/// What is known of a name.
#[derive(Clone, Copy, Debug, Default)]
struct Known {
    /// The last good answer.
    address: Option<Ipv4Addr>,
    /// Whether the last lookup failed.
    failing: bool,
}

impl Advertised {
    /// Takes the settings; of the names among them nothing is known yet.
    pub fn new(settings: &Passive) -> Arc<Self> {
        let known = settings.names().into_iter().map(|name| (name, Known::default())).collect();
        Arc::new(Self { settings: settings.clone(), known: Mutex::new(known) })
    }

    /// Takes other settings; of names that were there before, what was known of them stays known.
    #[must_use]
    pub fn with_settings(&self, settings: &Passive) -> Arc<Self> {
        let next = Self::new(settings);
        {
            let (before, mut known) = (self.lock(), next.lock());
            for (name, known) in known.iter_mut() {
                if let Some(before) = before.get(name) {
                    *known = *before;
                }
            }
        }
        next
    }

    /// Whether there is a name of which no address is known.
    pub fn lacks_addresses(&self) -> bool {
        self.lock().values().any(|known| known.address.is_none())
    }

    /// What is announced to a client that connected to `own`; none where the name that stands for
    /// it has no address yet.
    pub fn to(&self, client: IpAddr, own: Ipv4Addr) -> Option<Ipv4Addr> {
        match self.settings.advertised(client) {
            None => Some(own),
            Some(Announced::Address(address)) => Some(*address),
            Some(Announced::Name(name)) => self.lock().get(name).and_then(|known| known.address),
        }
    }

    /// Looks the names up for ever, the first time at once.
    pub async fn keep_current(&self, names: &Names) {
        loop {
            self.look_up(names).await;
            sleep(self.pause()).await;
        }
    }

    /// How long until the names are looked up again.
    fn pause(&self) -> Duration {
        let usual = self.settings.resolve_every;
        if self.lock().values().any(|known| known.failing) { usual.min(RETRY_TIME) } else { usual }
    }

    /// Looks every name up once.
    pub async fn look_up(&self, names: &Names) {
        for name in self.settings.names() {
            self.learn(&name, names.addresses(&name).await);
        }
    }

    /// Takes what a lookup gave, and tells the operator what is new about it.
    fn learn(&self, name: &Arc<str>, found: Result<Vec<Ipv4Addr>, LookupFault>) {
        let mut all = self.lock();
        let Some(known) = all.get_mut(name) else { return };
        let chosen = found.map(|addresses| choose(known.address, &addresses));
        match chosen {
            Ok(Some(address)) => {
                let before = known.address.replace(address);
                let recovered = std::mem::take(&mut known.failing);
                match before {
                    Some(before) if before != address => {
                        info!(%name, %address, %before, "the advertised name has another address; PASV announces it from now on");
                    }
                    Some(_) if recovered => info!(%name, %address, "the advertised name can be looked up again"),
                    Some(_) => {}
                    None => info!(%name, %address, "PASV announces the address of the advertised name"),
                }
            }
            failed => {
                if std::mem::replace(&mut known.failing, true) {
                    return;
                }
                let fault = match failed {
                    Err(fault) => fault.to_string(),
                    Ok(_) => "none of its addresses is one that a client could connect to".to_owned(),
                };
                match known.address {
                    Some(address) => {
                        warn!(%name, %fault, %address, "the advertised name cannot be looked up; PASV still announces its last address");
                    }
                    None => {
                        warn!(%name, %fault, "the advertised name cannot be looked up; PASV is refused until it can, and EPSV works");
                    }
                }
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<Arc<str>, Known>> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The one address of several: name servers change their order at will, so the one that is
/// announced already stays, else it is the lowest. None where none is one to connect to.
pub fn choose(announced: Option<Ipv4Addr>, found: &[Ipv4Addr]) -> Option<Ipv4Addr> {
    let usable = |address: &Ipv4Addr| !address.is_unspecified() && !address.is_multicast() && !address.is_broadcast();
    announced.filter(|address| found.contains(address)).or_else(|| found.iter().copied().filter(usable).min())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::settings::{Advertise, PortRange};

    fn advertised() -> Arc<Advertised> {
        let entry =
            |clients: Option<&str>, address| Advertise { clients: clients.map(|net| net.parse().unwrap()), address };
        Advertised::new(&Passive {
            ports: PortRange { first: 50_000, last: 50_009 },
            advertise: vec![
                entry(Some("10.0.0.0/8"), Announced::Address(Ipv4Addr::new(10, 0, 0, 5))),
                entry(Some("192.0.2.0/24"), Announced::Name("ftp.example.org".into())),
            ],
            resolve_every: Duration::from_mins(1),
            resolvers: vec![],
        })
    }

    const OWN: Ipv4Addr = Ipv4Addr::new(172, 16, 0, 1);

    #[test]
    fn the_first_entry_for_the_client_decides() {
        let advertised = advertised();
        let to = |client: &str| advertised.to(client.parse().unwrap(), OWN);
        assert_eq!(to("10.1.2.3"), Some(Ipv4Addr::new(10, 0, 0, 5)));
        assert_eq!(to("::ffff:10.1.2.3"), Some(Ipv4Addr::new(10, 0, 0, 5)));
        assert_eq!(to("203.0.113.1"), Some(OWN));
        assert_eq!(to("192.0.2.1"), None, "nobody has looked it up yet");
    }

    #[test]
    fn the_last_good_answer_stays() {
        let (advertised, name) = (advertised(), Arc::from("ftp.example.org"));
        let announced = |found: Result<Vec<[u8; 4]>, LookupFault>| {
            advertised.learn(&name, found.map(|all| all.into_iter().map(Ipv4Addr::from).collect()));
            advertised.to("192.0.2.1".parse().unwrap(), OWN).map(|address| address.octets())
        };
        assert_eq!(announced(Err(LookupFault::Silence)), None);
        assert_eq!(announced(Ok(vec![[0, 0, 0, 0], [224, 0, 0, 1]])), None, "no address to connect to");
        assert_eq!(announced(Ok(vec![[203, 0, 113, 9], [203, 0, 113, 7]])), Some([203, 0, 113, 7]));
        assert_eq!(announced(Ok(vec![[203, 0, 113, 1], [203, 0, 113, 7]])), Some([203, 0, 113, 7]), "it stays");
        assert_eq!(announced(Err(LookupFault::Nothing)), Some([203, 0, 113, 7]));
        assert_eq!(announced(Ok(vec![[203, 0, 113, 1]])), Some([203, 0, 113, 1]));
    }
}
