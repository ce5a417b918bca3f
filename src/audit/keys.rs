//! The key of the log as it lies on the disk: beside it its public half, and the successions by which
//! each key named the one that followed it.

use std::collections::HashSet;
use std::fs::{File, OpenOptions, Permissions};
use std::io::{self, Read, Write};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use rustix::fs::{CWD, RenameFlags, renameat_with};
use serde::{Deserialize, Serialize};

use super::head;
use super::signing::{PublicKey, SigningKey};

/// The key's name in the directory of the log, where `[audit] signing-key` names no other.
pub const OWN_KEY_NAME: &str = "signing.key";
/// What the name of the public half ends with, in place of `.key`.
const PUBLIC_EXTENSION: &str = "pub";
/// What the name of the file of successions ends with.
const SUCCESSION_EXTENSION: &str = "succession";
/// How many successions are looked at, at most.
const SUCCESSIONS_MAX: usize = 1000;
/// How many public halves of former keys are read, at most.
const FORMER_MAX: usize = 1000;
/// Longest public half that is read, in bytes.
const PUBLIC_BYTES_MAX: u64 = 1 << 12;

/// Where the public half of a key is kept.
pub fn public_path(key: &Path) -> PathBuf {
    key.with_extension(PUBLIC_EXTENSION)
}

/// Where the public half of a former key is kept, by its id.
pub fn former_path(key: &Path, id: &str) -> PathBuf {
    key.with_extension(format!("{id}.{PUBLIC_EXTENSION}"))
}

/// The public halves of former keys that are kept beside a key, each under its own id.
pub fn former(key: &Path) -> Vec<PublicKey> {
    let directory = key.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let Ok(entries) = directory.read_dir() else { return Vec::new() };
    let read = |path: PathBuf| {
        if path.extension()? != PUBLIC_EXTENSION || !path.metadata().ok()?.is_file() {
            return None;
        }
        let mut text = Vec::new();
        File::open(&path).ok()?.take(PUBLIC_BYTES_MAX).read_to_end(&mut text).ok()?;
        let own_name = |public: &PublicKey| former_path(key, &public.id()).file_name() == path.file_name();
        PublicKey::from_pem(&text).ok().filter(own_name)
    };
    entries.filter_map(|entry| read(directory.join(entry.ok()?.file_name()))).take(FORMER_MAX).collect()
}

/// Where the successions of a key are kept.
pub fn succession_path(key: &Path) -> PathBuf {
    key.with_extension(SUCCESSION_EXTENSION)
}

/// Writes a file as a whole, through to the disk: in the place of another one, or only where there is none.
///
/// # Errors
/// Where it is there already and is not to be replaced, or cannot be written.
pub fn write(path: &Path, text: &str, mode: u32, replace: bool) -> io::Result<()> {
    let mut name = path.file_name().unwrap_or_default().to_owned();
    name.push(".new");
    let new = path.with_file_name(name);
    match std::fs::remove_file(&new) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&new)?;
    // Whatever the umask: the public half is for everybody.
    file.set_permissions(Permissions::from_mode(mode))?;
    file.write_all(text.as_bytes())?;
    file.sync_all()?;
    let flags = if replace { RenameFlags::empty() } else { RenameFlags::NOREPLACE };
    let renamed = renameat_with(CWD, &new, CWD, path, flags).map_err(io::Error::from);
    if renamed.is_err() {
        let _ = std::fs::remove_file(&new);
    }
    renamed
}

/// Writes a new key, for its owner alone, and its public half. The key may not be there.
///
/// # Errors
/// With the file that cannot be written, or is there.
pub fn write_pair(key_file: &Path, key: &SigningKey) -> Result<(), (PathBuf, io::Error)> {
    let public = public_path(key_file);
    let text = key.to_pem().map_err(|error| (key_file.to_owned(), io::Error::other(error)))?;
    write(key_file, &text, 0o400, false).map_err(|error| (key_file.to_owned(), error))?;
    write(&public, &key.public().to_pem(), 0o644, true).map_err(|error| (public, error))
}

/// What signs the log, and how it came to be the key.
#[derive(Debug)]
pub struct Keys {
    /// The key.
    pub key: SigningKey,
    /// How each key was followed by another, oldest first.
    pub successions: Vec<Succession>,
}

impl Keys {
    /// The public keys that prove what this key and those before it signed: trust reaches back over
    /// successions, and to former keys that somebody kept beside it.
    pub fn trusted(&self, former: &[PublicKey]) -> Vec<PublicKey> {
        let mut trusted = vec![self.key.public()];
        trusted.extend(former);
        for succession in self.successions.iter().rev() {
            let Succession { log, before, next, .. } = succession;
            if trusted.contains(next) && succession.leads_from(&before.id(), log) {
                trusted.push(*before);
            }
        }
        let mut seen = HashSet::new();
        trusted.retain(|key| seen.insert(*key));
        trusted
    }
}

/// A key that named the one after it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Succession {
    /// The id of the log.
    pub log: String,
    /// The key that signed this.
    pub before: PublicKey,
    /// The key that follows it.
    pub next: PublicKey,
    /// The signature of [`head::succession`] by the key before, in base64.
    pub signature: String,
}

/// A succession as a line of JSON.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Line {
    log: String,
    before: String,
    next: String,
    signature: String,
}

impl Succession {
    /// Has a key name the one that follows it in a log.
    pub fn sign(log: &str, before: &SigningKey, next: PublicKey) -> Self {
        let signature = before.sign(&head::succession(log, next));
        Self { log: log.to_owned(), before: before.public(), next, signature }
    }

    /// Whether it proves what follows the key with this id in that log.
    pub fn leads_from(&self, id: &str, log: &str) -> bool {
        self.log == log
            && self.before.id() == id
            && self.before.verifies(&head::succession(log, self.next), &self.signature)
    }

    /// A line of JSON, without its end.
    ///
    /// # Errors
    /// None is expected.
    pub fn to_line(&self) -> Result<String, serde_json::Error> {
        let (before, next) = (self.before.to_base64(), self.next.to_base64());
        serde_json::to_string(&Line { log: self.log.clone(), before, next, signature: self.signature.clone() })
    }

    /// Reads lines; those that are no successions are left out, as they prove nothing.
    pub fn read_lines(text: &str) -> Vec<Self> {
        let read = |line: &str| {
            let Line { log, before, next, signature } = serde_json::from_str(line).ok()?;
            let key = |text: &str| PublicKey::from_base64(text);
            Some(Self { log, before: key(&before)?, next: key(&next)?, signature })
        };
        text.lines().filter_map(read).take(SUCCESSIONS_MAX).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_succession_survives_its_line_and_proves_one_step_in_one_log() {
        let (old, new) = (SigningKey::generate().unwrap(), SigningKey::generate().unwrap());
        let made = Succession::sign("01L", &old, new.public());
        let text = format!("no succession\n{}\n", made.to_line().unwrap());
        assert_eq!(Succession::read_lines(&text), std::slice::from_ref(&made));
        assert!(made.leads_from(&old.public().id(), "01L"));
        assert!(!made.leads_from(&old.public().id(), "01K"));
        assert!(!made.leads_from(&new.public().id(), "01L"));
        let other = SigningKey::generate().unwrap().public();
        assert!(!Succession { next: other, ..made }.leads_from(&old.public().id(), "01L"));
    }
    #[test]
    fn trust_reaches_back_to_the_first_key_and_to_none_that_did_not_agree() {
        let [first, second, third, other] = [(); 4].map(|()| SigningKey::generate().unwrap());
        let steps = vec![
            Succession::sign("01L", &first, second.public()),
            Succession { before: other.public(), ..Succession::sign("01L", &first, second.public()) },
            Succession::sign("01L", &second, third.public()),
            Succession::sign("01L", &third, other.public()),
        ];
        let expected = [third.public(), second.public(), first.public()];
        let keys = Keys { key: third, successions: steps };
        assert_eq!(keys.trusted(&[]), expected);
        assert_eq!(keys.trusted(&[other.public()]).len(), 4);
    }

    #[test]
    fn former_keys_are_those_that_lie_beside_it_under_their_own_ids() {
        let directory = tempfile::tempdir().unwrap();
        let key = directory.path().join("audit.key");
        let (old, stray) = (SigningKey::generate().unwrap().public(), SigningKey::generate().unwrap().public());
        std::fs::write(former_path(&key, &old.id()), old.to_pem()).unwrap();
        std::fs::write(former_path(&key, "0123456789abcdef"), stray.to_pem()).unwrap();
        std::fs::write(directory.path().join(format!("tls.{}.pub", stray.id())), stray.to_pem()).unwrap();
        std::fs::write(public_path(&key), stray.to_pem()).unwrap();
        assert_eq!(former(&key), [old]);
    }
}
