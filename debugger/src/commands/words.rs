//! The words of a command line, from left to right.

use super::CommandError;

/// What follows a command's name.
#[derive(Debug, Clone)]
pub(super) struct Words<'a> {
    /// The command, for messages.
    command: &'static str,
    /// What follows `/` behind the name: `x` of `print/x`.
    format: &'a str,
    rest: &'a str,
}

impl<'a> Words<'a> {
    pub(super) fn new(command: &'static str, format: &'a str, rest: &'a str) -> Self {
        Words { command, format, rest: rest.trim() }
    }

    /// What follows `/`, if anything does.
    pub(super) fn format(&self) -> Option<&'a str> {
        Some(self.format).filter(|format| !format.is_empty())
    }

    /// The next word without taking it.
    pub(super) fn peek(&self) -> Option<&'a str> {
        self.rest.split_whitespace().next()
    }

    /// Takes the next word.
    pub(super) fn word(&mut self) -> Option<&'a str> {
        let word = self.peek()?;
        self.rest = self.rest[word.len()..].trim_start();
        Some(word)
    }

    /// Takes the next word if it is this one.
    pub(super) fn take(&mut self, wanted: &str) -> bool {
        let found = self.peek() == Some(wanted);
        if found {
            self.word();
        }
        found
    }

    /// Takes everything that is left; none where nothing is.
    pub(super) fn rest(&mut self) -> Option<&'a str> {
        Some(std::mem::take(&mut self.rest)).filter(|rest| !rest.is_empty())
    }

    /// Takes everything that is left, and wants something to be.
    pub(super) fn wanted_rest(&mut self, what: &str) -> Result<String, CommandError> {
        self.rest().map(str::to_owned).ok_or_else(|| self.wrong(format!("{what} is missing")))
    }

    /// Takes a number, if there is a word.
    pub(super) fn number<T: TryFrom<u64>>(&mut self, what: &str) -> Result<Option<T>, CommandError> {
        self.word().map(|word| self.as_number(word, what)).transpose()
    }

    /// A word as a number.
    pub(super) fn as_number<T: TryFrom<u64>>(&self, word: &str, what: &str) -> Result<T, CommandError> {
        let number = parse_number(word).and_then(|number| T::try_from(number).ok());
        number.ok_or_else(|| self.wrong(format!("{what} must be a number, and {word:?} is none that fits")))
    }

    /// Wants nothing to be left.
    pub(super) fn end(&mut self) -> Result<(), CommandError> {
        match self.rest() {
            None => Ok(()),
            Some(rest) => Err(self.wrong(format!("{rest:?} is too much"))),
        }
    }

    /// Numbers and ranges of numbers: `1 3-5`.
    pub(super) fn numbers(&mut self, what: &str) -> Result<Vec<u32>, CommandError> {
        /// A range that is longer is a slip of the finger.
        const MOST: u32 = 100_000;
        let mut numbers = Vec::new();
        while let Some(word) = self.word() {
            match word.split_once('-') {
                Some((first, last)) => {
                    let (first, last): (u32, u32) = (self.as_number(first, what)?, self.as_number(last, what)?);
                    if last < first || last - first > MOST {
                        return Err(self.wrong(format!("{word} is not a range that can be meant")));
                    }
                    numbers.extend(first..=last);
                }
                None => numbers.push(self.as_number(word, what)?),
            }
        }
        Ok(numbers)
    }

    /// What is wrong with what was typed.
    pub(super) fn wrong(&self, problem: impl Into<String>) -> CommandError {
        CommandError::Usage { command: self.command, problem: problem.into() }
    }
}

/// A number as C writes it: decimal, `0x…`, `0b…`; underscores may group it.
pub(super) fn parse_number(text: &str) -> Option<u64> {
    let digits = text.replace('_', "");
    let (digits, radix) = match digits.get(..2) {
        Some("0x" | "0X") => (&digits[2..], 16),
        Some("0b" | "0B") => (&digits[2..], 2),
        _ => (digits.as_str(), 10),
    };
    // A sign is not a digit, though the parser would take it.
    if !digits.starts_with(|c: char| c.is_digit(radix)) {
        return None;
    }
    u64::from_str_radix(digits, radix).ok()
}

/// Those of `known` that are like `typed`: they contain it, or few letters need to change. The nearest first.
pub(super) fn nearest<'a>(typed: &str, known: impl IntoIterator<Item = &'a str>) -> Vec<String> {
    /// As many as one reads.
    const MOST: usize = 5;
    let allowed = (typed.chars().count() / 3).max(1);
    let mut near: Vec<(usize, &str)> = known
        .into_iter()
        .filter_map(|name| {
            let distance = edit_distance(typed, name, allowed);
            let part = typed.chars().count() >= 3 && name.contains(typed);
            match distance {
                Some(distance) => Some((distance, name)),
                None if part => Some((allowed + 1 + name.len() - typed.len(), name)),
                None => None,
            }
        })
        .collect();
    near.sort_unstable();
    near.dedup_by_key(|(_, name)| *name);
    near.into_iter().take(MOST).map(|(_, name)| name.to_owned()).collect()
}

/// How many letters differ (inserted, left out, changed, or two swapped), if that is at most `most`.
fn edit_distance(a: &str, b: &str, most: usize) -> Option<usize> {
    let (a, b): (Vec<char>, Vec<char>) = (a.chars().collect(), b.chars().collect());
    if a.len().abs_diff(b.len()) > most {
        return None;
    }
    let mut before: Vec<usize> = Vec::new();
    let mut last: Vec<usize> = (0..=b.len()).collect();
    for i in 0..a.len() {
        let mut row = vec![i + 1];
        for j in 0..b.len() {
            let change = last[j] + usize::from(a[i] != b[j]);
            let mut best = change.min(last[j + 1] + 1).min(row[j] + 1);
            if i > 0 && j > 0 && a[i] == b[j - 1] && a[i - 1] == b[j] {
                best = best.min(before[j - 1] + 1);
            }
            row.push(best);
        }
        before = std::mem::replace(&mut last, row);
    }
    last.last().copied().filter(|&distance| distance <= most)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_taken_from_the_left() {
        let mut words = Words::new("break", "", "  f.c:12  if  x == 1 ");
        assert_eq!(words.word(), Some("f.c:12"));
        assert!(!words.take("task") && words.take("if"));
        assert_eq!(words.rest(), Some("x == 1"));
        assert_eq!((words.word(), words.rest()), (None, None));
        assert_eq!(Words::new("delete", "", "1 3-5").numbers("a breakpoint").unwrap(), [1, 3, 4, 5]);
        for bad in ["x", "5-3", "1-999999999", "-1"] {
            assert!(Words::new("delete", "", bad).numbers("a breakpoint").is_err(), "{bad}");
        }
    }

    #[test]
    fn numbers_as_c_writes_them() {
        assert_eq!(parse_number("0x1F"), Some(31));
        assert_eq!(parse_number("1_000"), Some(1000));
        assert_eq!(parse_number("0b101"), Some(5));
        for bad in ["", "0x", "+1", "-1", "12ab", "ff", "99999999999999999999", "é"] {
            assert_eq!(parse_number(bad), None, "{bad}");
        }
    }

    #[test]
    fn names_that_are_meant() {
        let names = ["process_one_work", "worker_thread", "jiffies", "jiffies_64"];
        assert_eq!(nearest("jifies", names), ["jiffies"]);
        assert_eq!(nearest("jiffeis", names), ["jiffies"]);
        assert_eq!(nearest("worker", names), ["worker_thread"]);
        assert_eq!(nearest("zzz", names), [""; 0]);
    }
}
