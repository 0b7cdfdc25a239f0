//! A file whose place of reading is this process's own: copies of a process share the system's.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::os::unix::fs::FileExt;

/// A file that is read, with an offset of its own.
#[derive(Debug)]
pub(super) struct OwnOffset {
    file: File,
    at: u64,
}

impl OwnOffset {
    /// The file from its beginning, wherever it was read before.
    pub(super) fn new(file: File) -> Self {
        OwnOffset { file, at: 0 }
    }
}

impl Read for OwnOffset {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        let read = self.file.read_at(buf, self.at)?;
        self.at += read as u64;
        Ok(read)
    }
}

impl Seek for OwnOffset {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        let at = match to {
            SeekFrom::Start(at) => Some(at),
            SeekFrom::Current(by) => self.at.checked_add_signed(by),
            SeekFrom::End(by) => self.file.metadata()?.len().checked_add_signed(by),
        };
        self.at = at.ok_or_else(|| io::Error::new(io::ErrorKind::InvalidInput, "a place before the file"))?;
        Ok(self.at)
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    #[test]
    fn two_readers_of_one_open_file_do_not_disturb_each_other() {
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(b"0123456789").unwrap();
        let (mut one, mut other) = (OwnOffset::new(file.try_clone().unwrap()), OwnOffset::new(file));
        let mut bytes = [0; 4];
        one.read_exact(&mut bytes).unwrap();
        assert_eq!(other.seek(SeekFrom::End(-2)).unwrap(), 8);
        one.read_exact(&mut bytes).unwrap();
        assert_eq!(&bytes, b"4567");
        assert_eq!(other.read(&mut bytes).unwrap(), 2);
        assert_eq!(&bytes[..2], b"89");
        assert!(other.seek(SeekFrom::Current(-11)).is_err());
        assert_eq!(other.seek(SeekFrom::Current(-10)).unwrap(), 0);
    }
}
