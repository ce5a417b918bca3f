//! `portcullis top`: what is shown is in `view`, what keys do in `keys`.

mod keys;
mod view;

use std::io::{IsTerminal, stdin, stdout};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use ratatui::Terminal;
use ratatui::backend::TestBackend;
use ratatui::crossterm::event::{self, Event};
use tokio::signal::unix::{SignalKind, signal};

use super::control::{Conversation, Socket, other_answer};
use super::sessions::Filter;
use super::table::terminal_width;
use super::{Failure, say};
use crate::daemon::calls::{Answer, Call, Kicking, SessionList, Wanted};
use keys::Asked;
use view::View;

/// Sessions that are asked for each time.
const SESSIONS_MAX: usize = 2000;
/// How often it is looked whether the terminal is to be given back.
const LOOK_PERIOD: Duration = Duration::from_millis(100);
/// A frame that is printed where no terminal says how large it is.
const FRAME: (u16, u16) = (120, 40);

/// Watch the sessions live.
///
/// Keys: up and down select, k ends the selected session after a question, s sorts by the next
/// column, r turns the order round, / filters by user, address, verb or path, + and - change how
/// often it is looked, q ends. The audit log has a record when this begins, and one with the number
/// of looks when it ends.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  portcullis top
  portcullis top --interval 5 --user alice
  portcullis top --once --width 100")]
pub(super) struct Arguments {
    #[command(flatten)]
    wanted: Filter,
    /// Seconds between two looks.
    #[arg(long, value_name = "SECONDS", default_value_t = 1, value_parser = clap::value_parser!(u64).range(1..=60))]
    interval: u64,
    /// Print what would be shown as text, and end.
    #[arg(long)]
    once: bool,
    /// How wide that text is.
    #[arg(long, value_name = "COLUMNS", requires = "once", value_parser = clap::value_parser!(u16).range(20..=1000))]
    width: Option<u16>,
    #[command(flatten)]
    socket: Socket,
}

/// Shows the sessions until told to end.
pub(super) fn run(arguments: &Arguments, policy: &Path) -> Result<(), Failure> {
    let wanted = arguments.wanted.wanted(SESSIONS_MAX);
    let mut server = Server { wanted, socket: &arguments.socket, policy, conversation: None };
    if arguments.once {
        return once(&mut server, arguments);
    }
    if !stdin().is_terminal() || !stdout().is_terminal() {
        let words = "this needs a terminal; `top --once` prints one look as text, `sessions` a list";
        return Err(Failure::Failed(words.to_owned()));
    }
    // Whatever is wrong from the start is said on the terminal as it was.
    let list = server.look()?;
    let end = signals().map_err(|error| Failure::io("catching signals", &error))?;
    // Also where something panics, the terminal is given back.
    let mut terminal = ratatui::try_init().map_err(|error| Failure::io("the terminal", &error))?;
    let view = View::new(list, Duration::from_secs(arguments.interval));
    let result = watch(&mut terminal, &mut server, view, &end);
    ratatui::restore();
    result.map_err(|error| Failure::io("the terminal", &error))
}

/// Whoever answers.
struct Server<'a> {
    wanted: Wanted,
    socket: &'a Socket,
    policy: &'a Path,
    /// None before the first look, and where the last one failed.
    conversation: Option<Conversation>,
}

impl Server<'_> {
    /// The sessions as they are now. After a failure, the next look connects anew.
    fn look(&mut self) -> Result<SessionList, Failure> {
        let mut conversation = match self.conversation.take() {
            Some(conversation) => conversation,
            None => Conversation::begin(self.socket, self.policy)?,
        };
        let Answer::Sessions(list) = conversation.ask(&Call::Watch(self.wanted.clone()))? else {
            return Err(other_answer());
        };
        self.conversation = Some(conversation);
        Ok(list)
    }

    /// Ends a session, and says how that went.
    fn kick(&mut self, session: String) -> String {
        let kicking = Kicking { session: Some(session), ..Kicking::default() };
        let asked = Conversation::begin(self.socket, self.policy).and_then(|mut one| one.ask(&Call::Kick(kicking)));
        match asked {
            Ok(Answer::Kick(kicked)) => super::kick::told(kicked),
            Ok(_) => other_answer().to_string(),
            Err(failure) => failure.to_string(),
        }
    }
}

fn once(server: &mut Server<'_>, arguments: &Arguments) -> Result<(), Failure> {
    let mut view = View::new(server.look()?, Duration::from_secs(arguments.interval));
    let columns = terminal_width().and_then(|columns| u16::try_from(columns).ok()).unwrap_or(FRAME.0);
    let rows = u16::try_from(view.rows_needed()).unwrap_or(u16::MAX).max(FRAME.1);
    let backend = TestBackend::new(arguments.width.unwrap_or(columns), rows);
    let drawn = Terminal::new(backend).and_then(|mut terminal| {
        terminal.draw(|frame| view.draw(frame))?;
        Ok(text(terminal.backend()))
    });
    match drawn {
        Ok(text) => say(text),
        Err(never) => match never {},
    }
}

/// What was drawn, without what is empty at the end of each line.
fn text(backend: &TestBackend) -> String {
    let buffer = backend.buffer();
    let columns = usize::from(buffer.area.width).max(1);
    let lines = buffer.content.chunks(columns).map(|cells| {
        let mut line = String::new();
        // A wide character stands in its first cell alone.
        let mut covered = 0_usize;
        for cell in cells {
            if covered > 0 {
                covered = covered.saturating_sub(1);
                continue;
            }
            line.push_str(cell.symbol());
            covered = super::table::width(cell.symbol()).saturating_sub(1);
        }
        line.trim_end().to_owned()
    });
    let lines: Vec<String> = lines.filter(|line| !line.is_empty()).collect();
    lines.join("\n")
}

fn watch(
    terminal: &mut ratatui::DefaultTerminal,
    server: &mut Server<'_>,
    mut view: View,
    end: &AtomicBool,
) -> std::io::Result<()> {
    let mut looked = Instant::now();
    loop {
        terminal.draw(|frame| view.draw(frame))?;
        let rest = view.interval().saturating_sub(looked.elapsed());
        if event::poll(rest.min(LOOK_PERIOD))? {
            match event::read()? {
                Event::Key(key) => match keys::press(&mut view, key) {
                    Asked::Nothing => {}
                    Asked::End => return Ok(()),
                    Asked::Kick(session) => {
                        let told = server.kick(session);
                        view.say(told);
                        looked = Instant::now().checked_sub(view.interval()).unwrap_or(looked);
                    }
                },
                _ => continue,
            }
        }
        if end.load(Ordering::Relaxed) {
            return Ok(());
        }
        if looked.elapsed() >= view.interval() {
            looked = Instant::now();
            match server.look() {
                Ok(list) => view.take(list),
                Err(failure) => view.say(failure.to_string()),
            }
        }
    }
}

/// Set once a signal asks for the end: the terminal is to be given back first.
fn signals() -> std::io::Result<Arc<AtomicBool>> {
    let end = Arc::new(AtomicBool::new(false));
    let told = Arc::clone(&end);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    std::thread::Builder::new().name("signals".to_owned()).spawn(move || {
        runtime.block_on(async {
            let caught = [SignalKind::terminate(), SignalKind::hangup(), SignalKind::interrupt()].map(signal);
            if let [Ok(mut terminate), Ok(mut hangup), Ok(mut interrupt)] = caught {
                tokio::select! {
                    _ = terminate.recv() => {}
                    _ = hangup.recv() => {}
                    _ = interrupt.recv() => {}
                }
                told.store(true, Ordering::Relaxed);
            }
        });
    })?;
    Ok(end)
}
