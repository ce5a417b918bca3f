//! The certificates of clients: who vouches for them, and which are revoked.

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use jiff::Timestamp;
use rustls::client::danger::HandshakeSignatureValid;
use rustls::crypto::CryptoProvider;
use rustls::pki_types::{CertificateDer, CertificateRevocationListDer, UnixTime};
use rustls::server::WebPkiClientVerifier;
use rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use rustls::{CertificateError, DigitallySignedStruct, DistinguishedName, Error, RootCertStore, SignatureScheme};
use x509_parser::prelude::{CertificateRevocationList, FromDer, X509Certificate, X509Error};

use super::load::{self, Guard, LoadError, Problem, Secrecy};
use super::{client_certificate, facts, pem};
use crate::settings;

/// Most bytes of a client's chain: it travels in every ticket, and so in the first message of every
/// data connection.
const CHAIN_BYTES_MAX: usize = 8 * 1024;

/// Who may show a certificate, from one reading of the files.
pub(super) struct Clients {
    pub(super) verifier: Arc<dyn ClientCertVerifier>,
    /// When the first of the authorities ends.
    pub(super) ends: Timestamp,
    /// Each file of revoked ones, and when the next one should be there.
    pub(super) revocations: Vec<(PathBuf, Option<Timestamp>)>,
}

impl fmt::Debug for Clients {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Clients").field("ends", &self.ends).finish_non_exhaustive()
    }
}

impl Clients {
    /// Reads and checks the files.
    pub(super) fn load(
        settings: &settings::ClientCertificates,
        provider: &Arc<CryptoProvider>,
        guard: Guard<'_>,
        now: Timestamp,
    ) -> Result<Self, LoadError> {
        let at = |file: &Path| {
            let file = file.to_owned();
            move |problem| LoadError { file, problem }
        };
        let read = |file: &Path| load::read(file, Secrecy::Public, guard).map_err(at(file));
        let authorities = read(&settings.authorities)?;
        let (authorities, ends) = authorities_of(&authorities, now).map_err(at(&settings.authorities))?;
        let mut lists = Vec::new();
        let mut revocations = Vec::new();
        for file in &settings.revocations {
            for list in lists_of(&read(file)?, &authorities).map_err(at(file))? {
                revocations.push((file.clone(), list.1));
                lists.push(list.0);
            }
        }
        let mut roots = RootCertStore::empty();
        for der in authorities {
            roots.add(der).map_err(|error| at(&settings.authorities)(Problem::Rejected(error.to_string())))?;
        }
        let builder = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), Arc::clone(provider));
        let builder = builder.with_crls(lists).only_check_end_entity_revocation();
        let builder = if settings.required { builder } else { builder.allow_unauthenticated() };
        let inner = builder.build().map_err(|error| at(&settings.authorities)(Problem::Rejected(error.to_string())))?;
        Ok(Self { verifier: Arc::new(Bounded(inner)), ends, revocations })
    }
}

/// The authorities of a PEM text, and when the first of them ends.
fn authorities_of(bytes: &[u8], now: Timestamp) -> Result<(Vec<CertificateDer<'static>>, Timestamp), Problem> {
    let authorities = pem::certificates(bytes).map_err(|error| Problem::NotPem(error.to_string()))?;
    let mut ends = Timestamp::MAX;
    for (place, der) in (1_usize..).zip(&authorities) {
        let (_, parsed) = X509Certificate::from_der(der).map_err(|_| Problem::NotCertificate(place))?;
        if !parsed.is_ca() {
            return Err(Problem::NoAuthority(place));
        }
        let (first, last) = facts::validity(&parsed);
        if now > last {
            return Err(Problem::Expired(last));
        }
        if now < first {
            return Err(Problem::NotYetValid(first));
        }
        ends = ends.min(last);
    }
    Ok((authorities, ends))
}

/// A list of revoked certificates, and when the next one should be there.
type List = (CertificateRevocationListDer<'static>, Option<Timestamp>);

/// The lists of a file. Whether one is an authority's own is seen here, where that is known, and by
/// the TLS library for each certificate.
fn lists_of(bytes: &[u8], authorities: &[CertificateDer<'static>]) -> Result<Vec<List>, Problem> {
    let lists = pem::revocations(bytes).map_err(|error| Problem::NoList(error.to_string()))?;
    let mut found = Vec::new();
    for list in lists {
        let next = {
            let damaged = |_| Problem::NoList("the list in it is damaged".to_owned());
            let (_, parsed) = CertificateRevocationList::from_der(&list).map_err(damaged)?;
            // An authority that has changed its key is there twice by one name: one of both signed.
            let named = authorities.iter().filter_map(|der| X509Certificate::from_der(der).ok());
            let named = named.filter(|(_, authority)| authority.subject().as_raw() == parsed.issuer().as_raw());
            let signed: Vec<bool> = named.map(|(_, authority)| is_signed_by(&parsed, &authority)).collect();
            if !signed.is_empty() && !signed.contains(&true) {
                return Err(Problem::ForeignList(parsed.issuer().to_string()));
            }
            parsed.next_update().map(|time| Timestamp::from_second(time.timestamp()).unwrap_or(Timestamp::MAX))
        };
        found.push((list, next));
    }
    Ok(found)
}

/// Whether an authority signed a list, as far as can be told here: kinds of signatures that are not
/// known here are left to the TLS library.
fn is_signed_by(list: &CertificateRevocationList<'_>, authority: &X509Certificate<'_>) -> bool {
    !matches!(list.verify_signature(authority.public_key()), Err(X509Error::SignatureVerificationError))
}

/// When the next list of each in a file should be there; for those who only look.
///
/// # Errors
/// [`Problem`] where the file holds no list, or one that is damaged.
pub(crate) fn next_updates(bytes: &[u8]) -> Result<Vec<Option<Timestamp>>, Problem> {
    Ok(lists_of(bytes, &[])?.into_iter().map(|(_, next)| next).collect())
}

/// Checks what was read of the file of authorities, for those who only want to know.
///
/// # Errors
/// What [`ServerTls::load`](super::ServerTls::load) would say; the file is to be named by the caller.
pub(crate) fn check_authorities(bytes: &[u8], now: Timestamp) -> Result<Timestamp, Problem> {
    authorities_of(bytes, now).map(|(_, ends)| ends)
}

/// The library's verifier, behind a bound on the chain's length.
#[derive(Debug)]
struct Bounded(Arc<dyn ClientCertVerifier>);

impl ClientCertVerifier for Bounded {
    fn offer_client_auth(&self) -> bool {
        self.0.offer_client_auth()
    }

    fn client_auth_mandatory(&self) -> bool {
        self.0.client_auth_mandatory()
    }

    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        self.0.root_hint_subjects()
    }

    fn verify_client_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        now: UnixTime,
    ) -> Result<ClientCertVerified, Error> {
        let bytes = intermediates.iter().fold(end_entity.len(), |bytes, one| bytes.saturating_add(one.len()));
        if bytes > CHAIN_BYTES_MAX {
            return Err(CertificateError::ApplicationVerificationFailure.into());
        }
        let verified = self.0.verify_client_cert(end_entity, intermediates, now)?;
        // What nobody could be known by is not let in.
        client_certificate::read(end_entity).ok_or(CertificateError::BadEncoding)?;
        Ok(verified)
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.0.verify_tls12_signature(message, certificate, signed)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.0.verify_tls13_signature(message, certificate, signed)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.supported_verify_schemes()
    }
}

#[cfg(test)]
mod tests {
    use rcgen::{
        BasicConstraints, CertificateParams, CertificateRevocationListParams, IsCa, Issuer, KeyIdMethod, KeyPair,
    };

    use super::*;

    #[test]
    fn of_an_authority_with_two_keys_either_may_sign_the_list_and_nobody_else() {
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let keys: Vec<KeyPair> = (0..3).map(|_| KeyPair::generate().unwrap()).collect();
        let made: Vec<CertificateDer<'static>> =
            keys.iter().map(|key| params.self_signed(key).unwrap().der().clone()).collect();
        let list = |key: &KeyPair| {
            let list = CertificateRevocationListParams {
                this_update: rcgen::date_time_ymd(2026, 1, 1),
                next_update: rcgen::date_time_ymd(2027, 1, 1),
                crl_number: rcgen::SerialNumber::from(1),
                issuing_distribution_point: None,
                revoked_certs: Vec::new(),
                key_identifier_method: KeyIdMethod::Sha256,
            };
            list.signed_by(&Issuer::from_params(&params, key)).unwrap().pem().unwrap()
        };
        let (known, [old, new, foreign]) = (&made[..2], keys.as_slice()) else { panic!() };
        assert!(lists_of(list(old).as_bytes(), known).is_ok() && lists_of(list(new).as_bytes(), known).is_ok());
        assert!(matches!(lists_of(list(foreign).as_bytes(), known), Err(Problem::ForeignList(_))));
    }
}
