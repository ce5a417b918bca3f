//! The key that signs the audit log: read before the privileges to do so are given up, or made beside
//! the log where the policy names none.

use std::io::ErrorKind;

use tracing::info;

use crate::audit::keys::{self, Keys};
use crate::audit::signing::{PublicKey, SigningKey};
use crate::config::audit::{KeyProblem, key_path, read_keys};
use crate::settings::Config;

/// The key of these settings.
pub(super) fn load(config: &Config) -> Result<Keys, String> {
    let path = key_path(&config.audit);
    let read = || read_keys(&path, config.process.run_as.as_ref());
    let keys = match read() {
        Err(KeyProblem::Unreadable(error))
            if error.kind() == ErrorKind::NotFound && config.audit.signing_key.is_none() =>
        {
            let key = SigningKey::generate().map_err(|error| error.to_string())?;
            keys::write_pair(&path, &key).map_err(|(path, error)| format!("{}: {error}", path.display()))?;
            info!(path = %path.display(), "a key for the audit log was made beside it; kept elsewhere, it would protect more");
            read()
        }
        keys => keys,
    };
    keys.map_err(|problem| problem.text(&path))
}

/// The public keys that prove the closed files of the log, those of former keys included.
pub(super) fn trusted(config: &Config, keys: &Keys) -> Vec<PublicKey> {
    keys.trusted(&keys::former(&key_path(&config.audit)))
}
