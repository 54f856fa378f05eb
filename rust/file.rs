//! Writing samples at their places in a file, as raw floats or as text.

use std::fs::{File, OpenOptions};
use std::io;
use std::mem;
use std::path::Path;
use std::sync::{Condvar, Mutex};

use crate::render::{Run, Size};
use crate::simd::{Loops, vectorised};

#[cfg(target_endian = "big")]
compile_error!("samples are written as they lie in memory, and the file is little-endian");

/// How array data stands in the file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Encoding {
    /// Little-endian float32.
    Raw,
    /// The same as text of seven bits a byte. A sample is divided into so many `blocks`, seven at
    /// most. They stand one after the other with the high bit of each byte cleared; behind them
    /// stands one more block, which collects the high bits: bit 6 of its byte j is that of byte j
    /// of the first block, bit 5 that of the second, and so on.
    Text {
        /// Blocks of a sample; its bytes must be a multiple of them.
        blocks: usize,
    },
}

impl Encoding {
    /// Bytes in the file for `values` floats.
    fn length(self, values: usize) -> usize {
        let bytes = values * size_of::<f32>();
        match self {
            Encoding::Raw => bytes,
            Encoding::Text { blocks } => bytes + bytes / blocks,
        }
    }
}

/// The arguments of [`Encoding::Text`].
struct Text<'a> {
    sample: &'a [u8],
    out: &'a mut [u8],
}

impl Loops for Text<'_> {
    #[inline(always)]
    fn run(self) {
        let (low, high) = self.out.split_at_mut(self.sample.len());
        high.fill(0);
        let length = high.len();
        let blocks = self.sample.chunks_exact(length).zip(low.chunks_exact_mut(length));
        for (block, (sample, low)) in blocks.enumerate() {
            for ((byte, low), high) in sample.iter().zip(low).zip(&mut *high) {
                *low = byte & 0x7F;
                *high |= (byte & 0x80) >> (block + 1);
            }
        }
    }
}

/// Creates a file that must not be there yet, and has the system set aside room for `length` bytes.
///
/// A full disk is noticed before the work, and ext4 then takes large writes in half the time: 1.3 s
/// of system time for 2.8 GB instead of 2.3 s, on the machine of docs/performance.md.
///
/// # Errors
/// What the system says, a lack of room above all. Where it cannot set room aside, none is.
pub fn create(path: &Path, length: u64) -> io::Result<()> {
    let file = OpenOptions::new().write(true).create_new(true).open(path)?;
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
/// The system lets one thread at a time write to a file; the others spin meanwhile. So a worker that
/// finds another one writing leaves its bytes to that one, and goes on rendering.
pub struct Output {
    file: File,
    encoding: Encoding,
    size: Size,
    queue: Mutex<Queue>,
    shorter: Condvar,
}

#[derive(Default)]
struct Queue {
    /// Whether a worker is writing. It goes on until nothing waits.
    busy: bool,
    waiting: Vec<Piece>,
    /// Buffers to be used again.
    spare: Vec<Vec<f32>>,
}

/// Encoded samples, and their offsets in the file.
struct Piece {
    buffer: Vec<f32>,
    offsets: Vec<u64>,
}

impl Output {
    /// Pieces that may wait: the most that memory holds besides what the workers have in hand.
    const MOST_WAITING: usize = 4;

    /// For samples of `size` in an existing file.
    pub fn new(file: File, size: Size, encoding: Encoding) -> Self {
        Output { file, encoding, size, queue: Mutex::default(), shorter: Condvar::new() }
    }

    /// Divides the samples of `photographs` photographs, whose `offsets` are pass-major, into runs.
    pub fn divide<'a>(&'a self, offsets: &'a [u64], photographs: usize) -> Vec<FileRun<'a>> {
        offsets
            .chunks(photographs.max(1))
            .flat_map(|pass| pass.chunks(FileRun::GROUP))
            .map(|offsets| FileRun { output: self, offsets })
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

    /// Writes a piece. Neighbours in the file leave in one write.
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

/// Samples that go to given places in a file.
pub struct FileRun<'a> {
    output: &'a Output,
    offsets: &'a [u64],
}

impl Run for FileRun<'_> {
    const GROUP: usize = 4;

    fn write(
        self,
        scratch: &mut Vec<f32>,
        draw: &mut dyn FnMut(usize, &mut [f32]),
    ) -> io::Result<()> {
        let values = self.output.size.values();
        let length = self.output.encoding.length(values);
        // The bytes to be written, then the sample to be encoded.
        let encoded = self.offsets.len() * length.div_ceil(size_of::<f32>());
        scratch.resize(encoded + values, 0.0);
        let (bytes, sample) = scratch.split_at_mut(encoded);
        let bytes: &mut [u8] = bytemuck::cast_slice_mut(bytes);
        for (i, out) in bytes.chunks_exact_mut(length).take(self.offsets.len()).enumerate() {
            match self.output.encoding {
                Encoding::Raw => draw(i, bytemuck::cast_slice_mut(out)),
                Encoding::Text { .. } => {
                    draw(i, sample);
                    vectorised(Text { sample: bytemuck::cast_slice(sample), out });
                }
            }
        }
        let piece = Piece { buffer: mem::take(scratch), offsets: self.offsets.to_vec() };
        *scratch = self.output.put(piece)?;
        Ok(())
    }
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
