//! Writing samples at their places in a file, as raw floats or as text.

use std::fs::{File, OpenOptions};
use std::io;
use std::mem;
use std::path::Path;
use std::sync::{Condvar, Mutex};

use crc32fast::Hasher;

use crate::render::{Run, Size};
use crate::text;
use crate::threads::in_parallel;

#[cfg(target_endian = "big")]
compile_error!("samples are written as they lie in memory, and the file is little-endian");

/// How array data is stored in the file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Encoding {
    /// Little-endian float32.
    Raw,
    /// The same, encoded as [`text`].
    Text {
        /// Blocks of a sample, whose number must divide its bytes.
        blocks: usize,
    },
}

impl Encoding {
    /// Bytes in the file for this many floats.
    fn length(self, values: usize) -> usize {
        let bytes = values * size_of::<f32>();
        match self {
            Encoding::Raw => bytes,
            Encoding::Text { blocks } => bytes + bytes / blocks,
        }
    }

    /// Draws a sample and encodes it into `out`; `sample` is scratch space.
    fn draw(self, sample: &mut [f32], out: &mut [u8], draw: impl FnOnce(&mut [f32])) {
        match self {
            Encoding::Raw => draw(bytemuck::cast_slice_mut(out)),
            Encoding::Text { .. } => {
                draw(sample);
                text::encode(bytemuck::cast_slice(sample), out);
            }
        }
    }
}

/// Creates a file that must not exist yet, and asks the system to reserve `length` bytes.
///
/// A full disk is noticed before the work starts, and large writes then take less system time:
/// docs/performance.md.
///
/// # Errors
/// The system's error: above all a full disk, or a file too large for the file system.
/// Where the system cannot reserve space, none is reserved.
pub fn create(path: &Path, length: u64) -> io::Result<()> {
    let file = OpenOptions::new().write(true).create_new(true).open(path)?;
    if length == 0 {
        return Ok(());
    }
    file.set_len(length)?;
    reserve(&file, length)
}

#[cfg(target_os = "linux")]
fn reserve(file: &File, length: u64) -> io::Result<()> {
    use rustix::fs::{FallocateFlags, fallocate};
    use rustix::io::Errno;

    match fallocate(file, FallocateFlags::empty(), 0, length) {
        Err(Errno::OPNOTSUPP | Errno::NOSYS) => Ok(()),
        result => Ok(result?),
    }
}

#[cfg(not(target_os = "linux"))]
fn reserve(_file: &File, _length: u64) -> io::Result<()> {
    Ok(())
}

/// A file that workers write to without waiting for each other.
///
/// The system lets only one thread at a time write to a file, and the others spin meanwhile. So a
/// worker that finds another one writing leaves its bytes to that one, and goes on rendering.
pub struct Output {
    file: File,
    encoding: Encoding,
    size: Size,
    queue: Mutex<Queue>,
    shorter: Condvar,
}

#[derive(Default)]
struct Queue {
    /// Whether a worker is writing. It continues until nothing is waiting.
    busy: bool,
    waiting: Vec<Piece>,
    /// Buffers to reuse.
    spare: Vec<Vec<f32>>,
}

/// Encoded samples, and their offsets in the file.
struct Piece {
    buffer: Vec<f32>,
    offsets: Vec<u64>,
}

impl Output {
    /// Pieces that may wait: the most in memory besides those that the workers are making.
    const MOST_WAITING: usize = 4;

    /// For samples of `size` in an existing file.
    pub fn new(file: File, size: Size, encoding: Encoding) -> Self {
        Output { file, encoding, size, queue: Mutex::default(), shorter: Condvar::new() }
    }

    /// Divides the samples of `photographs` photographs, whose `offsets` are pass-major, into runs.
    /// The CRC-32 of each sample's bytes in the file goes to `checksums`.
    pub fn divide<'a>(
        &'a self,
        offsets: &'a [u64],
        checksums: &'a mut [u32],
        photographs: usize,
    ) -> Vec<FileRun<'a>> {
        groups(offsets, checksums, photographs, FileRun::GROUP)
            .map(|(offsets, checksums)| FileRun { output: self, offsets, checksums })
            .collect()
    }

    /// Writes a piece, or leaves it to the worker that is writing; returns a spare buffer.
    fn put(&self, piece: Piece) -> io::Result<Vec<f32>> {
        let mut queue = self.queue.lock().expect("no worker panics with it");
        queue.waiting.push(piece);
        if queue.busy {
            let queue = self
                .shorter
                .wait_while(queue, |queue| queue.waiting.len() > Self::MOST_WAITING)
                .expect("no worker panics with it");
            return Ok({ queue }.spare.pop().unwrap_or_default());
        }
        queue.busy = true;
        let mut result = Ok(());
        while let Some(piece) = queue.waiting.pop() {
            drop(queue);
            if result.is_ok() {
                result = self.write(&piece);
            }
            queue = self.queue.lock().expect("no worker panics with it");
            queue.spare.push(piece.buffer);
            self.shorter.notify_one();
        }
        queue.busy = false;
        result.map(|()| queue.spare.pop().unwrap_or_default())
    }

    /// Writes a piece. Neighbours in the file are written at once.
    fn write(&self, Piece { buffer, offsets }: &Piece) -> io::Result<()> {
        let length = self.encoding.length(self.size.values());
        let bytes: &[u8] = bytemuck::cast_slice(buffer);
        let mut start = 0;
        for end in 1..=offsets.len() {
            let follows = |&next: &u64| next == offsets[end - 1] + length as u64;
            if !offsets.get(end).is_some_and(follows) {
                write_all_at(&self.file, &bytes[start * length..end * length], offsets[start])?;
                start = end;
            }
        }
        Ok(())
    }
}

/// Divides the pass-major offsets of samples, and the result of each, into groups of
/// photographs, pass by pass.
fn groups<'a, T>(
    offsets: &'a [u64],
    results: &'a mut [T],
    photographs: usize,
    group: usize,
) -> impl Iterator<Item = (&'a [u64], &'a mut [T])> {
    let pass = photographs.max(1);
    let passes = offsets.chunks(pass).zip(results.chunks_mut(pass));
    passes.flat_map(move |(offsets, results)| offsets.chunks(group).zip(results.chunks_mut(group)))
}

/// Samples that go to given places in a file.
pub struct FileRun<'a> {
    output: &'a Output,
    offsets: &'a [u64],
    checksums: &'a mut [u32],
}

impl Run for FileRun<'_> {
    const GROUP: usize = 4;

    fn write(
        self,
        scratch: &mut Vec<f32>,
        draw: &mut dyn FnMut(usize, &mut [f32]),
    ) -> io::Result<()> {
        let Output { size, encoding, .. } = *self.output;
        let length = encoding.length(size.values());
        // The bytes to write, then the sample to encode.
        let encoded = self.offsets.len() * length.div_ceil(size_of::<f32>());
        scratch.resize(encoded + size.values(), 0.0);
        let (bytes, sample) = scratch.split_at_mut(encoded);
        let bytes: &mut [u8] = bytemuck::cast_slice_mut(bytes);
        for (i, (out, checksum)) in bytes.chunks_exact_mut(length).zip(self.checksums).enumerate() {
            encoding.draw(sample, out, |sample| draw(i, sample));
            *checksum = crc32fast::hash(out);
        }
        let piece = Piece { buffer: mem::take(scratch), offsets: self.offsets.to_vec() };
        *scratch = self.output.put(piece)?;
        Ok(())
    }
}

/// Samples that should already be at given places in a file.
pub struct ComparingRun<'a> {
    input: &'a Input,
    offsets: &'a [u64],
    equal: &'a mut [bool],
}

/// A file whose samples are compared with what they should be.
pub struct Input {
    file: File,
    encoding: Encoding,
    size: Size,
}

impl Input {
    /// For samples of `size` in a file.
    pub fn new(file: File, size: Size, encoding: Encoding) -> Self {
        Input { file, encoding, size }
    }

    /// Divides the samples of `photographs` photographs, whose `offsets` are pass-major, into runs.
    /// Whether a sample is equal to the bit goes to `equal`.
    pub fn divide<'a>(
        &'a self,
        offsets: &'a [u64],
        equal: &'a mut [bool],
        photographs: usize,
    ) -> Vec<ComparingRun<'a>> {
        groups(offsets, equal, photographs, ComparingRun::GROUP)
            .map(|(offsets, equal)| ComparingRun { input: self, offsets, equal })
            .collect()
    }
}

impl Run for ComparingRun<'_> {
    const GROUP: usize = 4;

    fn write(
        self,
        scratch: &mut Vec<f32>,
        draw: &mut dyn FnMut(usize, &mut [f32]),
    ) -> io::Result<()> {
        let Input { file, encoding, size } = self.input;
        let length = encoding.length(size.values());
        let encoded = length.div_ceil(size_of::<f32>());
        scratch.resize(2 * encoded + size.values(), 0.0);
        let (expected, rest) = scratch.split_at_mut(encoded);
        let (there, sample) = rest.split_at_mut(encoded);
        let expected = &mut bytemuck::cast_slice_mut(expected)[..length];
        let there: &mut [u8] = &mut bytemuck::cast_slice_mut(there)[..length];
        for (i, (offset, equal)) in self.offsets.iter().zip(self.equal).enumerate() {
            encoding.draw(sample, expected, |sample| draw(i, sample));
            read_exact_at(file, there, *offset)?;
            *equal = there == expected;
        }
        Ok(())
    }
}

/// The CRC-32 of pieces of a file, each given by its offset and length, with `workers` threads.
/// `keep_going` is called on this thread about every 50 ms.
///
/// # Errors
/// The system's error, above all a file that ends before a piece does; `None` if `keep_going`
/// returned false.
pub fn checksums(
    file: &File,
    pieces: &[(u64, u64)],
    workers: usize,
    keep_going: impl FnMut() -> bool,
) -> io::Result<Option<Vec<u32>>> {
    let mut sums = vec![0; pieces.len()];
    let share = pieces.len().div_ceil(workers.max(1) * 16).max(1);
    let shares: Vec<_> = pieces.chunks(share).zip(sums.chunks_mut(share)).collect();
    let finished = in_parallel(shares, workers, keep_going, |(pieces, sums)| {
        let mut bytes = Vec::new();
        for (&(offset, length), sum) in pieces.iter().zip(sums) {
            let (mut offset, mut left) = (offset, length);
            let mut hasher = Hasher::new();
            while left > 0 {
                let now = left.min(READ_BYTES);
                bytes.resize(now as usize, 0);
                read_exact_at(file, &mut bytes, offset)?;
                hasher.update(&bytes);
                (offset, left) = (offset + now, left - now);
            }
            *sum = hasher.finalize();
        }
        Ok(())
    })?;
    Ok(finished.then_some(sums))
}

/// Bytes that [`checksums`] reads at a time.
const READ_BYTES: u64 = 1 << 18;

/// Reads all of `bytes` at `offset`.
///
/// # Errors
/// The system's error, or the file ends early.
#[cfg(unix)]
pub fn read_exact_at(file: &File, bytes: &mut [u8], offset: u64) -> io::Result<()> {
    std::os::unix::fs::FileExt::read_exact_at(file, bytes, offset)
}

/// Reads all of `bytes` at `offset`.
///
/// # Errors
/// The system's error, or the file ends early.
#[cfg(windows)]
pub fn read_exact_at(file: &File, mut bytes: &mut [u8], mut offset: u64) -> io::Result<()> {
    while !bytes.is_empty() {
        let read = std::os::windows::fs::FileExt::seek_read(file, bytes, offset)?;
        if read == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        bytes = &mut bytes[read..];
        offset += read as u64;
    }
    Ok(())
}

/// Writes all of `bytes` at `offset`, moving no file position that anyone else relies on.
#[cfg(unix)]
fn write_all_at(file: &File, bytes: &[u8], offset: u64) -> io::Result<()> {
    std::os::unix::fs::FileExt::write_all_at(file, bytes, offset)
}

/// Writes all of `bytes` at `offset`, moving no file position that anyone else relies on.
#[cfg(windows)]
fn write_all_at(file: &File, mut bytes: &[u8], mut offset: u64) -> io::Result<()> {
    while !bytes.is_empty() {
        let written = std::os::windows::fs::FileExt::seek_write(file, bytes, offset)?;
        if written == 0 {
            return Err(io::ErrorKind::WriteZero.into());
        }
        bytes = &bytes[written..];
        offset += written as u64;
    }
    Ok(())
}
