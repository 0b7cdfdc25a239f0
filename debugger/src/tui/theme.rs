//! Colours, by what a thing is.

use ratatui::style::{Color, Modifier, Style};
use serde::{Deserialize, Serialize};

use super::sample::Mark;

/// Which colours.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ThemeName {
    /// Many colours, on a dark ground.
    #[default]
    Dark,
    /// Many colours, on a light ground.
    Light,
    /// The sixteen that every terminal has.
    Ansi,
    /// None: bold, dim, reversed.
    Mono,
}

impl ThemeName {
    /// All of them, in the order in which `:theme` goes through them.
    pub const ALL: [ThemeName; 4] = [ThemeName::Dark, ThemeName::Light, ThemeName::Ansi, ThemeName::Mono];

    /// As it is written.
    pub fn word(self) -> &'static str {
        match self {
            ThemeName::Dark => "dark",
            ThemeName::Light => "light",
            ThemeName::Ansi => "ansi",
            ThemeName::Mono => "mono",
        }
    }

    /// What fits a terminal: `NO_COLOR` has the last word, and what is wanted needs 256 colours.
    pub fn fitting(wanted: Option<ThemeName>, no_color: bool, many_colours: bool) -> ThemeName {
        match wanted {
            _ if no_color => ThemeName::Mono,
            Some(wanted @ (ThemeName::Ansi | ThemeName::Mono)) => wanted,
            _ if !many_colours => ThemeName::Ansi,
            wanted => wanted.unwrap_or_default(),
        }
    }
}

/// A style for each kind of thing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Theme {
    /// Frames of panes.
    pub frame: Style,
    /// The frame of the pane that has the keys.
    pub focus: Style,
    /// Titles.
    pub title: Style,
    /// What matters less.
    pub dim: Style,
    /// The top and bottom bars.
    pub bar: Style,
    /// Keys in the hints.
    pub key: Style,
    /// The line with the cursor.
    pub cursor: Style,
    /// What comes next: the line or instruction.
    pub here: Style,
    /// What has changed.
    pub changed: Style,
    /// What is watched.
    pub watched: Style,
    /// What was found by a search.
    pub found: Style,
    /// Function names.
    pub function: Style,
    /// Files and lines.
    pub place: Style,
    /// Addresses.
    pub address: Style,
    /// Tasks.
    pub task: Style,
    /// Headlines.
    pub headline: Style,
    /// Problems, crashes, breakpoints.
    pub problem: Style,
    /// What runs.
    pub busy: Style,
    /// What was typed.
    pub typed: Style,
}

impl Theme {
    /// The styles of a theme.
    pub fn of(name: ThemeName) -> Theme {
        let fg = |color| Style::new().fg(color);
        let rgb = |index| Style::new().fg(Color::Indexed(index));
        match name {
            ThemeName::Dark => Theme {
                frame: rgb(240),
                focus: rgb(75),
                title: rgb(252).add_modifier(Modifier::BOLD),
                dim: rgb(244),
                bar: Style::new().fg(Color::Indexed(252)).bg(Color::Indexed(236)),
                key: Style::new().fg(Color::Indexed(222)).bg(Color::Indexed(236)),
                cursor: Style::new().bg(Color::Indexed(237)),
                here: Style::new().fg(Color::Indexed(232)).bg(Color::Indexed(150)),
                changed: rgb(215).add_modifier(Modifier::BOLD),
                watched: Style::new().bg(Color::Indexed(53)),
                found: Style::new().fg(Color::Indexed(232)).bg(Color::Indexed(222)),
                function: rgb(222),
                place: rgb(108),
                address: rgb(110),
                task: rgb(116),
                headline: rgb(231).add_modifier(Modifier::BOLD),
                problem: rgb(210).add_modifier(Modifier::BOLD),
                busy: rgb(114),
                typed: rgb(153),
            },
            ThemeName::Light => Theme {
                frame: rgb(250),
                focus: rgb(25),
                title: rgb(235).add_modifier(Modifier::BOLD),
                dim: rgb(245),
                bar: Style::new().fg(Color::Indexed(235)).bg(Color::Indexed(254)),
                key: Style::new().fg(Color::Indexed(88)).bg(Color::Indexed(254)),
                cursor: Style::new().bg(Color::Indexed(254)),
                here: Style::new().fg(Color::Indexed(232)).bg(Color::Indexed(151)),
                changed: rgb(130).add_modifier(Modifier::BOLD),
                watched: Style::new().bg(Color::Indexed(225)),
                found: Style::new().fg(Color::Indexed(232)).bg(Color::Indexed(222)),
                function: rgb(94),
                place: rgb(28),
                address: rgb(25),
                task: rgb(30),
                headline: rgb(232).add_modifier(Modifier::BOLD),
                problem: rgb(160).add_modifier(Modifier::BOLD),
                busy: rgb(28),
                typed: rgb(25),
            },
            ThemeName::Ansi => Theme {
                frame: fg(Color::DarkGray),
                focus: fg(Color::Cyan),
                title: Style::new().add_modifier(Modifier::BOLD),
                dim: fg(Color::DarkGray),
                bar: Style::new().fg(Color::White).bg(Color::Blue),
                key: Style::new().fg(Color::Yellow).bg(Color::Blue),
                cursor: Style::new().add_modifier(Modifier::UNDERLINED),
                here: Style::new().fg(Color::Black).bg(Color::Green),
                changed: fg(Color::Yellow).add_modifier(Modifier::BOLD),
                watched: Style::new().bg(Color::Magenta),
                found: Style::new().fg(Color::Black).bg(Color::Yellow),
                function: fg(Color::Yellow),
                place: fg(Color::Green),
                address: fg(Color::Blue),
                task: fg(Color::Cyan),
                headline: Style::new().add_modifier(Modifier::BOLD),
                problem: fg(Color::Red),
                busy: fg(Color::Green),
                typed: fg(Color::Cyan),
            },
            ThemeName::Mono => {
                let plain = Style::new();
                let (bold, dim) = (plain.add_modifier(Modifier::BOLD), plain.add_modifier(Modifier::DIM));
                let reversed = plain.add_modifier(Modifier::REVERSED);
                Theme {
                    frame: dim,
                    focus: bold,
                    title: bold,
                    dim,
                    bar: reversed,
                    key: reversed.add_modifier(Modifier::BOLD),
                    cursor: plain.add_modifier(Modifier::UNDERLINED),
                    here: reversed,
                    changed: bold.add_modifier(Modifier::UNDERLINED),
                    watched: plain.add_modifier(Modifier::UNDERLINED),
                    found: reversed,
                    function: plain,
                    place: plain,
                    address: plain,
                    task: plain,
                    headline: bold,
                    problem: bold,
                    busy: plain,
                    typed: plain,
                }
            }
        }
    }

    /// The style of a piece of text.
    pub fn mark(&self, mark: Mark) -> Style {
        match mark {
            Mark::Plain => Style::new(),
            Mark::Function => self.function,
            Mark::Place => self.place,
            Mark::Address => self.address,
            Mark::Task => self.task,
            Mark::Headline => self.headline,
            Mark::Here => self.here,
            Mark::Problem => self.problem,
            Mark::Typed => self.typed,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_color_has_the_last_word() {
        assert_eq!(ThemeName::fitting(Some(ThemeName::Light), true, true), ThemeName::Mono);
        assert_eq!(ThemeName::fitting(Some(ThemeName::Light), false, true), ThemeName::Light);
        assert_eq!(ThemeName::fitting(Some(ThemeName::Light), false, false), ThemeName::Ansi);
        assert_eq!(ThemeName::fitting(None, false, true), ThemeName::Dark);
    }

    #[test]
    fn the_theme_without_colours_has_none() {
        let theme = format!("{:?}", Theme::of(ThemeName::Mono));
        for colour in ["fg(", "bg(", "Indexed", "Color::"] {
            assert!(!theme.contains(colour), "{theme}");
        }
    }
}
