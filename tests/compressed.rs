//! What is compressed comes back, in order, whatever the workers; what is damaged does not.

use std::fs::{self, File};
use std::ops::ControlFlow;
use std::path::Path;
use std::thread;
use std::time::Duration;

use headpose_fast::compressed::{Piece, Pieces, compare_all, compress, compress_all, expand};
use headpose_fast::crops::Crop;
use headpose_fast::jpeg::{Photo, PhotoDecoder};
use headpose_fast::render::PhotographError;
use headpose_fast::text;

fn jpeg() -> Vec<u8> {
    let name = "tests/golden/jpeg/420_64x40_q70_restart.jpg";
    fs::read(Path::new(env!("CARGO_MANIFEST_DIR")).join(name)).unwrap()
}

fn rows(photo: &Photo, part: Crop) -> Vec<Vec<u8>> {
    let [x, y, w, h] = [part.x, part.y, part.w, part.h].map(|v| v as usize);
    let places = (0..3).flat_map(|channel| (y..y + h).map(move |y| (channel, y)));
    places.map(|(channel, y)| photo.row(channel, x, y)[..w].to_vec()).collect()
}

fn all(width: i32, height: i32) -> Crop {
    Crop { x: 0, y: 0, w: width, h: height }
}

#[test]
fn parts_of_any_pixels_come_back() {
    let mut scratch = Vec::new();
    for (width, height) in [(1, 1), (1, 9), (64, 40), (131, 77)] {
        // Noise, and pixels that do not change.
        for step in [2_654_435_761_usize, 0] {
            let pixels: Vec<u8> =
                (0..width * height * 3).map(|i: usize| (i.wrapping_mul(step) >> 7) as u8).collect();
            let photo = Photo::from_bgr(width, height, &pixels);
            let (w, h) = (width.div_ceil(2), height.div_ceil(2));
            for (x, y) in [(0, 0), (width - w, height - h)] {
                let part = Crop { x: x as i32, y: y as i32, w: w as i32, h: h as i32 };
                let mut text = compress(&photo, part, &mut scratch);
                let mut back = Photo::default();
                expand(&mut text, w, h, &mut back).unwrap();
                assert_eq!(rows(&back, all(part.w, part.h)), rows(&photo, part));
            }
        }
    }
}

#[test]
fn other_sizes_and_cut_texts_are_damaged() {
    let photo = Photo::from_bgr(8, 6, &(0..144).map(|i| (i * i % 251) as u8).collect::<Vec<_>>());
    let whole = compress(&photo, all(8, 6), &mut Vec::new());
    let damaged = |mut text: Vec<u8>, width, height| {
        expand(&mut text, width, height, &mut Photo::default()).is_err()
    };
    assert!(!damaged(whole.clone(), 8, 6));
    for (width, height) in [(8, 5), (8, 7), (0, 6), (8, 0), (usize::MAX, 2), (1 << 20, 1 << 20)] {
        assert!(damaged(whole.clone(), width, height), "{width} x {height}");
    }
    for end in 0..whole.len() {
        assert!(damaged(whole[..end].to_vec(), 8, 6), "{end}");
    }
}

#[test]
fn text_has_seven_bits_and_keeps_every_byte() {
    for length in (0..120).chain([1000, 4097]) {
        let bytes: Vec<u8> = (0..length).map(|i| (i * 73 + length) as u8).collect();
        let mut text = text::encode_padded(&mut bytes.clone());
        assert!(text.is_ascii());
        let back = text::decode_padded(&mut text).unwrap();
        assert_eq!(back[..length], bytes);
        assert!(back[length..].iter().all(|byte| *byte == 0));
    }
    assert!(text::decode_padded(&mut [0; 63]).is_none());
    assert!(text::decode_padded(&mut [0x80; 64]).is_none());
}

/// Compresses the top rows of so many photographs, more of each than of the last.
fn compressed(workers: usize) -> Vec<Vec<u8>> {
    let jpegs = vec![jpeg(); 40];
    let parts: Vec<Crop> = (1..=40).map(|height| all(64, height)).collect();
    let mut texts = Vec::new();
    let go_on = || ControlFlow::Continue(());
    compress_all(&jpegs, &parts, workers, go_on, |i, made| {
        assert_eq!(i, texts.len());
        let made = made.unwrap();
        assert_eq!(made.checksum, crc32fast::hash(&made.text));
        texts.push(made.text);
        ControlFlow::Continue(())
    })
    .unwrap();
    assert_eq!(texts.len(), 40);
    texts
}

#[test]
fn photographs_come_in_order_whatever_the_workers() {
    let expected = compressed(1);
    for workers in [2, 7, 64] {
        assert!(compressed(workers) == expected, "{workers}");
    }
}

#[test]
fn a_break_ends_it_and_bad_photographs_do_not() {
    let jpegs = [jpeg(), b"no JPEG".to_vec(), jpeg(), jpeg()];
    let parts = [all(64, 40), all(1, 1), all(65, 40), all(2, 2)];
    for stop in 0..5 {
        let mut outcomes = Vec::new();
        let go_on = || ControlFlow::Continue(());
        compress_all(&jpegs, &parts, 3, go_on, |i, made| {
            outcomes.push(match made {
                Ok(_) => "made",
                Err(PhotographError::Jpeg(_)) => "no JPEG",
                Err(PhotographError::CropLeavesPicture { .. }) => "outside",
                Err(PhotographError::Compressed(_) | PhotographError::Unreadable(_)) => {
                    unreachable!("nothing is read")
                }
            });
            if i == stop { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
        })
        .unwrap();
        assert_eq!(outcomes, ["made", "no JPEG", "outside", "made"][..4.min(stop + 1)]);
    }
}

#[test]
fn whether_to_go_on_is_asked_while_results_come_too() {
    let (jpegs, parts) = (vec![jpeg(); 200], vec![all(64, 40); 200]);
    let mut consumed = 0;
    let stop = || ControlFlow::Break(());
    compress_all(&jpegs, &parts, 2, stop, |_, _| {
        thread::sleep(Duration::from_millis(2));
        consumed += 1;
        ControlFlow::Continue(())
    })
    .unwrap();
    assert!((1..150).contains(&consumed), "{consumed}");
}

#[test]
fn photographs_are_compared_with_a_file() {
    let mut photo = Photo::default();
    PhotoDecoder::default().decode(&jpeg(), &mut photo).unwrap();
    let part = Crop { x: 3, y: 5, w: 40, h: 30 };
    let text = compress(&photo, part, &mut Vec::new());
    let path = std::env::temp_dir().join(format!("headpose-fast-{}", std::process::id()));
    fs::write(&path, [&text[..], &text[..64]].concat()).unwrap();
    let piece = |offset, length, width| Piece { offset, length, width, height: 30 };
    let pieces = vec![
        piece(0, text.len(), 40),
        piece(0, text.len(), 40),
        piece(0, text.len(), 39),
        piece(64, text.len(), 40),
    ];
    let pieces = Pieces { file: File::open(&path).unwrap(), pieces };
    let moved = Crop { x: 4, ..part };
    let mut equal = Vec::new();
    let go_on = || ControlFlow::Continue(());
    compare_all(&vec![jpeg(); 4], &[part, moved, part, part], &pieces, 2, go_on, |_, found| {
        equal.push(found.unwrap());
        ControlFlow::Continue(())
    })
    .unwrap();
    fs::remove_file(path).unwrap();
    assert_eq!(equal, [true, false, false, false]);
}
