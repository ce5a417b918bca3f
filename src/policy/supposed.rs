//! What would be decided: the answers of [`Policy::judge`], [`Policy::pass`] and [`Policy::enter`]
//! for somebody who has not logged in, for whoever reviews a policy. Nothing can be done with them.

use std::net::IpAddr;
use std::path::PathBuf;

use jiff::Timestamp;

use super::account::Account;
use super::grant::{Denial, Grant, Judgement};
use super::permission::PermissionSet;
use super::{LoginDenial, Policy, Principal};
use crate::identity::{Shown, Verified};
use crate::proto::path::VirtualPath;

/// What a grant would cover.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Supposed {
    /// The permissions.
    pub permissions: PermissionSet,
    /// The root that the path lies beneath: the directory of the home or of a folder.
    pub root: PathBuf,
    /// The path beneath it.
    pub stored: VirtualPath,
    /// Most bytes of a file uploaded there; none is no limit.
    pub file_bytes_max: Option<u64>,
    /// Whether no other rules hold for anything below the path.
    pub whole_tree: bool,
}

impl Policy {
    /// What [`Self::judge`] would decide for the user once logged in from this address.
    ///
    /// # Errors
    /// The denial of [`Self::judge`].
    pub fn suppose(
        &self,
        account: &Account,
        address: IpAddr,
        wanted: PermissionSet,
        path: &VirtualPath,
        now: Timestamp,
    ) -> Result<Supposed, Denial> {
        supposed(account, self.judge(&Principal::suppose(account, address), wanted, path, now))
    }

    /// What [`Self::pass`] would decide for the user once logged in from this address.
    ///
    /// # Errors
    /// The denial of [`Self::pass`].
    pub fn suppose_pass(
        &self,
        account: &Account,
        address: IpAddr,
        path: &VirtualPath,
        now: Timestamp,
    ) -> Result<Supposed, Denial> {
        supposed(account, self.pass(&Principal::suppose(account, address), path, now))
    }

    /// Whether [`Self::enter`] would let the user in who shows everything that can be shown.
    ///
    /// # Errors
    /// The denial of [`Self::enter`].
    pub fn suppose_enter(&self, account: &Account, address: IpAddr, now: Timestamp) -> Result<(), LoginDenial> {
        self.enter(&Verified::assertion(account.name.clone(), account.showable()), address, now).map(|_| ())
    }
}

impl Account {
    /// What the user can show at best: a code and a certificate only where the account has them.
    pub fn showable(&self) -> Shown {
        let (code, certificate) = (self.totp_secret.is_some(), !self.certificates.is_empty());
        // Who needs no password need not show one that has ended.
        Shown { password: !(self.certificate_alone && certificate), code, certificate }
    }
}

impl Principal {
    fn suppose(account: &Account, address: IpAddr) -> Self {
        Self { name: account.name.clone(), address: address.to_canonical(), home: account.home.clone() }
    }
}

fn supposed(account: &Account, judgement: Judgement) -> Result<Supposed, Denial> {
    match judgement {
        Judgement::Deny(denial) => Err(denial),
        Judgement::Allow(grant) => Ok(Supposed::of(account, &grant)),
    }
}

impl Supposed {
    fn of(account: &Account, grant: &Grant) -> Self {
        Self {
            permissions: PermissionSet::ALL.iter().filter(|permission| grant.allows(*permission)).collect(),
            root: grant.folder().map_or_else(|| account.home.clone(), |folder| folder.directory.clone()),
            stored: grant.stored().clone(),
            file_bytes_max: grant.file_bytes_max(),
            whole_tree: grant.is_for_whole_tree(),
        }
    }
}
