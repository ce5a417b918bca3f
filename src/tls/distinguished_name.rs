//! Names of subjects and issuers as text, in the form of RFC 4514.

use std::fmt::Write as _;

use x509_parser::prelude::{AttributeTypeAndValue, X509Name};

/// The attributes that have a short name (RFC 4514 §3), and others by the names that OpenSSL has for
/// them.
const SHORT: [(&str, &str); 20] = [
    ("2.5.4.3", "CN"),
    ("2.5.4.7", "L"),
    ("2.5.4.8", "ST"),
    ("2.5.4.10", "O"),
    ("2.5.4.11", "OU"),
    ("2.5.4.6", "C"),
    ("2.5.4.9", "street"),
    ("0.9.2342.19200300.100.1.25", "DC"),
    ("0.9.2342.19200300.100.1.1", "UID"),
    ("1.2.840.113549.1.9.1", "emailAddress"),
    ("2.5.4.4", "SN"),
    ("2.5.4.5", "serialNumber"),
    ("2.5.4.12", "title"),
    ("2.5.4.13", "description"),
    ("2.5.4.17", "postalCode"),
    ("2.5.4.42", "GN"),
    ("2.5.4.43", "initials"),
    ("2.5.4.46", "dnQualifier"),
    ("2.5.4.65", "pseudonym"),
    ("2.5.4.97", "organizationIdentifier"),
];

/// The whole name: the last part first, as `CN=alice,O=Example,C=DE`; so are the attributes of a part
/// that has several, as OpenSSL has it.
pub(crate) fn text(name: &X509Name<'_>) -> String {
    let parts: Vec<_> = name.iter_rdn().collect();
    let part = |attributes: Vec<String>| attributes.into_iter().rev().collect::<Vec<_>>().join("+");
    let all = parts.iter().rev().map(|rdn| part(rdn.iter().map(attribute).collect()));
    all.collect::<Vec<_>>().join(",")
}

fn attribute(attribute: &AttributeTypeAndValue<'_>) -> String {
    let oid = attribute.attr_type().to_id_string();
    let short = SHORT.iter().find(|(known, _)| *known == oid).map(|(_, short)| *short);
    match (short, attribute.as_str()) {
        (Some(short), Ok(value)) => format!("{short}={}", escaped(value)),
        // What has no short name is given by its number and bytes (RFC 4514 §2.4).
        (short, _) => {
            let mut text = format!("{}=#", short.unwrap_or(&oid));
            for byte in attribute.attr_value().data {
                let _ = write!(text, "{byte:02x}");
            }
            text
        }
    }
}

/// A value with what could be mistaken escaped (RFC 4514 §2.4).
fn escaped(value: &str) -> String {
    let mut text = String::with_capacity(value.len());
    let last = value.chars().count().saturating_sub(1);
    for (at, c) in value.chars().enumerate() {
        let at_edge = c == ' ' && (at == 0 || at == last) || c == '#' && at == 0;
        if c.is_control() {
            let mut bytes = [0; 4];
            for byte in c.encode_utf8(&mut bytes).bytes() {
                let _ = write!(text, "\\{byte:02x}");
            }
            continue;
        }
        if at_edge || matches!(c, '"' | '+' | ',' | ';' | '<' | '>' | '\\') {
            text.push('\\');
        }
        text.push(c);
    }
    text
}

#[cfg(test)]
mod tests {
    use rcgen::{CertificateParams, DnType, KeyPair};
    use x509_parser::prelude::{FromDer, X509Certificate};

    use super::*;

    fn subject(parts: &[(DnType, &str)]) -> String {
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.distinguished_name = rcgen::DistinguishedName::new();
        for (kind, value) in parts {
            params.distinguished_name.push(kind.clone(), *value);
        }
        let made = params.self_signed(&KeyPair::generate().unwrap()).unwrap();
        text(X509Certificate::from_der(made.der()).unwrap().1.subject())
    }

    #[test]
    fn the_last_part_comes_first_and_what_could_be_mistaken_is_escaped() {
        let parts =
            [(DnType::CountryName, "DE"), (DnType::OrganizationName, "Käse, Co"), (DnType::CommonName, "alice")];
        assert_eq!(subject(&parts), "CN=alice,O=Käse\\, Co,C=DE");
        assert_eq!(subject(&[(DnType::CommonName, " #a+b ")]), "CN=\\ #a\\+b\\ ");
        assert_eq!(subject(&[(DnType::CommonName, "a,O=b")]), "CN=a\\,O=b");
        assert_eq!(subject(&[(DnType::CommonName, "a\nb")]), "CN=a\\0ab");
        let several = [
            &[0x30, 0x16, 0x31, 0x14][..],
            &[0x30, 0x08, 0x06, 0x03, 0x55, 0x04, 0x03, 0x0c, 0x01, b'a'],
            &[0x30, 0x08, 0x06, 0x03, 0x55, 0x04, 0x05, 0x0c, 0x01, b'b'],
        ]
        .concat();
        assert_eq!(text(&X509Name::from_der(&several).unwrap().1), "serialNumber=b+CN=a");
        let number = DnType::CustomDnType(vec![2, 5, 4, 5]);
        assert_eq!(subject(&[(number, "7"), (DnType::CommonName, "alice")]), "CN=alice,serialNumber=7");
    }
}
