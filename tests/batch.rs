//! Batches have the pixels that resizing gives, in every form.

use headpose_fast::batch::{Decoded, Form, Out, Wanted, render_batch};
use headpose_fast::crops::Crop;
use headpose_fast::draws::Look;
use headpose_fast::jpeg::{MARGIN, Photo, Picture};
use headpose_fast::render::{PhotographError, RenderError, Size};
use headpose_fast::resize::Resizer;

const SIZE: Size = Size { width: 11, height: 9 };
const AS_IT_IS: Look = Look { mirrored: false, grey: false, gain: 1.0, offset: 0.0 };
const FORM: Form = Form { size: SIZE, rgb: false, interleaved: false, normal: None };

fn photos() -> Vec<Photo> {
    let mut state = 1_u32;
    let mut byte = || {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (state >> 24) as u8
    };
    let sizes = [(40, 30), (25, 61)];
    let photo = |(w, h)| Photo::from_bgr(w, h, &(0..3 * w * h).map(|_| byte()).collect::<Vec<_>>());
    sizes.map(photo).into()
}

/// Photographs out of turn, some twice.
fn wanted(look: Look) -> Vec<Wanted> {
    let crops = [(1, [2, 3, 22, 18]), (0, [0, 0, 40, 30]), (1, [5, 40, 9, 9]), (0, [39, 29, 1, 1])];
    let sample = |(photograph, [x, y, w, h]): (usize, [i32; 4])| Wanted {
        photograph,
        crop: Crop { x, y, w, h },
        look,
    };
    crops.map(sample).into()
}

fn floats(wanted: &[Wanted], form: Form, workers: usize) -> Vec<f32> {
    let photos = photos();
    let decoded = Decoded(photos.iter().map(Picture::from).collect());
    let mut out = vec![f32::NAN; wanted.len() * form.size.values()];
    render_batch(&decoded, wanted, form, Out::Floats(&mut out), workers, || true).unwrap();
    out
}

fn bytes(wanted: &[Wanted], form: Form) -> Vec<u8> {
    let photos = photos();
    let decoded = Decoded(photos.iter().map(Picture::from).collect());
    let mut out = vec![0; wanted.len() * form.size.values()];
    render_batch(&decoded, wanted, form, Out::Bytes(&mut out), 2, || true).unwrap();
    out
}

/// Value of sample, channel, row and column of planes blue, green, red.
fn at(values: &[f32], sample: usize, channel: usize, y: usize, x: usize) -> f32 {
    values[((sample * 3 + channel) * SIZE.height + y) * SIZE.width + x]
}

#[test]
fn floats_are_those_of_resizing_with_and_without_simd() {
    let photos = photos();
    let mut expected = vec![0.0; 4 * SIZE.values()];
    for (sample, wanted) in expected.chunks_exact_mut(SIZE.values()).zip(wanted(AS_IT_IS)) {
        let mut resizer = Resizer::plain(SIZE.width, SIZE.height);
        resizer.render(&photos[wanted.photograph], wanted.crop, sample);
    }
    for workers in [1, 2, 9] {
        assert_eq!(floats(&wanted(AS_IT_IS), FORM, workers), expected);
    }
}

#[test]
fn every_form_has_the_same_values_elsewhere() {
    let plain = floats(&wanted(AS_IT_IS), FORM, 1);
    let look = Look { mirrored: true, grey: false, gain: 1.5, offset: -0.25 };
    let [means, deviations] = [[0.1, 0.2, 0.3], [0.5, 0.6, 0.7]];
    for rgb in [false, true] {
        for interleaved in [false, true] {
            let form = Form { rgb, interleaved, ..FORM };
            let changed = floats(&wanted(look), form, 1);
            let normalised =
                floats(&wanted(look), Form { normal: Some([means, deviations]), ..form }, 2);
            let rounded = bytes(&wanted(look), form);
            let mut i = 0;
            for sample in 0..4 {
                for outer in 0..SIZE.values() {
                    let (channel, y, x) = if interleaved {
                        (outer % 3, outer / 3 / SIZE.width, outer / 3 % SIZE.width)
                    } else {
                        let pixel = outer % (SIZE.width * SIZE.height);
                        (outer / (SIZE.width * SIZE.height), pixel / SIZE.width, pixel % SIZE.width)
                    };
                    let plane = if rgb { 2 - channel } else { channel };
                    let value = at(&plain, sample, plane, y, SIZE.width - 1 - x);
                    let value = (value * 1.5 - 0.25).clamp(0.0, 1.0);
                    assert_eq!(changed[i], value);
                    assert_eq!(normalised[i], (value - means[channel]) / deviations[channel]);
                    assert_eq!(rounded[i], (255.0 * value).round_ties_even() as u8);
                    i += 1;
                }
            }
        }
    }
}

#[test]
fn grey_is_the_luma_in_either_order() {
    let plain = floats(&wanted(AS_IT_IS), FORM, 1);
    let grey = floats(&wanted(Look { grey: true, ..AS_IT_IS }), FORM, 1);
    let rgb = floats(&wanted(Look { grey: true, ..AS_IT_IS }), Form { rgb: true, ..FORM }, 1);
    assert_eq!(grey, rgb);
    for (sample, y, x) in [(0, 0, 0), (1, 8, 10), (2, 4, 5)] {
        let [blue, green, red] = [0, 1, 2].map(|channel| at(&plain, sample, channel, y, x));
        let luma = 0.299 * red + 0.587 * green + 0.114 * blue;
        for channel in 0..3 {
            assert_eq!(at(&grey, sample, channel, y, x), luma);
        }
    }
}

#[test]
fn what_cannot_be_rendered_is_named_by_its_place() {
    let jpegs: [&[u8]; 1] = [b"no JPEG"];
    let mut out = vec![0; 2 * SIZE.values()];
    let crop = Crop { x: 0, y: 0, w: 9, h: 9 };
    let broken = [Wanted { photograph: 0, crop, look: AS_IT_IS }; 2];
    let result = render_batch(&jpegs[..], &broken, FORM, Out::Bytes(&mut out), 1, || true);
    let Err(RenderError::Photographs(bad)) = result else { panic!("no error") };
    assert!(matches!(bad[..], [(0, PhotographError::Jpeg(_))]));

    let photos = photos();
    let decoded = Decoded(photos.iter().map(Picture::from).collect());
    let mut beyond = wanted(AS_IT_IS);
    beyond[2].crop.w = 100;
    let mut out = vec![0; 4 * SIZE.values()];
    let result = render_batch(&decoded, &beyond, FORM, Out::Bytes(&mut out), 1, || true);
    let Err(RenderError::Photographs(bad)) = result else { panic!("no error") };
    assert!(matches!(bad[..], [(2, PhotographError::CropLeavesPicture { .. })]));
}

#[test]
fn too_few_pixels_are_no_picture() {
    let bytes = vec![0; 3 * 4 * 5 + MARGIN];
    assert!(Picture::new(4, 5, &bytes).is_some());
    assert!(Picture::new(4, 5, &bytes[1..]).is_none());
    assert!(Picture::new(usize::MAX, 2, &bytes).is_none());
}
