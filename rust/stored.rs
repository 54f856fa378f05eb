//! Where a photograph's file is: in memory, or on disk, from which it is read when needed.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::path::Path;

/// A photograph's file.
pub trait Stored: Sync {
    /// At least its first `most` bytes, or all of them, read into `buffer` if not in memory.
    ///
    /// # Errors
    /// They cannot be read.
    fn start<'a>(&'a self, most: u64, buffer: &'a mut Vec<u8>) -> io::Result<&'a [u8]>;

    /// All its bytes.
    ///
    /// # Errors
    /// They cannot be read.
    fn bytes<'a>(&'a self, buffer: &'a mut Vec<u8>) -> io::Result<&'a [u8]> {
        self.start(u64::MAX, buffer)
    }
}

impl Stored for &[u8] {
    fn start<'a>(&'a self, _most: u64, _buffer: &'a mut Vec<u8>) -> io::Result<&'a [u8]> {
        Ok(self)
    }
}

impl Stored for Vec<u8> {
    fn start<'a>(&'a self, _most: u64, _buffer: &'a mut Vec<u8>) -> io::Result<&'a [u8]> {
        Ok(self)
    }
}

/// Bytes of a file on disk.
#[derive(Clone, Copy, Debug)]
pub struct Place<'a> {
    /// The file.
    pub path: &'a Path,
    /// Where they begin.
    pub offset: u64,
    /// How many there are.
    pub length: u64,
}

impl Place<'_> {
    /// Reads the first `most` of them, or all, into `buffer`, which it returns.
    ///
    /// # Errors
    /// The system cannot read them, or the file has become shorter.
    pub fn read(self, most: u64, buffer: &mut Vec<u8>) -> io::Result<&[u8]> {
        let mut file = File::open(self.path)?;
        if self.offset > 0 {
            file.seek(SeekFrom::Start(self.offset))?;
        }
        let wanted = self.length.min(most);
        buffer.clear();
        file.take(wanted).read_to_end(buffer)?;
        if buffer.len() as u64 == wanted {
            return Ok(buffer);
        }
        let [found, length] = [buffer.len() as u64, self.length];
        Err(io::Error::other(format!("{found} bytes are left of the {length} that were there")))
    }
}

/// The system's message, without its number.
pub fn reason(error: &io::Error) -> String {
    let reason = error.to_string();
    reason.split(" (os error").next().unwrap_or_default().to_owned()
}
