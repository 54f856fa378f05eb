//! Any bytes as a photograph: header, decoding, rendering.

use headpose_fast::crops::Crop;
use headpose_fast::jpeg::{Header, Photo, PhotoDecoder};
use headpose_fast::resize::Resizer;

/// Small, or the fuzzer waits for large pictures.
const MOST_PIXELS: u64 = 1 << 16;

const WIDTH: usize = 17;
const HEIGHT: usize = 7;

/// Whatever is decoded is decoded to the same bytes again, and rendered to the same bits with and
/// without SIMD.
pub fn run(data: &[u8]) {
    let Ok(header) = Header::parse(data, MOST_PIXELS) else {
        return;
    };
    let (width, height) = header.size();
    let mut decoder = PhotoDecoder::default();
    let mut photo = Photo::default();
    let decoded = decoder.decode(data, &mut photo).is_ok();
    let mut again = Photo::default();
    assert_eq!(decoder.decode(data, &mut again).is_ok(), decoded);
    if !decoded {
        return;
    }
    assert_eq!((photo.width(), photo.height()), (width, height));
    for channel in 0..3 {
        for y in 0..height {
            assert_eq!(photo.row(channel, 0, y)[..width], again.row(channel, 0, y)[..width]);
        }
    }
    // Crops in all four corners.
    let (w, h) = (1 + width * 2 / 3, 1 + height * 2 / 3);
    let (w, h) = (w.min(width), h.min(height));
    for (x, y) in [(0, 0), (width - w, 0), (0, height - h), (width - w, height - h)] {
        let crop = Crop { x: x as i32, y: y as i32, w: w as i32, h: h as i32 };
        let samples = [1, 8, 16].map(|lanes| {
            let mut r = Resizer::with_lanes(WIDTH, HEIGHT, lanes);
            let mut sample = vec![f32::NAN; 3 * WIDTH * HEIGHT];
            r.render(&photo, crop, &mut sample);
            sample
        });
        assert_eq!(samples[0], samples[1]);
        assert_eq!(samples[0], samples[2]);
        assert!(samples[0].iter().all(|value| (0.0..=1.001).contains(value)));
    }
}
