//! Client certificates as proof of who somebody is. They were verified in the handshake; here it is
//! said for whom they stand.

use crate::identity::{Shown, Username, Verified};
use crate::policy::Policy;
use crate::policy::certificate::{ClientCertificate, Standing};

/// What the certificate of a connection means for somebody who claims a name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Held {
    /// There is none, or it stands for nobody.
    None,
    /// It stands for that user.
    Own,
    /// It stands for somebody else, or for several.
    Others,
}

/// What the certificate of a connection means for somebody who claims a name.
pub fn held(policy: &Policy, certificate: Option<&ClientCertificate>, claimed: &str) -> Held {
    match certificate.map(|certificate| policy.standing(certificate)) {
        None | Some(Standing::Nobody) => Held::None,
        Some(Standing::User(user)) if user.as_str() == claimed => Held::Own,
        Some(Standing::User(_) | Standing::Several) => Held::Others,
    }
}

/// Vouches for the user for whom a certificate stands, where that is who is claimed.
pub fn vouch(policy: &Policy, certificate: &ClientCertificate, claimed: &str) -> Option<Verified> {
    let name = Username::parse(claimed).ok()?;
    let own = held(policy, Some(certificate), name.as_str()) == Held::Own;
    own.then(|| Verified::assertion(name, Shown { certificate: true, ..Shown::default() }))
}
