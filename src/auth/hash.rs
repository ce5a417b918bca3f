//! Hashes of passwords: Argon2id in PHC form (RFC 9106), made, bounded, compared; and those of other
//! servers, compared.

use std::fmt;

use argon2::password_hash::PasswordHasher;
use argon2::password_hash::phc::PasswordHash;
use argon2::{Algorithm, Argon2, Block, Params, Version};
use aws_lc_rs::constant_time::verify_slices_are_equal;
use zeroize::Zeroize;

use super::legacy::{self, Crypt, Dearest};
use crate::identity::Secret;
use crate::settings::Argon2Cost;

/// Most memory a stored hash may ask for, in KiB: a hash that asks for more is a bomb.
pub const MEMORY_KIB_MAX: u32 = 256 * 1024;
/// Most passes a stored hash may ask for.
pub const ITERATIONS_MAX: u32 = 10;
/// Most lanes a stored hash may ask for.
pub const PARALLELISM_MAX: u32 = 4;

/// Why a text is no hash that this server will check against.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum HashError {
    /// Not a PHC string.
    Malformed,
    /// Another algorithm than Argon2id, version 19.
    Algorithm,
    /// Parameters beyond the bounds of this module.
    Cost,
    /// Rounds beyond the bounds of [`legacy`].
    CryptCost,
    /// A kind that is guessed too fast.
    Weak(&'static str),
    /// A kind that is not compared here.
    Foreign(&'static str),
}

impl fmt::Display for HashError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::CryptCost => "the hash asks for more than 2^14 rounds of bcrypt or 1000000 of SHA-crypt",
            Self::Weak(kind) => return write!(f, "hashes of {kind} are guessed too fast to be accepted"),
            Self::Foreign(kind) => return write!(f, "hashes of {kind} cannot be compared here"),
            Self::Malformed => "not a password hash in PHC form ($argon2id$v=19$m=…,t=…,p=…$salt$hash)",
            Self::Algorithm => "only argon2id, version 19, is accepted",
            Self::Cost => "the hash asks for more than 256 MiB, 10 passes or 4 lanes",
        })
    }
}

/// Hashes a new password with a random salt.
///
/// # Errors
/// Parameters that Argon2 itself does not take, or no randomness.
pub fn make(secret: &Secret, cost: Argon2Cost) -> Result<String, HashError> {
    let params = Params::new(cost.memory_kib, cost.iterations, cost.parallelism, None).map_err(|_| HashError::Cost)?;
    let argon2 = Argon2::new(Algorithm::Argon2id, Version::V0x13, params);
    argon2.hash_password(secret.expose()).map(|hash| hash.to_string()).map_err(|_| HashError::Cost)
}

/// A stored hash that can be compared, and what it costs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Argon2id, version 19.
    Argon2id(Argon2Cost),
    /// Argon2i, version 19, which others made.
    Argon2i(Argon2Cost),
    /// Older kinds, which others made.
    Crypt(Crypt),
}

impl Kind {
    /// Its name, for people.
    pub fn name(self) -> &'static str {
        match self {
            Self::Argon2id(_) => "Argon2id",
            Self::Argon2i(_) => "Argon2i",
            Self::Crypt(kind) => kind.name(),
        }
    }

    /// Whether a secret that matches must be the one that was hashed, so that it may be hashed anew.
    pub fn tells_all_of(self, secret: &Secret) -> bool {
        !matches!(self, Self::Crypt(kind) if !kind.tells_all_of(secret))
    }

    /// Whether a new hash of the same password would be a better one.
    pub fn is_below(self, wanted: Argon2Cost) -> bool {
        match self {
            Self::Argon2id(cost) => cost.memory_kib < wanted.memory_kib || cost.iterations < wanted.iterations,
            Self::Argon2i(_) | Self::Crypt(_) => true,
        }
    }
}

/// The kind of any hash that is accepted in `users.toml`.
///
/// # Errors
/// [`HashError`] where the hash must not be used.
pub fn kind(text: &str) -> Result<Kind, HashError> {
    if text.starts_with("$argon2i$") {
        return bounded(text, "argon2i").map(Kind::Argon2i);
    }
    match cost(text) {
        Ok(cost) => Ok(Kind::Argon2id(cost)),
        Err(HashError::Malformed | HashError::Algorithm) if !text.starts_with("$argon2") => {
            legacy::read(text).map(Kind::Crypt)
        }
        Err(error) => Err(error),
    }
}

/// Reads the parameters of a stored hash of Argon2id.
///
/// # Errors
/// [`HashError`] where the hash must not be used.
pub fn cost(phc: &str) -> Result<Argon2Cost, HashError> {
    bounded(phc, "argon2id")
}

fn bounded(phc: &str, algorithm: &str) -> Result<Argon2Cost, HashError> {
    let hash = PasswordHash::new(phc).map_err(|_| HashError::Malformed)?;
    if hash.algorithm.as_str() != algorithm || hash.version != Some(19) {
        return Err(HashError::Algorithm);
    }
    let params = Params::try_from(&hash).map_err(|_| HashError::Malformed)?;
    let cost = Argon2Cost { memory_kib: params.m_cost(), iterations: params.t_cost(), parallelism: params.p_cost() };
    let bounded = cost.memory_kib <= MEMORY_KIB_MAX
        && cost.iterations <= ITERATIONS_MAX
        && cost.parallelism <= PARALLELISM_MAX
        && hash.hash.is_some();
    if bounded { Ok(cost) } else { Err(HashError::Cost) }
}

/// How much work a hash of this cost is: KiB passed over. Time grows with it, whatever the lanes,
/// which are filled one after the other.
pub fn work(cost: Argon2Cost) -> u64 {
    u64::from(cost.memory_kib).saturating_mul(u64::from(cost.iterations))
}

/// The cost that makes up for the difference between a hash that was checked and the dearest one;
/// none where that is too little to matter.
fn remaining(checked: Option<Argon2Cost>, dearest: Argon2Cost) -> Option<Argon2Cost> {
    /// What Argon2 needs for one lane.
    const MEMORY_KIB_MIN: u64 = 8;
    let left = work(dearest).saturating_sub(checked.map_or(0, work));
    let memory_kib = left.checked_div(u64::from(dearest.iterations)).filter(|kib| *kib >= MEMORY_KIB_MIN)?;
    Some(Argon2Cost { memory_kib: u32::try_from(memory_kib).ok()?, iterations: dearest.iterations, parallelism: 1 })
}

/// The memory that Argon2 works in, used again for one check after the other: given back to the
/// allocator each time, tens of MiB at a time would tear holes that are never filled.
#[derive(Default)]
pub struct Workspace(Vec<Block>);

impl Workspace {
    /// Memory for hashes of this cost, taken from the system now rather than at the first check.
    pub fn for_cost(cost: Argon2Cost) -> Self {
        let params = Params::new(cost.memory_kib, cost.iterations, cost.parallelism, None);
        Self(vec![Block::default(); params.map_or(0, |params| params.block_count())])
    }

    /// Whether the secret is the one that was hashed. Takes as long as the hash's parameters ask,
    /// whatever the answer; a hash that [`kind`] refuses matches nothing.
    pub fn matches(&mut self, text: &str, secret: &Secret) -> bool {
        match kind(text) {
            Ok(Kind::Argon2id(_)) => self.compare(Algorithm::Argon2id, text, secret).unwrap_or(false),
            Ok(Kind::Argon2i(_)) => self.compare(Algorithm::Argon2i, text, secret).unwrap_or(false),
            Ok(Kind::Crypt(_)) => legacy::matches(text, secret),
            Err(_) => false,
        }
    }

    /// As [`Workspace::matches`], but takes as long as the dearest of each kind, whatever the hash's
    /// own is: the time tells neither whose hash it was nor how old it is.
    pub fn matches_at_cost(&mut self, text: &str, secret: &Secret, dearest: Argon2Cost, others: Dearest) -> bool {
        let matches = self.matches(text, secret);
        let (argon2, crypt) = match kind(text) {
            Ok(Kind::Argon2id(cost) | Kind::Argon2i(cost)) => (Some(cost), None),
            Ok(Kind::Crypt(kind)) => (None, Some(kind)),
            Err(_) => (None, None),
        };
        if let Some(rest) = remaining(argon2, dearest) {
            self.spend(rest);
        }
        others.spend_rest(crypt, secret);
        matches
    }

    /// Does the work of a hash of this cost for nothing.
    fn spend(&mut self, cost: Argon2Cost) {
        let Ok(params) = Params::new(cost.memory_kib, cost.iterations, cost.parallelism, None) else { return };
        let blocks = params.block_count();
        if self.0.len() < blocks {
            self.0.resize(blocks, Block::default());
        }
        let Some(memory) = self.0.get_mut(..blocks) else { return };
        let mut output = [0; 32];
        let argon2 = Argon2::new(Algorithm::Argon2id, Version::V0x13, params);
        // Nobody looks at it, so it cannot fail anybody.
        let _ = argon2.hash_password_into_with_memory(b"", b"no salt at all", &mut output, memory);
        std::hint::black_box(output);
    }

    fn compare(&mut self, algorithm: Algorithm, phc: &str, secret: &Secret) -> Option<bool> {
        let hash = PasswordHash::new(phc).ok()?;
        let (salt, expected) = (hash.salt?, hash.hash?);
        let params = Params::try_from(&hash).ok()?;
        let blocks = params.block_count();
        if self.0.len() < blocks {
            self.0.resize(blocks, Block::default());
        }
        let mut output = vec![0; expected.as_bytes().len()];
        Argon2::new(algorithm, Version::V0x13, params)
            .hash_password_into_with_memory(secret.expose(), salt.as_ref(), &mut output, self.0.get_mut(..blocks)?)
            .ok()?;
        let same = verify_slices_are_equal(&output, expected.as_bytes()).is_ok();
        output.zeroize();
        Some(same)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const CHEAP: Argon2Cost = Argon2Cost { memory_kib: 64, iterations: 1, parallelism: 1 };

    #[test]
    fn a_hash_matches_its_password_alone() {
        let hash = make(&Secret::new(b"correct horse".to_vec()), CHEAP).unwrap();
        assert_eq!(cost(&hash), Ok(CHEAP));
        let mut workspace = Workspace::default();
        assert!(workspace.matches(&hash, &Secret::new(b"correct horse".to_vec())));
        assert!(!workspace.matches(&hash, &Secret::new(b"battery staple".to_vec())));
        assert!(!workspace.matches("", &Secret::new(Vec::new())));
    }

    #[test]
    fn used_memory_changes_no_answer() {
        let secret = || Secret::new(b"correct horse".to_vec());
        let small = make(&secret(), CHEAP).unwrap();
        let large = make(&secret(), Argon2Cost { memory_kib: 256, iterations: 2, parallelism: 2 }).unwrap();
        let mut workspace = Workspace::default();
        for hash in [&small, &large, &small, &large] {
            assert!(workspace.matches(hash, &secret()));
            assert!(!workspace.matches(hash, &Secret::new(b"wrong".to_vec())));
        }
        let library = argon2::PasswordVerifier::verify_password(
            &Argon2::default(),
            secret().expose(),
            &PasswordHash::new(&large).unwrap(),
        );
        assert!(library.is_ok(), "the library agrees");
    }

    #[test]
    fn what_a_cheap_hash_leaves_is_made_up_for() {
        let cost = |memory_kib, iterations| Argon2Cost { memory_kib, iterations, parallelism: 1 };
        let dearest = cost(65_536, 3);
        for checked in [None, Some(cost(19_456, 2)), Some(cost(64, 1)), Some(cost(65_536, 2))] {
            let rest = remaining(checked, dearest).unwrap();
            let total = checked.map_or(0, work) + work(rest);
            assert!(total <= work(dearest) && total + u64::from(dearest.iterations) > work(dearest), "{checked:?}");
        }
        assert_eq!(remaining(Some(dearest), dearest), None);
        assert_eq!(remaining(Some(cost(262_144, 3)), dearest), None);
    }

    #[test]
    fn hashes_of_other_kinds_and_bombs_are_refused() {
        let hash = make(&Secret::new(b"x".to_vec()), CHEAP).unwrap();
        assert_eq!(cost("hunter2"), Err(HashError::Malformed));
        assert_eq!(cost(&hash.replace("argon2id", "argon2i")), Err(HashError::Algorithm));
        assert_eq!(cost(&hash.replace("m=64", "m=4194304")), Err(HashError::Cost));
        assert_eq!(cost(&hash.replace("t=1", "t=11")), Err(HashError::Cost));
    }

    #[test]
    fn hashes_of_argon2i_are_compared_and_never_good_enough() {
        let params = Params::new(64, 1, 1, None).unwrap();
        let argon2i = Argon2::new(Algorithm::Argon2i, Version::V0x13, params);
        let hash = argon2i.hash_password(b"correct horse").unwrap().to_string();
        assert_eq!(kind(&hash), Ok(Kind::Argon2i(CHEAP)));
        assert!(kind(&hash).unwrap().is_below(CHEAP) && !Kind::Argon2id(CHEAP).is_below(CHEAP));
        let mut workspace = Workspace::default();
        assert!(workspace.matches(&hash, &Secret::new(b"correct horse".to_vec())));
        assert!(!workspace.matches(&hash, &Secret::new(b"battery staple".to_vec())));
        assert_eq!(kind(&hash.replace("m=64", "m=4194304")), Err(HashError::Cost));
    }
}
