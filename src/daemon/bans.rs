//! Who was banned by hand: kept in `bans.toml` in the directory of changed passwords, and asked where
//! connections arrive. Those that the throttle bans by itself are its own.

use std::io;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock, RwLockReadGuard};

use ipnet::IpNet;
use jiff::Timestamp;
use toml_edit::{ArrayOfTables, DocumentMut, Item, Table, value};

use crate::auth::state::StateDirectory;
use crate::config::networks;

/// The file in the directory of changed passwords.
const FILE_NAME: &str = "bans.toml";
/// Largest file that is read, in bytes.
const FILE_BYTES_MAX: u64 = 4 * 1024 * 1024;
/// What stands at its beginning, for people.
const HEADER: &str = "# Who may not connect. The server writes this file; `portcullis unban` takes from it.\n";
/// Bans at the same time: each connection is compared with all.
pub(super) const BANS_MAX: usize = 1000;

/// A network that may not connect.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Ban {
    pub(super) network: IpNet,
    pub(super) since: Timestamp,
    /// When it ends by itself; none where it does not.
    pub(super) until: Option<Timestamp>,
    /// Why, for people.
    pub(super) reason: Option<String>,
}

/// Every ban by hand.
#[derive(Debug)]
pub(super) struct Bans {
    directory: Option<Arc<StateDirectory>>,
    /// Held while the list is changed and written.
    changing: Mutex<()>,
    list: RwLock<Vec<Ban>>,
}

/// The bans as they are while somebody is let in: another one waits until that is done.
pub(super) struct Looking<'a>(RwLockReadGuard<'a, Vec<Ban>>);

/// Why nothing was banned or unbanned.
#[derive(Debug)]
pub(super) enum Unchanged {
    /// There are as many as may be.
    Full,
    /// It cannot be remembered; nothing was changed.
    Unwritten(io::Error),
}

impl Ban {
    fn is_over(&self, now: Timestamp) -> bool {
        self.until.is_some_and(|until| until <= now)
    }
}

impl Looking<'_> {
    /// Whether an address may not come now.
    pub(super) fn hold(&self, address: IpAddr) -> bool {
        if self.0.is_empty() {
            return false;
        }
        let (address, now) = (address.to_canonical(), Timestamp::now());
        self.0.iter().any(|ban| ban.network.contains(&address) && !ban.is_over(now))
    }
}

impl Bans {
    /// Goes on with what the directory remembers.
    ///
    /// # Errors
    /// Where that cannot be read: nobody is let in by that.
    pub(super) fn open(directory: Option<Arc<StateDirectory>>) -> io::Result<Self> {
        let list = match &directory {
            Some(directory) => {
                let text = directory.read(FILE_NAME, FILE_BYTES_MAX)?;
                parse(&text).map_err(|fault| {
                    let path = directory.path().join(FILE_NAME);
                    let path = path.display();
                    io::Error::other(format!("{path}: {fault}: mend or remove the file; without it nobody is banned"))
                })?
            }
            None => Vec::new(),
        };
        Ok(Self { directory, changing: Mutex::default(), list: RwLock::new(list) })
    }

    /// Whether a restart goes on with them.
    pub(super) fn are_kept(&self) -> bool {
        self.directory.is_some()
    }

    /// To be held while somebody is let in.
    pub(super) fn looking(&self) -> Looking<'_> {
        Looking(self.list.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// Those that hold now.
    pub(super) fn list(&self, now: Timestamp) -> Vec<Ban> {
        self.looking().0.iter().filter(|ban| !ban.is_over(now)).cloned().collect()
    }

    /// Bans a network; an earlier ban of the same network is replaced. Once this returns, nobody from
    /// there is let in any more. Blocks.
    pub(super) fn add(&self, ban: Ban) -> Result<(), Unchanged> {
        let _changing = self.changing();
        let mut after = self.list(ban.since);
        after.retain(|other| other.network != ban.network);
        if after.len() >= BANS_MAX {
            return Err(Unchanged::Full);
        }
        after.push(ban);
        self.replace(after)
    }

    /// Takes every ban of a network and of what lies within it away, and gives them. Blocks.
    pub(super) fn remove(&self, network: &IpNet, now: Timestamp) -> Result<Vec<Ban>, Unchanged> {
        let _changing = self.changing();
        let (gone, stay): (Vec<Ban>, Vec<Ban>) =
            self.list(now).into_iter().partition(|ban| network.contains(&ban.network));
        if !gone.is_empty() {
            self.replace(stay)?;
        }
        Ok(gone)
    }

    fn changing(&self) -> MutexGuard<'_, ()> {
        self.changing.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Who is let in meanwhile does not wait for the disk.
    fn replace(&self, after: Vec<Ban>) -> Result<(), Unchanged> {
        if let Some(directory) = &self.directory {
            let written = directory.replace(FILE_NAME, &written(&after)).and_then(|()| directory.sync());
            written.map_err(Unchanged::Unwritten)?;
        }
        *self.list.write().unwrap_or_else(PoisonError::into_inner) = after;
        Ok(())
    }
}

/// The tables of a file that consists of nothing but those of one name, and of a few other keys. What
/// is not understood is an error rather than nothing, as the file holds what must not be forgotten.
pub(super) fn tables<'a>(
    document: &'a DocumentMut,
    name: &str,
    others: &[&str],
) -> Result<impl Iterator<Item = &'a Table> + use<'a>, String> {
    if let Some((key, _)) = document.iter().find(|(key, _)| *key != name && !others.contains(key)) {
        return Err(format!("`{}` is nothing that belongs there", key.escape_debug()));
    }
    let item = document.get(name);
    let tables = item.and_then(Item::as_array_of_tables);
    if item.is_some() && tables.is_none() {
        return Err(format!("each `{name}` is a table of its own, below a line [[{name}]]"));
    }
    Ok(tables.into_iter().flat_map(ArrayOfTables::iter))
}

fn parse(text: &str) -> Result<Vec<Ban>, String> {
    let document: DocumentMut = text.parse().map_err(|fault: toml_edit::TomlError| fault.to_string())?;
    let tables = tables(&document, "ban", &[])?;
    tables.map(|table| ban_of(table).ok_or_else(|| format!("no ban that can be understood:\n{table}"))).collect()
}

fn ban_of(table: &Table) -> Option<Ban> {
    let until = match table.get("until") {
        Some(item) => Some(item.as_str()?.parse().ok()?),
        None => None,
    };
    Some(Ban {
        network: networks::parse(table.get("network")?.as_str()?).ok()?,
        since: table.get("since")?.as_str()?.parse().ok()?,
        until,
        reason: table.get("reason").and_then(Item::as_str).map(str::to_owned),
    })
}

fn written(bans: &[Ban]) -> String {
    let mut all = ArrayOfTables::new();
    for ban in bans {
        let mut table = Table::new();
        table.insert("network", value(ban.network.to_string()));
        table.insert("since", value(ban.since.to_string()));
        if let Some(until) = ban.until {
            table.insert("until", value(until.to_string()));
        }
        if let Some(reason) = &ban.reason {
            table.insert("reason", value(reason.as_str()));
        }
        all.push(table);
    }
    let mut document = DocumentMut::new();
    document.insert("ban", Item::ArrayOfTables(all));
    format!("{HEADER}{document}")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ban(network: &str, until: Option<&str>) -> Ban {
        let since = "2026-11-22T12:00:00Z".parse().unwrap();
        let until = until.map(|text| text.parse().unwrap());
        Ban { network: network.parse().unwrap(), since, until, reason: Some("tries \"admin\"\n".into()) }
    }

    #[test]
    fn bans_hold_for_their_networks_until_they_end_also_across_a_restart() {
        let path = tempfile::tempdir().unwrap();
        let directory = || Some(Arc::new(StateDirectory::take(path.path()).unwrap()));
        let bans = Bans::open(directory()).unwrap();
        let all = [
            ban("192.0.2.0/24", None),
            ban("198.51.100.7/32", Some("2026-11-22T12:00:01Z")),
            ban("2001:db8::/48", Some("9999-01-01T00:00:00Z")),
        ];
        for one in &all {
            bans.add(one.clone()).unwrap();
        }
        bans.add(all[0].clone()).unwrap();
        drop(bans);
        let bans = Bans::open(directory()).unwrap();
        let now = Timestamp::now();
        for (address, held) in [
            ("192.0.2.9", true),
            ("::ffff:192.0.2.9", true),
            ("192.0.3.9", false),
            ("198.51.100.7", now < all[1].until.unwrap()),
            ("2001:db8::1", true),
        ] {
            assert_eq!(bans.looking().hold(address.parse().unwrap()), held, "{address}");
        }
        let gone = bans.remove(&"192.0.0.0/16".parse().unwrap(), now).unwrap();
        assert_eq!(gone, [all[0].clone()]);
        assert!(!bans.looking().hold("192.0.2.9".parse().unwrap()));
    }

    #[test]
    fn a_file_that_is_damaged_lets_nobody_in() {
        let path = tempfile::tempdir().unwrap();
        for text in [
            "[[ban]]\nnetwork = \"192.0.2.1/24\"\n",
            "ban = [",
            "ban = [{ network = \"192.0.2.1/32\", since = \"2026-11-22T12:00:00Z\" }]\n",
            "[ban]\nnetwork = \"192.0.2.1/32\"\n",
            "[[bann]]\nnetwork = \"192.0.2.1/32\"\n",
        ] {
            std::fs::write(path.path().join(FILE_NAME), text).unwrap();
            let error = Bans::open(Some(Arc::new(StateDirectory::take(path.path()).unwrap()))).unwrap_err();
            assert!(error.to_string().contains("mend or remove the file"), "{error}");
        }
    }

    #[test]
    fn there_are_no_more_than_may_be() {
        let bans = Bans::open(None).unwrap();
        for number in 0..BANS_MAX {
            let (high, low) = (number / 256, number % 256);
            bans.add(ban(&format!("10.0.{high}.{low}/32"), None)).unwrap();
        }
        assert!(matches!(bans.add(ban("192.0.2.1/32", None)), Err(Unchanged::Full)));
    }
}
