//! Codes of the moment (RFC 6238): six digits of HMAC-SHA-1 over the count of half minutes, which
//! every authenticator app knows.

use aws_lc_rs::constant_time::verify_slices_are_equal;
use aws_lc_rs::hmac;
use jiff::Timestamp;

use crate::identity::{Secret, TotpSecret};

/// How long a code is the one of the moment.
pub const STEP_SECONDS: u64 = 30;
/// Digits of a code.
pub const CODE_DIGITS: usize = 6;
/// Steps before and after the present one whose codes are taken, since clocks differ.
pub const WINDOW_STEPS: u64 = 1;

/// Six digits, as a client sent them.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Code([u8; CODE_DIGITS]);

impl Code {
    /// Reads six digits and nothing else.
    pub fn parse(text: &[u8]) -> Option<Self> {
        let digits: [u8; CODE_DIGITS] = text.try_into().ok()?;
        digits.iter().all(u8::is_ascii_digit).then_some(Self(digits))
    }

    /// The text of the code.
    pub fn as_str(&self) -> &str {
        std::str::from_utf8(&self.0).unwrap_or_default()
    }
}

impl std::fmt::Debug for Code {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Code(..)")
    }
}

/// Takes what came as a password apart: the password, and the code behind it. Without six digits at
/// its end it has no code, and all of it is the password.
pub fn split(sent: Secret) -> (Secret, Option<Code>) {
    let bytes = sent.expose();
    let at = bytes.len().saturating_sub(CODE_DIGITS);
    let code = bytes.get(at..).and_then(Code::parse);
    match (code, bytes.get(..at)) {
        (Some(code), Some(password)) => (Secret::new(password.to_vec()), Some(code)),
        _ => (sent, None),
    }
}

/// The number of the step in which a moment lies.
pub fn step_at(now: Timestamp) -> u64 {
    u64::try_from(now.as_second()).unwrap_or(0).wrapping_div(STEP_SECONDS)
}

/// The code of a step (RFC 4226 §5.3).
pub fn code_of(secret: &TotpSecret, step: u64) -> Code {
    let key = hmac::Key::new(hmac::HMAC_SHA1_FOR_LEGACY_USE_ONLY, secret.expose());
    let tag = hmac::sign(&key, &step.to_be_bytes());
    let offset = tag.as_ref().last().map_or(0, |last| usize::from(last & 0x0f));
    let chosen = tag.as_ref().iter().skip(offset).take(4);
    let mut left = chosen.fold(0_u32, |number, byte| number.wrapping_shl(8) | u32::from(*byte)) & 0x7fff_ffff;
    let mut digits = [b'0'; CODE_DIGITS];
    for digit in digits.iter_mut().rev() {
        *digit = b'0'.saturating_add(u8::try_from(left.wrapping_rem(10)).unwrap_or(0));
        left = left.wrapping_div(10);
    }
    Code(digits)
}

/// The step whose code this is, of the present one and its neighbours. Takes the same time whatever
/// the answer.
pub fn step_of(secret: &TotpSecret, code: Code, now: Timestamp) -> Option<u64> {
    let present = step_at(now);
    let taken = present.saturating_sub(WINDOW_STEPS)..=present.saturating_add(WINDOW_STEPS);
    taken.fold(None, |found, step| {
        let same = verify_slices_are_equal(&code_of(secret, step).0, &code.0).is_ok();
        if same { Some(step) } else { found }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The secret of the test vectors of RFC 6238, appendix B: `12345678901234567890`.
    fn secret() -> TotpSecret {
        TotpSecret::from_base32("GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ").unwrap()
    }

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_second(seconds).unwrap()
    }

    #[test]
    fn the_codes_are_those_of_the_rfc() {
        for (seconds, digits) in [
            (59, "287082"),
            (1_111_111_109, "081804"),
            (1_111_111_111, "050471"),
            (1_234_567_890, "005924"),
            (2_000_000_000, "279037"),
            (20_000_000_000, "353130"),
        ] {
            assert_eq!(code_of(&secret(), step_at(at(seconds))).as_str(), digits, "{seconds}");
        }
    }

    #[test]
    fn a_code_is_taken_one_step_early_and_one_late() {
        let (step, code) = (step_at(at(1_000_000)), |step| code_of(&secret(), step));
        for near in [step - 1, step, step + 1] {
            assert_eq!(step_of(&secret(), code(near), at(1_000_000)), Some(near));
        }
        for far in [step - 2, step + 2] {
            assert_eq!(step_of(&secret(), code(far), at(1_000_000)), None);
        }
    }

    #[test]
    fn the_last_six_digits_are_the_code() {
        let taken = |text: &str| {
            let (password, code) = split(Secret::new(text.as_bytes().to_vec()));
            (password.expose().to_vec(), code.map(|code| code.as_str().to_owned()))
        };
        assert_eq!(taken("correct horse123456"), (b"correct horse".to_vec(), Some("123456".into())));
        assert_eq!(taken("123456"), (vec![], Some("123456".into())));
        for none in ["", "12345", "correct horse", "correct horse12345x", "correct horse12345\u{661}"] {
            assert_eq!(taken(none), (none.as_bytes().to_vec(), None));
        }
    }
}
