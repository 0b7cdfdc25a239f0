//! Finds a text in a stream of console bytes that comes in pieces.

/// Looks for one text in a stream. Linear in the stream's length, with memory for the text alone (Knuth, Morris, Pratt).
///
/// A carriage return right before a newline does not count, neither in the stream nor in the text; whether a carriage
/// return stands alone is known only once the byte after it has come.
#[derive(Debug, Clone)]
pub struct TextMatcher {
    text: Box<[u8]>,
    /// For every length of a matched beginning, the length of its longest proper border: its longest beginning that is
    /// also its end.
    borders: Box<[usize]>,
    /// How much of the text the last bytes of the stream match.
    matched: usize,
    /// The last byte was a carriage return that has not been looked at.
    carriage_return: bool,
}

impl TextMatcher {
    /// A matcher at the start of a stream. An empty text is found at once.
    pub fn new(text: &[u8]) -> Self {
        let mut normal = Vec::with_capacity(text.len());
        for (index, &byte) in text.iter().enumerate() {
            if byte != b'\r' || text.get(index + 1) != Some(&b'\n') {
                normal.push(byte);
            }
        }
        let text = normal.into_boxed_slice();
        let mut borders = vec![0; text.len() + 1];
        let mut border = 0;
        for end in 1..text.len() {
            while border > 0 && text[border] != text[end] {
                border = borders[border];
            }
            border += usize::from(text[border] == text[end]);
            borders[end + 1] = border;
        }
        TextMatcher { text, borders: borders.into_boxed_slice(), matched: 0, carriage_return: false }
    }

    /// Takes the next bytes of the stream. If the text ends among them, returns how many were used up to its end; the
    /// matcher is then done, and the rest of the bytes is for whoever comes next.
    pub fn feed(&mut self, bytes: &[u8]) -> Option<usize> {
        if self.is_found() {
            return Some(0);
        }
        for (index, &byte) in bytes.iter().enumerate() {
            if std::mem::take(&mut self.carriage_return) && byte != b'\n' && self.step(b'\r') {
                return Some(index);
            }
            if byte == b'\r' {
                self.carriage_return = true;
            } else if self.step(byte) {
                return Some(index + 1);
            }
        }
        None
    }

    /// Whether the text has been seen.
    pub fn is_found(&self) -> bool {
        self.matched == self.text.len()
    }

    fn step(&mut self, byte: u8) -> bool {
        while self.matched > 0 && self.text[self.matched] != byte {
            self.matched = self.borders[self.matched];
        }
        self.matched += usize::from(self.text[self.matched] == byte);
        self.is_found()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn found_in(text: &[u8], pieces: &[&[u8]]) -> bool {
        let mut matcher = TextMatcher::new(text);
        pieces.iter().any(|piece| matcher.feed(piece).is_some())
    }

    #[test]
    fn carriage_returns_before_newlines_do_not_count() {
        assert!(found_in(b"a\nb", &[b"a\r\nb"]));
        assert!(found_in(b"a\r\nb", &[b"a\nb"]));
        assert!(found_in(b"a\r\nb", &[b"a\r", b"\nb"]));
        assert!(!found_in(b"a\rb", &[b"a\r\nb"]));
        assert!(found_in(b"a\rb", &[b"a\r", b"b"]));
        assert!(found_in(b"\r", &[b"\r\r\n"]));
    }

    #[test]
    fn the_rest_of_a_piece_is_left() {
        let mut matcher = TextMatcher::new(b"login: ");
        assert_eq!(matcher.feed(b"log"), None);
        assert_eq!(matcher.feed(b"in: root"), Some(4));
        assert_eq!(matcher.feed(b"more"), Some(0));
        assert_eq!(TextMatcher::new(b"").feed(b""), Some(0));
    }

    /// The rule, told plainly.
    fn normalised(bytes: &[u8]) -> Vec<u8> {
        let keep = |&(index, &byte): &(usize, &u8)| byte != b'\r' || bytes.get(index + 1) != Some(&b'\n');
        bytes.iter().enumerate().filter(keep).map(|(_, &byte)| byte).collect()
    }

    proptest! {
        #[test]
        fn finds_what_a_plain_search_finds(
            text in prop::collection::vec(prop::sample::select(b"ab\r\n".to_vec()), 1..6),
            stream in prop::collection::vec(prop::sample::select(b"ab\r\n".to_vec()), 0..40),
            cut in 1usize..8,
        ) {
            let mut stream = stream;
            stream.push(b'.');
            let (plain_text, plain) = (normalised(&text), normalised(&stream));
            let expected = plain.windows(plain_text.len()).any(|window| window == plain_text);
            let pieces: Vec<&[u8]> = stream.chunks(cut).collect();
            prop_assert_eq!(found_in(&text, &pieces), expected);
        }
    }
}
