//! Client certificates of users, for `portcullis cert client`.

use std::path::Path;

use toml_edit::{Array, Item, Value};

use super::super::Failure;
use super::edit;
use crate::identity::Username;
use crate::policy::factor::CertificateName;

/// Adds a certificate to those of a user; false where it is there already.
pub(in crate::cli) fn add_certificate(
    policy: &Path,
    user: &Username,
    certificate: &CertificateName,
) -> Result<bool, Failure> {
    let mut added = false;
    edit::edit(policy, |document| {
        let table = edit::user(document, user)?;
        let known = table.entry("certificates").or_insert_with(|| Item::Value(Value::Array(Array::new())));
        let known = known.as_array_mut();
        let known = known.ok_or_else(|| Failure::Failed(format!("`certificates` of {user} is no list")))?;
        let is_it = |value: &Value| value.as_str().and_then(CertificateName::parse).as_ref() == Some(certificate);
        added = !known.iter().any(is_it);
        if added {
            known.push(certificate.to_string());
        }
        Ok(())
    })?;
    Ok(added)
}
