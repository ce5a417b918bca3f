//! The audit log as a test reads it.

use std::fmt;

use serde_json::Value;

/// One record of the audit log.
#[derive(Clone)]
pub struct Record {
    json: Value,
    line: String,
}

impl Record {
    /// Reads a line, which has to be one JSON object.
    pub fn parse(line: &str) -> Self {
        let json: Value = serde_json::from_str(line).unwrap_or_else(|error| panic!("{error} in {line}"));
        assert!(json.is_object(), "no object: {line}");
        Self { json, line: line.to_owned() }
    }

    /// The event's word.
    pub fn code(&self) -> &str {
        self.text("/metadata/event_code").unwrap_or_else(|| panic!("no event code in {self:?}"))
    }

    /// Why it failed, where it did.
    pub fn detail(&self) -> &str {
        self.text("/status_detail").unwrap_or("")
    }

    /// Its number.
    pub fn seq(&self) -> u64 {
        self.number("/seq").unwrap_or_else(|| panic!("no number in {self:?}"))
    }

    /// The session it belongs to.
    pub fn session(&self) -> Option<&str> {
        self.text("/actor/session/uid")
    }

    /// The user it names.
    pub fn user(&self) -> &str {
        self.text("/actor/user/name").unwrap_or("")
    }

    /// The path of the file it is about.
    pub fn path(&self) -> &str {
        self.text("/file/path").unwrap_or("")
    }

    /// The reply codes the client heard.
    pub fn codes(&self) -> Vec<u64> {
        self.json.pointer("/codes").and_then(Value::as_array).into_iter().flatten().filter_map(Value::as_u64).collect()
    }

    /// A text, by its JSON pointer.
    pub fn text(&self, pointer: &str) -> Option<&str> {
        self.json.pointer(pointer).and_then(Value::as_str)
    }

    /// A number, by its JSON pointer.
    pub fn number(&self, pointer: &str) -> Option<u64> {
        self.json.pointer(pointer).and_then(Value::as_u64)
    }

    /// The line as it stands in the file.
    pub fn line(&self) -> &str {
        &self.line
    }
}

impl fmt::Debug for Record {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.line)
    }
}
