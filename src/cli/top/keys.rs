//! What the keys of `top` do.

use ratatui::crossterm::event::{KeyCode, KeyEvent, KeyEventKind, KeyModifiers};

use super::view::{Mode, View};

/// Lines of a page.
const PAGE: isize = 20;
/// Longest filter, in characters.
const FILTER_CHARS_MAX: usize = 100;

/// What a key asks for that the view cannot do by itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Asked {
    Nothing,
    End,
    /// This session is to end; the question was answered.
    Kick(String),
}

/// Does what a key means.
pub(super) fn press(view: &mut View, key: KeyEvent) -> Asked {
    if key.kind == KeyEventKind::Release {
        return Asked::Nothing;
    }
    if key.modifiers.contains(KeyModifiers::CONTROL) && matches!(key.code, KeyCode::Char('c' | 'd')) {
        return Asked::End;
    }
    view.forget_said();
    match std::mem::replace(&mut view.mode, Mode::Watching) {
        Mode::Watching => return watching(view, key.code),
        Mode::Filtering => filtering(view, key.code),
        Mode::Confirming(session) if matches!(key.code, KeyCode::Char('y' | 'Y')) => return Asked::Kick(session),
        Mode::Confirming(_) => {}
    }
    Asked::Nothing
}

fn watching(view: &mut View, key: KeyCode) -> Asked {
    match key {
        KeyCode::Char('q') | KeyCode::Esc => return Asked::End,
        KeyCode::Down | KeyCode::Char('j') => view.select(1),
        KeyCode::Up => view.select(-1),
        KeyCode::PageDown => view.select(PAGE),
        KeyCode::PageUp => view.select(-PAGE),
        KeyCode::Home => view.select(isize::MIN),
        KeyCode::End => view.select(isize::MAX),
        KeyCode::Char('s') => view.sort_by_next(),
        KeyCode::Char('r') => view.reverse(),
        KeyCode::Char('+') => view.change_interval(true),
        KeyCode::Char('-') => view.change_interval(false),
        KeyCode::Char('/') => view.mode = Mode::Filtering,
        KeyCode::Char('k') => match view.selected() {
            Some(session) => view.mode = Mode::Confirming(session),
            None => view.say("Select a session first, with the arrow keys.".to_owned()),
        },
        _ => {}
    }
    Asked::Nothing
}

fn filtering(view: &mut View, key: KeyCode) {
    match key {
        KeyCode::Enter => return,
        KeyCode::Esc => {
            view.filter.clear();
            return;
        }
        KeyCode::Backspace => drop(view.filter.pop()),
        KeyCode::Char(c) if view.filter.chars().count() < FILTER_CHARS_MAX => view.filter.push(c),
        _ => {}
    }
    view.mode = Mode::Filtering;
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::cli::sessions::tests::session;
    use crate::daemon::calls::SessionList;

    fn view() -> View {
        let sessions = vec![session("01AAAAAAAA1", "carol", None)];
        View::new(SessionList { sessions, ..SessionList::default() }, Duration::from_secs(1))
    }

    fn press_all(view: &mut View, keys: &[KeyCode]) -> Vec<Asked> {
        keys.iter().map(|key| press(view, KeyEvent::from(*key))).filter(|asked| *asked != Asked::Nothing).collect()
    }

    #[test]
    fn a_session_ends_once_the_question_was_answered_with_yes_alone() {
        let mut view = view();
        let (k, y, n) = (KeyCode::Char('k'), KeyCode::Char('y'), KeyCode::Char('n'));
        assert_eq!(press_all(&mut view, &[k, y]), [], "nothing is selected");
        assert_eq!(press_all(&mut view, &[KeyCode::Down, k, n, y, k, KeyCode::Enter, y]), []);
        assert_eq!(press_all(&mut view, &[k, y]), [Asked::Kick("01AAAAAAAA1".to_owned())]);
        assert_eq!(press_all(&mut view, &[KeyCode::Char('q')]), [Asked::End]);
    }

    #[test]
    fn letters_are_the_filter_until_it_is_kept_or_cleared() {
        let mut view = view();
        let letters = [KeyCode::Char('/'), KeyCode::Char('q'), KeyCode::Char('k'), KeyCode::Backspace];
        assert_eq!(press_all(&mut view, &letters), []);
        assert_eq!((view.filter.as_str(), &view.mode), ("q", &Mode::Filtering));
        assert_eq!(press_all(&mut view, &[KeyCode::Enter, KeyCode::Char('q')]), [Asked::End]);
        assert_eq!(press_all(&mut view, &[KeyCode::Char('/'), KeyCode::Esc]), []);
        assert_eq!(view.filter, "");
    }

    #[test]
    fn the_interval_stays_within_bounds() {
        let mut view = view();
        press_all(&mut view, &[KeyCode::Char('-'); 5]);
        assert_eq!(view.interval().as_secs(), 1);
        press_all(&mut view, &[KeyCode::Char('+'); 99]);
        assert_eq!(view.interval().as_secs(), 60);
    }
}
