//! Reading a recording.

use std::io::{self, Read, Seek, SeekFrom, Write};

use super::block::{BLOCK_HEADER, BlockHeader, BlockKind, FILE_HEADER, FORMAT_VERSION, MAGIC, file_header};
use super::entry::{self, Entry, Position};
use super::error::{Damage, OpenError, ReadError};
use super::header::{End, Header};
use super::index::{Index, Point};
use crate::Tick;

/// Where a recording ends, and why there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Ending {
    /// It is whole.
    Complete(Box<End>),
    /// It was cut off: the recorder was killed, its disk was full, or the file was shortened.
    Cut {
        /// Bytes that are whole.
        at: u64,
        /// Bytes behind them, of a block that is not all there.
        lost: u64,
    },
    /// It is damaged. More damage may show when it is read.
    Damaged {
        /// Bytes before the first block that is damaged.
        at: u64,
        /// What is wrong with that.
        damage: Damage,
    },
}

/// How much of a recording is of one kind.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Share {
    /// Blocks.
    pub blocks: u64,
    /// Bytes in the file.
    pub stored: u64,
    /// Bytes unpacked.
    pub unpacked: u64,
}

/// An open recording.
#[derive(Debug)]
pub struct Recording<R> {
    source: R,
    header: Header,
    ending: Ending,
    index: Index,
    shares: [Share; 4],
    /// Where the first block begins, and what its checksum is seeded with.
    start: Cursor,
    /// Bytes that are whole, as far as headers tell.
    whole: u64,
}

/// A place between two blocks.
#[derive(Debug, Clone, Copy)]
struct Cursor {
    at: u64,
    before: u64,
}

/// What is found at a place between two blocks.
enum Found {
    Block(BlockHeader),
    Nothing,
    Cut,
    Damaged(Damage),
}

impl Cursor {
    /// Looks at the block here, in a file of `len` bytes.
    fn look(self, source: &mut (impl Read + Seek), len: u64) -> io::Result<Found> {
        let left = len.saturating_sub(self.at);
        if left == 0 {
            return Ok(Found::Nothing);
        }
        if left < BLOCK_HEADER as u64 {
            return Ok(Found::Cut);
        }
        source.seek(SeekFrom::Start(self.at))?;
        let mut bytes = [0; BLOCK_HEADER];
        source.read_exact(&mut bytes)?;
        if bytes == [0; BLOCK_HEADER] {
            // After a power cut a file may be longer than what was written of it.
            return Ok(Found::Cut);
        }
        Ok(match BlockHeader::parse(&bytes, self.before) {
            Err(damage) => Found::Damaged(damage),
            Ok(header) if left - (BLOCK_HEADER as u64) < u64::from(header.payload) => Found::Cut,
            Ok(header) => Found::Block(header),
        })
    }

    /// The place behind the block here.
    fn behind(self, header: &BlockHeader) -> Cursor {
        Cursor { at: self.at + BLOCK_HEADER as u64 + u64::from(header.payload), before: header.checksum }
    }

    /// The payload of the block here.
    fn payload(self, header: &BlockHeader, source: &mut (impl Read + Seek)) -> Result<Vec<u8>, ReadError> {
        source.seek(SeekFrom::Start(self.at + BLOCK_HEADER as u64))?;
        let mut payload = vec![0; header.payload as usize];
        source.read_exact(&mut payload)?;
        match header.is_of(&payload) {
            true => Ok(payload),
            false => Err(self.damaged(Damage::Checksum)),
        }
    }

    fn damaged(self, damage: Damage) -> ReadError {
        ReadError::Damaged { at: self.at, damage }
    }
}

/// Checks the first bytes of a file and gives the place of its first block.
fn begin(source: &mut (impl Read + Seek), len: u64) -> Result<Cursor, OpenError> {
    source.rewind()?;
    let mut start = Vec::new();
    source.by_ref().take(FILE_HEADER as u64).read_to_end(&mut start)?;
    if start.is_empty() || !start.starts_with(&MAGIC[..MAGIC.len().min(start.len())]) {
        return Err(OpenError::NotARecording);
    }
    let Some(start) = start.first_chunk::<FILE_HEADER>() else { return Err(OpenError::Empty(len)) };
    let version = u32::from_le_bytes([start[8], start[9], start[10], start[11]]);
    let (wanted, before) = file_header(version);
    match version {
        _ if wanted != *start => Err(OpenError::Start(FILE_HEADER as u64)),
        0 => Err(OpenError::Version(version)),
        _ if version > FORMAT_VERSION => Err(OpenError::Newer(version)),
        _ => Ok(Cursor { at: FILE_HEADER as u64, before }),
    }
}

impl<R: Read + Seek> Recording<R> {
    /// Opens a recording: reads its header and its end, and finds all blocks between.
    ///
    /// # Errors
    ///
    /// Where it is none, or of a version that cannot be read, or nothing is left of it. One that is cut off or damaged
    /// later on opens: see [`Recording::ending`].
    pub fn open(mut source: R) -> Result<Self, OpenError> {
        let len = source.seek(SeekFrom::End(0))?;
        let start = begin(&mut source, len)?;
        let first = match start.look(&mut source, len)? {
            Found::Block(header) if header.kind == BlockKind::Header => header,
            Found::Cut | Found::Nothing => return Err(OpenError::Empty(len)),
            Found::Block(_) | Found::Damaged(_) => return Err(OpenError::Start(start.at + BLOCK_HEADER as u64)),
        };
        let whole = |payload: Vec<u8>| first.unpack(&payload).map_err(|damage| start.damaged(damage));
        let header = match start.payload(&first, &mut source).and_then(whole) {
            Ok(header) => header,
            Err(ReadError::Io(error)) => return Err(error.into()),
            Err(_) => return Err(OpenError::Start(start.behind(&first).at)),
        };
        let header = serde_json::from_slice(&header).map_err(|error| OpenError::Header(error.to_string()))?;
        let ending = Ending::Cut { at: 0, lost: 0 };
        let (index, shares) = (Index::default(), Default::default());
        let mut recording = Recording { source, header, ending, index, shares, start, whole: 0 };
        recording.scan(len)?;
        Ok(recording)
    }

    /// Goes through all blocks by their headers.
    fn scan(&mut self, len: u64) -> io::Result<()> {
        let mut cursor = self.start;
        let mut end = None;
        let ending = loop {
            let header = match cursor.look(&mut self.source, len)? {
                Found::Nothing => break end.unwrap_or(Ending::Cut { at: cursor.at, lost: 0 }),
                Found::Cut if end.is_none() => break Ending::Cut { at: cursor.at, lost: len - cursor.at },
                Found::Damaged(damage) if end.is_none() => break Ending::Damaged { at: cursor.at, damage },
                Found::Block(header) if end.is_none() => header,
                _ => break Ending::Damaged { at: cursor.at, damage: Damage::BehindEnd },
            };
            match header.kind {
                BlockKind::Header if cursor.at != self.start.at => {
                    break Ending::Damaged { at: cursor.at, damage: Damage::Contents("a second header") };
                }
                BlockKind::Entries => {
                    let mut position = [0; 24];
                    self.source.read_exact(&mut position)?;
                    let position = Position::from_bytes(&position);
                    self.index.add(Point { position, at: cursor.at, before: cursor.before });
                }
                BlockKind::End => end = Some(self.read_end(cursor, &header)?),
                BlockKind::Header | BlockKind::Piece => {}
            }
            let share = &mut self.shares[header.kind as usize];
            share.blocks += 1;
            share.stored += BLOCK_HEADER as u64 + u64::from(header.payload);
            share.unpacked += u64::from(header.body);
            cursor = cursor.behind(&header);
        };
        self.whole = cursor.at;
        self.ending = ending;
        Ok(())
    }

    fn read_end(&mut self, cursor: Cursor, header: &BlockHeader) -> io::Result<Ending> {
        let payload = match cursor.payload(header, &mut self.source) {
            Ok(payload) => payload,
            Err(ReadError::Io(error)) => return Err(error),
            Err(_) => return Ok(Ending::Damaged { at: cursor.at, damage: Damage::Checksum }),
        };
        let end = header.unpack(&payload).and_then(|body| {
            serde_json::from_slice::<End>(&body).map_err(|_| Damage::Contents("the end cannot be read"))
        });
        Ok(match end {
            Ok(end) => Ending::Complete(Box::new(end)),
            Err(damage) => Ending::Damaged { at: cursor.at, damage },
        })
    }

    /// What was run.
    pub fn header(&self) -> &Header {
        &self.header
    }

    /// Where it ends, and why there.
    pub fn ending(&self) -> &Ending {
        &self.ending
    }

    /// How much of it is of this kind.
    pub fn share(&self, kind: BlockKind) -> Share {
        self.shares[kind as usize]
    }

    /// What happened, from the beginning.
    pub fn entries(&mut self) -> Entries<&mut R> {
        Entries::new(&mut self.source, self.start, self.whole)
    }

    /// The same, for one who needs nothing else of the recording.
    pub fn into_entries(self) -> Entries<R> {
        Entries::new(self.source, self.start, self.whole)
    }

    /// What happened from `tick` on, and what little comes before it in the same block.
    pub fn entries_from(&mut self, tick: Tick) -> Entries<&mut R> {
        let point = self.index.last_before(|position| position.tick < tick);
        let cursor = point.map_or(self.start, |point| Cursor { at: point.at, before: point.before });
        Entries::new(&mut self.source, cursor, self.whole)
    }

    /// Writes a file of the guest's: the one with this number in the header. Its hash is the caller's to check.
    ///
    /// # Errors
    ///
    /// Where it is not embedded, not all there, or damaged; or `out` fails.
    pub fn file(&mut self, number: usize, out: &mut dyn Write) -> Result<(), ReadError> {
        let file = self.header.files.get(number);
        let (name, hash, len) = file.map_or_else(Default::default, |f| (f.name.clone(), f.hash.clone(), f.len));
        let mut got = 0;
        let mut cursor = self.start;
        while got < len
            && let Found::Block(header) = cursor.look(&mut self.source, self.whole)?
        {
            if header.kind == BlockKind::Piece {
                let payload = cursor.payload(&header, &mut self.source)?;
                let (of, rest) = payload.split_first_chunk::<4>().unwrap_or((&[0; 4], &[]));
                let offset = rest.first_chunk::<8>().unwrap_or(&[0; 8]);
                if u32::from_le_bytes(*of) as usize == number && u64::from_le_bytes(*offset) == got {
                    let piece = header.unpack(&payload).map_err(|damage| cursor.damaged(damage))?;
                    got += piece.len() as u64;
                    if got > len || piece.is_empty() {
                        return Err(cursor.damaged(Damage::Contents("a file is longer than it should be")));
                    }
                    out.write_all(&piece)?;
                }
            }
            cursor = cursor.behind(&header);
        }
        match got == len && !hash.is_empty() {
            true => Ok(()),
            false => Err(ReadError::Missing { name, at: got, hash }),
        }
    }
}

/// What happened in a run, in order, each with its position. After an error nothing follows.
#[derive(Debug)]
pub struct Entries<R> {
    source: R,
    cursor: Cursor,
    /// Bytes that are whole.
    whole: u64,
    /// The block that is being read: where it begins, its body, and how much of that was taken.
    block: Cursor,
    body: Vec<u8>,
    taken: usize,
    position: Position,
    failed: bool,
}

impl<R: Read + Seek> Entries<R> {
    fn new(source: R, cursor: Cursor, whole: u64) -> Self {
        let position = Position::default();
        Entries { source, cursor, whole, block: cursor, body: Vec::new(), taken: 0, position, failed: false }
    }

    /// The position of the last entry.
    pub fn position(&self) -> Position {
        self.position
    }

    fn advance(&mut self) -> Result<Option<(Position, Entry)>, ReadError> {
        loop {
            while self.taken < self.body.len() {
                let mut rest = &self.body[self.taken..];
                let taken = entry::take(&mut rest, &mut self.position);
                self.taken = self.body.len() - rest.len();
                if let Some(entry) = taken.map_err(|damage| self.block.damaged(damage))? {
                    return Ok(Some((self.position, entry)));
                }
            }
            let header = match self.cursor.look(&mut self.source, self.whole)? {
                Found::Block(header) => header,
                Found::Nothing | Found::Cut => return Ok(None),
                // Found when the recording was opened, unless the file has changed since.
                Found::Damaged(damage) => return Err(self.cursor.damaged(damage)),
            };
            self.block = self.cursor;
            self.cursor = self.cursor.behind(&header);
            if header.kind == BlockKind::Entries {
                self.load(&header)?;
            }
        }
    }

    fn load(&mut self, header: &BlockHeader) -> Result<(), ReadError> {
        let payload = self.block.payload(header, &mut self.source)?;
        let damaged = |damage| self.block.damaged(damage);
        let body = header.unpack(&payload).map_err(damaged)?;
        let first = payload.first_chunk::<24>().map(Position::from_bytes).unwrap_or_default();
        if first.since(self.position).is_none() {
            return Err(damaged(Damage::Contents("its position is before the last one's")));
        }
        (self.body, self.taken, self.position) = (body, 0, first);
        Ok(())
    }
}

impl<R: Read + Seek> Iterator for Entries<R> {
    type Item = Result<(Position, Entry), ReadError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.failed {
            return None;
        }
        let next = self.advance();
        self.failed = next.is_err();
        next.transpose()
    }
}
