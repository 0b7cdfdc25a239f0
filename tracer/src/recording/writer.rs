//! Writing a recording, block by block.

use std::fs::File;
use std::io::{self, Write};

use xxhash_rust::xxh3::xxh3_64;

use super::block::{BlockHeader, BlockKind, FORMAT_VERSION, MAX_BODY, file_header};
use super::entry::{Entry, Intervention, Position, ToStore};
use super::header::{End, Header};

/// Bytes of a file in one block, before they are packed.
pub const PIECE: usize = 1 << 20;
/// Bytes of entries that make a block full, before they are packed.
const FULL: usize = 64 << 10;
/// The most bytes of console or memory in one entry.
const MAX_BYTES: usize = 32 << 10;
/// How hard to pack: entries come while a run goes on, and a kernel is packed while it boots.
const LEVEL: i32 = 3;

/// Where a recording is written to.
pub trait Sink: Write + Send {
    /// Cuts the file off after `len` bytes, to get rid of a block that is not whole.
    ///
    /// # Errors
    ///
    /// As the file system's.
    fn cut(&mut self, len: u64) -> io::Result<()>;

    /// Sees to it that what was written survives a power cut.
    ///
    /// # Errors
    ///
    /// As the file system's.
    fn sync(&mut self) -> io::Result<()>;
}

impl Sink for File {
    fn cut(&mut self, len: u64) -> io::Result<()> {
        self.set_len(len)
    }

    fn sync(&mut self) -> io::Result<()> {
        match self.sync_data() {
            // What is no file on a disk (a pipe, a device) cannot be synchronised.
            Err(error) if error.kind() == io::ErrorKind::InvalidInput => Ok(()),
            result => result,
        }
    }
}

impl Sink for Vec<u8> {
    fn cut(&mut self, len: u64) -> io::Result<()> {
        self.truncate(usize::try_from(len).unwrap_or(usize::MAX));
        Ok(())
    }

    fn sync(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl<S: Sink + ?Sized> Sink for Box<S> {
    fn cut(&mut self, len: u64) -> io::Result<()> {
        (**self).cut(len)
    }

    fn sync(&mut self) -> io::Result<()> {
        (**self).sync()
    }
}

/// A file of the guest's, packed to be put into recordings: it is worth keeping, for packing takes its time.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Packed(Vec<u8>);

/// Packs a file.
///
/// # Errors
///
/// As zstd's.
pub fn pack(file: &[u8]) -> io::Result<Packed> {
    let mut packer = zstd::bulk::Compressor::new(LEVEL)?;
    let mut bytes = vec![0; 8];
    for piece in file.chunks(PIECE) {
        let stored = packer.compress(piece)?;
        bytes.extend((piece.len() as u32).to_le_bytes());
        bytes.extend((stored.len() as u32).to_le_bytes());
        bytes.extend(stored);
    }
    let checksum = xxh3_64(&bytes[8..]);
    bytes[..8].copy_from_slice(&checksum.to_le_bytes());
    Ok(Packed(bytes))
}

impl Packed {
    /// To be kept.
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    /// What was kept; none where it is not as it was.
    pub fn from_bytes(bytes: Vec<u8>) -> Option<Packed> {
        let (checksum, rest) = bytes.split_first_chunk::<8>()?;
        (xxh3_64(rest) == u64::from_le_bytes(*checksum)).then_some(Packed(bytes))
    }

    /// Length before packing and packed bytes of each piece.
    fn pieces(&self) -> impl Iterator<Item = (u32, &[u8])> {
        let mut rest = self.0.get(8..).unwrap_or_default();
        std::iter::from_fn(move || {
            let (len, after) = rest.split_first_chunk::<4>()?;
            let (stored, after) = after.split_first_chunk::<4>()?;
            let (piece, after) = after.split_at_checked(u32::from_le_bytes(*stored) as usize)?;
            rest = after;
            Some((u32::from_le_bytes(*len), piece))
        })
    }
}

/// Writes a recording. After an error the file ends with the last whole block and nothing more can be written.
pub struct Writer<S: Sink> {
    sink: S,
    /// The checksum of the last block.
    chain: u64,
    /// Bytes written, all of them whole blocks.
    len: u64,
    /// Entries that are not written yet.
    pending: Vec<u8>,
    /// The position before the first of them.
    first: Position,
    /// The position of the last.
    last: Position,
}

impl<S: Sink> Writer<S> {
    /// Begins a recording.
    ///
    /// # Errors
    ///
    /// As the sink's.
    pub fn new(mut sink: S, header: &Header) -> io::Result<Self> {
        let (start, chain) = file_header(FORMAT_VERSION);
        sink.write_all(&start)?;
        let position = Position::default();
        let len = start.len() as u64;
        let mut writer = Writer { sink, chain, len, pending: Vec::new(), first: position, last: position };
        let header = serde_json::to_vec(header).map_err(io::Error::other)?;
        writer.body(BlockKind::Header, &[], &header)?;
        Ok(writer)
    }

    /// Bytes written.
    pub fn written(&self) -> u64 {
        self.len
    }

    /// Whether there are entries that are not written yet.
    pub fn has_pending(&self) -> bool {
        !self.pending.is_empty()
    }

    /// Adds what happened at a position, which is not before the last one's. Writes when there is enough for a block.
    ///
    /// # Errors
    ///
    /// As the sink's; also where an entry is larger than any block.
    pub fn entry(&mut self, position: Position, entry: &Entry) -> io::Result<()> {
        match entry {
            Entry::Input(bytes) => self.in_parts(position, bytes, |part, _| Entry::Input(part)),
            Entry::Console(bytes) => self.in_parts(position, bytes, |part, _| Entry::Console(part)),
            Entry::Intervention(Intervention::WriteMemory { address, bytes }) => {
                self.in_parts(position, bytes, |bytes, offset| {
                    let address = address.saturating_add(offset);
                    Entry::Intervention(Intervention::WriteMemory { address, bytes })
                })
            }
            Entry::Intervention(_) | Entry::Event(_) | Entry::Check(_) => self.store(position, entry),
        }
    }

    fn in_parts(&mut self, position: Position, bytes: &[u8], entry: impl Fn(Vec<u8>, u64) -> Entry) -> io::Result<()> {
        for (number, part) in bytes.chunks(MAX_BYTES).enumerate() {
            self.store(position, &entry(part.to_vec(), (number * MAX_BYTES) as u64))?;
        }
        Ok(())
    }

    fn store(&mut self, position: Position, entry: &Entry) -> io::Result<()> {
        let from = self.pending.len();
        let moved = position.since(self.last).ok_or_else(|| {
            io::Error::new(io::ErrorKind::InvalidInput, format!("{position} comes before {}", self.last))
        })?;
        if from == 0 {
            self.first = position;
        } else if position != self.last {
            self.append(&moved)?;
        }
        self.append(&ToStore::Entry(entry))?;
        if self.pending.len() - from > MAX_BODY - FULL {
            return Err(io::Error::other(format!("an {} of {} bytes", entry.kind(), self.pending.len() - from)));
        }
        self.last = position;
        match self.pending.len() >= FULL {
            true => self.flush(),
            false => Ok(()),
        }
    }

    fn append(&mut self, stored: &ToStore<'_>) -> io::Result<()> {
        let pending = std::mem::take(&mut self.pending);
        self.pending = postcard::to_extend(stored, pending).map_err(io::Error::other)?;
        Ok(())
    }

    /// Writes what is pending, as a block.
    ///
    /// # Errors
    ///
    /// As the sink's.
    pub fn flush(&mut self) -> io::Result<()> {
        if self.pending.is_empty() {
            return Ok(());
        }
        let body = std::mem::take(&mut self.pending);
        self.body(BlockKind::Entries, &self.first.to_bytes(), &body)?;
        self.pending = body;
        self.pending.clear();
        self.sink.flush()
    }

    /// Puts a file of the guest's into the recording: the one with this number in the header.
    ///
    /// # Errors
    ///
    /// As the sink's.
    pub fn file(&mut self, number: u32, file: &Packed) -> io::Result<()> {
        self.flush()?;
        let mut offset = 0u64;
        for (len, piece) in file.pieces() {
            let mut payload = Vec::with_capacity(12 + piece.len());
            payload.extend(number.to_le_bytes());
            payload.extend(offset.to_le_bytes());
            payload.extend(piece);
            self.block(BlockKind::Piece, true, &payload, len)?;
            offset += u64::from(len);
        }
        self.sink.flush()
    }

    /// Ends the recording.
    ///
    /// # Errors
    ///
    /// As the sink's.
    pub fn end(mut self, end: &End) -> io::Result<S> {
        self.flush()?;
        let end = serde_json::to_vec(end).map_err(io::Error::other)?;
        self.body(BlockKind::End, &[], &end)?;
        self.into_sink()
    }

    /// Leaves the recording without an end, as of a run that was cut off.
    ///
    /// # Errors
    ///
    /// As the sink's.
    pub fn into_sink(mut self) -> io::Result<S> {
        self.flush()?;
        self.sink.flush()?;
        self.sink.sync()?;
        Ok(self.sink)
    }

    /// Sees to it that what was written survives a power cut.
    ///
    /// # Errors
    ///
    /// As the sink's.
    pub fn sync(&mut self) -> io::Result<()> {
        self.sink.sync()
    }

    fn body(&mut self, kind: BlockKind, prefix: &[u8], body: &[u8]) -> io::Result<()> {
        let mut payload = prefix.to_vec();
        let packed = zstd::bulk::compress(body, LEVEL)?;
        let smaller = packed.len() < body.len();
        payload.extend_from_slice(if smaller { &packed } else { body });
        let len = u32::try_from(body.len()).ok().filter(|&len| len as usize <= MAX_BODY);
        let len = len.ok_or_else(|| io::Error::other(format!("a block of {} bytes", body.len())))?;
        self.block(kind, smaller, &payload, len)
    }

    fn block(&mut self, kind: BlockKind, packed: bool, payload: &[u8], body: u32) -> io::Result<()> {
        let header = BlockHeader::of(kind, packed, payload, body, self.chain);
        let mut bytes = header.to_bytes(self.chain).to_vec();
        bytes.extend_from_slice(payload);
        if let Err(error) = self.sink.write_all(&bytes) {
            // Where this fails too, readers find the block incomplete.
            let _ = self.sink.cut(self.len);
            return Err(error);
        }
        self.chain = header.checksum;
        self.len += bytes.len() as u64;
        Ok(())
    }
}
