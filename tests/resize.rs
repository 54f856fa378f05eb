//! Resizing gives the golden samples, and where a crop lies does not matter.

use std::fs;
use std::path::Path;

use headpose_fast::crops::Crop;
use headpose_fast::jpeg::Photo;
use headpose_fast::resize::{Resizer, Rows, row_of_planes};

fn size(text: &str) -> (usize, usize) {
    let (width, height) = text.split_once('x').unwrap();
    (width.parse().unwrap(), height.parse().unwrap())
}

#[test]
fn every_kind_of_resize_gives_the_golden_bits() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/resize");
    let photo = Photo::from_bgr(48, 40, &fs::read(folder.join("picture_48x40.bgr")).unwrap());
    let mut seen = 0;
    for entry in fs::read_dir(&folder).unwrap() {
        let path = entry.unwrap().path();
        let Some((from, to)) = path.file_stem().unwrap().to_str().unwrap().split_once("_to_")
        else {
            continue;
        };
        let ((w, h), (width, height)) = (size(from), size(to));
        let expected: Vec<u32> = fs::read(&path)
            .unwrap()
            .chunks_exact(4)
            .map(|bytes| u32::from_le_bytes(bytes.try_into().unwrap()))
            .collect();
        let crop = Crop { x: 3, y: 2, w: w as i32, h: h as i32 };
        for lanes in LANES {
            let mut resizer = Resizer::with_lanes(width, height, lanes);
            let mut sample = vec![f32::NAN; 3 * width * height];
            resizer.render(&photo, crop, &mut sample);
            let bits: Vec<u32> = sample.iter().map(|value| value.to_bits()).collect();
            assert_eq!(bits, expected, "{path:?}");
        }
        seen += 1;
    }
    assert_eq!(seen, 14);
}

/// The plain path, and those of vectors of eight and of sixteen values where the processor has them.
const LANES: [usize; 3] = [1, 8, 16];

/// A picture with every byte in it.
fn photo(width: usize, height: usize) -> Photo {
    let bytes: Vec<u8> = (0..width * height * 3).map(|i| (i * i / 7 % 256) as u8).collect();
    Photo::from_bgr(width, height, &bytes)
}

/// Keeps the rows of a sample, one plane behind the other.
struct Kept {
    rows: Vec<f32>,
    width: usize,
}

impl Rows for &mut Kept {
    fn at(&mut self, y: usize) -> [&mut [f32]; 3] {
        row_of_planes(&mut self.rows, self.width, y)
    }
}

/// On a machine without SIMD all are the plain path, and this shows nothing.
#[test]
fn simd_and_the_plain_path_agree_to_the_bit() {
    let photo = photo(384, 288);
    for (width, height) in [(84, 84), (96, 54), (33, 17), (8, 1), (1, 9), (224, 224)] {
        let mut resizers = LANES.map(|lanes| Resizer::with_lanes(width, height, lanes));
        let mut samples = LANES.map(|_| vec![0.0; 3 * width * height]);
        let mut mirrored = LANES.map(|_| Kept { rows: vec![0.0; 3 * width * height], width });
        // Sizes from a pixel to all of it, at all places, the last row and column among them.
        for i in 0..400 {
            let (w, h) = (1 + i * 37 % 384, 1 + i * 53 % 288);
            let (x, y) = (i * 29 % (385 - w), (i * 31 + 288 - h) % (289 - h));
            let crop = Crop { x, y, w, h };
            for (k, resizer) in resizers.iter_mut().enumerate() {
                resizer.render(&photo, crop, &mut samples[k]);
                resizer.render_rows((&photo).into(), crop, true, &mut mirrored[k]);
                mirrored[k].rows.chunks_exact_mut(width).for_each(<[f32]>::reverse);
                for other in [&samples[k], &mirrored[k].rows] {
                    let equal =
                        samples[0].iter().zip(other).all(|(a, b)| a.to_bits() == b.to_bits());
                    assert!(equal, "{w} x {h} at ({x}, {y}) to {width} x {height}, {}", LANES[k]);
                }
            }
        }
    }
}

fn has_simd() -> bool {
    #[cfg(target_arch = "x86_64")]
    return is_x86_feature_detected!("avx2") && is_x86_feature_detected!("fma");
    #[cfg(not(target_arch = "x86_64"))]
    return cfg!(target_arch = "aarch64");
}

/// Keeps the rows of a sample as bytes, if they can be made as such.
struct KeptBytes {
    bytes: Vec<u8>,
    floats: Vec<f32>,
    width: usize,
    made: usize,
}

impl Rows for &mut KeptBytes {
    fn at(&mut self, y: usize) -> [&mut [f32]; 3] {
        row_of_planes(&mut self.floats, self.width, y)
    }

    fn bytes_at(&mut self, y: usize) -> Option<[&mut [u8]; 3]> {
        Some(row_of_planes(&mut self.bytes, self.width, y))
    }

    fn bytes_made(&mut self, _y: usize) {
        self.made += 1;
    }
}

/// The second picture has all bytes beside their opposites, and halves between many of them.
#[test]
fn bytes_are_the_rounded_floats() {
    let opposites: Vec<u8> = (0..384 * 288 * 3).map(|i| [(i / 7) as u8, 0, 255][i % 3]).collect();
    let mut made = 0;
    for photo in [photo(384, 288), Photo::from_bgr(384, 288, &opposites)] {
        for (width, height) in [(84, 84), (96, 54), (33, 17), (1, 9), (224, 224)] {
            let mut plain = Resizer::plain(width, height);
            let mut floats = vec![0.0; 3 * width * height];
            let bytes = vec![0; floats.len()];
            let mut kept = KeptBytes { bytes, floats: floats.clone(), width, made: 0 };
            for (i, lanes) in (0..300).zip([8, 16].into_iter().cycle()) {
                let (w, h) = (9 + i * 37 % 376, 9 + i * 53 % 280);
                let (x, y) = (i * 29 % (385 - w), (i * 31 + 288 - h) % (289 - h));
                let crop = Crop { x, y, w, h };
                plain.render(&photo, crop, &mut floats);
                kept.made = 0;
                let mut resizer = Resizer::with_lanes(width, height, lanes);
                resizer.render_rows((&photo).into(), crop, false, &mut kept);
                if kept.made == 0 {
                    assert_eq!(kept.floats, floats);
                    continue;
                }
                let rounded = floats.iter().map(|value| (255.0 * value).round_ties_even() as u8);
                assert!(rounded.eq(kept.bytes.iter().copied()), "{crop:?} to {width} x {height}");
                made += 1;
            }
        }
    }
    // Those of all crops but the very large and the very small.
    assert_eq!(made > 1_000, has_simd(), "{made}");
}

/// A resizer keeps rows between crops: none may be taken for one of the next crop.
#[test]
fn a_resizer_that_has_been_used_gives_the_same_bits() {
    let photo = photo(60, 50);
    let mut used = Resizer::new(8, 6);
    for i in 0..200 {
        let (w, h) = (1 + i * 7 % 59, 1 + i * 11 % 49);
        let crop = Crop { x: i % (61 - w), y: i % (51 - h), w, h };
        let (mut expected, mut sample) = (vec![0.0; 144], vec![1.0; 144]);
        Resizer::new(8, 6).render(&photo, crop, &mut expected);
        used.render(&photo, crop, &mut sample);
        assert_eq!(sample, expected, "{crop:?}");
    }
}
