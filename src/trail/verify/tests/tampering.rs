use super::*;

#[test]
fn a_changed_record_is_named() {
    let log = Log::ordinary();
    log.change_lines(|lines| lines[5] = lines[5].replace("alice", "mallory"));
    let verdict = log.verdict();
    let finding = finds(&verdict, Kind::Edited, 6);
    let seq = log.made.seq - 28 + 5;
    assert_eq!((finding.first_seq, verdict.findings_total), (Some(seq), 1), "{verdict:#?}");
}
