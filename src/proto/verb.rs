//! The verbs this server knows, served or refused (IANA registry of FTP commands, RFC 5797).

use std::fmt;

macro_rules! verbs {
    ($($variant:ident $name:literal $(or $alias:literal)?,)*) => {
        /// A command verb. X-forms (RFC 1123 §4.1.3.1) are the verb they stand for.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        pub enum Verb {
            $(
                #[doc = concat!("`", $name, "`")]
                $variant,
            )*
        }

        impl Verb {
            /// Every verb, in the order of declaration.
            pub const ALL: &[Self] = &[$(Self::$variant),*];

            /// The verb in capitals.
            pub const fn name(self) -> &'static str {
                match self {
                    $(Self::$variant => $name,)*
                }
            }

            /// The X-form that means the same, where there is one.
            pub const fn alias(self) -> Option<&'static str> {
                match self {
                    $($(Self::$variant => Some($alias),)?)*
                    _ => None,
                }
            }
        }
    };
}

verbs! {
    Abor "ABOR",
    Acct "ACCT",
    Adat "ADAT",
    Allo "ALLO",
    Appe "APPE",
    Auth "AUTH",
    Avbl "AVBL",
    Ccc "CCC",
    Cdup "CDUP" or "XCUP",
    Clnt "CLNT",
    Conf "CONF",
    Cpsv "CPSV",
    Csid "CSID",
    Cwd "CWD" or "XCWD",
    Dele "DELE",
    Enc "ENC",
    Eprt "EPRT",
    Epsv "EPSV",
    Esta "ESTA",
    Estp "ESTP",
    Feat "FEAT",
    Hash "HASH",
    Help "HELP",
    Host "HOST",
    Lang "LANG",
    List "LIST",
    Mdtm "MDTM",
    Mfct "MFCT",
    Mff "MFF",
    Mfmt "MFMT",
    Mic "MIC",
    Mkd "MKD" or "XMKD",
    Mlsd "MLSD",
    Mlst "MLST",
    Mode "MODE",
    Nlst "NLST",
    Noop "NOOP",
    Opts "OPTS",
    Pass "PASS",
    Pasv "PASV",
    Pbsz "PBSZ",
    Port "PORT",
    Pret "PRET",
    Prot "PROT",
    Pwd "PWD" or "XPWD",
    Quit "QUIT",
    Rang "RANG",
    Rein "REIN",
    Rest "REST",
    Retr "RETR",
    Rmd "RMD" or "XRMD",
    Rnfr "RNFR",
    Rnto "RNTO",
    Site "SITE",
    Size "SIZE",
    Smnt "SMNT",
    Sscn "SSCN",
    Stat "STAT",
    Stor "STOR",
    Stou "STOU",
    Stru "STRU",
    Syst "SYST",
    Type "TYPE",
    User "USER",
    Xcrc "XCRC",
    Xmd5 "XMD5",
    Xsha1 "XSHA1" or "XSHA",
    Xsha256 "XSHA256",
    Xsha512 "XSHA512",
}

impl Verb {
    /// Reads a verb, whatever its case.
    pub fn parse(word: &[u8]) -> Option<Self> {
        let is = |name: &str| name.as_bytes().eq_ignore_ascii_case(word);
        Self::ALL.iter().copied().find(|verb| is(verb.name()) || verb.alias().is_some_and(is))
    }
}

impl fmt::Display for Verb {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// A line split into its verb and what stands behind the first space, byte for byte.
pub fn split(line: &[u8]) -> (&[u8], &[u8]) {
    match line.iter().position(|byte| *byte == b' ') {
        None => (line, &[]),
        Some(at) => {
            let (word, rest) = line.split_at(at);
            (word, rest.get(1..).unwrap_or_default())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn verbs_are_read_in_any_case_and_by_their_x_form() {
        assert_eq!(Verb::parse(b"retr"), Some(Verb::Retr));
        assert_eq!(Verb::parse(b"XPWD"), Some(Verb::Pwd));
        assert_eq!(Verb::parse(b"xcup"), Some(Verb::Cdup));
        assert_eq!(Verb::parse(b"RETRX"), None);
        assert_eq!(Verb::parse(b""), None);
        for verb in Verb::ALL {
            assert_eq!(Verb::parse(verb.name().as_bytes()), Some(*verb));
        }
    }

    #[test]
    fn arguments_are_kept_byte_for_byte() {
        assert_eq!(split(b"PASS  two spaces "), (&b"PASS"[..], &b" two spaces "[..]));
        assert_eq!(split(b"NOOP"), (&b"NOOP"[..], &b""[..]));
    }
}
