//! The authority's word that a certificate is not revoked, to be shown with it (OCSP, RFC 6960;
//! RFC 6066 §8). Its signature is for the client to check.

use der::Decode;
use jiff::Timestamp;
use rustls::pki_types::CertificateDer;
use x509_ocsp::{BasicOcspResponse, CertStatus, OcspResponse, OcspResponseStatus};
use x509_parser::prelude::{FromDer, X509Certificate};

use super::load::Problem;

/// Largest response that is shown, in bytes: it is part of every handshake.
const STAPLE_BYTES_MAX: usize = 16 * 1024;

/// A response that is good for a certificate.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Staple {
    pub(super) der: Vec<u8>,
    /// When it ends; none where it does not say.
    pub(super) ends: Option<Timestamp>,
}

/// Checks a response for the first certificate of a chain.
pub(super) fn check(bytes: &[u8], chain: &[CertificateDer<'_>], now: Timestamp) -> Result<Staple, Problem> {
    ends(bytes, chain, now).map(|ends| Staple { der: bytes.to_vec(), ends })
}

/// The same for those who only want to know when it ends.
///
/// # Errors
/// [`Problem::NoStaple`] says why it cannot be shown.
pub(crate) fn ends(bytes: &[u8], chain: &[CertificateDer<'_>], now: Timestamp) -> Result<Option<Timestamp>, Problem> {
    let unusable = |why: &str| Problem::NoStaple(why.to_owned());
    if bytes.len() > STAPLE_BYTES_MAX {
        return Err(unusable("it is larger than any response"));
    }
    let leaf = chain.first().and_then(|der| X509Certificate::from_der(der).ok());
    let (_, leaf) = leaf.ok_or(Problem::NotCertificate(1))?;
    let response = OcspResponse::from_der(bytes).map_err(|_| unusable("it is no OCSP response in DER"))?;
    if response.response_status != OcspResponseStatus::Successful {
        return Err(unusable("the responder had no answer"));
    }
    let body = response.response_bytes.ok_or_else(|| unusable("it has no answer in it"))?;
    let basic = BasicOcspResponse::from_der(body.response.as_bytes())
        .map_err(|_| unusable("its answer is damaged, or of an unknown kind"))?;
    let serial = without_zeros(leaf.raw_serial());
    let mut answers = basic.tbs_response_data.responses.iter();
    let answer = answers.find(|answer| without_zeros(answer.cert_id.serial_number.as_bytes()) == serial);
    let answer = answer.ok_or_else(|| unusable("it is for another certificate"))?;
    if !matches!(answer.cert_status, CertStatus::Good(_)) {
        return Err(unusable("it says that the certificate is revoked, or not known"));
    }
    let time = |time: &x509_ocsp::OcspGeneralizedTime| {
        let seconds = i64::try_from(time.0.to_unix_duration().as_secs()).unwrap_or(i64::MAX);
        Timestamp::from_second(seconds).unwrap_or(Timestamp::MAX)
    };
    if time(&answer.this_update) > now {
        return Err(Problem::NotYetValid(time(&answer.this_update)));
    }
    match answer.next_update.as_ref().map(time) {
        Some(end) if end < now => Err(Problem::StapleExpired(end)),
        end => Ok(end),
    }
}

/// A positive number without the zero bytes in front of it, which some encode and some do not.
fn without_zeros(number: &[u8]) -> &[u8] {
    let first = number.iter().position(|byte| *byte != 0).unwrap_or(number.len());
    number.get(first..).unwrap_or_default()
}
