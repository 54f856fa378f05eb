//! Reading the members of a tar archive, gzipped or not, without unpacking it to disk.
//!
//! Python's `tarfile` takes twice as long for the published database's 5,600 members, 0.2 s more: at
//! two to three seconds for the whole job that counts.

use std::fs::{self, File};
use std::io::{self, BufRead, BufReader, Read};
use std::path::Path;

use flate2::bufread::MultiGzDecoder;
use tar::{Archive, Entry};
use thiserror::Error;

/// Bytes read at a time.
const BUFFER: usize = 1 << 18;

/// A member's name and content.
pub type Member = (String, Vec<u8>);

/// Why an archive could not be read.
#[derive(Debug, Error)]
pub enum ArchiveError<E> {
    /// The system could not open or read the file.
    #[error(transparent)]
    System(io::Error),
    /// The file is no archive, or is damaged, or ends early.
    #[error("not a whole tar archive, plain or gzipped: {0}")]
    Damaged(io::Error),
    /// A function of the caller's failed.
    #[error("interrupted")]
    Caller(E),
}

impl<E> From<io::Error> for ArchiveError<E> {
    fn from(error: io::Error) -> Self {
        match error.raw_os_error() {
            Some(_) => ArchiveError::System(error),
            None => ArchiveError::Damaged(error),
        }
    }
}

/// Reads the regular members that `wanted` says yes to by name, in the archive's order. Links,
/// devices and folders are never among them. The archive is read to its end, so that a gzip
/// checksum that does not fit is found. `poll` is called every quarter of a megabyte or so.
///
/// # Errors
/// Whatever the system, the archive's content, `wanted` or `poll` is to blame for.
pub fn read<E>(
    path: &Path,
    mut wanted: impl FnMut(&str) -> Result<bool, E>,
    poll: impl FnMut() -> Result<(), E>,
) -> Result<Vec<Member>, ArchiveError<E>> {
    // Before it is opened: opening a pipe would wait for a writer.
    if !fs::metadata(path)?.is_file() {
        return Err(ArchiveError::Damaged(io::Error::other("not a file")));
    }
    let mut file = BufReader::with_capacity(BUFFER, File::open(path)?);
    let inner: Box<dyn Read> = if file.fill_buf()?.starts_with(&[0x1F, 0x8B]) {
        Box::new(BufReader::with_capacity(BUFFER, MultiGzDecoder::new(file)))
    } else {
        Box::new(file)
    };
    let mut stream = Polled { inner, poll, until_poll: 0, error: None };
    let result = read_members(&mut stream, &mut wanted);
    match stream.error {
        Some(error) => Err(ArchiveError::Caller(error)),
        None => result,
    }
}

fn read_members<E>(
    stream: &mut dyn Read,
    wanted: &mut dyn FnMut(&str) -> Result<bool, E>,
) -> Result<Vec<Member>, ArchiveError<E>> {
    let mut members = Vec::new();
    let mut archive = Archive::new(&mut *stream);
    for entry in archive.entries()? {
        let mut entry = entry?;
        if !entry.header().entry_type().is_file() {
            continue;
        }
        // Folders above may be named in any encoding.
        let name = String::from_utf8_lossy(&entry.path_bytes()).into_owned();
        if wanted(&name).map_err(ArchiveError::Caller)? {
            let content = read_whole(&mut entry, &name)?;
            members.push((name, content));
        }
    }
    io::copy(stream, &mut io::sink())?;
    Ok(members)
}

/// A stream that calls a function now and then, and ends when that fails.
struct Polled<R, F, E> {
    inner: R,
    poll: F,
    /// Bytes to be read before it is called again.
    until_poll: usize,
    error: Option<E>,
}

impl<R: Read, F: FnMut() -> Result<(), E>, E> Read for Polled<R, F, E> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.until_poll == 0 {
            self.until_poll = BUFFER;
            if let Err(error) = (self.poll)() {
                self.error = Some(error);
                return Err(io::Error::other("interrupted"));
            }
        }
        let read = self.inner.read(buffer)?;
        self.until_poll = self.until_poll.saturating_sub(read);
        Ok(read)
    }
}

fn read_whole<R: Read>(entry: &mut Entry<'_, R>, name: &str) -> io::Result<Vec<u8>> {
    let mut content = Vec::new();
    entry.read_to_end(&mut content)?;
    if content.len() as u64 == entry.size() {
        return Ok(content);
    }
    let ends = format!("{name} ends after {} of {} bytes", content.len(), entry.size());
    Err(io::Error::new(io::ErrorKind::UnexpectedEof, ends))
}
