//! Renders the same crops again and again, for whoever counts instructions.
//!
//!     cargo run --release --example crop -- {simd,plain} TIMES
//!
//! `tests/aarch64.py` compares both.

use std::env::args;
use std::hint::black_box;

use headpose_fast::crops::Crop;
use headpose_fast::jpeg::Photo;
use headpose_fast::resize::Resizer;

/// The size of the published database's photographs.
const PHOTO: (usize, usize) = (384, 288);

/// Crops of usual sizes, at 1:1.
const CROPS: [Crop; 3] = [
    Crop { x: 101, y: 60, w: 126, h: 126 },
    Crop { x: 33, y: 21, w: 180, h: 180 },
    Crop { x: 80, y: 7, w: 234, h: 234 },
];

fn main() {
    let arguments: Vec<String> = args().collect();
    let [_, path, times] = arguments.as_slice() else {
        panic!("two arguments, not {arguments:?}");
    };
    let mut resizer = match path.as_str() {
        "simd" => Resizer::new(84, 84),
        "plain" => Resizer::plain(84, 84),
        other => panic!("simd or plain, not {other}"),
    };
    let pixels: Vec<u8> = (0..PHOTO.0 * PHOTO.1 * 3).map(|i| (i * i / 7 % 256) as u8).collect();
    let photo = Photo::from_bgr(PHOTO.0, PHOTO.1, &pixels);
    let mut sample = vec![0.0; 3 * 84 * 84];
    for _ in 0..times.parse().expect("a number of times") {
        for crop in CROPS {
            resizer.render(&photo, crop, &mut sample);
            black_box(&sample);
        }
    }
}
