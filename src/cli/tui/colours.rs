//! Colours for terminals that have sixteen of them.
//!
//! crossterm names every colour as one of 256 (`38;5;N`), the first sixteen too. A terminal with sixteen knows them as 30 to
//! 37 and 90 to 97; of `38;5;4` it may make something that blinks and is underlined. What the guest prints may have all of
//! the 256 and others: they become those of the sixteen that they are most like.

use std::io::{self, Write};

/// Bytes of a sequence, at most: what is longer is none of ours, and passed on.
const LONGEST: usize = 64;

/// Writes to a terminal, the sequences that choose colours in its own sixteen.
pub(super) struct Sixteen<W> {
    to: W,
    /// A sequence that has not come to its end.
    sequence: Vec<u8>,
}

impl<W: Write> Sixteen<W> {
    pub(super) fn new(to: W) -> Self {
        Sixteen { to, sequence: Vec::new() }
    }

    /// Passes on the sequence that has come to its end, or turned out to be none.
    fn end(&mut self) -> io::Result<()> {
        let sequence = std::mem::take(&mut self.sequence);
        match sequence.strip_prefix(b"\x1b[").and_then(|rest| rest.strip_suffix(b"m")).and_then(translated) {
            Some(text) => self.to.write_all(text.as_bytes()),
            None => self.to.write_all(&sequence),
        }
    }

    /// Takes a byte of a sequence.
    fn byte(&mut self, byte: u8) -> io::Result<()> {
        self.sequence.push(byte);
        let over = match self.sequence.len() {
            1 => false,
            2 => byte != b'[',
            len => (0x40..=0x7e).contains(&byte) || len > LONGEST,
        };
        if over { self.end() } else { Ok(()) }
    }
}

impl<W: Write> Write for Sixteen<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let mut rest = bytes;
        while let Some((&first, behind)) = rest.split_first() {
            if self.sequence.is_empty() && first != 0x1b {
                let plain = rest.iter().position(|&byte| byte == 0x1b).unwrap_or(rest.len());
                self.to.write_all(&rest[..plain])?;
                rest = &rest[plain..];
            } else {
                self.byte(first)?;
                rest = behind;
            }
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.to.flush()
    }
}

/// The numbers between `ESC [` and `m`, with colours out of sixteen; none where they are not understood.
fn translated(numbers: &[u8]) -> Option<String> {
    let text = std::str::from_utf8(numbers).ok()?;
    let mut numbers =
        text.split(';').map(|number| if number.is_empty() { Some(0) } else { number.parse::<u16>().ok() });
    let mut out: Vec<String> = Vec::new();
    while let Some(number) = numbers.next() {
        match number? {
            ground @ (38 | 48) => {
                let mut next = || numbers.next().flatten().and_then(|number| u8::try_from(number).ok());
                let colour = match next()? {
                    5 => of_256(next()?),
                    2 => nearest([next()?, next()?, next()?]),
                    _ => return None,
                };
                let base = if colour < 8 { ground - 8 } else { ground + 44 };
                out.push((base + u16::from(colour)).to_string());
            }
            other => out.push(other.to_string()),
        }
    }
    Some(format!("\x1b[{}m", out.join(";")))
}

/// One of the 256 as one of the sixteen.
fn of_256(colour: u8) -> u8 {
    match colour {
        0..16 => colour,
        16..232 => {
            // A cube, six to each side.
            let level = |n: u8| if n == 0 { 0 } else { 55 + 40 * n };
            let at = colour - 16;
            nearest([level(at / 36), level(at / 6 % 6), level(at % 6)])
        }
        232.. => nearest([8 + 10 * (colour - 232); 3]),
    }
}

/// The one of the sixteen that a colour is most like: which of its parts it has, and how bright it is.
fn nearest(rgb: [u8; 3]) -> u8 {
    let most = rgb.into_iter().max().unwrap_or(0);
    let least = rgb.into_iter().min().unwrap_or(0);
    if most - least < 40 {
        // No colour: black, dark grey, light grey, white.
        return match most {
            0..64 => 0,
            64..150 => 8,
            150..220 => 7,
            220.. => 15,
        };
    }
    let middle = least + (most - least) / 2;
    let parts = rgb.iter().enumerate().filter(|&(_, &part)| part > middle).map(|(n, _)| 1 << n).sum::<u8>();
    if most > 200 { parts + 8 } else { parts }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(pieces: &[&str]) -> String {
        let mut screen = Sixteen::new(Vec::new());
        pieces.iter().for_each(|piece| screen.write_all(piece.as_bytes()).unwrap());
        String::from_utf8(screen.to).unwrap()
    }

    #[test]
    fn colours_are_named_as_terminals_with_sixteen_have_them() {
        assert_eq!(written(&["\x1b[38;5;1;48;5;4mred on blue\x1b[0m"]), "\x1b[31;44mred on blue\x1b[0m");
        assert_eq!(written(&["\x1b[38;5;8m\x1b[48;5;15m"]), "\x1b[90m\x1b[107m");
        assert_eq!(written(&["\x1b[1m\x1b[39m\x1b[49m"]), "\x1b[1m\x1b[39m\x1b[49m");
        assert_eq!(written(&["\x1b[38;2;250;20;20m", "\x1b[38;5;196m"]), "\x1b[91m\x1b[91m");
    }

    #[test]
    fn sequences_may_come_in_pieces_and_others_are_left_alone() {
        assert_eq!(written(&["a\x1b", "[38;", "5;", "2", "mb"]), "a\x1b[32mb");
        let others = "\x1b[2J\x1b[10;20H\x1b[?25l\x1b7\x1b[38;5m\x1b[38;9;1m wide: 😀";
        assert_eq!(written(&[others]), others);
        let long = format!("\x1b[{}m", "1;".repeat(200));
        assert_eq!(written(&[&long]), long);
    }

    #[test]
    fn all_colours_become_one_that_is_like_them() {
        for colour in 0..=255 {
            assert!(of_256(colour) < 16, "{colour}");
        }
        let like = [(16, 0), (21, 12), (46, 10), (201, 13), (88, 1), (28, 2), (231, 15), (240, 8), (250, 7), (226, 11)];
        for (colour, expected) in like {
            assert_eq!(of_256(colour), expected, "{colour}");
        }
    }
}
