//! The hours in which an account works, and the clock by which they are meant.

use jiff::tz::TimeZone;

use super::findings::{Findings, shown};
use super::section::Section;
use crate::policy::hours::{Hours, Window};

/// Reads `hours`.
pub(super) fn read(section: &Section<'_>, findings: &mut Findings) -> Option<Hours> {
    let entry = section.get("hours")?;
    let texts = section.texts("hours", findings)?;
    if texts.is_empty() {
        findings.error(entry.node.place, "`hours` is empty", "name a window such as \"mon-fri 08:00-18:00\"");
        return None;
    }
    let mut windows = Vec::new();
    for text in texts {
        match Window::parse(text.text) {
            Ok(window) => windows.push(window),
            Err(error) => {
                let message = format!("`{}` is no window of the week", shown(text.text));
                findings.error(text.place, message, error.to_string());
            }
        }
    }
    Some(Hours { windows, source: findings.rule_source(entry.node.place) })
}

/// Reads `zone` of [time].
pub(super) fn zone(section: &Section<'_>, findings: &mut Findings) -> TimeZone {
    let Some(text) = section.text("zone", findings) else { return TimeZone::UTC };
    TimeZone::get(text.text).unwrap_or_else(|_| {
        let message = format!("no time zone is named `{}`", shown(text.text));
        findings.error(text.place, message, "write a name of the IANA database, such as \"Europe/Berlin\" or \"UTC\"");
        TimeZone::UTC
    })
}
