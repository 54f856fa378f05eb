//! Resizing gives the golden samples, and where a crop lies does not matter.

use std::fs;
use std::path::Path;

use headpose_fast::crops::Crop;
use headpose_fast::jpeg::Photo;
use headpose_fast::resize::Resizer;

fn size(text: &str) -> (usize, usize) {
    let (width, height) = text.split_once('x').unwrap();
    (width.parse().unwrap(), height.parse().unwrap())
}

#[test]
fn every_kind_of_resize_gives_the_golden_bits() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/resize");
    let photo = Photo::from_bgr(48, 40, fs::read(folder.join("picture_48x40.bgr")).unwrap());
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
        let mut sample = vec![f32::NAN; 3 * width * height];
        let crop = Crop { x: 3, y: 2, w: w as i32, h: h as i32 };
        Resizer::new(width, height).render(&photo, crop, &mut sample);
        let bits: Vec<u32> = sample.iter().map(|value| value.to_bits()).collect();
        assert_eq!(bits, expected, "{path:?}");
        seen += 1;
    }
    assert_eq!(seen, 14);
}

/// A resizer keeps rows between crops: none may be taken for one of the next crop.
#[test]
fn a_resizer_that_has_been_used_gives_the_same_bits() {
    let bytes = (0..60 * 50 * 3).map(|i| (i * i % 251) as u8).collect();
    let photo = Photo::from_bgr(60, 50, bytes);
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
