//! Manual pages and completions are made from the definition of the command line, and work where they are used.

use std::collections::BTreeSet;
use std::fs;
use std::process::Command;

use crate::clients::run;

fn portcullis() -> Command {
    Command::new(env!("CARGO_BIN_EXE_portcullis"))
}

/// What bash offers behind these words.
fn offered(words: &[&str]) -> BTreeSet<String> {
    let script = r#"
        source "$1"; shift
        COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1)); COMPREPLY=()
        _portcullis portcullis "${COMP_WORDS[COMP_CWORD]}" "${COMP_WORDS[COMP_CWORD - 1]}"
        printf '%s\n' "${COMPREPLY[@]}"
    "#;
    let directory = tempfile::tempdir().unwrap();
    let completions = directory.path().join("portcullis.bash");
    fs::write(&completions, run(portcullis().args(["completions", "bash"])).done().out).unwrap();
    let mut bash = Command::new("bash");
    bash.args(["--norc", "-c", script, "bash"]).arg(&completions).arg("portcullis").args(words);
    run(&mut bash).done().text().lines().map(str::to_owned).collect()
}

#[test]
fn bash_completes_commands_options_and_values() {
    assert!(offered(&["au"]).contains("audit"));
    let audit = offered(&["audit", ""]);
    assert!(["search", "tail", "session", "who"].iter().all(|name| audit.contains(*name)), "{audit:?}");
    assert_eq!(offered(&["audit", "search", "--out"]), ["--outcome".to_owned()].into());
    assert_eq!(offered(&["audit", "search", "--outcome", "f"]), ["failure".to_owned()].into());
}

#[test]
fn every_shell_has_its_completions() {
    for (shell, word) in [
        ("zsh", "#compdef portcullis"),
        ("fish", "complete -c portcullis"),
        ("powershell", "Register-ArgumentCompleter"),
    ] {
        let script = run(portcullis().args(["completions", shell])).done().text();
        assert!(script.contains(word) && script.contains("search"), "{shell}");
    }
}

#[test]
fn every_command_has_a_manual_page_with_its_sections() {
    let directory = tempfile::tempdir().unwrap();
    let pages = directory.path().join("man1");
    run(portcullis().args(["man", "--out"]).arg(&pages)).done();
    let names: BTreeSet<String> =
        fs::read_dir(&pages).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    for name in ["portcullis.1", "portcullis-audit.1", "portcullis-audit-search.1", "portcullis-user-totp-enable.1"] {
        assert!(names.contains(name), "{name}: {names:?}");
    }
    for name in &names {
        let page = fs::read_to_string(pages.join(name)).unwrap();
        for section in
            ["NAME", "SYNOPSIS", "DESCRIPTION", "OPTIONS", "EXAMPLES", "EXIT STATUS", "ENVIRONMENT", "SEE ALSO"]
        {
            let heading = |line: &str| line.strip_prefix(".SH ").is_some_and(|rest| rest.trim_matches('"') == section);
            assert!(page.lines().any(heading), "{name} has no {section}");
        }
        let status = page.split("EXIT STATUS").nth(1).unwrap().split(".SH").next().unwrap();
        assert!(status.contains("0 "), "{name} has no exit codes: {status}");
        // Whatever a page leads to is there.
        let also = page.rsplit_once("SEE ALSO").unwrap().1.replace("\\-", "-");
        for other in also.split([',', '\n', ' ', '"']).filter_map(|word| word.strip_suffix("(1)")) {
            assert!(names.contains(&format!("{other}.1")), "{name}: {other}");
        }
    }
}
