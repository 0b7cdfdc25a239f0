//! What a line could go on with.

use std::path::Path;

use super::Debugger;
use super::command::info::topic_names;
use super::command::table::{TABLE, Takes, find, split};
use crate::inferior::Inferior;

/// What a line could go on with.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Completion {
    /// Where in the line the word begins that the candidates replace, in bytes.
    pub start: usize,
    /// Sorted, without doubles.
    pub candidates: Vec<Candidate>,
}

/// A word that fits.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Candidate {
    /// What takes the word's place.
    pub text: String,
    /// Nothing of the same word can follow: a space may be added.
    pub whole: bool,
}

/// More candidates than anyone reads.
const MOST: usize = 500;

/// Options of `watch`.
const WATCH_OPTIONS: [&str; 8] =
    ["--changed", "--cpu", "--equals", "--in", "--log", "--task", "--unless-in", "-location"];

impl Debugger {
    /// What could stand at a place in a line, in bytes, judged by what is before it.
    pub fn complete(&mut self, inferior: &mut dyn Inferior, line: &str, position: usize) -> Completion {
        let Some(before) = line.get(..position) else { return Completion::default() };
        let indentation = before.len() - before.trim_start().len();
        let (name, ..) = split(before);
        if indentation + name.len() == before.len() {
            let names = TABLE.iter().map(|entry| entry.name).filter(|known| known.starts_with(name));
            return whole(indentation, names.map(str::to_owned).collect());
        }
        let Ok(entry) = find(name) else { return Completion::default() };
        let word_at = |end: &[char]| {
            before
                .rfind(|c: char| c.is_whitespace() || end.contains(&c))
                .map_or(0, |at| at + before[at..].chars().next().map_or(1, char::len_utf8))
        };
        let start = word_at(&[]);
        let word = &before[start..];
        match entry.takes {
            Takes::Nothing => Completion::default(),
            Takes::Moment => {
                let words = ["start", "end", "present", "event"].map(str::to_owned);
                let known = words.into_iter().chain(self.bookmarks.iter().map(|bookmark| bookmark.name.clone()));
                whole(start, known.filter(|known| known.starts_with(word)).collect())
            }
            Takes::Command => {
                let names = TABLE.iter().map(|entry| entry.name).filter(|known| known.starts_with(word));
                whole(start, names.map(str::to_owned).collect())
            }
            Takes::Topic => self.complete_topic(inferior, before, start, word),
            Takes::View => {
                let names = super::command::kernel::view_names().filter(|name| name.starts_with(word));
                whole(start, names.map(str::to_owned).collect())
            }
            Takes::Task => whole(start, self.task_names(inferior, word)),
            Takes::Breakpoint => {
                let numbers = self.points.iter().map(|point| point.number.to_string());
                whole(start, numbers.filter(|number| number.starts_with(word)).collect())
            }
            Takes::File => files(start, word),
            Takes::Location => {
                let previous = before[..start].split_whitespace().next_back();
                match previous {
                    Some("task" | "thread") => whole(start, self.task_names(inferior, word)),
                    _ if before[..start].split_whitespace().any(|word| word == "if") => {
                        self.complete_expression(inferior, before)
                    }
                    _ => self.complete_location(inferior, start, word),
                }
            }
            Takes::Expression => {
                if entry.name.ends_with("watch") {
                    let previous = before[..start].split_whitespace().next_back();
                    match previous {
                        Some("--task") => return whole(start, self.task_names(inferior, word)),
                        Some("--in" | "--unless-in") => return self.complete_location(inferior, start, word),
                        _ if word.starts_with('-') => {
                            let options = WATCH_OPTIONS.iter().filter(|option| option.starts_with(word));
                            return whole(start, options.map(|option| (*option).to_owned()).collect());
                        }
                        _ => {}
                    }
                }
                let options: &[&str] = match entry.name {
                    "who-wrote" => &["--go"],
                    "history" => &["--max"],
                    _ => &[],
                };
                if word.starts_with('-') && !options.is_empty() {
                    let options = options.iter().filter(|option| option.starts_with(word));
                    return whole(start, options.map(|option| (*option).to_owned()).collect());
                }
                self.complete_expression(inferior, before)
            }
        }
    }

    fn complete_topic(&mut self, inferior: &mut dyn Inferior, before: &str, start: usize, word: &str) -> Completion {
        let words: Vec<&str> = before[..start].split_whitespace().collect();
        match words[..] {
            [_] => whole(start, topic_names().filter(|name| name.starts_with(word)).map(str::to_owned).collect()),
            [_, topic] if topic.starts_with("li") || topic.starts_with("fu") => {
                self.complete_location(inferior, start, word)
            }
            [_, topic] if topic.starts_with("sy") || topic.starts_with("gl") => {
                self.complete_expression(inferior, before)
            }
            [_, topic] if topic.starts_with("fi") => whole(start, self.file_names(inferior, word)),
            _ => Completion::default(),
        }
    }

    fn task_names(&mut self, inferior: &mut dyn Inferior, word: &str) -> Vec<String> {
        let tasks = inferior.tasks().unwrap_or_default();
        tasks.into_iter().map(|task| task.context.comm).filter(|comm| comm.starts_with(word)).collect()
    }

    fn file_names(&mut self, inferior: &mut dyn Inferior, word: &str) -> Vec<String> {
        let mut names = Vec::new();
        for (_, symbols) in self.modules.all(inferior) {
            for file in symbols.source_files() {
                // By its last part too, as it may be named.
                let last = Path::new(&file).file_name().and_then(|name| name.to_str()).map(str::to_owned);
                names.extend(last.into_iter().chain([file]).filter(|name| !word.is_empty() && name.starts_with(word)));
            }
        }
        names
    }

    fn complete_location(&mut self, inferior: &mut dyn Inferior, start: usize, word: &str) -> Completion {
        // Behind `FILE:`, a function.
        let (start, word) = match word.rfind(':') {
            Some(at) => (start + at + 1, &word[at + 1..]),
            None => (start, word),
        };
        let mut candidates: Vec<Candidate> = Vec::new();
        for (_, symbols) in self.modules.all(inferior) {
            let functions = symbols.functions_like(&format!("{word}*"));
            let functions = functions.into_iter().map(|function| Candidate { text: function.name, whole: true });
            candidates.extend(functions.take(MOST));
        }
        let files = self.file_names(inferior, word);
        candidates.extend(files.into_iter().map(|file| Candidate { text: file + ":", whole: false }));
        sorted(start, candidates)
    }

    /// The last word of an expression: a member behind `.` or `->`, else a name.
    fn complete_expression(&mut self, inferior: &mut dyn Inferior, before: &str) -> Completion {
        let is_name = |c: char| c.is_alphanumeric() || c == '_' || c == '$';
        let start = before
            .rfind(|c: char| !is_name(c))
            .map_or(0, |at| at + before[at..].chars().next().map_or(1, char::len_utf8));
        let word = &before[start..];
        let owner = before[..start].strip_suffix("->").or_else(|| before[..start].strip_suffix('.'));
        let names = match owner {
            Some(owner) => self.member_names(inferior, postfix_expression(owner)),
            None if word.is_empty() => Vec::new(),
            None => self.names_like(inferior, word, MOST),
        };
        let names = names.into_iter().filter(|name| name.starts_with(word));
        whole(start, names.take(MOST).collect())
    }
}

/// The expression that ends here and has members: `a->b[1]` of `x + a->b[1]`.
fn postfix_expression(text: &str) -> &str {
    let mut depth = 0;
    let mut start = text.len();
    for (at, c) in text.char_indices().rev() {
        match c {
            ')' | ']' => depth += 1,
            '(' | '[' if depth == 0 => break,
            '(' | '[' => depth -= 1,
            _ if depth > 0 => {}
            '.' | '_' | '$' => {}
            '>' if text[..at].ends_with('-') => {}
            '-' if text[at..].starts_with("->") => {}
            c if c.is_alphanumeric() => {}
            _ => break,
        }
        start = at;
    }
    &text[start..]
}

fn whole(start: usize, words: Vec<String>) -> Completion {
    sorted(start, words.into_iter().map(|text| Candidate { text, whole: true }).collect())
}

fn sorted(start: usize, mut candidates: Vec<Candidate>) -> Completion {
    candidates.sort_unstable();
    candidates.dedup();
    candidates.truncate(MOST);
    Completion { start, candidates }
}

/// Files of the directory that is named before the last `/`.
fn files(start: usize, word: &str) -> Completion {
    let (directory, prefix) = match word.rfind('/') {
        Some(at) => word.split_at(at + 1),
        None => ("", word),
    };
    let listed = std::fs::read_dir(if directory.is_empty() { Path::new(".") } else { Path::new(directory) });
    let Ok(listed) = listed else { return Completion::default() };
    let mut candidates = Vec::new();
    for entry in listed.flatten() {
        let Ok(name) = entry.file_name().into_string() else { continue };
        if !name.starts_with(prefix) || (name.starts_with('.') && prefix.is_empty()) {
            continue;
        }
        let is_directory = entry.path().is_dir();
        let text = format!("{directory}{name}{}", if is_directory { "/" } else { "" });
        candidates.push(Candidate { text, whole: !is_directory });
    }
    sorted(start, candidates)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_members_are_wanted_of() {
        assert_eq!(postfix_expression("x + a->b[i + 1]"), "a->b[i + 1]");
        assert_eq!(postfix_expression("(*p)"), "(*p)");
        assert_eq!(postfix_expression("f(a.b"), "a.b");
        assert_eq!(postfix_expression("print ((struct x *)y)"), "((struct x *)y)");
        assert_eq!(postfix_expression("é.a"), "é.a");
        assert_eq!(postfix_expression("]"), "]");
    }
}
