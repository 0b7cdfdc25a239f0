//! The line at the bottom: commands and searches.

use crossterm::event::{KeyCode, KeyEvent, KeyModifiers};

use super::actions::{message, show_memory, show_pane};
use super::keys::{choose_layout, to_row};
use super::leave;
use crate::tui::event::Effect;
use crate::tui::pane::Pane;
use crate::tui::sample::{Doing, Mark};
use crate::tui::state::{Mode, Prompt, PromptKind, State};
use crate::tui::theme::{Theme, ThemeName};
use crate::tui::view::rows;

/// Commands of the screen itself; all others are the debugger's.
const OWN: [&str; 5] = ["layout", "memory", "pane", "save", "theme"];

/// Command lines that are kept.
const KEPT: usize = 1000;

/// A key while a line is edited.
pub(super) fn key(state: &mut State, mut prompt: Prompt, key: KeyEvent, effects: &mut Vec<Effect>) {
    let control = key.modifiers.contains(KeyModifiers::CONTROL);
    let before = prompt.line.clone();
    match key.code {
        KeyCode::Esc => return cancel(state, &prompt),
        KeyCode::Char('c' | 'g') if control => return cancel(state, &prompt),
        KeyCode::Enter => return done(state, prompt, effects),
        KeyCode::Backspace if prompt.line.is_empty() => return cancel(state, &prompt),
        KeyCode::Tab if prompt.kind == PromptKind::Command => {
            effects.push(Effect::Complete(prompt.line[..prompt.cursor].to_owned()));
            state.mode = Mode::Prompt(prompt);
            return;
        }
        KeyCode::Up => earlier(state, &mut prompt, true),
        KeyCode::Char('p') if control => earlier(state, &mut prompt, true),
        KeyCode::Down => earlier(state, &mut prompt, false),
        KeyCode::Char('n') if control => earlier(state, &mut prompt, false),
        KeyCode::Left => prompt.cursor = previous(&prompt),
        KeyCode::Right => prompt.cursor = next(&prompt),
        KeyCode::Home => prompt.cursor = 0,
        KeyCode::Char('a') if control => prompt.cursor = 0,
        KeyCode::End => prompt.cursor = prompt.line.len(),
        KeyCode::Char('e') if control => prompt.cursor = prompt.line.len(),
        KeyCode::Char('u') if control => {
            prompt.line.drain(..prompt.cursor);
            prompt.cursor = 0;
        }
        KeyCode::Char('k') if control => prompt.line.truncate(prompt.cursor),
        KeyCode::Char('w') if control => {
            let head = prompt.line[..prompt.cursor].trim_end();
            let start = head.rfind(char::is_whitespace).map_or(0, |at| at + 1);
            prompt.line.drain(start..prompt.cursor);
            prompt.cursor = start;
        }
        KeyCode::Backspace => {
            let start = previous(&prompt);
            prompt.line.drain(start..prompt.cursor);
            prompt.cursor = start;
        }
        KeyCode::Delete => {
            let end = next(&prompt);
            prompt.line.drain(prompt.cursor..end);
        }
        KeyCode::Char(c) if !control => {
            prompt.line.insert(prompt.cursor, c);
            prompt.cursor += c.len_utf8();
        }
        _ => {}
    }
    if prompt.line != before {
        prompt.candidates.clear();
        if prompt.kind == PromptKind::Search {
            search(state, &prompt.line);
        }
    }
    state.mode = Mode::Prompt(prompt);
}

/// Pasted text: into the line, or to the guest.
pub(super) fn paste(state: &mut State, text: &str, effects: &mut Vec<Effect>) {
    match &mut state.mode {
        Mode::Prompt(prompt) => {
            let text: String = text.chars().filter(|c| !c.is_control()).collect();
            prompt.line.insert_str(prompt.cursor, &text);
            prompt.cursor += text.len();
            prompt.candidates.clear();
        }
        Mode::Typing => effects.push(Effect::TypeIn(text.replace('\n', "\r").into_bytes())),
        _ => message(state, Mark::Plain, "pasted where nothing is typed: `:` or i first"),
    }
}

fn previous(prompt: &Prompt) -> usize {
    prompt.line[..prompt.cursor].char_indices().next_back().map_or(0, |(at, _)| at)
}

fn next(prompt: &Prompt) -> usize {
    prompt.line[prompt.cursor..].chars().next().map_or(prompt.cursor, |c| prompt.cursor + c.len_utf8())
}

fn cancel(state: &mut State, prompt: &Prompt) {
    if prompt.kind == PromptKind::Search {
        state.pane_mut(state.focus).search = None;
    }
}

/// An earlier command line, or a later one.
fn earlier(state: &State, prompt: &mut Prompt, back: bool) {
    if prompt.kind != PromptKind::Command {
        return;
    }
    let number = match (prompt.earlier, back) {
        (None, true) => Some(0),
        (None, false) => return,
        (Some(n), true) => Some((n + 1).min(state.commands.len().saturating_sub(1))),
        (Some(n), false) => n.checked_sub(1),
    };
    if prompt.earlier.is_none() {
        prompt.kept = prompt.line.clone();
    }
    let line = match number {
        Some(n) => match state.commands.iter().rev().nth(n) {
            Some(line) => line.clone(),
            None => return,
        },
        None => prompt.kept.clone(),
    };
    prompt.earlier = number;
    prompt.cursor = line.len();
    prompt.line = line;
}

/// Looks for a text while it is typed.
fn search(state: &mut State, text: &str) {
    let focus = state.focus;
    state.pane_mut(focus).search = Some(text.to_owned());
    if focus == Pane::Tasks || text.is_empty() {
        return;
    }
    let cursor = state.pane(focus).cursor;
    let found = rows(state, focus, 200).and_then(|rows| rows.find(text, cursor % rows.len.max(1), true));
    if let Some(row) = found {
        to_row(state, row);
    }
}

fn done(state: &mut State, prompt: Prompt, effects: &mut Vec<Effect>) {
    match prompt.kind {
        PromptKind::Search => {
            search(state, &prompt.line);
            let found = rows(state, state.focus, 200).is_some_and(|rows| rows.find(&prompt.line, 0, true).is_some());
            if !found && state.focus != Pane::Tasks && !prompt.line.is_empty() {
                message(state, Mark::Problem, format!("{} is not in this pane", prompt.line));
            }
        }
        PromptKind::Command => {
            let line = prompt.line.trim();
            if line.is_empty() {
                return;
            }
            if state.commands.last().is_none_or(|last| last != line) {
                state.commands.push(line.to_owned());
                let excess = state.commands.len().saturating_sub(KEPT);
                state.commands.drain(..excess);
            }
            run(state, line, effects);
        }
    }
}

/// Runs a command: one of the screen's, or the debugger's.
fn run(state: &mut State, line: &str, effects: &mut Vec<Effect>) {
    let (name, rest) = line.split_once(char::is_whitespace).unwrap_or((line, ""));
    let rest = rest.trim();
    match name {
        "memory" if rest.is_empty() => message(state, Mark::Problem, "memory of what? `:memory EXPR`"),
        "memory" => show_memory(state, rest.to_owned()),
        "pane" => match Pane::named(rest) {
            Some(pane) => show_pane(state, pane),
            None => {
                let names: Vec<_> = Pane::ALL.into_iter().map(|pane| format!("{pane:?}").to_lowercase()).collect();
                message(state, Mark::Problem, format!("panes: {}", names.join(" ")));
            }
        },
        "layout" => {
            let found = state.settings.layouts.iter().position(|layout| layout.name == rest);
            choose_layout(state, found.unwrap_or(usize::MAX));
        }
        "theme" => match ThemeName::ALL.into_iter().find(|theme| theme.word() == rest) {
            Some(theme) => {
                state.settings.theme = Some(theme);
                state.theme_name = theme;
                state.theme = Theme::of(theme);
            }
            None => {
                let words: Vec<_> = ThemeName::ALL.into_iter().map(ThemeName::word).collect();
                message(state, Mark::Problem, format!("themes: {}", words.join(", ")));
            }
        },
        "save" => match state.settings.to_text() {
            Ok(text) => effects.push(Effect::SaveSettings(text)),
            Err(error) => message(state, Mark::Problem, error),
        },
        "q" | "quit" | "exit" => match state.data.sample.doing {
            Doing::Ended(_) | Doing::Gone(_) => leave(state, effects),
            _ => state.mode = Mode::Leaving,
        },
        _ => effects.push(Effect::Command { line: line.to_owned(), typed: true }),
    }
}

/// What a line could go on with has come.
pub(super) fn completed(state: &mut State, line: &str, start: usize, candidates: &[(String, bool)]) {
    let names: Vec<String> = state.settings.layouts.iter().map(|layout| layout.name.clone()).collect();
    let Mode::Prompt(prompt) = &mut state.mode else { return };
    // The person has typed on meanwhile.
    if prompt.kind != PromptKind::Command || prompt.line.get(..prompt.cursor) != Some(line) {
        return;
    }
    let (start, candidates) = match own_candidates(line, &names) {
        Some(own) => own,
        None => {
            let mut all = candidates.to_vec();
            let word = line.get(start..).unwrap_or_default();
            if line[..start.min(line.len())].trim().is_empty() {
                let own = OWN.iter().filter(|name| name.starts_with(word));
                all.extend(own.map(|name| ((*name).to_owned(), true)));
                all.sort();
                all.dedup();
            }
            (start, all)
        }
    };
    let Some(word) = line.get(start..) else { return };
    let insert = match &candidates[..] {
        [] => return,
        [(only, whole)] => format!("{only}{}", if *whole { " " } else { "" }),
        several => common(several.iter().map(|(text, _)| text.as_str())).to_owned(),
    };
    prompt.candidates =
        if candidates.len() > 1 { candidates.into_iter().map(|(text, _)| text).collect() } else { Vec::new() };
    if insert.len() >= word.len() || !insert.is_empty() && insert.starts_with(word) {
        let end = prompt.cursor;
        prompt.line.replace_range(start..end, &insert);
        prompt.cursor = start + insert.len();
    }
}

/// Candidates for the arguments of the screen's own commands.
fn own_candidates(line: &str, layouts: &[String]) -> Option<(usize, Vec<(String, bool)>)> {
    let (name, word) = line.trim_start().split_once(' ')?;
    let words: Vec<String> = match name {
        "layout" => layouts.to_vec(),
        "theme" => ThemeName::ALL.into_iter().map(|theme| theme.word().to_owned()).collect(),
        "pane" => Pane::ALL.into_iter().map(|pane| format!("{pane:?}").to_lowercase()).collect(),
        _ => return None,
    };
    let start = line.len() - word.len();
    let fitting = words.into_iter().filter(|candidate| candidate.starts_with(word));
    Some((start, fitting.map(|candidate| (candidate, true)).collect()))
}

/// What all begin with.
fn common<'a>(mut texts: impl Iterator<Item = &'a str>) -> &'a str {
    let first = texts.next().unwrap_or_default();
    texts.fold(first, |common, text| {
        let same = common.char_indices().zip(text.chars()).take_while(|((_, a), b)| a == b);
        let len = same.last().map_or(0, |((at, c), _)| at + c.len_utf8());
        &common[..len]
    })
}
