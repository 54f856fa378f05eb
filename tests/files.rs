//! Photographs' files that are not in memory: sizes, digests and decoding read them from disk.

use std::fs;
use std::path::{Path, PathBuf};

use headpose_fast::files::{digests, sizes};
use headpose_fast::jpeg::{Photo, PhotoDecoder};
use headpose_fast::render::{PhotographError, decode};
use headpose_fast::stored::{Place, Stored};

struct OnDisk {
    path: PathBuf,
    offset: u64,
    length: u64,
}

impl Stored for OnDisk {
    fn start<'a>(&'a self, most: u64, buffer: &'a mut Vec<u8>) -> std::io::Result<&'a [u8]> {
        Place { path: &self.path, offset: self.offset, length: self.length }.read(most, buffer)
    }
}

/// A photograph of 40 x 24 pixels.
fn golden() -> Vec<u8> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/jpeg");
    fs::read(folder.join("420_40x24_q50.jpg")).unwrap()
}

/// A comment of that many bytes before the picture, in segments.
fn with_comments(jpeg: &[u8], bytes: usize) -> Vec<u8> {
    let mut long = jpeg[..2].to_vec();
    for _ in 0..bytes.div_ceil(60_000) {
        long.extend([0xFF, 0xFE]);
        long.extend(60_002_u16.to_be_bytes());
        long.extend([b' '; 60_000]);
    }
    long.extend(&jpeg[2..]);
    long
}

#[test]
fn files_on_disk_are_as_those_in_memory() {
    let path = std::env::temp_dir().join(format!("headpose-fast-files-{}", std::process::id()));
    let jpegs = [golden(), with_comments(&golden(), 200_000)];
    let mut all = b"something before".to_vec();
    let mut places = Vec::new();
    for jpeg in &jpegs {
        let (offset, length) = (all.len() as u64, jpeg.len() as u64);
        places.push(OnDisk { path: path.clone(), offset, length });
        all.extend(jpeg);
    }
    fs::write(&path, &all).unwrap();
    let (mut memory, mut disk) = ([[0; 2]; 2], [[0; 2]; 2]);
    assert!(sizes(&jpegs, 1 << 20, &mut memory, 1, || true).unwrap().unwrap().is_empty());
    assert!(sizes(&places, 1 << 20, &mut disk, 2, || true).unwrap().unwrap().is_empty());
    assert_eq!((memory, disk), ([[40, 24]; 2], [[40, 24]; 2]));
    let (mut memory, mut disk) = ([[0; 32]; 2], [[0; 32]; 2]);
    assert!(digests(&jpegs, &mut memory, 2, || true).unwrap().unwrap().is_empty());
    assert!(digests(&places, &mut disk, 1, || true).unwrap().unwrap().is_empty());
    assert_eq!(memory, disk);
    assert_ne!(memory[0], memory[1]);

    let (mut photo, mut same) = (Photo::default(), Photo::default());
    let mut decoder = PhotoDecoder::default();
    for (jpeg, place) in jpegs.iter().zip(&places) {
        decode(jpeg, &mut decoder, &mut photo).unwrap();
        decode(place, &mut decoder, &mut same).unwrap();
        assert_eq!(photo.planes(), same.planes());
    }

    // One that has become shorter, and one that is gone.
    fs::write(&path, &all[..all.len() - 1]).unwrap();
    let mut found = [[0; 32]; 2];
    let bad = digests(&places, &mut found, 1, || true).unwrap().unwrap();
    assert!(matches!(bad[..], [(1, PhotographError::Unreadable(_))]));
    assert!(bad[0].1.to_string().starts_with("cannot be read: "));
    fs::remove_file(&path).unwrap();
    let mut found = [[0; 2]; 2];
    assert_eq!(sizes(&places, 1 << 20, &mut found, 1, || true).unwrap().unwrap().len(), 2);
}

#[test]
fn headers_are_held_to_the_limit() {
    let jpegs = vec![golden(); 200];
    let mut found = vec![[0; 2]; 200];
    let bad = sizes(&jpegs, 900, &mut found, 2, || true).unwrap().unwrap();
    assert_eq!(bad.iter().map(|(i, _)| *i).collect::<Vec<_>>(), (0..200).collect::<Vec<_>>());
    assert!(sizes(&jpegs, 1000, &mut found, 2, || true).unwrap().unwrap().is_empty());
}
