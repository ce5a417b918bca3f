//! The directory of a CA for clients: `ca.pem`, `ca.key`, the list of revoked certificates
//! (`crl.pem`), and a copy of each certificate in `issued`.

use std::fs::{self, File, OpenOptions, Permissions};
use std::io::{self, ErrorKind, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use jiff::Timestamp;
use jiff::civil::Date;
use rcgen::string::Ia5String;
use rcgen::{
    CertificateParams, CertificateRevocationListParams, ExtendedKeyUsagePurpose, KeyIdMethod, KeyPair, KeyUsagePurpose,
    RevokedCertParams, SanType, SerialNumber,
};
use rustls::pki_types::CertificateDer;
use x509_parser::prelude::{CertificateRevocationList, FromDer};
use zeroize::Zeroizing;

use super::super::super::Failure;
use super::super::make::{self, Authority, ForKey};
use super::super::new::take_up;
use super::super::{read, write_all};
use crate::identity::Username;
use crate::policy::certificate::ClientCertificate;
use crate::policy::factor::CertificateName;
use crate::tls::{client_certificate, pem};

/// How long a list counts as new: whoever keeps a local CA signs a new one with each command.
const LIST_DAYS: u64 = 365;
/// Most certificates of one CA that are looked at.
const ISSUED_MAX: usize = 100_000;
/// Bytes of a serial number.
const SERIAL_BYTES: usize = 16;

/// The directory of a CA.
pub(super) struct Store {
    directory: PathBuf,
    /// Others who change it wait as long as this is held.
    _lock: Option<File>,
}

/// A certificate that was revoked.
#[derive(Clone, Debug)]
pub(super) struct Revoked {
    /// Its serial number, in lower-case hexadecimal.
    pub(super) serial: String,
    /// When that was.
    pub(super) at: Timestamp,
}

/// The list as it stands.
#[derive(Clone, Debug, Default)]
pub(super) struct List {
    pub(super) number: u64,
    pub(super) revoked: Vec<Revoked>,
}

/// By what a certificate of the CA is known that was issued in a name.
pub(super) fn name_of(user: &Username) -> CertificateName {
    CertificateName::Uri(format!("portcullis:user:{user}"))
}

impl Store {
    /// To look at.
    pub(super) fn open(directory: &Path) -> Self {
        Self { directory: std::path::absolute(directory).unwrap_or_else(|_| directory.to_owned()), _lock: None }
    }

    /// To change; made where it is not there.
    pub(super) fn lock(directory: &Path) -> Result<Self, Failure> {
        let store = Self::open(directory);
        let failed = |error: io::Error| Failure::io(store.directory.display(), &error);
        crate::config::directory::make_passable(&store.directory).map_err(failed)?;
        let lock = File::open(&store.directory).map_err(failed)?;
        lock.lock().map_err(failed)?;
        Ok(Self { _lock: Some(lock), ..store })
    }

    pub(super) fn directory(&self) -> &Path {
        &self.directory
    }

    pub(super) fn ca(&self) -> PathBuf {
        self.directory.join("ca.pem")
    }

    pub(super) fn key(&self) -> PathBuf {
        self.directory.join("ca.key")
    }

    pub(super) fn list_file(&self) -> PathBuf {
        self.directory.join("crl.pem")
    }

    fn issued(&self) -> PathBuf {
        self.directory.join("issued")
    }

    /// The CA, and whether it was made just now.
    pub(super) fn authority(&self, today: Date) -> Result<(Authority, bool), Failure> {
        let there = |path: &Path| path.symlink_metadata().is_ok();
        if there(&self.ca()) || there(&self.key()) {
            return self.kept_authority().map(|authority| (authority, false));
        }
        let authority = Authority::make(today)?;
        let key = authority.key();
        write_all(&[(self.key(), key.as_str(), 0o600), (self.ca(), authority.certificate.as_str(), 0o644)])?;
        Ok((authority, true))
    }

    /// The CA that is there.
    pub(super) fn kept_authority(&self) -> Result<Authority, Failure> {
        let (ca, key) = (self.ca(), self.key());
        for path in [&ca, &key] {
            if path.symlink_metadata().is_err() {
                return Err(Failure::Failed(format!(
                    "{} is not there, so nothing can be signed: name the directory of the CA with --ca, or issue a \
                     certificate with a new one in another directory",
                    path.display()
                )));
            }
        }
        take_up(&ca, &key)
    }

    /// Issues a certificate in a name, keeps a copy of it, and gives it as PEM with its key.
    pub(super) fn issue(
        &self,
        authority: &Authority,
        user: &Username,
        days: u32,
        today: Date,
    ) -> Result<ForKey, Failure> {
        let build = || {
            let key = Zeroizing::new(KeyPair::generate()?);
            let mut client = CertificateParams::new(Vec::new())?;
            client.distinguished_name = make::named(user.as_str());
            if let CertificateName::Uri(uri) = name_of(user) {
                client.subject_alt_names.push(SanType::URI(Ia5String::try_from(uri)?));
            }
            if user.as_str().contains('@') {
                client.subject_alt_names.push(SanType::Rfc822Name(Ia5String::try_from(user.as_str())?));
            }
            let mut serial: [u8; SERIAL_BYTES] = rand::random();
            // A positive number without zero bytes in front (RFC 5280 §4.1.2.2).
            serial[0] = serial[0] & 0x7f | 0x40;
            client.serial_number = Some(SerialNumber::from_slice(&serial));
            client.key_usages = vec![KeyUsagePurpose::DigitalSignature];
            client.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
            client.use_authority_key_identifier_extension = true;
            make::valid(&mut client, today, make::last_day(days, today));
            let certificate = client.signed_by(&*key, &authority.issuer()?)?;
            Ok((certificate.pem(), certificate.der().clone(), Zeroizing::new(key.serialize_pem())))
        };
        let (text, der, key) = build().map_err(|error: rcgen::Error| make::failed(&error))?;
        let damaged = || Failure::Failed("the certificate that was made cannot be read".to_owned());
        let serial = client_certificate::read(&der).ok_or_else(damaged)?.serial;
        // Whole or not at all: half a copy would hinder every command that looks for one.
        let (directory, copy) = (self.issued(), self.issued().join(format!("{serial}.pem")));
        crate::config::directory::make_passable(&directory)
            .and_then(|()| replace(&copy, &text))
            .map_err(|error| Failure::io(copy.display(), &error))?;
        Ok(ForKey { text, key })
    }

    /// Every certificate that was issued, the ones that end first in front.
    pub(super) fn all(&self) -> Result<Vec<ClientCertificate>, Failure> {
        let entries = match fs::read_dir(self.issued()) {
            Ok(entries) => entries,
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Vec::new()),
            Err(error) => return Err(Failure::io(self.issued().display(), &error)),
        };
        let mut all = Vec::new();
        for entry in entries.take(ISSUED_MAX) {
            let path = entry.map_err(|error| Failure::io(self.issued().display(), &error))?.path();
            if path.extension().is_some_and(|extension| extension == "pem") {
                all.push(self.certificate_in(&path)?);
            }
        }
        all.sort_by(|one, other| (one.ends, &one.serial).cmp(&(other.ends, &other.serial)));
        Ok(all)
    }

    /// The first certificate of a file, which has to be one of this CA.
    pub(super) fn certificate_in(&self, file: &Path) -> Result<ClientCertificate, Failure> {
        let failed = |why: String| Failure::Failed(format!("{}: {why}", file.display()));
        let chain = pem::certificates(&read(file)?.bytes).map_err(|error| failed(error.to_string()))?;
        let parsed = chain.first().and_then(|der| client_certificate::read(der));
        let parsed = parsed.ok_or_else(|| failed("the certificate in it is damaged".to_owned()))?;
        match self.subject()? {
            Some(subject) if subject != parsed.issuer => {
                Err(failed(format!("it is issued by {}, and not by the CA of {}", parsed.issuer, self.ca().display())))
            }
            _ => Ok(parsed),
        }
    }

    fn subject(&self) -> Result<Option<String>, Failure> {
        if self.ca().symlink_metadata().is_err() {
            return Ok(None);
        }
        let chain = pem::certificates(&read(&self.ca())?.bytes);
        let chain = chain.map_err(|error| Failure::Failed(format!("{}: {error}", self.ca().display())))?;
        Ok(chain.first().and_then(|der: &CertificateDer<'_>| client_certificate::read(der)).map(|ca| ca.subject))
    }

    /// The list as it stands; an empty one where there is none.
    pub(super) fn list(&self) -> Result<List, Failure> {
        let file = self.list_file();
        if file.symlink_metadata().is_err() {
            if self.issued().symlink_metadata().is_ok() {
                return Err(Failure::Failed(format!(
                    "{} is not there, and certificates were issued: with a new list, the revoked ones would count again. \
                     Bring it back; to do without it, move {} away",
                    file.display(),
                    self.issued().display()
                )));
            }
            return Ok(List::default());
        }
        let failed = |why: String| Failure::Failed(format!("{}: {why}", file.display()));
        let lists = pem::revocations(&read(&file)?.bytes).map_err(|error| failed(error.to_string()))?;
        let [list] = lists.as_slice() else { return Err(failed("more than one list is in it".to_owned())) };
        let (_, parsed) =
            CertificateRevocationList::from_der(list).map_err(|_| failed("the list in it is damaged".to_owned()))?;
        let number = parsed.crl_number().and_then(|number| u64::try_from(number).ok()).unwrap_or(0);
        let revoked = parsed.iter_revoked_certificates().map(|one| Revoked {
            serial: client_certificate::hex(one.raw_serial()),
            at: Timestamp::from_second(one.revocation_date.timestamp()).unwrap_or(Timestamp::MIN),
        });
        Ok(List { number, revoked: revoked.collect() })
    }

    /// Signs a list anew, under the next number, and puts it in the place of the old one.
    pub(super) fn sign(&self, authority: &Authority, list: &List, now: Timestamp) -> Result<(), Failure> {
        let time = |at: Timestamp| SystemTime::from(at);
        let next = SystemTime::from(now).checked_add(Duration::from_secs(LIST_DAYS.saturating_mul(86_400)));
        let revoked = list.revoked.iter().map(|one| RevokedCertParams {
            serial_number: SerialNumber::from_slice(&bytes_of(&one.serial)),
            revocation_time: time(one.at).into(),
            reason_code: None,
            invalidity_date: None,
        });
        let params = CertificateRevocationListParams {
            this_update: time(now).into(),
            next_update: next.unwrap_or_else(|| time(now)).into(),
            crl_number: SerialNumber::from(list.number.saturating_add(1)),
            issuing_distribution_point: None,
            revoked_certs: revoked.collect(),
            key_identifier_method: KeyIdMethod::Sha256,
        };
        let build = || params.signed_by(&authority.issuer()?)?.pem();
        let text = build().map_err(|error| make::failed(&error))?;
        replace(&self.list_file(), &text).map_err(|error| Failure::io(self.list_file().display(), &error))
    }
}

/// The bytes of a number in hexadecimal.
fn bytes_of(digits: &str) -> Vec<u8> {
    let pairs = digits.as_bytes().chunks(2);
    pairs.filter_map(|pair| u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok()).collect()
}

/// Puts a text in the place of a file, whole or not at all.
fn replace(path: &Path, text: &str) -> io::Result<()> {
    let mut name = path.file_name().unwrap_or_default().to_owned();
    name.push(".new");
    let beside = path.with_file_name(name);
    // Left of a command that was killed: the directory is locked, so nobody writes it now.
    match fs::remove_file(&beside) {
        Err(error) if error.kind() != ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let mut file = OpenOptions::new().write(true).create_new(true).open(&beside)?;
    // Whatever the umask: the server's account reads the list.
    file.set_permissions(Permissions::from_mode(0o644))?;
    file.write_all(text.as_bytes())?;
    file.sync_all()?;
    fs::rename(&beside, path)?;
    let parent = path.parent().unwrap_or(Path::new("."));
    File::open(parent)?.sync_all()
}
