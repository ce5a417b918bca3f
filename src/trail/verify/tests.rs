use std::path::PathBuf;

use jiff::Timestamp;
use tempfile::TempDir;

use super::made::Made;
use super::*;
use crate::audit::signing::SigningKey;
use crate::trail::files::find;

mod keys;
mod places;
mod tampering;

/// A log in a directory.
struct Log {
    directory: TempDir,
    made: Made,
    keys: Vec<PublicKey>,
}

fn key() -> SigningKey {
    SigningKey::generate().unwrap()
}

impl Log {
    /// Made by this function, and written.
    fn of(write: impl FnOnce(&mut Made)) -> Self {
        let mut made = Made::begun(key());
        let keys = vec![made.key.public()];
        write(&mut made);
        let directory = tempfile::tempdir().unwrap();
        made.write(directory.path(), true);
        Self { directory, made, keys }
    }

    /// Three files of an ordinary log that was stopped in order.
    fn ordinary() -> Self {
        Self::of(|made| {
            made.work(30);
            made.checkpoint("interval");
            made.work(8);
            made.rotate();
            made.work(25);
            made.rotate();
            made.work(20);
            made.checkpoint("interval");
            made.work(6);
            made.checkpoint("stop");
        })
    }

    fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    fn options(&self) -> Options {
        Options::at(self.made.time)
    }

    fn with_witness(&self) -> Options {
        let head = self.made.head.clone().unwrap();
        Options { witnesses: vec![Witness { head, source: "elsewhere".to_owned() }], ..self.options() }
    }

    fn verdict(&self) -> Verdict {
        self.verdict_with(&self.options())
    }

    fn verdict_with(&self, options: &Options) -> Verdict {
        verify(&find(self.directory.path()).unwrap(), &self.keys, options)
    }

    /// Changes the lines of the open file.
    fn change_lines(&self, change: impl FnOnce(&mut Vec<String>)) {
        let text = std::fs::read_to_string(self.path("audit.jsonl")).unwrap();
        let mut lines: Vec<String> = text.lines().map(str::to_owned).collect();
        change(&mut lines);
        std::fs::write(self.path("audit.jsonl"), lines.join("\n") + "\n").unwrap();
    }
}

#[track_caller]
fn finds(verdict: &Verdict, kind: Kind, line: u64) -> &Finding {
    let finding = verdict.first_finding().unwrap_or_else(|| panic!("nothing was found: {verdict:#?}"));
    assert_eq!((finding.kind, finding.line), (kind, Some(line)), "{verdict:#?}");
    finding
}

#[test]
fn a_log_as_the_server_wrote_it_is_proven() {
    let log = Log::ordinary();
    let verdict = log.verdict_with(&log.with_witness());
    assert_eq!(verdict.state, State::Proven, "{verdict:#?}");
    assert_eq!((verdict.records, verdict.last.unwrap().seq), (log.made.seq, log.made.seq));
    assert_eq!((verdict.first.unwrap().seq, verdict.files.len(), verdict.checkpoints), (1, 3, 6));
    assert_eq!(verdict.signed.unwrap().seq, log.made.seq);
    assert_eq!((verdict.tail.records, verdict.closed), (0, true));
    assert_eq!(verdict.witnesses, verdict::Witnesses { given: 1, agree: 1 });
    assert_eq!(verdict.findings, []);
}
