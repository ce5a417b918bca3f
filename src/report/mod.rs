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
    /// What is worth a look; none where nobody looked.
    pub findings: Option<Vec<Finding>>,
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
    /// They are not.
    Broken,
}

/// Something that is worth a look.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct Finding {
    /// How much it matters.
    pub severity: FindingSeverity,
    /// What it is, in a few words.
    pub title: String,
    /// What happened, in a sentence or two; may hold texts from the log.
    pub text: String,
    /// Numbers of the records that show it, or some of them.
    pub records: Vec<u64>,
    /// The command that shows it.
    pub command: String,
}

/// How much a finding matters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, serde::Serialize)]
#[serde(rename_all = "snake_case")]
pub enum FindingSeverity {
    /// Good to know.
    Low,
    /// To be looked at.
    Medium,
    /// To be looked at now.
    High,
}
