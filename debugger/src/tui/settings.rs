//! The user's settings: a file of TOML.
//!
//! ```toml
//! theme = "dark"
//! layout = "debug"
//!
//! [[layouts]]
//! name = "mine"
//! large = { row = [{ weight = 3, tabs = ["source", "disassembly"] }, { weight = 2, tabs = ["console"] }] }
//! small = { tabs = ["source", "console", "stack"] }
//! ```

use serde::{Deserialize, Serialize};

use super::layout::{self, Layout};
use super::theme::ThemeName;

/// What a user has settled on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settings {
    /// The theme; none means the one that fits the terminal.
    pub theme: Option<ThemeName>,
    /// The layout to begin with.
    pub layout: String,
    /// All layouts: at least one.
    pub layouts: Vec<Layout>,
}

impl Default for Settings {
    fn default() -> Self {
        Settings { theme: None, layout: "debug".into(), layouts: layout::built_in() }
    }
}

/// As it is in the file.
#[derive(Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    theme: Option<ThemeName>,
    layout: Option<String>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    layouts: Vec<Layout>,
}

impl Settings {
    /// The settings of a file. A layout takes the place of the built-in one of its name.
    ///
    /// # Errors
    /// In words, with the place in the file.
    pub fn parse(text: &str) -> Result<Settings, String> {
        let file: File = toml::from_str(text).map_err(|error| error.to_string())?;
        let mut settings = Settings { theme: file.theme, ..Settings::default() };
        for layout in file.layouts {
            layout.check()?;
            match settings.layouts.iter_mut().find(|known| known.name == layout.name) {
                Some(known) => *known = layout,
                None => settings.layouts.push(layout),
            }
        }
        if let Some(name) = file.layout {
            if settings.layouts.iter().all(|layout| layout.name != name) {
                let names: Vec<_> = settings.layouts.iter().map(|layout| layout.name.as_str()).collect();
                return Err(format!("there is no layout called {name:?}; there are: {}", names.join(", ")));
            }
            settings.layout = name;
        }
        Ok(settings)
    }

    /// As a file: the layouts that are not as they come with the program.
    ///
    /// # Errors
    /// In words.
    pub fn to_text(&self) -> Result<String, String> {
        let built_in = layout::built_in();
        let layouts = self.layouts.iter().filter(|layout| !built_in.contains(layout)).cloned().collect();
        let file = File { theme: self.theme, layout: Some(self.layout.clone()), layouts };
        toml::to_string(&file).map_err(|error| error.to_string())
    }
}

#[cfg(test)]
mod tests {
    use ratatui::layout::Direction;

    use super::*;
    use crate::tui::pane::Pane;

    #[test]
    fn the_example_of_the_documentation_is_read() {
        let example: String = include_str!("settings.rs")
            .lines()
            .skip_while(|line| *line != "//! ```toml")
            .skip(1)
            .take_while(|line| *line != "//! ```")
            .map(|line| line.trim_start_matches("//!").trim_start().to_owned() + "\n")
            .collect();
        let settings = Settings::parse(&example).unwrap();
        assert_eq!(settings.layouts.len(), layout::built_in().len() + 1);
        assert_eq!(settings.theme, Some(ThemeName::Dark));
    }

    #[test]
    fn settings_that_were_saved_are_the_same_when_read() {
        let mut settings = Settings::default();
        settings.layouts[0].large.resize(0, Direction::Vertical, true);
        settings.layouts[1].small.resize(1, Direction::Vertical, true);
        settings.layout = "memory".into();
        settings.theme = Some(ThemeName::Ansi);
        let text = settings.to_text().unwrap();
        assert_eq!(Settings::parse(&text).unwrap(), settings, "{text}");
        assert!(!text.contains("\"console\"\n"), "what comes with the program is not copied: {text}");
    }

    #[test]
    fn what_cannot_be_used_is_refused_with_the_reason() {
        for (text, word) in [
            ("layout = \"nowhere\"", "nowhere"),
            ("themes = 1", "unknown field"),
            ("[[layouts]]\nname = \"a\"\nlarge = {tabs=[\"cpus\",\"cpus\"]}\nsmall = {tabs=[\"cpus\"]}", "twice"),
            ("[[layouts]]\nname = \"a\"\nlarge = {tabs=[\"cpu\"]}\nsmall = {tabs=[\"cpus\"]}", "cpu"),
        ] {
            assert!(Settings::parse(text).unwrap_err().contains(word), "{text}");
        }
        let mine = "[[layouts]]\nname = \"debug\"\nlarge = {tabs=[\"cpus\"]}\nsmall = {tabs=[\"tasks\"]}";
        let settings = Settings::parse(mine).unwrap();
        assert_eq!(settings.layouts[0].small.content, layout::Content::Tabs(vec![Pane::Tasks]));
    }
}
