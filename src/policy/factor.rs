//! What a user shows besides the password, or instead of it.

use std::fmt;

use crate::identity::Shown;

/// What has to be shown besides the password.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum SecondFactor {
    /// Nothing.
    #[default]
    None,
    /// A code of the moment or a client certificate.
    Any,
    /// A code of the moment (TOTP, RFC 6238).
    Totp,
    /// A client certificate that is mapped to the user.
    Certificate,
}

impl SecondFactor {
    /// All, with their words.
    pub const WORDS: [(&'static str, Self); 4] =
        [("none", Self::None), ("any", Self::Any), ("totp", Self::Totp), ("certificate", Self::Certificate)];

    /// The word for it in policy files.
    pub fn word(self) -> &'static str {
        Self::WORDS.iter().find(|(_, factor)| *factor == self).map_or("none", |(word, _)| word)
    }

    /// Whether what was shown suffices.
    pub fn is_met_by(self, shown: Shown) -> bool {
        match self {
            Self::None => true,
            Self::Any => shown.code || shown.certificate,
            Self::Totp => shown.code,
            Self::Certificate => shown.certificate,
        }
    }
}

impl fmt::Display for SecondFactor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.word())
    }
}

/// Which client certificate stands for a user.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum CertificateName {
    /// SHA-256 of the whole certificate, in lower-case hexadecimal.
    Fingerprint(String),
    /// An `email` among its alternative names, compared as a whole.
    Email(String),
    /// A DNS name among them.
    Dns(String),
    /// A URI among them.
    Uri(String),
    /// Its whole subject, in the form of RFC 4514.
    Subject(String),
}

impl CertificateName {
    /// Reads `sha256:…`, `email:…`, `dns:…`, `uri:…` or `subject:…`; none where it is none of them.
    pub fn parse(text: &str) -> Option<Self> {
        let (kind, value) = text.split_once(':')?;
        if value.trim().is_empty() || value.chars().any(char::is_control) {
            return None;
        }
        match kind {
            "sha256" => {
                let digits: String = value.chars().filter(|c| *c != ':').map(|c| c.to_ascii_lowercase()).collect();
                let whole = digits.len() == 64 && digits.bytes().all(|b| b.is_ascii_hexdigit());
                whole.then_some(Self::Fingerprint(digits))
            }
            "email" => Some(Self::Email(value.to_owned())),
            "dns" => Some(Self::Dns(value.to_ascii_lowercase())),
            "uri" => Some(Self::Uri(value.to_owned())),
            "subject" => Some(Self::Subject(value.to_owned())),
            _ => None,
        }
    }
}

impl fmt::Display for CertificateName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (kind, value) = match self {
            Self::Fingerprint(digits) => ("sha256", digits),
            Self::Email(value) => ("email", value),
            Self::Dns(value) => ("dns", value),
            Self::Uri(value) => ("uri", value),
            Self::Subject(value) => ("subject", value),
        };
        write!(f, "{kind}:{value}")
    }
}
