//! Sizes and digests of photographs' files, before any is rendered.

use std::io;
use std::sync::Mutex;

use sha2::{Digest, Sha256};

use crate::jpeg::{Header, JpegError};
use crate::render::PhotographError;
use crate::stored::Stored;
use crate::threads::in_parallel;

/// Files that a thread takes at once.
const SHARE: usize = 64;

/// Bytes that usually contain the header; a file with more before its picture is read to its end.
const HEADER_BYTES: u64 = 1 << 16;

/// Files that could not be read, by index, ascending.
pub type Bad = Vec<(usize, PhotographError)>;

/// Fills `out` with width and height of each photograph, turned as EXIF says; `None` if
/// `keep_going` returned false. Of files that are not in memory only the header is read.
///
/// # Errors
/// The system's error if it cannot start any thread.
///
/// # Panics
/// If `out` has another length.
pub fn sizes<J: Stored>(
    files: &[J],
    most_pixels: u64,
    out: &mut [[u32; 2]],
    workers: usize,
    keep_going: impl FnMut() -> bool,
) -> io::Result<Option<Bad>> {
    each(files, out, workers, keep_going, |file, buffer| {
        let start = file.start(HEADER_BYTES, buffer).map_err(PhotographError::Unreadable)?;
        // What is in memory is all there, and so must its end be.
        let all = start.len() as u64 != HEADER_BYTES;
        let parse = if all { Header::parse } else { Header::parse_start };
        let (width, height) = match parse(start, most_pixels) {
            Err(JpegError::Damaged(_)) if !all => {
                let whole = file.bytes(buffer).map_err(PhotographError::Unreadable)?;
                Header::parse(whole, most_pixels)?.size()
            }
            header => header?.size(),
        };
        Ok([width as u32, height as u32])
    })
}

/// Fills `out` with the SHA-256 of each file; `None` if `keep_going` returned false.
///
/// # Errors
/// The system's error if it cannot start any thread.
///
/// # Panics
/// If `out` has another length.
pub fn digests<J: Stored>(
    files: &[J],
    out: &mut [[u8; 32]],
    workers: usize,
    keep_going: impl FnMut() -> bool,
) -> io::Result<Option<Bad>> {
    each(files, out, workers, keep_going, |file, buffer| {
        let bytes = file.bytes(buffer).map_err(PhotographError::Unreadable)?;
        Ok(Sha256::digest(bytes).into())
    })
}

fn each<J: Stored, T: Send>(
    files: &[J],
    out: &mut [T],
    workers: usize,
    keep_going: impl FnMut() -> bool,
    find: impl Fn(&J, &mut Vec<u8>) -> Result<T, PhotographError> + Sync,
) -> io::Result<Option<Bad>> {
    assert_eq!(files.len(), out.len());
    let bad = Mutex::new(Vec::new());
    let shares = files.chunks(SHARE).zip(out.chunks_mut(SHARE)).enumerate().collect();
    let finished = in_parallel(shares, workers, keep_going, |(share, (files, out))| {
        let mut buffer = Vec::new();
        for (i, (file, out)) in files.iter().zip(out).enumerate() {
            match find(file, &mut buffer) {
                Ok(found) => *out = found,
                Err(error) => {
                    bad.lock().expect("nothing panics with it").push((share * SHARE + i, error));
                }
            }
        }
        Ok(())
    })?;
    let mut bad = bad.into_inner().expect("nothing panics with it");
    bad.sort_by_key(|(i, _)| *i);
    Ok(finished.then_some(bad))
}
