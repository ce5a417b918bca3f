//! Hashes that other servers made: bcrypt and SHA-crypt. They are compared, within bounds, and never
//! made: whoever logs in by one gets one of Argon2id where the server may keep it.

use aws_lc_rs::constant_time::verify_slices_are_equal;
use sha_crypt::{PasswordVerifier, ShaCrypt};

use super::hash::HashError;
use crate::identity::Secret;

/// Most rounds of bcrypt, as the power of two.
pub const BCRYPT_COST_MAX: u32 = 14;
/// Most rounds of SHA-crypt.
pub const SHA_ROUNDS_MAX: u32 = 1_000_000;
/// Rounds of SHA-crypt where the hash does not say.
const SHA_ROUNDS: u32 = 5_000;
/// Least rounds of SHA-crypt.
const SHA_ROUNDS_MIN: u32 = 1_000;
/// Longest password that SHA-crypt looks at, in bytes: its work grows with the length.
const SHA_PASSWORD_BYTES_MAX: usize = 256;
/// As much of a password as bcrypt looks at, in bytes; what comes behind makes no difference to it.
const BCRYPT_PASSWORD_BYTES_MAX: usize = 72;
/// What work for nothing is done with.
const NOBODYS: [u8; 16] = *b"no salt at all..";

/// A kind of hash, with its cost.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Crypt {
    /// bcrypt (`$2a$`, `$2b$`, `$2y$`) with two to the power of this many rounds.
    Bcrypt(u32),
    /// SHA-256-crypt (`$5$`) with this many rounds.
    Sha256(u32),
    /// SHA-512-crypt (`$6$`) with this many rounds.
    Sha512(u32),
}

impl Crypt {
    /// Its name, for people.
    pub fn name(self) -> &'static str {
        match self {
            Self::Bcrypt(_) => "bcrypt",
            Self::Sha256(_) => "SHA-256-crypt",
            Self::Sha512(_) => "SHA-512-crypt",
        }
    }

    /// Whether a secret that matches must be the one that was hashed, to its last byte.
    pub fn tells_all_of(self, secret: &Secret) -> bool {
        !matches!(self, Self::Bcrypt(_)) || secret.expose().len() < BCRYPT_PASSWORD_BYTES_MAX
    }
}

/// The kind of a hash.
///
/// # Errors
/// Why it is not one that is compared.
pub fn read(text: &str) -> Result<Crypt, HashError> {
    match text.get(..3) {
        Some("$2a" | "$2b" | "$2y") => bcrypt(text),
        Some("$5$") => sha(text, 43).map(Crypt::Sha256),
        Some("$6$") => sha(text, 86).map(Crypt::Sha512),
        Some("$1$") => Err(HashError::Weak("MD5-crypt")),
        Some("$y$") => Err(HashError::Foreign("yescrypt")),
        Some("$7$") => Err(HashError::Foreign("scrypt")),
        Some("$ap") => Err(HashError::Weak("Apache's MD5")),
        _ if text.starts_with("{SHA}") => Err(HashError::Weak("SHA-1 without a salt")),
        _ if text.len() == 13 && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"./".contains(&byte)) => {
            Err(HashError::Weak("DES"))
        }
        _ => Err(HashError::Malformed),
    }
}

fn bcrypt(text: &str) -> Result<Crypt, HashError> {
    let parts: bcrypt::HashParts = text.parse().map_err(|_| HashError::Malformed)?;
    match parts.get_cost() {
        cost @ 4..=BCRYPT_COST_MAX => Ok(Crypt::Bcrypt(cost)),
        0..=3 => Err(HashError::Malformed),
        _ => Err(HashError::CryptCost),
    }
}

/// The rounds of a SHA-crypt hash, whose last field has that many characters.
fn sha(text: &str, characters: usize) -> Result<u32, HashError> {
    let mut fields = text.split('$').skip(2).peekable();
    let stated = fields.next_if(|field| field.starts_with("rounds="));
    let rounds = match stated.and_then(|field| field.strip_prefix("rounds=")) {
        Some(number) => number.parse().map_err(|_| HashError::Malformed)?,
        None => SHA_ROUNDS,
    };
    let (salt, hash) = (fields.next().unwrap_or_default(), fields.next().unwrap_or_default());
    let plain = |text: &str| text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"./".contains(&byte));
    if fields.next().is_some() || salt.len() > 16 || hash.len() != characters || !plain(salt) || !plain(hash) {
        return Err(HashError::Malformed);
    }
    match rounds {
        SHA_ROUNDS_MIN..=SHA_ROUNDS_MAX => Ok(rounds),
        0..SHA_ROUNDS_MIN => Err(HashError::Malformed),
        _ => Err(HashError::CryptCost),
    }
}

/// Whether the secret is the one that was hashed; a hash that [`read`] refuses matches nothing.
pub fn matches(text: &str, secret: &Secret) -> bool {
    match read(text) {
        Ok(Crypt::Bcrypt(cost)) => {
            let Ok(parts) = text.parse::<bcrypt::HashParts>() else { return false };
            let made = bcrypt::hash_with_salt(secret.expose(), cost, parts.get_salt_raw());
            let same = |made: bcrypt::HashParts| {
                let (made, stored) = (made.to_string(), parts.to_string());
                verify_slices_are_equal(made.as_bytes(), stored.as_bytes()).is_ok()
            };
            made.is_ok_and(same)
        }
        Ok(Crypt::Sha256(_) | Crypt::Sha512(_)) => {
            let fits = secret.expose().len() <= SHA_PASSWORD_BYTES_MAX;
            let password = if fits { secret.expose() } else { b"" };
            ShaCrypt::default().verify_password(password, text).is_ok() && fits
        }
        Err(_) => false,
    }
}

/// The dearest hash of each kind in use; nothing where a kind is not.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Dearest {
    bcrypt_cost: Option<u32>,
    sha256_rounds: u32,
    sha512_rounds: u32,
}

impl Dearest {
    /// Looks at every hash that may be checked.
    pub fn of<'a>(hashes: impl Iterator<Item = &'a str>) -> Self {
        hashes.filter_map(|text| read(text).ok()).fold(Self::default(), |dearest, kind| match kind {
            Crypt::Bcrypt(cost) => Self { bcrypt_cost: dearest.bcrypt_cost.max(Some(cost)), ..dearest },
            Crypt::Sha256(rounds) => Self { sha256_rounds: dearest.sha256_rounds.max(rounds), ..dearest },
            Crypt::Sha512(rounds) => Self { sha512_rounds: dearest.sha512_rounds.max(rounds), ..dearest },
        })
    }

    /// Does the work that is left of the dearest of each kind when this was checked, so that every
    /// check costs the same.
    pub fn spend_rest(self, checked: Option<Crypt>, secret: &Secret) {
        let fits = secret.expose().len() <= SHA_PASSWORD_BYTES_MAX;
        let password = if fits { secret.expose() } else { b"" };
        for cost in self.bcrypt_rest(checked) {
            let _ = std::hint::black_box(bcrypt::hash_with_salt(secret.expose(), cost, NOBODYS));
        }
        let rest = |dearest: u32, checked: u32| {
            sha_crypt::Params::new(dearest.saturating_sub(checked)).ok().filter(|_| dearest > 0)
        };
        if let Some(params) =
            rest(self.sha256_rounds, if let Some(Crypt::Sha256(rounds)) = checked { rounds } else { 0 })
        {
            std::hint::black_box(sha_crypt::sha256_crypt(password, &NOBODYS, params));
        }
        if let Some(params) =
            rest(self.sha512_rounds, if let Some(Crypt::Sha512(rounds)) = checked { rounds } else { 0 })
        {
            std::hint::black_box(sha_crypt::sha512_crypt(password, &NOBODYS, params));
        }
    }

    /// The costs that, with what was checked, make up the dearest: 2^c and then 2^c, 2^(c+1), … are
    /// 2^dearest.
    fn bcrypt_rest(self, checked: Option<Crypt>) -> Vec<u32> {
        match (self.bcrypt_cost, checked) {
            (None, _) => Vec::new(),
            (Some(dearest), Some(Crypt::Bcrypt(cost))) => (cost..dearest).collect(),
            (Some(dearest), _) => vec![dearest],
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const BCRYPT: &str = "$2y$04$c2FsdHNhbHRzYWx0c2FsdO9aVgyWBsWkVZ4dyiIzYRBxMt9jJNxPq";
    /// Of the specification of SHA-crypt, with its passwords.
    const SHA256: &str = "$5$saltstring$5B8vYYiY.CVt1RlTTf8KbXBH3hsxY/GNooZaBBGWEc5";
    const SHA512: &str =
        "$6$saltstring$svn8UoSVapNtMuq1ukKS4tPQd8iKwSMHWjl/O817G3uBnIFNjnQJuesI68u4OTLiBFdcbYEdFCoEOfaS35inz1";

    fn secret(text: &str) -> Secret {
        Secret::new(text.as_bytes().to_vec())
    }

    #[test]
    fn each_kind_is_known_and_matches_its_password_alone() {
        let made = bcrypt::hash_with_salt("correct horse", 4, NOBODYS).unwrap().to_string();
        for (text, kind, password) in [
            (made.as_str(), Crypt::Bcrypt(4), "correct horse"),
            (&made.replace("$2b$", "$2y$"), Crypt::Bcrypt(4), "correct horse"),
            (&made.replace("$2b$", "$2a$"), Crypt::Bcrypt(4), "correct horse"),
            (SHA256, Crypt::Sha256(5000), "Hello world!"),
            (SHA512, Crypt::Sha512(5000), "Hello world!"),
            (
                "$5$rounds=10000$saltstringsaltst$3xv.VbSHBb41AL9AvLeujZkZRBAwqFMz2.opqey6IcA",
                Crypt::Sha256(10_000),
                "Hello world!",
            ),
        ] {
            assert_eq!(read(text), Ok(kind), "{text}");
            assert!(matches(text, &secret(password)), "{text}");
            assert!(!matches(text, &secret("Hello world?")));
        }
        assert_eq!(read(BCRYPT), Ok(Crypt::Bcrypt(4)));
    }

    #[test]
    fn bcrypt_does_not_tell_the_end_of_a_long_password() {
        let long = |end: &str| secret(&format!("{}{end}", "x".repeat(BCRYPT_PASSWORD_BYTES_MAX)));
        let made = bcrypt::hash_with_salt(long("right").expose(), 4, NOBODYS).unwrap().to_string();
        assert!(matches(&made, &long("right")) && matches(&made, &long("wrong")), "as where it was made");
        assert!(!Crypt::Bcrypt(4).tells_all_of(&long("wrong")) && Crypt::Bcrypt(4).tells_all_of(&secret("short")));
        assert!(Crypt::Sha512(5000).tells_all_of(&long("right")));
    }

    #[test]
    fn bombs_and_weak_or_unknown_kinds_are_refused() {
        assert_eq!(read(&BCRYPT.replace("$04$", "$15$")), Err(HashError::CryptCost));
        assert_eq!(read(&BCRYPT.replace("$04$", "$03$")), Err(HashError::Malformed));
        assert_eq!(read(&SHA256.replace("$salt", "$rounds=1000001$salt")), Err(HashError::CryptCost));
        assert_eq!(read(&SHA256.replace("$salt", "$rounds=10$salt")), Err(HashError::Malformed));
        assert_eq!(read("$1$salt$3nGGyVDVxwsOOkBt3RaSR."), Err(HashError::Weak("MD5-crypt")));
        assert_eq!(read("rqXexS6ZhobKA"), Err(HashError::Weak("DES")));
        assert_eq!(read("$7$C6..../....x"), Err(HashError::Foreign("scrypt")));
        for malformed in ["hunter2", "", "$6$", "$6$a$b", "$2y$10$short", "*", "!", "x", "$5$é$"] {
            assert_eq!(read(malformed), Err(HashError::Malformed), "{malformed}");
        }
    }

    #[test]
    fn what_a_check_leaves_of_the_dearest_is_made_up_for() {
        let dear = BCRYPT.replace("$04$", "$07$");
        let dearest = Dearest::of([BCRYPT, &dear, SHA256, "hunter2"].into_iter());
        let total = |checked| dearest.bcrypt_rest(checked).into_iter().map(|cost| 1_u32 << cost).sum::<u32>();
        assert_eq!((total(None), total(Some(Crypt::Bcrypt(7)))), (1 << 7, 0));
        assert_eq!(total(Some(Crypt::Bcrypt(4))) + (1 << 4), 1 << 7);
        assert_eq!((dearest.sha256_rounds, dearest.sha512_rounds), (5000, 0));
        dearest.spend_rest(Some(Crypt::Sha256(5000)), &secret("x"));
    }
}
