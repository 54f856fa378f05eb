//! Compact, lossless photographs: what kind `small` stores of them.
//!
//! That is the part of a photograph that its crops cover, as three planes: blue minus green, green,
//! red minus green, then each byte minus the one above it, and in green then minus the one to its
//! left, all modulo 256. Most bytes are then near 0, as in a PNG file, for which `fdeflate` is made.
//! It looks only for runs of zeros, and its codes are the same for all data, so it is fast, and its
//! output is the same on all processors. The result becomes text. docs/format.md says what else was
//! tried.

use std::fs::File;
use std::io;
use std::ops::ControlFlow;

use fdeflate::{Decompressor, compress_to_vec};
use thiserror::Error;

use crate::crops::Crop;
use crate::file::read_exact_at;
use crate::jpeg::{CHANNELS, MOST_PIXELS, Photo};
use crate::render::{PhotographError, Source, require_inside};
use crate::simd::{Loops, vectorised};
use crate::stored::Stored;
use crate::text;
use crate::threads::in_order;

const GREEN: usize = 1;

/// The most that a byte of deflated data can inflate to.
const MOST_EXPANSION: u64 = 1032;

/// Why a photograph could not be read from a bundle.
#[derive(Debug, Error)]
pub enum CompressedError {
    /// It is not what [`compress`] made.
    #[error("damaged")]
    Damaged,
    /// It could not be read at all.
    #[error(transparent)]
    Read(#[from] io::Error),
}

/// Compresses a part of a photograph and returns text. `scratch` is kept between calls.
///
/// # Panics
/// If the part is not inside the photograph.
pub fn compress(photo: &Photo, part: Crop, scratch: &mut Vec<u8>) -> Vec<u8> {
    assert!(part.is_inside(photo.width(), photo.height()));
    scratch.resize(CHANNELS * part.w as usize * part.h as usize, 0);
    vectorised(Differences { photo, part, out: scratch });
    text::encode_padded(&mut compress_to_vec(scratch))
}

struct Differences<'a> {
    photo: &'a Photo,
    part: Crop,
    out: &'a mut [u8],
}

impl Loops for Differences<'_> {
    #[inline(always)]
    fn run(self) {
        let Differences { photo, part, out } = self;
        let [x, y, width, height] = [part.x, part.y, part.w, part.h].map(|v| v as usize);
        let row = |channel, y| &photo.row(channel, x, y)[..width];
        for (channel, plane) in out.chunks_exact_mut(width * height).enumerate() {
            for (i, out) in plane.chunks_exact_mut(width).enumerate() {
                let at = y + i;
                match (channel, i) {
                    (GREEN, _) => {
                        out.copy_from_slice(row(GREEN, at));
                        if i > 0 {
                            subtract(out, row(GREEN, at - 1));
                        }
                        let mut left = 0;
                        for value in out {
                            (*value, left) = (value.wrapping_sub(left), *value);
                        }
                    }
                    _ => {
                        out.copy_from_slice(row(channel, at));
                        subtract(out, row(GREEN, at));
                        if i > 0 {
                            subtract(out, row(channel, at - 1));
                            add(out, row(GREEN, at - 1));
                        }
                    }
                }
            }
        }
    }
}

#[inline(always)]
fn add(to: &mut [u8], other: &[u8]) {
    for (to, other) in to.iter_mut().zip(other) {
        *to = to.wrapping_add(*other);
    }
}

#[inline(always)]
fn subtract(from: &mut [u8], other: &[u8]) {
    for (from, other) in from.iter_mut().zip(other) {
        *from = from.wrapping_sub(*other);
    }
}

/// Makes a picture of `width` x `height` pixels from text made by [`compress`], which is decoded in
/// place.
///
/// # Errors
/// If the text is not of such a picture.
pub fn expand(
    text: &mut [u8],
    width: usize,
    height: usize,
    photo: &mut Photo,
) -> Result<(), CompressedError> {
    let pixels = (width as u64).saturating_mul(height as u64);
    let possible = 1..=MOST_PIXELS.min(text.len() as u64 * MOST_EXPANSION / CHANNELS as u64);
    if !possible.contains(&pixels) {
        return Err(CompressedError::Damaged);
    }
    let deflated = text::decode_padded(text).ok_or(CompressedError::Damaged)?;
    let planes = photo.make(width, height);
    inflate(deflated, planes).ok_or(CompressedError::Damaged)?;
    vectorised(Sums { planes, width, height });
    Ok(())
}

/// Inflates to exactly the length of `out`; `None` if it cannot.
fn inflate(deflated: &[u8], out: &mut [u8]) -> Option<()> {
    let mut decompressor = Decompressor::new();
    let (mut used, mut made) = (0, 0);
    while !decompressor.is_done() {
        let (more_used, more_made) = decompressor.read(&deflated[used..], out, made, true).ok()?;
        if more_used + more_made == 0 {
            return None;
        }
        (used, made) = (used + more_used, made + more_made);
    }
    (made == out.len()).then_some(())
}

/// Undoes [`Differences`].
struct Sums<'a> {
    planes: &'a mut [u8],
    width: usize,
    height: usize,
}

impl Loops for Sums<'_> {
    #[inline(always)]
    fn run(self) {
        let Sums { planes, width, height } = self;
        for plane in planes.chunks_exact_mut(width * height) {
            for y in 1..height {
                let (above, row) = plane[(y - 1) * width..].split_at_mut(width);
                add(&mut row[..width], above);
            }
        }
        let (blue, rest) = planes.split_at_mut(width * height);
        let (green, red) = rest.split_at_mut(width * height);
        for row in green.chunks_exact_mut(width) {
            let mut sum = 0_u8;
            for value in row {
                sum = sum.wrapping_add(*value);
                *value = sum;
            }
        }
        add(blue, green);
        add(red, green);
    }
}

/// Whether a part of a photograph equals a picture, pixel by pixel.
fn is_part(photo: &Photo, part: Crop, picture: &Photo) -> bool {
    let [x, y, width, height] = [part.x, part.y, part.w, part.h].map(|v| v as usize);
    let equal = |(channel, row): (usize, usize)| {
        photo.row(channel, x, y + row)[..width] == picture.row(channel, 0, row)[..width]
    };
    (picture.width(), picture.height()) == (width, height)
        && (0..CHANNELS).flat_map(|channel| (0..height).map(move |y| (channel, y))).all(equal)
}

/// A compressed photograph.
pub struct Compressed {
    /// Text.
    pub text: Vec<u8>,
    /// Its CRC-32.
    pub checksum: u32,
}

/// Compresses a part of each photograph on `workers` threads and hands them to `consume` on this
/// thread, in order. `Break` from that, or from `keep_going`, ends it.
///
/// # Errors
/// The system's error if it cannot start any thread.
pub fn compress_all<J: Stored>(
    jpegs: &[J],
    parts: &[Crop],
    workers: usize,
    keep_going: impl FnMut() -> ControlFlow<()>,
    consume: impl FnMut(usize, Result<Compressed, PhotographError>) -> ControlFlow<()>,
) -> io::Result<()> {
    let worker = || {
        let mut load = jpegs.loader();
        let (mut photo, mut scratch) = (Photo::default(), Vec::new());
        move |i: usize| {
            load(i, &mut photo)?;
            require_inside(parts[i], &photo)?;
            let text = compress(&photo, parts[i], &mut scratch);
            let checksum = crc32fast::hash(&text);
            Ok(Compressed { text, checksum })
        }
    };
    in_order(jpegs.len(), workers, keep_going, worker, consume)
}

/// Finds whether a part of each photograph has the pixels of `pieces`, as [`compress_all`] does.
///
/// # Errors
/// The system's error if it cannot start any thread.
pub fn compare_all<J: Stored>(
    jpegs: &[J],
    parts: &[Crop],
    pieces: &Pieces,
    workers: usize,
    keep_going: impl FnMut() -> ControlFlow<()>,
    consume: impl FnMut(usize, Result<bool, PhotographError>) -> ControlFlow<()>,
) -> io::Result<()> {
    let worker = || {
        let (mut load, mut load_piece) = (jpegs.loader(), pieces.loader());
        let (mut photo, mut picture) = (Photo::default(), Photo::default());
        move |i: usize| {
            load(i, &mut photo)?;
            require_inside(parts[i], &photo)?;
            match load_piece(i, &mut picture) {
                Ok(()) => Ok(is_part(&photo, parts[i], &picture)),
                Err(PhotographError::Compressed(CompressedError::Damaged)) => Ok(false),
                Err(error) => Err(error),
            }
        }
    };
    in_order(jpegs.len(), workers, keep_going, worker, consume)
}

/// Where a compressed photograph is in a file, and its size in pixels.
pub struct Piece {
    /// Offset of its text in the file.
    pub offset: u64,
    /// Bytes of text.
    pub length: usize,
    /// Width in pixels.
    pub width: usize,
    /// Height in pixels.
    pub height: usize,
}

/// Compressed photographs in a file.
pub struct Pieces {
    /// The file.
    pub file: File,
    /// One for each photograph.
    pub pieces: Vec<Piece>,
}

impl Source for Pieces {
    fn count(&self) -> usize {
        self.pieces.len()
    }

    fn loader(&self) -> impl FnMut(usize, &mut Photo) -> Result<(), PhotographError> {
        let mut text = Vec::new();
        move |i, photo| {
            let Piece { offset, length, width, height } = self.pieces[i];
            text.resize(length, 0);
            read_exact_at(&self.file, &mut text, offset).map_err(CompressedError::from)?;
            Ok(expand(&mut text, width, height, photo)?)
        }
    }
}
