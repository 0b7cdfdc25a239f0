//! Keys that go to the guest.

use crossterm::event::{KeyCode, KeyEvent, KeyModifiers};

use super::actions::message;
use crate::tui::event::Effect;
use crate::tui::sample::{Doing, Mark};
use crate::tui::state::{Mode, State};

/// From now on keys go to the guest.
pub(super) fn begin(state: &mut State) {
    match state.data.sample.doing {
        Doing::Ended(_) | Doing::Gone(_) => {
            message(state, Mark::Problem, "the run is over: nobody is there to type to")
        }
        _ => {
            state.console.to_the_end();
            state.mode = Mode::Typing;
        }
    }
}

/// A key in this mode.
pub(super) fn key(state: &mut State, key: KeyEvent, effects: &mut Vec<Effect>) {
    // Ctrl-] comes as Ctrl-5 from terminals that know no better.
    if key.modifiers.contains(KeyModifiers::CONTROL) && matches!(key.code, KeyCode::Char(']' | '5')) {
        return;
    }
    state.mode = Mode::Typing;
    if let Some(bytes) = bytes_of(key, state.console.screen().application_cursor()) {
        if matches!(state.data.sample.doing, Doing::Stopped) {
            message(state, Mark::Plain, "the machine is stopped: it hears this when it goes on (F5)");
        }
        effects.push(Effect::TypeIn(bytes));
    }
}

/// What a terminal sends for a key; none for keys that it has nothing for.
fn bytes_of(key: KeyEvent, application_cursor: bool) -> Option<Vec<u8>> {
    let control = key.modifiers.contains(KeyModifiers::CONTROL);
    let mut bytes = Vec::new();
    if key.modifiers.contains(KeyModifiers::ALT) {
        bytes.push(0x1b);
    }
    let cursor = |letter: char| format!("\x1b{}{letter}", if application_cursor { 'O' } else { '[' }).into_bytes();
    bytes.extend(match key.code {
        KeyCode::Char(c) if control => vec![control_code(c)?],
        KeyCode::Char(c) => c.to_string().into_bytes(),
        KeyCode::Enter => vec![b'\r'],
        KeyCode::Tab => vec![b'\t'],
        KeyCode::BackTab => b"\x1b[Z".to_vec(),
        KeyCode::Backspace => vec![0x7f],
        KeyCode::Esc => vec![0x1b],
        KeyCode::Up => cursor('A'),
        KeyCode::Down => cursor('B'),
        KeyCode::Right => cursor('C'),
        KeyCode::Left => cursor('D'),
        KeyCode::Home => cursor('H'),
        KeyCode::End => cursor('F'),
        KeyCode::Insert => b"\x1b[2~".to_vec(),
        KeyCode::Delete => b"\x1b[3~".to_vec(),
        KeyCode::PageUp => b"\x1b[5~".to_vec(),
        KeyCode::PageDown => b"\x1b[6~".to_vec(),
        KeyCode::F(n @ 1..=4) => vec![0x1b, b'O', b'O' + n],
        _ => return None,
    });
    Some(bytes)
}

/// The control character of a letter or sign.
fn control_code(c: char) -> Option<u8> {
    match c.to_ascii_lowercase() {
        c @ 'a'..='z' => Some(c as u8 - b'a' + 1),
        ' ' | '@' | '2' => Some(0),
        '[' | '3' => Some(0x1b),
        '\\' | '4' => Some(0x1c),
        '^' | '6' => Some(0x1e),
        '_' | '/' | '7' => Some(0x1f),
        '?' | '8' => Some(0x7f),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_what_a_terminal_sends() {
        let sent = |code, modifiers| bytes_of(KeyEvent::new(code, modifiers), false);
        let none = KeyModifiers::NONE;
        assert_eq!(sent(KeyCode::Char('é'), none), Some("é".into()));
        assert_eq!(sent(KeyCode::Char('c'), KeyModifiers::CONTROL), Some(vec![3]));
        assert_eq!(sent(KeyCode::Enter, none), Some(vec![b'\r']));
        assert_eq!(sent(KeyCode::Up, none), Some(b"\x1b[A".to_vec()));
        assert_eq!(bytes_of(KeyEvent::new(KeyCode::Up, none), true), Some(b"\x1bOA".to_vec()));
        assert_eq!(sent(KeyCode::Char('x'), KeyModifiers::ALT), Some(b"\x1bx".to_vec()));
        assert_eq!(sent(KeyCode::F(1), none), Some(b"\x1bOP".to_vec()));
        assert_eq!(sent(KeyCode::CapsLock, none), None);
    }
}
