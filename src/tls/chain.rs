//! The order of a chain: the server's certificate first, each issued by the one behind it.

use std::fmt;

use rustls::pki_types::CertificateDer;
use x509_parser::error::X509Error;
use x509_parser::prelude::{FromDer, X509Certificate};

/// Whether the second certificate may have issued the first: by its name, and by the signature
/// where its algorithm is known here.
fn may_issue(certificate: &X509Certificate<'_>, issuer: &X509Certificate<'_>) -> bool {
    let signed = || match certificate.verify_signature(Some(issuer.public_key())) {
        Ok(()) | Err(X509Error::SignatureUnsupportedAlgorithm) => true,
        Err(_) => false,
    };
    certificate.issuer().as_raw() == issuer.subject().as_raw() && signed()
}

/// Whether a certificate is signed by itself: an authority may have the name of its server.
pub(crate) fn is_self_signed(certificate: &X509Certificate<'_>) -> bool {
    may_issue(certificate, certificate)
}

/// The place (from 1) of the first certificate that is not issued, by its name, by the one behind
/// it; none where the chain is in order.
pub(crate) fn first_break(chain: &[X509Certificate<'_>]) -> Option<usize> {
    let pairs = (1_usize..).zip(chain.iter().zip(chain.iter().skip(1)));
    pairs.into_iter().find(|(_, (one, next))| one.issuer().as_raw() != next.subject().as_raw()).map(|(place, _)| place)
}

/// Why certificates make no chain for a key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Unarranged {
    /// The certificate at this place (from 1) cannot be parsed.
    Damaged(usize),
    /// None of them is for the key.
    NoneForKey,
    /// Several different ones are for the key, at these places (from 1).
    SeveralForKey(usize, usize),
    /// Two of them may have issued the same one: the places (from 1) of all three.
    SeveralIssuers {
        /// The certificate.
        of: usize,
        /// Who may have issued it.
        either: usize,
        /// Who else may have.
        or: usize,
    },
    /// This one (from 1) does not belong to the chain; its subject, as it says.
    Foreign(usize, String),
}

impl fmt::Display for Unarranged {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Damaged(place) => {
                write!(f, "certificate {place} is damaged: get the certificates again from their issuer")
            }
            Self::NoneForKey => f.write_str("none of the certificates is for the key"),
            Self::SeveralForKey(one, other) => write!(
                f,
                "certificates {one} and {other} are both for the key: give the one to install, and those that vouch for it"
            ),
            Self::SeveralIssuers { of, either, or } => write!(
                f,
                "certificates {either} and {or} may both have issued certificate {of}: put them into the order in \
                 which they are to be shown, or leave one out"
            ),
            Self::Foreign(place, subject) => write!(
                f,
                "certificate {place} (of {subject}) does not belong to the chain: leave it out, or give the one between"
            ),
        }
    }
}

/// The certificates as a chain for the key, whose public part is given as DER, and whether they
/// had to be moved. Repeated ones are left out.
///
/// # Errors
/// [`Unarranged`], whose places are those of the certificates as they are given.
pub(crate) fn arranged(
    certificates: &[CertificateDer<'static>],
    public_key: &[u8],
) -> Result<(Vec<CertificateDer<'static>>, bool), Unarranged> {
    let mut known: Vec<(usize, &CertificateDer<'static>, X509Certificate<'_>)> = Vec::new();
    for (place, der) in (1_usize..).zip(certificates) {
        let (_, parsed) = X509Certificate::from_der(der).map_err(|_| Unarranged::Damaged(place))?;
        if known.iter().all(|(_, other, _)| *other != der) {
            known.push((place, der, parsed));
        }
    }
    let own: Vec<usize> = (0..known.len())
        .filter(|at| known.get(*at).is_some_and(|(_, _, parsed)| parsed.public_key().raw == public_key))
        .collect();
    let first = match own.as_slice() {
        [] => return Err(Unarranged::NoneForKey),
        [one] => *one,
        // A certificate beside the request's own, self-signed one is no rare find.
        [one, other, ..] => {
            let place = |at: &usize| known.get(*at).map_or(0, |(place, ..)| *place);
            return Err(Unarranged::SeveralForKey(place(one), place(other)));
        }
    };
    let in_order =
        first == 0 && known.iter().zip(known.iter().skip(1)).all(|((_, _, one), (_, _, next))| may_issue(one, next));
    let mut chain = Vec::new();
    if in_order {
        chain.extend(known.iter().map(|(_, der, _)| (*der).clone()));
        return Ok((chain, false));
    }
    let mut left = known;
    let mut at = left.remove(first);
    loop {
        chain.push(at.1.clone());
        if is_self_signed(&at.2) {
            break;
        }
        let mut issuers = (0..left.len()).filter(|place| left.get(*place).is_some_and(|one| may_issue(&at.2, &one.2)));
        let (issuer, another) = (issuers.next(), issuers.next());
        if let (Some(either), Some(or)) = (issuer, another) {
            let place = |at: usize| left.get(at).map_or(0, |(place, ..)| *place);
            return Err(Unarranged::SeveralIssuers { of: at.0, either: place(either), or: place(or) });
        }
        let Some(issuer) = issuer else { break };
        at = left.remove(issuer);
    }
    match left.first() {
        Some((place, _, parsed)) => Err(Unarranged::Foreign(*place, parsed.subject().to_string())),
        None => Ok((chain, true)),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair};

    use super::super::facts;
    use super::*;

    fn named(name: &str, is_ca: bool) -> CertificateParams {
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.distinguished_name.push(DnType::CommonName, name);
        params.is_ca = if is_ca { IsCa::Ca(BasicConstraints::Unconstrained) } else { IsCa::NoCa };
        params
    }

    /// Leaf, two that lie between, and root; with the leaf's public key, and another root of the
    /// same name.
    fn made() -> (Vec<CertificateDer<'static>>, Vec<u8>, CertificateDer<'static>) {
        let root_key = KeyPair::generate().unwrap();
        let other_root = named("root", true).self_signed(&KeyPair::generate().unwrap()).unwrap();
        let mut chain = vec![named("root", true).self_signed(&root_key).unwrap().der().clone()];
        let mut issuer = Issuer::new(named("root", true), root_key);
        for name in ["upper", "lower"] {
            let key = KeyPair::generate().unwrap();
            chain.insert(0, named(name, true).signed_by(&key, &issuer).unwrap().der().clone());
            issuer = Issuer::new(named(name, true), key);
        }
        let key = KeyPair::generate().unwrap();
        chain.insert(0, named("leaf", false).signed_by(&key, &issuer).unwrap().der().clone());
        let public = facts::public_key_in(key.serialize_pem().as_bytes()).unwrap();
        (chain, public, other_root.der().clone())
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(32))]
        #[test]
        fn whatever_the_order_given_the_chain_is_the_same(order in Just([0, 1, 2, 3, 3, 0]).prop_shuffle()) {
            let (chain, public, _) = made();
            let given: Vec<_> = order.iter().map(|at| chain[*at].clone()).collect();
            prop_assert_eq!(arranged(&given, &public).unwrap().0, chain);
        }
    }

    #[test]
    fn an_authority_may_have_the_name_of_its_server() {
        let (root_key, key) = (KeyPair::generate().unwrap(), KeyPair::generate().unwrap());
        let root = named("same", true).self_signed(&root_key).unwrap().der().clone();
        let issuer = Issuer::new(named("same", true), root_key);
        let leaf = named("same", false).signed_by(&key, &issuer).unwrap().der().clone();
        let public = facts::public_key_in(key.serialize_pem().as_bytes()).unwrap();
        let both = [root.clone(), leaf.clone()];
        assert_eq!(arranged(&both, &public), Ok((vec![leaf.clone(), root.clone()], true)));
        let is_self_signed = |der| is_self_signed(&X509Certificate::from_der(der).unwrap().1);
        assert_eq!((is_self_signed(&root), is_self_signed(&leaf)), (true, false));
    }

    #[test]
    fn what_is_wrong_is_told_by_its_place() {
        let (chain, public, other_root) = made();
        assert_eq!(arranged(&chain, &public), Ok((chain.clone(), false)));
        assert_eq!(arranged(&chain, b"another key"), Err(Unarranged::NoneForKey));
        let with_gap = [chain[0].clone(), chain[2].clone()];
        assert!(matches!(arranged(&with_gap, &public), Err(Unarranged::Foreign(2, _))));
        // Of two authorities of one name, the signature tells which it was.
        let mut with_other = chain.clone();
        with_other.insert(1, other_root);
        assert!(matches!(arranged(&with_other, &public), Err(Unarranged::Foreign(2, _))));
        let damaged = [chain[0].clone(), CertificateDer::from(vec![0x30, 0])];
        assert_eq!(arranged(&damaged, &public), Err(Unarranged::Damaged(2)));
    }
}
