//! What `top` shows: the totals, the sessions in an order, and a line for what is asked and told.

use std::cmp::Ordering;
use std::time::Duration;

use ratatui::Frame;
use ratatui::layout::{Constraint, Layout};
use ratatui::style::{Modifier, Style};
use ratatui::text::Line;

use crate::cli::control::escaped;
use crate::cli::sessions::{HEADS, rows, total};
use crate::cli::table::aligned;
use crate::daemon::calls::{SessionLine, SessionList};

/// Lines beside the sessions: totals, heads, and the last one.
const OTHER_LINES: usize = 3;
/// The shortest and the longest time between two looks, in seconds.
const INTERVAL: std::ops::RangeInclusive<u64> = 1..=60;
/// What is at the bottom while nothing else is to be said.
const KEYS: &str = "q end  up/down select  k kick  s sort  r reverse  / filter  +/- interval";

/// By what the sessions are sorted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Sort {
    Rate,
    Bytes,
    Age,
    Idle,
    User,
    Address,
}

impl Sort {
    const ALL: [Self; 6] = [Self::Rate, Self::Bytes, Self::Age, Self::Idle, Self::User, Self::Address];

    fn word(self) -> &'static str {
        match self {
            Self::Rate => "rate",
            Self::Bytes => "bytes",
            Self::Age => "age",
            Self::Idle => "idle time",
            Self::User => "user",
            Self::Address => "address",
        }
    }

    fn compare(self, one: &SessionLine, other: &SessionLine) -> Ordering {
        let rate = |line: &SessionLine| line.transfer.as_ref().map(|transfer| transfer.bytes_per_second);
        let bytes = |line: &SessionLine| line.transfer.as_ref().map(|transfer| transfer.bytes);
        match self {
            Self::Rate => rate(other).cmp(&rate(one)),
            Self::Bytes => bytes(other).cmp(&bytes(one)),
            Self::Age => other.seconds.cmp(&one.seconds),
            Self::Idle => other.idle_seconds.cmp(&one.idle_seconds),
            Self::User => one.user.cmp(&other.user),
            Self::Address => one.address.cmp(&other.address),
        }
    }
}

/// What the keys mean at the moment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Mode {
    /// They move and sort.
    Watching,
    /// They are the filter.
    Filtering,
    /// They answer whether this session is to end.
    Confirming(String),
}

/// What is shown, and how.
#[derive(Debug)]
pub(super) struct View {
    list: SessionList,
    interval: Duration,
    sort: Sort,
    reversed: bool,
    pub(super) filter: String,
    pub(super) mode: Mode,
    /// The id of the selected session.
    selected: Option<String>,
    /// The first session on the screen.
    first: usize,
    said: Option<String>,
}

impl View {
    pub(super) fn new(list: SessionList, interval: Duration) -> Self {
        Self {
            list,
            interval,
            sort: Sort::Rate,
            reversed: false,
            filter: String::new(),
            mode: Mode::Watching,
            selected: None,
            first: 0,
            said: None,
        }
    }

    pub(super) fn interval(&self) -> Duration {
        self.interval
    }

    /// Lines that it takes to show everything.
    pub(super) fn rows_needed(&self) -> usize {
        self.list.sessions.len().saturating_add(OTHER_LINES)
    }

    /// Shows other figures from here on.
    pub(super) fn take(&mut self, list: SessionList) {
        self.list = list;
    }

    /// Says something until the next key.
    pub(super) fn say(&mut self, text: String) {
        self.said = Some(text);
    }

    pub(super) fn forget_said(&mut self) {
        self.said = None;
    }

    pub(super) fn sort_by_next(&mut self) {
        let at = Sort::ALL.iter().position(|sort| *sort == self.sort).unwrap_or(0);
        self.sort = Sort::ALL.into_iter().cycle().nth(at.saturating_add(1)).unwrap_or(Sort::Rate);
    }

    pub(super) fn reverse(&mut self) {
        self.reversed = !self.reversed;
    }

    /// Looks more or less often.
    pub(super) fn change_interval(&mut self, longer: bool) {
        let seconds = self.interval.as_secs();
        let seconds = if longer { seconds.saturating_add(1) } else { seconds.saturating_sub(1) };
        self.interval = Duration::from_secs(seconds.clamp(*INTERVAL.start(), *INTERVAL.end()));
    }

    /// Selects the session so many lines further down or up.
    pub(super) fn select(&mut self, by: isize) {
        let shown = self.shown();
        let last = shown.len().saturating_sub(1);
        let next = match self.place_of_selected(&shown) {
            Some(at) => at.saturating_add_signed(by).min(last),
            None => 0,
        };
        let selected = shown.get(next).map(|session| session.session.clone());
        self.selected = selected;
    }

    /// The selected session, where it is shown.
    pub(super) fn selected(&self) -> Option<String> {
        let shown = self.shown();
        let at = self.place_of_selected(&shown)?;
        shown.get(at).map(|session| session.session.clone())
    }

    fn place_of_selected(&self, shown: &[&SessionLine]) -> Option<usize> {
        let selected = self.selected.as_deref()?;
        shown.iter().position(|session| session.session == selected)
    }

    /// The sessions that the filter means, in order.
    fn shown(&self) -> Vec<&SessionLine> {
        let wanted = self.filter.to_lowercase();
        let mut shown: Vec<&SessionLine> =
            self.list.sessions.iter().filter(|session| wanted.is_empty() || is_meant(session, &wanted)).collect();
        shown.sort_by(|one, other| {
            let order = self.sort.compare(one, other).then_with(|| one.session.cmp(&other.session));
            if self.reversed { order.reverse() } else { order }
        });
        shown
    }

    /// Draws everything.
    pub(super) fn draw(&mut self, frame: &mut Frame<'_>) {
        let areas = Layout::vertical([
            Constraint::Length(1),
            Constraint::Length(1),
            Constraint::Fill(1),
            Constraint::Length(1),
        ]);
        let [top, head, middle, bottom] = areas.areas(frame.area());
        let shown: Vec<SessionLine> = self.shown().into_iter().cloned().collect();
        let selected = self.selected.as_deref().and_then(|id| shown.iter().position(|line| line.session == id));
        let table = aligned(&HEADS, &rows(&shown));
        let height = usize::from(middle.height).max(1);
        if let Some(at) = selected {
            self.first = self.first.clamp(at.saturating_add(1).saturating_sub(height), at);
        }
        self.first = self.first.min(shown.len().saturating_sub(height));

        let order = if self.reversed { ", reversed" } else { "" };
        let totals =
            format!("{}, by {}{order}, each {} s", total(&self.list), self.sort.word(), self.interval.as_secs());
        frame.render_widget(Line::styled(totals, Modifier::BOLD), top);
        let mut lines = table.iter();
        if let Some(heads) = lines.next() {
            frame.render_widget(Line::styled(heads.as_str(), Modifier::REVERSED), head);
        }
        let visible = lines.enumerate().skip(self.first).zip(middle.rows());
        for ((at, line), area) in visible {
            let style = if selected == Some(at) { Style::new().reversed() } else { Style::new() };
            frame.render_widget(Line::styled(line.as_str(), style), area);
        }
        frame.render_widget(Line::raw(self.last_line()), bottom);
    }

    fn last_line(&self) -> String {
        let filter =
            if self.filter.is_empty() { String::new() } else { format!("filter: {}  ", escaped(&self.filter)) };
        match (&self.mode, &self.said) {
            (Mode::Filtering, _) => format!("filter: {}_  (Enter keeps it, Esc clears it)", escaped(&self.filter)),
            (Mode::Confirming(session), _) => {
                let line = self.list.sessions.iter().find(|line| line.session == *session);
                let user = line.and_then(|line| line.user.as_deref()).unwrap_or("nobody");
                format!("End session {} of {}? y/n", escaped(session), escaped(user))
            }
            (Mode::Watching, Some(said)) => escaped(said),
            (Mode::Watching, None) => format!("{filter}{KEYS}"),
        }
    }
}

/// Whether the filter, in lower case, stands somewhere in what is said of a session.
fn is_meant(session: &SessionLine, wanted: &str) -> bool {
    let transfer = session.transfer.as_ref();
    let parts = [
        session.user.as_deref(),
        Some(session.address.as_str()),
        Some(session.session.as_str()),
        transfer.map(|transfer| transfer.verb.as_str()),
        transfer.map(|transfer| transfer.path.as_str()),
    ];
    parts.into_iter().flatten().any(|part| part.to_lowercase().contains(wanted))
}

#[cfg(test)]
mod tests {
    use ratatui::Terminal;
    use ratatui::backend::TestBackend;

    use super::*;
    use crate::cli::sessions::tests::{session, transfer};

    fn view() -> View {
        let sessions = vec![
            session("01AAAAAAAA1", "carol", None),
            session("01AAAAAAAA2", "alice", Some(transfer("RETR", "/slow", 900, 10))),
            session("01AAAAAAAA3", "bob", Some(transfer("STOR", "/fast\u{1b}[2J", 50, 99))),
        ];
        View::new(SessionList { sessions, ..SessionList::default() }, Duration::from_secs(1))
    }

    fn users(view: &View) -> Vec<&str> {
        view.shown().iter().map(|line| line.user.as_deref().unwrap()).collect()
    }

    #[test]
    fn sessions_are_sorted_and_filtered_and_the_selected_one_stays() {
        let mut view = view();
        assert_eq!(users(&view), ["bob", "alice", "carol"]);
        view.select(1);
        assert_eq!(view.selected().unwrap(), "01AAAAAAAA3");
        view.sort_by_next();
        assert_eq!(users(&view), ["alice", "bob", "carol"]);
        view.select(1);
        assert_eq!(view.selected().unwrap(), "01AAAAAAAA1");
        view.reverse();
        assert_eq!((users(&view), view.selected().as_deref()), (vec!["carol", "bob", "alice"], Some("01AAAAAAAA1")));
        view.filter = "RETR".to_owned();
        assert_eq!((users(&view), view.selected()), (vec!["alice"], None), "what is not shown is not kicked");
    }

    #[test]
    fn a_small_screen_follows_the_selected_session_and_is_never_driven_by_names() {
        let mut view = view();
        view.select(0);
        view.select(2);
        let mut terminal = Terminal::new(TestBackend::new(120, 4)).unwrap();
        terminal.draw(|frame| view.draw(frame)).unwrap();
        let text = super::super::text(terminal.backend());
        assert!(text.contains("carol") && !text.contains("alice"), "{text}");
        let mut terminal = Terminal::new(TestBackend::new(140, 12)).unwrap();
        terminal.draw(|frame| view.draw(frame)).unwrap();
        let text = super::super::text(terminal.backend());
        assert!(text.contains("/fast\\u{1b}[2J") && text.contains("by rate") && text.contains(KEYS), "{text}");
        for (columns, rows) in [(1, 1), (3, 2), (20, 3)] {
            Terminal::new(TestBackend::new(columns, rows)).unwrap().draw(|frame| view.draw(frame)).unwrap();
        }
    }
}
