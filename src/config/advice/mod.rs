//! What is legal but unwise: rules that decide nothing, users who can do nothing, lists that
//! contradict each other, and what nobody uses. Each is a warning with its place and a remedy. What
//! users lack by intent, such as those that are disabled, is not told.

mod access;
mod alike;
mod login;
mod mounts;
mod rules;
mod unused;

use alike::Alike;
use jiff::civil::Date;

use super::findings::Findings;
use super::load::{Reach, Sections};
use super::problem::Subject;
use super::tree::Table;

/// What advice is given about: files without errors.
pub(super) struct Matter<'a> {
    pub(super) read: &'a Sections,
    pub(super) server: &'a Table,
    pub(super) users: &'a Table,
    pub(super) today: Date,
    pub(super) reach: Reach,
}

/// Warns of what is unwise.
pub(super) fn give(matter: &Matter<'_>, findings: &mut Findings) {
    findings.about(Subject::Text);
    let alike = Alike::of(&matter.read.policy);
    rules::advise(&alike, findings);
    access::advise(&alike, findings);
    login::advise(&matter.read.policy, matter.today, findings);
    unused::advise(matter, findings);
    if matter.reach == Reach::Disk {
        findings.about(Subject::Home);
        mounts::advise(matter, findings);
    }
}

#[cfg(test)]
mod tests;
