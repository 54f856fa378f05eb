//! Reading the members of a tar archive, gzipped or not, without unpacking it to disk.
//!
//! Python's `tarfile` takes twice as long for the published database's 5,600 members, 0.2 s more. In
//! a job of one to two seconds that counts.

use std::cell::Cell;
use std::fs::{self, File};
use std::io::{self, BufRead, BufReader, Read};
use std::path::Path;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread::{self, Scope};

use flate2::bufread::GzDecoder;
use tar::{Archive, Entry, EntryType};
use thiserror::Error;

/// Bytes read at a time.
const BUFFER: usize = 1 << 18;

/// Buffers that may be inflated before they are read.
const MOST_AHEAD: usize = 16;

/// Bytes of headers that one member may have, long names and PAX records included.
const MOST_HEADER_BYTES: u64 = 1 << 20;

/// Bytes that a gzipped archive may unpack to, however small it is; see [`Limits::expansion`].
const FREE_BYTES: u64 = 64 << 20;

/// Limits on what an archive may demand.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Members, wanted or not.
    pub members: u64,
    /// Bytes of the file.
    pub archive_bytes: u64,
    /// Bytes that it unpacks to, headers and unwanted members included.
    pub unpacked_bytes: u64,
    /// Bytes that each byte of it may unpack to, beyond the first 64 MiB. Those of the published
    /// database unpack to 1.2, and those of a bomb to a thousand.
    pub expansion: u64,
}

/// How to read a member.
#[derive(Clone, Copy, Debug)]
pub struct Wanted {
    /// The most bytes that it may have.
    pub most_bytes: u64,
    /// Whether its place is enough if the archive is plain.
    pub by_place: bool,
}

/// The content of a member.
#[derive(Debug, PartialEq, Eq)]
pub enum Content {
    /// All of it.
    Bytes(Vec<u8>),
    /// Where it is in the archive, which is plain.
    Place {
        /// Offset of its first byte.
        offset: u64,
        /// Length in bytes.
        length: u64,
    },
}

/// A member's name and content.
pub type Member = (String, Content);

/// Why an archive could not be read.
#[derive(Debug, Error)]
pub enum ArchiveError<E> {
    /// The system could not open or read the file.
    #[error(transparent)]
    System(io::Error),
    /// The file is not an archive, is damaged, or ends early.
    #[error("not a complete tar archive, plain or gzipped: {0}")]
    Damaged(io::Error),
    /// A limit is exceeded, or a wanted member is of an unsupported kind.
    #[error("{0}")]
    Refused(String),
    /// A function supplied by the caller failed.
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

/// Reads the regular members that `wanted` accepts by their names, in the archive's order. Links,
/// devices and folders are never among them. The archive is read to its end, to detect a wrong gzip
/// checksum. `poll` is called about every quarter of a megabyte.
///
/// # Errors
/// Whatever the system, the archive's content, `limits`, `wanted` or `poll` causes.
pub fn read<E>(
    path: &Path,
    limits: Limits,
    wanted: impl FnMut(&str) -> Result<Option<Wanted>, E>,
    poll: impl FnMut() -> Result<(), E>,
) -> Result<Vec<Member>, ArchiveError<E>> {
    let metadata = fs::metadata(path)?;
    // Before it is opened: opening a pipe would wait for a writer.
    if !metadata.is_file() {
        return Err(ArchiveError::Damaged(io::Error::other("not a file")));
    }
    let file = BufReader::with_capacity(BUFFER, File::open(path)?);
    read_from(file, metadata.len(), limits, wanted, poll)
}

/// The same for an archive of `length` bytes that is already open.
///
/// # Errors
/// As [`read`].
pub fn read_from<E>(
    file: impl BufRead + Send,
    length: u64,
    limits: Limits,
    mut wanted: impl FnMut(&str) -> Result<Option<Wanted>, E>,
    poll: impl FnMut() -> Result<(), E>,
) -> Result<Vec<Member>, ArchiveError<E>> {
    if length > limits.archive_bytes {
        let most = limits.archive_bytes;
        let reason = format!("{length} bytes are more than the {most} allowed");
        return Err(ArchiveError::Refused(reason));
    }
    thread::scope(|scope| read_stream(scope, file, length, limits, &mut wanted, poll))
}

fn read_stream<'scope, E>(
    scope: &'scope Scope<'scope, '_>,
    mut file: impl BufRead + Send + 'scope,
    length: u64,
    limits: Limits,
    wanted: &mut dyn FnMut(&str) -> Result<Option<Wanted>, E>,
    poll: impl FnMut() -> Result<(), E>,
) -> Result<Vec<Member>, ArchiveError<E>> {
    let mut most_bytes = limits.unpacked_bytes;
    let gzipped = file.fill_buf()?.starts_with(&GZIP);
    let inner: Box<dyn Read + 'scope> = if gzipped {
        let expanded = length.saturating_mul(limits.expansion);
        most_bytes = most_bytes.min(expanded.saturating_add(FREE_BYTES));
        Box::new(Ahead::start(scope, Gzip(Some(GzDecoder::new(file))))?)
    } else {
        Box::new(file)
    };
    let meter = Meter { most_bytes, ..Meter::default() };
    let mut stream = Metered { inner, meter: &meter, poll, until_poll: 0, error: None };
    let mut wanted = |name: &str| {
        let wanted = wanted(name)?;
        Ok(wanted.map(|wanted| Wanted { by_place: wanted.by_place && !gzipped, ..wanted }))
    };
    let result = read_members(&mut stream, &meter, limits.members, &mut wanted);
    // The readers in between may change an error on its way.
    match (stream.error, meter.refusal.take()) {
        (Some(error), _) => Err(ArchiveError::Caller(error)),
        (None, Some(reason)) => Err(ArchiveError::Refused(reason)),
        (None, None) => result,
    }
}

fn read_members<E>(
    stream: &mut dyn Read,
    meter: &Meter,
    most_members: u64,
    wanted: &mut dyn FnMut(&str) -> Result<Option<Wanted>, E>,
) -> Result<Vec<Member>, ArchiveError<E>> {
    let mut members = Vec::new();
    let mut archive = Archive::new(&mut *stream);
    let mut entries = archive.entries()?;
    let mut seen = 0;
    while let Some(entry) = meter.headers(|| entries.next()) {
        let mut entry = entry?;
        seen += 1;
        if seen > most_members {
            let reason = format!("it has more than the {most_members} members allowed");
            return Err(ArchiveError::Refused(reason));
        }
        // Folders above may be named in any encoding.
        let name = String::from_utf8_lossy(&entry.path_bytes()).into_owned();
        if let Some(wanted) = wanted(&name).map_err(ArchiveError::Caller)?
            && let Some(content) = read_regular(&mut entry, &name, wanted)?
        {
            members.push((name, content));
        }
        io::copy(&mut entry, &mut io::sink())?;
    }
    // A tar file ends with blocks of zeros. One that was cut off between two members has none.
    if meter.zeros.get() < 512 {
        return Err(io::Error::from(io::ErrorKind::UnexpectedEof).into());
    }
    io::copy(stream, &mut io::sink())?;
    Ok(members)
}

/// The content of a regular member; `None` for a link, a device or a folder.
fn read_regular<E>(
    entry: &mut Entry<'_, impl Read>,
    name: &str,
    Wanted { most_bytes, by_place }: Wanted,
) -> Result<Option<Content>, ArchiveError<E>> {
    let refuse = |what: &str| Err(ArchiveError::Refused(format!("{name}: {what}")));
    let mut sparse = entry.header().entry_type() == EntryType::GNUSparse;
    // Records that cannot be read are ignored, as `tar` does.
    for record in entry.pax_extensions()?.into_iter().flatten().flatten() {
        sparse |= record.key_bytes().starts_with(b"GNU.sparse.");
        if record.key_bytes() == b"size" && !record.value().is_ok_and(|v| v.parse::<u64>().is_ok())
        {
            return refuse("its size is not a whole number");
        }
    }
    if sparse {
        return refuse("a sparse member; the archive holds only parts of it");
    }
    if !matches!(entry.header().entry_type(), EntryType::Regular | EntryType::Continuous) {
        return Ok(None);
    }
    if entry.size() > most_bytes {
        let size = entry.size();
        return refuse(&format!("{size} bytes are more than the {most_bytes} allowed"));
    }
    let (offset, length) = (entry.raw_file_position(), entry.size());
    let mut content = Vec::new();
    let read = if by_place {
        io::copy(entry, &mut io::sink())?
    } else {
        entry.read_to_end(&mut content)? as u64
    };
    if read == length {
        return Ok(Some(if by_place {
            Content::Place { offset, length }
        } else {
            Content::Bytes(content)
        }));
    }
    let ends = format!("{name} ends after {read} of {length} bytes");
    Err(io::Error::new(io::ErrorKind::UnexpectedEof, ends).into())
}

/// How a gzip file begins.
const GZIP: [u8; 2] = [0x1F, 0x8B];

/// The content of one or more concatenated gzip files. Zeros after them are skipped, as by gzip
/// itself: tapes and some uploads pad with them.
struct Gzip<R>(Option<GzDecoder<R>>);

impl<R: BufRead> Read for Gzip<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        loop {
            let Some(decoder) = &mut self.0 else {
                return Ok(0);
            };
            let read = decoder.read(buffer)?;
            if read > 0 || buffer.is_empty() {
                return Ok(read);
            }
            let Some(mut rest) = self.0.take().map(GzDecoder::into_inner) else {
                return Ok(0);
            };
            while let [0, ..] = rest.fill_buf()? {
                let zeros = rest.fill_buf()?.iter().take_while(|byte| **byte == 0).count();
                rest.consume(zeros);
            }
            if !rest.fill_buf()?.is_empty() {
                if !rest.fill_buf()?.starts_with(&GZIP) {
                    return Err(io::Error::other("something else follows the gzip data"));
                }
                self.0 = Some(GzDecoder::new(rest));
            }
        }
    }
}

/// A stream that a separate thread reads somewhat ahead: inflating takes as long as everything else
/// that is done with an archive. This brings the time of the whole job to 0.97.
struct Ahead {
    buffers: Receiver<io::Result<Vec<u8>>>,
    buffer: Vec<u8>,
    used: usize,
}

impl Ahead {
    fn start<'scope>(
        scope: &'scope Scope<'scope, '_>,
        mut stream: impl Read + Send + 'scope,
    ) -> io::Result<Self> {
        let (sender, buffers) = sync_channel(MOST_AHEAD);
        thread::Builder::new()
            .spawn_scoped(scope, move || Self::read_ahead(&mut stream, &sender))?;
        Ok(Ahead { buffers, buffer: Vec::new(), used: 0 })
    }

    /// Reads up to the end, the first error, or until the receiver is gone.
    fn read_ahead(stream: &mut dyn Read, sender: &SyncSender<io::Result<Vec<u8>>>) {
        loop {
            let mut buffer = Vec::with_capacity(BUFFER);
            let read = stream.take(BUFFER as u64).read_to_end(&mut buffer);
            let last = !matches!(read, Ok(1..));
            if sender.send(read.map(|_| buffer)).is_err() || last {
                return;
            }
        }
    }
}

impl Read for Ahead {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        if self.used == self.buffer.len() {
            // The sender is gone after the last buffer, which is empty, or an error.
            self.buffer = self.buffers.recv().unwrap_or(Ok(Vec::new()))?;
            self.used = 0;
        }
        let read = (&self.buffer[self.used..]).read(out)?;
        self.used += read;
        Ok(read)
    }
}

/// What has been read from a stream.
#[derive(Default)]
struct Meter {
    most_bytes: u64,
    bytes: Cell<u64>,
    /// Zeros at the end of what has been read so far.
    zeros: Cell<u64>,
    /// Where the headers of the next member must end.
    end_of_headers: Cell<Option<u64>>,
    /// The limit that was exceeded.
    refusal: Cell<Option<String>>,
}

impl Meter {
    /// Reads headers, which must not be too long.
    fn headers<T>(&self, read: impl FnOnce() -> T) -> T {
        self.end_of_headers.set(Some(self.bytes.get() + MOST_HEADER_BYTES));
        let result = read();
        self.end_of_headers.set(None);
        result
    }

    fn count(&self, bytes: &[u8]) -> io::Result<()> {
        let zeros = bytes.iter().rev().take_while(|byte| **byte == 0).count();
        let before = if zeros == bytes.len() { self.zeros.get() } else { 0 };
        self.zeros.set(before + zeros as u64);
        self.bytes.set(self.bytes.get() + bytes.len() as u64);
        if self.bytes.get() > self.most_bytes {
            let most = self.most_bytes;
            self.refusal.set(Some(format!("it unpacks to more than the {most} bytes allowed")));
            return Err(io::Error::other("too long"));
        }
        if self.end_of_headers.get().is_some_and(|end| self.bytes.get() > end) {
            let reason = "a member's name or extended header is longer than a megabyte";
            self.refusal.set(Some(reason.to_owned()));
            return Err(io::Error::other("too long"));
        }
        Ok(())
    }
}

/// A stream that counts its bytes, calls a function now and then, and ends if that fails.
struct Metered<'a, R, F, E> {
    inner: R,
    meter: &'a Meter,
    poll: F,
    /// Bytes to read before the function is called again.
    until_poll: usize,
    error: Option<E>,
}

impl<R: Read, F: FnMut() -> Result<(), E>, E> Read for Metered<'_, R, F, E> {
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
        self.meter.count(&buffer[..read])?;
        Ok(read)
    }
}
