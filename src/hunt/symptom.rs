//! What went wrong in a run, said so that two runs in which the same went wrong say the same.

use std::fmt;

use serde::{Deserialize, Serialize};
use xxhash_rust::xxh3::xxh3_64;

/// Most characters of a symptom's text.
const MAX_TEXT: usize = 160;

/// What kind of thing went wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Kind {
    /// The guest panicked.
    Panic,
    /// Guest code trapped, and the guest went on.
    Trap,
    /// Every task waits and nothing can wake one.
    Deadlock,
    /// Tasks run, but nothing gets done.
    Spin,
    /// The host could not go on with the guest.
    Broken,
    /// A task held its CPU for long while others waited for it.
    Hog,
    /// A detector found something.
    Finding,
    /// The guest broke the host contract, and the run went on.
    Contract,
    /// The kernel, or whoever was listened for, said so on the console.
    Console,
    /// The script waited for a text that did not come.
    Script,
    /// The time limit passed before what was waited for.
    MaxTime,
}

impl Kind {
    /// In a word.
    pub fn word(self) -> &'static str {
        match self {
            Kind::Panic => "panic",
            Kind::Trap => "trap",
            Kind::Deadlock => "deadlock",
            Kind::Spin => "spin",
            Kind::Broken => "broken",
            Kind::Hog => "hog",
            Kind::Finding => "finding",
            Kind::Contract => "contract",
            Kind::Console => "console",
            Kind::Script => "script",
            Kind::MaxTime => "max-time",
        }
    }
}

/// What went wrong, without what differs from run to run: numbers and addresses.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Symptom {
    /// What kind of thing.
    pub kind: Kind,
    /// What was said of it; [normalised](normalise).
    pub text: String,
    /// The functions in which it was noticed, the innermost first; of a deadlock, where tasks wait for each other, in
    /// the order of the alphabet.
    pub functions: Vec<String>,
}

impl Symptom {
    /// A symptom; the text may be raw.
    pub fn new(kind: Kind, text: &str, functions: Vec<String>) -> Symptom {
        Symptom { kind, text: normalise(text), functions }
    }

    /// Eight digits that tell it from others.
    pub fn id(&self) -> String {
        format!("{:08x}", xxh3_64(self.to_string().as_bytes()) as u32)
    }

    /// A few words of it for the name of a file: letters, digits, `_` and `-`.
    pub fn slug(&self) -> String {
        /// Most characters taken of what follows the kind.
        const MOST: usize = 32;
        let about = self.functions.first().unwrap_or(&self.text);
        let mut slug = self.kind.word().to_owned();
        for word in about.split(|c: char| !c.is_ascii_alphanumeric() && c != '_').filter(|word| !word.is_empty()) {
            if slug.len() + word.len() > self.kind.word().len() + MOST {
                break;
            }
            slug.push('-');
            slug.push_str(word);
        }
        slug
    }
}

impl fmt::Display for Symptom {
    /// `panic: trap: integer divide by zero in cmd_crash < run_child`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.kind.word())?;
        if !self.text.is_empty() {
            write!(f, ": {}", self.text)?;
        }
        match (self.kind, self.functions.is_empty()) {
            (_, true) => Ok(()),
            (Kind::Deadlock | Kind::Spin, false) => write!(f, " in {}", self.functions.join(", ")),
            (_, false) => write!(f, " in {}", self.functions.join(" < ")),
        }
    }
}

/// The first line of a text, with `#` for all that is likely to differ from run to run: numbers, addresses, and the
/// numbers at the ends of names. At most 160 characters.
pub fn normalise(text: &str) -> String {
    let line = text.lines().map(str::trim).find(|line| !line.is_empty()).unwrap_or_default();
    let mut out = String::new();
    let is_word = |c: char| c.is_ascii_alphanumeric() || c == '_';
    let mut rest = line;
    while let Some(first) = rest.chars().next() {
        let len = rest.find(|c| is_word(c) != is_word(first)).unwrap_or(rest.len());
        let (run, after) = rest.split_at(len);
        if is_word(first) {
            word(run, &mut out)
        } else {
            out.push_str(run)
        }
        rest = after;
    }
    match out.char_indices().nth(MAX_TEXT) {
        Some((end, _)) => out[..end].to_owned() + "…",
        None => out,
    }
}

fn word(word: &str, out: &mut String) {
    let hex = |digits: &str| digits.bytes().all(|b| b.is_ascii_hexdigit());
    let digit = |b: u8| b.is_ascii_digit();
    let number = word.strip_prefix("0x").filter(|digits| !digits.is_empty() && hex(digits));
    if number.is_some() {
        out.push_str("0x#");
    } else if word.len() >= 8 && hex(word) && word.bytes().any(digit) {
        out.push('#');
    } else {
        let name = word.trim_end_matches(|c: char| c.is_ascii_digit());
        out.push_str(name);
        if name.len() < word.len() {
            out.push('#');
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_differs_from_run_to_run_is_left_out_of_a_text() {
        for (text, normal) in [
            (
                "INFO: task ring_reader:23 blocked for more than 120 seconds.",
                "INFO: task ring_reader:# blocked for more than # seconds.",
            ),
            ("out of bounds memory access at 0x1fee0", "out of bounds memory access at 0x#"),
            ("CPU0: bad pointer 6b6b6b6b\nnext line", "CPU#: bad pointer #"),
            ("kworker/u8:2 in crc32_le+0x1a/0x200", "kworker/u#:# in crc32_le+0x#/0x#"),
            ("  \n  deadbeef is a word, 0xzz a name", "deadbeef is a word, 0xzz a name"),
            ("", ""),
        ] {
            assert_eq!(normalise(text), normal);
            assert_eq!(normalise(normal), normal, "twice is once");
        }
    }

    #[test]
    fn long_texts_are_cut_between_characters() {
        let cut = normalise(&"é".repeat(1000));
        assert_eq!(cut.chars().count(), MAX_TEXT + 1);
        assert!(cut.ends_with("é…"));
    }

    #[test]
    fn two_symptoms_have_two_ids_and_names_that_a_file_can_have() {
        let functions = vec!["process_one_work".to_owned(), "worker_thread".to_owned()];
        let one = Symptom::new(Kind::Panic, "trap: out of bounds", functions.clone());
        let other = Symptom::new(Kind::Panic, "trap: unaligned atomic", functions);
        assert_ne!(one.id(), other.id());
        assert_eq!(one.slug(), "panic-process_one_work");
        assert_eq!(one.to_string(), "panic: trap: out of bounds in process_one_work < worker_thread");
        let script = Symptom::new(Kind::Script, "line 3: expect \"../x y\" was not printed in 10m", Vec::new());
        assert!(script.slug().chars().all(|c| c.is_ascii_alphanumeric() || "-_".contains(c)), "{}", script.slug());
        let json = serde_json::to_string(&one).unwrap();
        assert_eq!(serde_json::from_str::<Symptom>(&json).unwrap(), one);
    }
}
