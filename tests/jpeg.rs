//! Decoding gives libjpeg-turbo's bytes, and damage is an error.

use std::fs;
use std::path::{Path, PathBuf};

use headpose_fast::jpeg::{Header, JpegError, MOST_PIXELS, Photo, PhotoDecoder};

fn golden() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/jpeg")
}

fn jpegs() -> Vec<PathBuf> {
    let mut paths: Vec<_> = fs::read_dir(golden())
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "jpg"))
        .collect();
    paths.sort();
    assert_eq!(paths.len(), 29);
    paths
}

fn decode(jpeg: &[u8]) -> Result<Photo, JpegError> {
    let mut photo = Photo::default();
    PhotoDecoder::default().decode(jpeg, &mut photo)?;
    Ok(photo)
}

/// Blue, green and red of one pixel after the other.
fn pixels(photo: &Photo) -> Vec<u8> {
    let pixel = |x, y| [0, 1, 2].map(|channel| photo.row(channel, x, y)[0]);
    (0..photo.height()).flat_map(|y| (0..photo.width()).flat_map(move |x| pixel(x, y))).collect()
}

#[test]
fn every_kind_decodes_to_the_bytes_of_libjpeg_turbo() {
    // One of each for all: the buffers are used again for larger and smaller pictures.
    let (mut photo, mut decoder) = (Photo::default(), PhotoDecoder::default());
    for path in jpegs() {
        decoder.decode(&fs::read(&path).unwrap(), &mut photo).unwrap();
        assert_eq!(pixels(&photo), fs::read(path.with_extension("bgr")).unwrap(), "{path:?}");
    }
}

#[test]
fn the_header_gives_the_turned_size() {
    for path in jpegs() {
        let name = path.file_stem().unwrap().to_str().unwrap();
        let (width, height) = name.split('_').nth(1).unwrap().split_once('x').unwrap();
        let mut size = (width.parse().unwrap(), height.parse().unwrap());
        if ["exif5", "exif6", "exif7", "exif8"].iter().any(|turned| name.ends_with(turned)) {
            size = (size.1, size.0);
        }
        let jpeg = fs::read(&path).unwrap();
        assert_eq!(Header::parse(&jpeg, MOST_PIXELS).unwrap().size(), size, "{name}");
    }
}

/// Every byte at which a file can end, for one file of each way of coding.
#[test]
fn a_truncated_file_is_an_error_wherever_it_ends() {
    for name in
        ["420_40x24_q50", "grey_40x24_q85", "420_48x33_q60_progressive", "420_64x40_q70_restart"]
    {
        let jpeg = fs::read(golden().join(name).with_extension("jpg")).unwrap();
        for end in 0..jpeg.len() {
            let result = decode(&jpeg[..end]);
            assert!(result.is_err(), "{name} may end after {end} of {} bytes", jpeg.len());
        }
    }
}

#[test]
fn what_follows_the_end_marker_is_passed_over() {
    let path = golden().join("420_40x24_q50.jpg");
    let mut jpeg = fs::read(&path).unwrap();
    jpeg.extend_from_slice(b"left by a camera");
    assert_eq!(pixels(&decode(&jpeg).unwrap()), fs::read(path.with_extension("bgr")).unwrap());
}

/// The frame header's offset in a JPEG.
fn frame(jpeg: &[u8]) -> usize {
    jpeg.windows(2).position(|pair| pair == [0xFF, 0xC0]).unwrap()
}

#[test]
fn other_kinds_of_file_are_refused_by_name() {
    let jpeg = fs::read(golden().join("420_40x24_q50.jpg")).unwrap();
    let at = frame(&jpeg);
    let changed = |offset: usize, bytes: &[u8]| {
        let mut jpeg = jpeg.clone();
        jpeg[at + offset..at + offset + bytes.len()].copy_from_slice(bytes);
        jpeg
    };
    let error = |jpeg: &[u8]| decode(jpeg).err().unwrap();
    assert!(matches!(error(b""), JpegError::NotJpeg(_)));
    assert!(matches!(error(b"\x89PNG\r\n\x1a\n"), JpegError::NotJpeg(_)));
    assert!(matches!(
        error(&changed(5, &[0xFF, 0xFF, 0xFF, 0xFF])),
        JpegError::TooLarge { width: 65535, height: 65535, .. } | JpegError::Damaged(_)
    ));
    for refused in
        [changed(4, &[12]), changed(1, &[0xC3]), changed(1, &[0xC9]), changed(5, &[0, 0])]
    {
        assert!(matches!(error(&refused), JpegError::Unsupported(_) | JpegError::Damaged(_)));
    }
}
