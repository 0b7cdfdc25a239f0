//! The framing of the remote serial protocol: `$body#checksum`, acknowledgements, and the interrupt byte.

/// The longest packet body taken, in bytes as they come: what the client is told with `qSupported`.
pub(super) const MAX_PACKET: usize = 0x1_0000;

/// The byte that Ctrl-C sends.
const INTERRUPT: u8 = 0x03;

/// What a client sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Inbound {
    /// The body of a packet, as it came: binary data in it is still escaped.
    Packet(Vec<u8>),
    /// Ctrl-C.
    Interrupt,
    /// The last reply has to be sent again.
    Nack,
    /// A packet that is too long or has a wrong checksum.
    Damaged,
}

#[derive(Debug, Default)]
enum State {
    #[default]
    Between,
    Body,
    /// After `#`; with the first digit of the checksum, if it has come.
    Checksum(Option<u8>),
}

/// Cuts what a client sends into packets.
#[derive(Debug, Default)]
pub(super) struct Framer {
    state: State,
    body: Vec<u8>,
    /// The body is longer than [`MAX_PACKET`]; its rest is thrown away.
    too_long: bool,
}

impl Framer {
    /// Takes bytes; gives what they complete.
    pub(super) fn push(&mut self, bytes: &[u8]) -> Vec<Inbound> {
        bytes.iter().filter_map(|&byte| self.byte(byte)).collect()
    }

    fn byte(&mut self, byte: u8) -> Option<Inbound> {
        match self.state {
            State::Between => match byte {
                b'$' => {
                    self.body.clear();
                    self.too_long = false;
                    self.state = State::Body;
                    None
                }
                INTERRUPT => Some(Inbound::Interrupt),
                b'-' => Some(Inbound::Nack),
                // Acknowledgements, and whatever stands between packets.
                _ => None,
            },
            State::Body => {
                match byte {
                    b'#' => self.state = State::Checksum(None),
                    // A packet begins anew: the one before was cut off.
                    b'$' => {
                        self.body.clear();
                        self.too_long = false;
                    }
                    _ if self.body.len() == MAX_PACKET => self.too_long = true,
                    _ => self.body.push(byte),
                }
                None
            }
            State::Checksum(None) => {
                self.state = State::Checksum(Some(byte));
                None
            }
            State::Checksum(Some(first)) => {
                self.state = State::Between;
                let body = std::mem::take(&mut self.body);
                let expected = digit(first).zip(digit(byte)).map(|(high, low)| high << 4 | low);
                let intact = !self.too_long && expected == Some(checksum(&body));
                Some(if intact { Inbound::Packet(body) } else { Inbound::Damaged })
            }
        }
    }
}

/// The sum that ends a packet.
pub(super) fn checksum(body: &[u8]) -> u8 {
    body.iter().fold(0, |sum, &byte| sum.wrapping_add(byte))
}

/// A body as a packet. It must not contain `$` or `#` other than escaped.
pub(super) fn packet(body: &[u8]) -> Vec<u8> {
    let mut packet = Vec::with_capacity(body.len() + 4);
    packet.push(b'$');
    packet.extend_from_slice(body);
    packet.extend_from_slice(format!("#{:02x}", checksum(body)).as_bytes());
    packet
}

/// Binary data as it may stand in a packet.
pub(super) fn escaped(bytes: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(bytes.len());
    for &byte in bytes {
        // `*` would begin a repetition.
        if matches!(byte, b'$' | b'#' | b'}' | b'*') {
            out.extend([b'}', byte ^ 0x20]);
        } else {
            out.push(byte);
        }
    }
    out
}

/// Bytes as pairs of hexadecimal digits.
pub(super) fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write as _;
    bytes.iter().fold(String::with_capacity(bytes.len() * 2), |mut text, byte| {
        // Writing to a string does not fail.
        let _ = write!(text, "{byte:02x}");
        text
    })
}

/// A hexadecimal number of at most 64 bits.
pub(super) fn number(text: &[u8]) -> Option<u64> {
    if text.is_empty() || !text.iter().all(u8::is_ascii_hexdigit) {
        return None;
    }
    u64::from_str_radix(std::str::from_utf8(text).ok()?, 16).ok()
}

fn digit(byte: u8) -> Option<u8> {
    char::from(byte).to_digit(16).map(|digit| digit as u8)
}

/// The part of an object that a `qXfer:…:read` asks for by `offset,length`, as a reply.
pub(super) fn transfer(object: &[u8], range: &[u8]) -> Option<Vec<u8>> {
    let comma = range.iter().position(|&byte| byte == b',')?;
    let offset = usize::try_from(number(&range[..comma])?).ok()?;
    let wanted = usize::try_from(number(&range[comma + 1..])?).ok()?;
    // Escaped, it may become twice as long.
    let rest = object.get(offset..).unwrap_or_default();
    let part = &rest[..rest.len().min(wanted).min(MAX_PACKET / 2 - 8)];
    let mut reply = vec![if part.len() == rest.len() { b'l' } else { b'm' }];
    reply.extend(escaped(part));
    Some(reply)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn packets_are_found_between_other_things() {
        let mut framer = Framer::default();
        let inbound = framer.push(b"+$g#67xx\x03-$m0,4#");
        assert_eq!(inbound, [Inbound::Packet(b"g".to_vec()), Inbound::Interrupt, Inbound::Nack]);
        assert_eq!(framer.push(b"fd"), [Inbound::Packet(b"m0,4".to_vec())]);
    }

    #[test]
    fn damaged_packets_are_told_apart_and_do_not_hurt_the_next() {
        let mut framer = Framer::default();
        assert_eq!(framer.push(b"$g#68$g#6"), [Inbound::Damaged]);
        assert_eq!(framer.push(b"7"), [Inbound::Packet(b"g".to_vec())]);
        assert_eq!(framer.push(b"$m0,$g#67"), [Inbound::Packet(b"g".to_vec())], "cut off, and begun anew");
        let mut long = vec![b'$'];
        long.resize(MAX_PACKET + 10, b'a');
        assert_eq!(framer.push(&long), []);
        assert_eq!(framer.push(b"#00$g#67"), [Inbound::Damaged, Inbound::Packet(b"g".to_vec())]);
    }

    #[test]
    fn objects_come_in_parts() {
        assert_eq!(transfer(b"abcdef", b"0,4").as_deref(), Some(&b"mabcd"[..]));
        assert_eq!(transfer(b"abcdef", b"4,4").as_deref(), Some(&b"lef"[..]));
        assert_eq!(transfer(b"abcdef", b"9,4").as_deref(), Some(&b"l"[..]));
        assert_eq!(transfer(b"a$#}*", b"0,ffffffffffffffff").as_deref(), Some(&b"la}\x04}\x03}]}\n"[..]));
        assert_eq!(transfer(b"a", b"zz,4"), None);
    }

    proptest! {
        #[test]
        fn what_is_framed_is_found_again(body in proptest::collection::vec(any::<u8>(), 0..200), cut in 0..200_usize) {
            let body = escaped(&body);
            let wire = packet(&body);
            let mut framer = Framer::default();
            let mut found = framer.push(&wire[..cut.min(wire.len())]);
            found.extend(framer.push(&wire[cut.min(wire.len())..]));
            prop_assert_eq!(found, [Inbound::Packet(body)]);
        }
    }
}
