//! The audit trail: typed records, and the one place that writes them.

pub mod event;
pub mod record;
