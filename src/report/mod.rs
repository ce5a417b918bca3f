//! The report on the audit log: one pass gathers a [`Summary`], which is written as a page, as data or
//! as text.
//!
//! | module | subject |
//! |---|---|
//! | [`top`] | figures by name, in bounded memory |
//! | [`series`] | figures over time |
//! | [`summary`] | what one pass gathers |
//! | [`table`], [`tables`] | the tables, the same in each form |
//! | [`html`] | the page |
//! | [`json`], [`csv`], [`markdown`] | the other forms |

pub mod csv;
pub mod html;
pub mod json;
pub mod markdown;
pub mod series;
pub mod summary;
pub mod table;
pub mod tables;
pub mod top;

mod chart;
mod headline;
mod words;

use jiff::Timestamp;

use crate::findings::finding::Finding;
pub use summary::Summary;
pub use words::harmless;

/// A report, ready to be written.
#[derive(Debug)]
pub struct Report<'a> {
    /// What it is called.
    pub title: String,
    /// When it was made.
    pub made_at: Timestamp,
    /// Which log it is about.
    pub log: String,
    /// What the log says.
    pub summary: &'a Summary,
    /// What the chain of the records proves; none where that was not looked at.
    pub verdict: Option<Verdict>,
    /// What is worth a look, the most severe first; none where nobody looked.
    pub findings: Option<Vec<Finding>>,
    /// How many more findings there were than are kept.
    pub findings_left_out: u64,
    /// What could not be read, and why.
    pub unread: Vec<String>,
}

/// What the chain of the records proves.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct Verdict {
    /// In one word.
    pub state: VerdictState,
    /// In one sentence.
    pub headline: String,
    /// What was proved, and what was found: texts that may come from the log.
    pub details: Vec<String>,
}

/// What the chain of the records proves, in one word.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "snake_case")]
pub enum VerdictState {
    /// The records are as they were written.
    Proved,
    /// Nothing was changed as far as can be told, and not everything can be.
    Partial,
    /// It cannot be told: there is no key, or not all could be read.
    Unverified,
    /// They are not.
    Broken,
}
