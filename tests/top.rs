//! The live view, on a terminal that a test owns and as text.

use std::process::Command;

use crate::clients::run_with;
use crate::support::{PATIENCE, Server, Wire, eventually};

#[test]
fn one_look_is_printed_as_text() {
    let server = Server::running();
    let mut wire = Wire::login(&server, "alice");
    let mut data = wire.begin("STOR upload.bin");
    data.send(&[0; 3000]);
    let text = eventually("it moves", || {
        let output = server.command().args(["top", "--once", "--width", "140"]).output().unwrap();
        assert!(output.status.success(), "{output:?}");
        Some(String::from_utf8(output.stdout).unwrap()).filter(|text| text.contains("2.9 KiB"))
    });
    for part in ["sessions: 1, transfers: 1", "SESSION", "alice", "127.0.0.1", "STOR", "/upload.bin", "q end"] {
        assert!(text.contains(part), "{part}: {text}");
    }
    assert!(text.lines().all(|line| line.chars().count() <= 140), "{text}");
    assert!(!text.contains('\u{1b}'));
}

#[test]
fn without_a_terminal_it_says_what_to_do() {
    let server = Server::running();
    let (code, words) = server.refused(&["top"]);
    assert!(code == 1 && words.contains("needs a terminal") && words.contains("--once"), "{words}");
}

/// Runs `top` on a terminal of its own, waits until it shows what is wanted, and then does what is
/// said. Prints the exit code, whether the terminal is as it was, and what ended the screen.
const ON_A_TERMINAL: &str = r#"
import os, pty, select, signal, subprocess, sys, termios, time, fcntl, struct
how, wanted, command = sys.argv[1], sys.argv[2].encode(), sys.argv[3:]
near, far = pty.openpty()
fcntl.ioctl(far, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 120, 0, 0))
before = termios.tcgetattr(far)
process = subprocess.Popen(command, stdin=far, stdout=far, stderr=far, start_new_session=True)
shown, end, done = b"", time.time() + 20, False
while time.time() < end and process.poll() is None:
    if select.select([near], [], [], 0.05)[0]:
        shown += os.read(near, 65536)
    if wanted in shown and not done:
        done = True
        if how == "kick":
            for key in (b"[B", b"k", b"y"):
                os.write(near, key)
                time.sleep(0.3)
            os.write(near, b"q")
        elif how == "term":
            process.send_signal(signal.SIGTERM)
        else:
            os.write(near, how.encode())
while select.select([near], [], [], 0.2)[0]:
    shown += os.read(near, 65536)
print(process.poll(), termios.tcgetattr(far) == before, b"[?1049h" in shown, b"[?1049l" in shown, done)
process.kill()
"#;

fn on_a_terminal(server: &Server, how: &str, wanted: &str) -> String {
    let mut python = Command::new("/usr/bin/python3");
    python.args(["-c", ON_A_TERMINAL, how, wanted, env!("CARGO_BIN_EXE_portcullis"), "--policy"]);
    python.arg(server.policy()).arg("top").env("TERM", "xterm-256color");
    run_with(&mut python, b"", PATIENCE * 2).done().text().trim().to_owned()
}

#[test]
fn on_a_terminal_it_shows_the_sessions_and_gives_the_terminal_back() {
    let server = Server::running();
    let _wire = Wire::login(&server, "alice");
    for how in ["q", "\u{3}", "term"] {
        assert_eq!(on_a_terminal(&server, how, "alice"), "0 True True True True", "{how:?}");
    }
}

#[test]
fn a_session_is_ended_from_there_once_the_question_is_answered() {
    let server = Server::running();
    let mut wire = Wire::login(&server, "alice");
    assert_eq!(on_a_terminal(&server, "kick", "alice"), "0 True True True True");
    wire.expect(421);
    assert_eq!(server.records_of("session.kicked").len(), 1);
}

#[test]
fn a_watch_is_recorded_when_it_begins_and_with_a_count_when_it_ends() {
    let server = Server::running();
    let _wire = Wire::login(&server, "alice");
    on_a_terminal(&server, "q", "alice");
    let watches = || {
        let calls = server.records_of("control.call");
        calls.into_iter().filter(|call| call.text("/unmapped/verb") == Some("watch")).collect::<Vec<_>>()
    };
    let watches = eventually("the end is recorded", || Some(watches()).filter(|watches| watches.len() == 2));
    assert_eq!(watches[0].number("/unmapped/looks"), None);
    assert!(watches[1].number("/unmapped/looks") >= Some(1), "{}", watches[1].line());
}
