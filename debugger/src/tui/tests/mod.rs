//! Screens and keys, on states that were recorded from real machines; and sessions on a toy machine.

mod keys;
mod screens;
mod session;

use crossterm::event::{
    Event as TerminalEvent, KeyCode, KeyEvent, KeyModifiers, MouseButton, MouseEvent, MouseEventKind,
};
use ratatui::Terminal;
use ratatui::backend::TestBackend;
use ratatui::buffer::Buffer;

use super::event::{Effect, Event, FromSession};
use super::settings::Settings;
use super::state::State;
use super::theme::ThemeName;
use super::update::update;
use super::view::draw;

/// What a session told, in order.
fn recorded(name: &str) -> Vec<FromSession> {
    let path = format!("{}/src/tui/tests/recorded/{name}.json.zst", env!("CARGO_MANIFEST_DIR"));
    let bytes = std::fs::read(&path).unwrap_or_else(|error| panic!("{path}: {error}"));
    serde_json::from_slice(&zstd::decode_all(&bytes[..]).unwrap()).unwrap()
}

/// A screen that was told this.
fn screen_of(told: Vec<FromSession>, size: (u16, u16)) -> State {
    let mut state = State::new("minik", size, Settings::default(), ThemeName::Dark);
    for told in told {
        update(&mut state, Event::Session(told));
    }
    state
}

/// What a screen shows.
fn drawn(state: &State) -> Buffer {
    let mut terminal = Terminal::new(TestBackend::new(state.size.0, state.size.1)).unwrap();
    terminal.draw(|frame| draw(frame, state)).unwrap();
    terminal.backend().buffer().clone()
}

/// The same as text, without spaces at line ends.
fn text(state: &State) -> String {
    let buffer = drawn(state);
    let mut text = String::new();
    for y in 0..buffer.area.height {
        let line: String = (0..buffer.area.width).map(|x| buffer[(x, y)].symbol()).collect();
        text.push_str(line.trim_end());
        text.push('\n');
    }
    text
}

/// Types keys: `<F5>`, `<S-F10>`, `<C-d>`, `<Enter>` and the like, or characters.
fn press(state: &mut State, keys: &str) -> Vec<Effect> {
    let mut effects = Vec::new();
    let mut rest = keys;
    while let Some(c) = rest.chars().next() {
        let (key, len) = match rest.strip_prefix('<').and_then(|named| named.split_once('>')) {
            Some((name, _)) => (named_key(name), name.len() + 2),
            None => (KeyEvent::new(KeyCode::Char(c), KeyModifiers::NONE), c.len_utf8()),
        };
        effects.extend(update(state, Event::Key(key)));
        rest = &rest[len..];
    }
    effects.retain(|effect| !matches!(effect, Effect::Watch(_)));
    effects
}

fn named_key(name: &str) -> KeyEvent {
    let (modifiers, name) = match name.split_once('-') {
        Some(("S", name)) => (KeyModifiers::SHIFT, name),
        Some(("C", name)) => (KeyModifiers::CONTROL, name),
        Some(("A", name)) => (KeyModifiers::ALT, name),
        _ => (KeyModifiers::NONE, name),
    };
    let code = match name {
        "Enter" => KeyCode::Enter,
        "Esc" => KeyCode::Esc,
        "Tab" => KeyCode::Tab,
        "BackTab" => KeyCode::BackTab,
        "Backspace" => KeyCode::Backspace,
        "Up" => KeyCode::Up,
        "Down" => KeyCode::Down,
        "Left" => KeyCode::Left,
        "Right" => KeyCode::Right,
        "Home" => KeyCode::Home,
        "End" => KeyCode::End,
        "PageDown" => KeyCode::PageDown,
        "PageUp" => KeyCode::PageUp,
        name => match name.strip_prefix('F').and_then(|n| n.parse().ok()) {
            Some(n) => KeyCode::F(n),
            None => KeyCode::Char(name.chars().next().unwrap()),
        },
    };
    KeyEvent::new(code, modifiers)
}

/// A click at a place of the screen.
fn click(state: &mut State, column: u16, row: u16) -> Vec<Effect> {
    let mouse = |kind| Event::Mouse(MouseEvent { kind, column, row, modifiers: KeyModifiers::NONE });
    let mut effects = update(state, mouse(MouseEventKind::Down(MouseButton::Left)));
    effects.extend(update(state, mouse(MouseEventKind::Up(MouseButton::Left))));
    effects.retain(|effect| !matches!(effect, Effect::Watch(_)));
    effects
}

/// A command that a key stands for.
fn command(line: &str) -> Effect {
    Effect::Command { line: line.into(), typed: false }
}

/// So that the kinds of a terminal's events are all known to be dealt with where they are taken.
#[test]
fn keys_are_read_as_they_are_written_here() {
    let key = |code, modifiers| TerminalEvent::Key(KeyEvent::new(code, modifiers));
    assert_eq!(TerminalEvent::Key(named_key("S-F10")), key(KeyCode::F(10), KeyModifiers::SHIFT));
    assert_eq!(TerminalEvent::Key(named_key("C-]")), key(KeyCode::Char(']'), KeyModifiers::CONTROL));
}
