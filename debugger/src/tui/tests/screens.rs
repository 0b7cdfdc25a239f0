//! What is on the screen, at both sizes, for states that were recorded.

use ratatui::style::{Color, Modifier};

use super::*;
use crate::tui::layout::built_in;
use crate::tui::pane::Pane;
use crate::tui::sample::Doing;
use crate::tui::state::Mode;

const SIZES: [(u16, u16); 2] = [(80, 24), (200, 60)];

fn snapshot(name: &str, size: (u16, u16), screens: Vec<(String, String)>) {
    let text: String = screens.into_iter().map(|(title, screen)| format!("──── {title}\n{screen}\n")).collect();
    insta::with_settings!({ omit_expression => true, prepend_module_to_snapshot => false }, {
        insta::assert_snapshot!(format!("{name}-{}x{}", size.0, size.1), text);
    });
}

#[test]
fn every_layout_shows_a_stop_at_a_watch() {
    for size in SIZES {
        let mut state = screen_of(recorded("watch-hit"), size);
        let screens = (0..built_in().len()).map(|number| {
            press(&mut state, &format!("{}<Esc>", number + 1));
            (state.current_layout().name.clone(), text(&state))
        });
        snapshot("layouts", size, screens.collect());
    }
}

#[test]
fn every_pane_shows_a_stop_at_a_watch() {
    for size in SIZES {
        let mut state = screen_of(recorded("watch-hit"), size);
        press(&mut state, "z");
        let screens = Pane::ALL.into_iter().map(|pane| {
            press(&mut state, &format!("g{}", pane.key()));
            assert_eq!(state.focus, pane);
            (pane.title().to_owned(), text(&state))
        });
        snapshot("panes", size, screens.collect());
    }
}

#[test]
fn sixty_four_cpus_are_seen_while_they_run() {
    for size in SIZES {
        let mut state = screen_of(recorded("running"), size);
        assert_eq!(state.data.sample.doing, Doing::Running);
        press(&mut state, "2");
        let mut screens = vec![("machine".to_owned(), text(&state))];
        press(&mut state, "gcG");
        screens.push(("the last CPUs".into(), text(&state)));
        press(&mut state, "v");
        let grid = text(&state);
        if size == (200, 60) {
            assert!(grid.contains("  0") && grid.contains(" 63"), "all of them fit:\n{grid}");
        }
        screens.push(("as a grid".into(), grid));
        press(&mut state, "gtz/init<Enter>");
        screens.push(("tasks, filtered".into(), text(&state)));
        snapshot("running", size, screens);
    }
}

#[test]
fn a_crash_and_the_way_back_from_it() {
    for size in SIZES {
        let mut state = screen_of(recorded("crash"), size);
        let mut screens = vec![("the crash".to_owned(), text(&state))];
        press(&mut state, "gf");
        screens.push(("findings".into(), text(&state)));
        let mut state = screen_of(recorded("explained"), size);
        screens.push(("what went wrong".into(), text(&state)));
        press(&mut state, "G");
        screens.push(("and its end".into(), text(&state)));
        let mut state = screen_of(recorded("past"), size);
        screens.push(("in the past".into(), text(&state)));
        press(&mut state, "glHH");
        screens.push(("the timeline's cursor".into(), text(&state)));
        snapshot("crash", size, screens);
    }
}

#[test]
fn every_mode_has_its_line_of_hints() {
    for size in SIZES {
        let mut screens = Vec::new();
        let last_lines = |state: &State| text(state).lines().rev().take(2).collect::<Vec<_>>().join("\n");
        for keys in ["", "?", ":break main", "g", "m", "ma'", "q", "gok", "goi", "gt/kw", "gsf", "gm", "gb", "gl"] {
            let mut state = screen_of(recorded("watch-hit"), size);
            press(&mut state, keys);
            let shown = if keys == "?" { text(&state) } else { last_lines(&state) };
            screens.push((format!("after {keys:?}"), shown));
        }
        let mut state = screen_of(recorded("watch-hit"), size);
        press(&mut state, ":br<Tab>");
        let line = "br".to_owned();
        let candidates = vec![("break".to_owned(), true), ("breakpoints".to_owned(), true)];
        update(&mut state, Event::Session(FromSession::Completion { line, start: 0, candidates }));
        screens.push(("candidates".into(), last_lines(&state)));
        update(&mut state, Event::Session(FromSession::Gone("killed by signal 9".into())));
        screens.push(("the machine is gone".into(), text(&state)));
        snapshot("modes", size, screens);
    }
}

/// The cells of a text on the screen.
fn cells<'a>(buffer: &'a Buffer, wanted: &str) -> Vec<&'a ratatui::buffer::Cell> {
    let signs: Vec<String> = wanted.chars().map(String::from).collect();
    for y in 0..buffer.area.height {
        for x in 0..buffer.area.width.saturating_sub(signs.len() as u16 - 1) {
            let cells: Vec<_> = (0..signs.len()).map(|n| &buffer[(x + n as u16, y)]).collect();
            if cells.iter().zip(&signs).all(|(cell, sign)| cell.symbol() == sign) {
                return cells;
            }
        }
    }
    panic!("{wanted:?} is not on the screen");
}

#[test]
fn memory_is_seen_with_what_it_is() {
    for size in SIZES {
        let mut state = screen_of(recorded("watch-hit"), size);
        press(&mut state, "gm");
        let mut screens = vec![("in its layout".to_owned(), text(&state))];
        for (keys, title) in [("z", "bytes"), ("v", "fields"), ("v", "the value")] {
            press(&mut state, keys);
            screens.push((title.into(), text(&state)));
        }
        snapshot("memory", size, screens);
    }
}

#[test]
fn changed_bytes_are_coloured_and_watched_ones_marked() {
    let mut state = screen_of(recorded("watch-hit"), (200, 60));
    press(&mut state, "gmz");
    let theme = state.theme.clone();
    // The pool's pointer, which the stray store has just overwritten.
    let buffer = drawn(&state);
    let changed = cells(&buffer, "ff ff ff ff");
    assert_eq!(changed[0].style().fg, theme.changed.fg);
    assert_eq!(changed[0].style().bg, theme.watched.bg);
    assert_ne!(changed[2].style().bg, theme.watched.bg, "what is between two bytes is not watched");
    // By its fields too, with its value.
    press(&mut state, "v");
    let buffer = drawn(&state);
    let bytes = cells(&buffer, "ff ff ff ff");
    assert_eq!((bytes[0].style().fg, bytes[0].style().bg), (theme.changed.fg, theme.watched.bg));
    assert_eq!(cells(&buffer, "0xffffffff")[0].style().fg, theme.changed.fg);
}

#[test]
fn without_colours_there_are_none() {
    let told = recorded("watch-hit");
    for keys in ["", "2", "3", "4", "gmz", "gb", "?"] {
        let mut state = State::new("minik", (200, 60), Settings::default(), ThemeName::Mono);
        for told in told.clone() {
            update(&mut state, Event::Session(told));
        }
        press(&mut state, keys);
        for cell in drawn(&state).content() {
            assert_eq!((cell.fg, cell.bg), (Color::Reset, Color::Reset), "after {keys:?}: {cell:?}");
        }
    }
}

#[test]
fn sixteen_colours_are_enough_for_the_theme_of_that_name() {
    let mut state = screen_of(recorded("watch-hit"), (200, 60));
    press(&mut state, ":theme ansi<Enter>");
    // What the guest prints has the guest's colours.
    press(&mut state, "gsz");
    for cell in drawn(&state).content() {
        for colour in [cell.fg, cell.bg] {
            assert!(!matches!(colour, Color::Indexed(_) | Color::Rgb(..)), "{cell:?}");
        }
    }
}

#[test]
fn the_console_is_a_terminal_with_colours() {
    let mut state = screen_of(recorded("watch-hit"), (80, 24));
    let bytes = b"\x1b[2J\x1b[H\x1b[1;31mred\x1b[m plain\r\n\xf0\x9f\x98\x80 wide".to_vec();
    update(&mut state, Event::Session(FromSession::Console { bytes, dropped: 0 }));
    press(&mut state, "goz");
    let buffer = drawn(&state);
    assert_eq!(buffer[(1, 2)].symbol(), "r");
    assert_eq!(buffer[(1, 2)].fg, Color::Indexed(1));
    assert!(buffer[(1, 2)].modifier.contains(Modifier::BOLD));
    assert_eq!(buffer[(5, 2)].fg, Color::Reset);
    assert_eq!(buffer[(1, 3)].symbol(), "😀");
    assert_eq!(buffer[(4, 3)].symbol(), "w");
}

#[test]
fn no_size_is_too_small_or_too_large() {
    for name in ["watch-hit", "running"] {
        let mut state = screen_of(recorded(name), (80, 24));
        for (columns, rows) in
            [(1, 1), (2, 2), (10, 3), (20, 5), (79, 23), (132, 37), (500, 150), (0, 0), (3, 80), (80, 24)]
        {
            update(&mut state, Event::Resize(columns, rows));
            for keys in ["1", "2", "3", "4", "z", "z", "?", "q", "gm", "gl", "goi<C-]>", "gt/x<Esc>", ":a<Esc>"] {
                press(&mut state, keys);
                if columns > 0 && rows > 0 {
                    drawn(&state);
                }
                state.mode = Mode::Normal;
            }
        }
        assert_eq!(state.size, (80, 24));
    }
}

#[test]
fn a_search_is_marked_where_it_is_found() {
    let mut state = screen_of(recorded("watch-hit"), (200, 60));
    press(&mut state, "gu/static<Enter>");
    let buffer = drawn(&state);
    let found = cells(&buffer, "static");
    assert_eq!(found[0].style().bg, state.theme.found.bg);
}

#[test]
fn samples_that_were_dropped_are_shown() {
    for size in SIZES {
        let mut state = screen_of(recorded("running"), size);
        let sample = crate::tui::sample::Sample { dropped: 12, ..state.data.sample.clone() };
        update(&mut state, Event::Session(FromSession::Sample(Box::new(sample))));
        let bar = text(&state).lines().next().unwrap_or_default().to_owned();
        assert!(bar.contains(if size.0 > 100 { " 12 samples dropped " } else { " 12 dropped " }), "{bar}");
    }
}

#[test]
fn the_bar_says_what_code_a_live_run_is_in() {
    use crate::tui::sample::Code;
    for size in SIZES {
        let mut state = screen_of(recorded("running"), size);
        let mut bar = |code| {
            let sample = crate::tui::sample::Sample { code, ..state.data.sample.clone() };
            update(&mut state, Event::Session(FromSession::Sample(Box::new(sample))));
            text(&state).lines().next().unwrap_or_default().to_owned()
        };
        assert!(bar(Code::Fast).starts_with(" minik ▶ runs  "));
        assert!(bar(Code::Debug).starts_with(" minik ▶ runs in debug code "));
        assert!(bar(Code::Changing(43)).starts_with(" minik ▷ stops: run again for debugging, 43 % "));
        assert!(bar(Code::Only).starts_with(" minik ▶ runs  "));
    }
}
