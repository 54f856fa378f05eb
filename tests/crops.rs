//! Planning gives the original script's crops, and knows beforehand which boxes allow none.

use std::fs;
use std::path::Path;

use headpose_fast::crops::{
    AspectRatio, Crop, CropError, Frame, Part, PlanError, plan, plan_states, plan_stretch,
};

const BOTH: [AspectRatio; 2] = [AspectRatio::Square, AspectRatio::Wide];

fn frame(width: i64, height: i64, cx: i64, cy: i64, face_width: i64, face_height: i64) -> Frame {
    Frame { width, height, cx, cy, face_width, face_height }
}

/// The frames of tests/golden/database_persons01+05_numbers00+46.tar.
fn golden_frames(person: i64) -> Vec<Frame> {
    let boxes: [(i64, i64); 4] = [(1, 0), (1, 46), (2, 0), (2, 46)];
    let of =
        |(series, number)| frame(384, 288, 150 + 10 * person, 120 + 10 * series, 100 + number, 90);
    boxes.map(of).to_vec()
}

#[test]
fn the_golden_crops_are_planned() {
    for (ratio, option) in [(AspectRatio::Square, 1), (AspectRatio::Wide, 0)] {
        let name = format!("tests/golden/crops_aspect{option}_seed3_aug2_val1.i32");
        let golden = fs::read(Path::new(env!("CARGO_MANIFEST_DIR")).join(name)).unwrap();
        let golden: Vec<i32> = golden
            .chunks_exact(4)
            .map(|bytes| i32::from_le_bytes(bytes.try_into().unwrap()))
            .collect();
        let (train, test) = (golden_frames(1), golden_frames(5));
        let parts = [Part { frames: &train, passes: 2 }, Part { frames: &test, passes: 1 }];
        let crops = plan(&parts, ratio, 3, || true).unwrap();
        let crops: Vec<i32> = crops.iter().flat_map(|&Crop { x, y, w, h }| [x, y, w, h]).collect();
        assert_eq!(crops, golden);
    }
}

/// Tries every crop that the formulas can reach.
fn some_crop_fits(frame: &Frame, ratio: AspectRatio) -> bool {
    let (mx, my) = (frame.face_width / 2, frame.face_height / 2);
    let step = if ratio == AspectRatio::Square { 9 } else { 16 };
    (0..(frame.cy - my).max(1)).any(|y| {
        (frame.cy + my - y..frame.height - y).any(|unrounded| {
            let h = unrounded / 9 * 9;
            let w = h / 9 * step;
            let fits_x =
                (0..(frame.cx - mx).max(1)).any(|x| frame.cx + mx < x + w && x + w < frame.width);
            fits_x && frame.cy + my < y + h && y + h < frame.height
        })
    })
}

#[test]
fn a_box_is_refused_exactly_when_no_crop_fits() {
    let (mut fit, mut none) = (0, 0);
    for (width, height) in [(30, 24), (21, 40), (64, 20), (10, 11), (9, 9)] {
        for cx in (0..width).step_by(3) {
            for cy in (0..height).step_by(2) {
                for face in 1..12 {
                    let frame = frame(width, height, cx, cy, face, 13 - face);
                    for ratio in BOTH {
                        match frame.check(ratio) {
                            Err(CropError::BoxLeavesPicture(_)) => {
                                let (mx, my) = (face / 2, (13 - face) / 2);
                                let inside = cx >= mx && cx + mx < width;
                                assert!(!(inside && cy >= my && cy + my < height), "{frame:?}");
                            }
                            result => {
                                let expected = some_crop_fits(&frame, ratio);
                                assert_eq!(result.is_ok(), expected, "{frame:?} {ratio:?}");
                                if expected { fit += 1 } else { none += 1 }
                            }
                        }
                    }
                }
            }
        }
    }
    assert!(fit > 1000 && none > 1000, "both kinds must be tried: {fit} and {none}");
}

#[test]
fn impossible_boxes_are_all_named_before_anything_is_drawn() {
    let good = frame(384, 288, 192, 144, 100, 100);
    let frames = [
        frame(384, 288, 192, 144, 0, 100),
        good,
        frame(384, 288, 10, 144, 100, 100),
        frame(384, 288, 192, 240, 100, 100),
        frame(384, 288, i64::MAX, 144, 100, 100),
    ];
    let rest = [good, frame(384, 288, 192, 144, 380, 280)];
    let parts = [Part { frames: &frames, passes: 1 }, Part { frames: &rest, passes: 0 }];
    let Err(PlanError::Photographs(errors)) = plan(&parts, AspectRatio::Square, 0, || true) else {
        panic!("impossible boxes went unnoticed")
    };
    let indices: Vec<usize> = errors.iter().map(|(i, _)| *i).collect();
    assert_eq!(indices, [0, 2, 3, 4, 6]);
    assert_eq!(errors[0].1, CropError::EmptyBox { width: 0, height: 100 });
    assert!(matches!(errors[1].1, CropError::BoxLeavesPicture(Frame { cx: 10, .. })));
    assert!(matches!(errors[4].1, CropError::NoCrop(Frame { face_width: 380, .. })));
}

/// The original script would hang here: only the largest crop is wide enough, at one x of 57,000 and
/// six y of 6,000.
#[test]
fn a_crop_that_is_too_rare_ends_in_an_error() {
    let frame = frame(65_000, 6_000, 60_000, 5_980, 5_992, 20);
    frame.check(AspectRatio::Square).unwrap();
    let parts = [Part { frames: &[frame], passes: 1 }];
    let error = plan(&parts, AspectRatio::Square, 0, || true).unwrap_err();
    assert_eq!(error, PlanError::Photographs(vec![(0, CropError::TooRare)]));
}

#[test]
fn planning_stops_when_it_is_told_to() {
    let frames = [frame(384, 288, 192, 144, 100, 100)];
    let parts = [Part { frames: &frames, passes: usize::MAX / 2 }, Part { frames: &[], passes: 1 }];
    let mut passes = 0;
    let result = plan(&parts, AspectRatio::Square, 0, || {
        passes += 1;
        passes < 3
    });
    assert_eq!(result, Err(PlanError::Cancelled));
}

#[test]
fn errors_say_where_the_box_is() {
    let error = frame(384, 288, 10, 144, 100, 90).check(AspectRatio::Square).unwrap_err();
    assert_eq!(
        error.to_string(),
        "the face box leaves the picture: centre (10, 144), size 100 x 90 in 384 x 288 pixels"
    );
}

#[test]
fn stretches_are_planned_again_from_their_states() {
    let box_at =
        |cx: i64| Frame { width: 384, height: 288, cx, cy: 140, face_width: 80, face_height: 90 };
    let train: Vec<Frame> = (0..40).map(|i| box_at(100 + 5 * i)).collect();
    let test: Vec<Frame> = (0..7).map(|i| box_at(150 - 9 * i)).collect();
    let parts = [Part { frames: &train, passes: 30 }, Part { frames: &test, passes: 3 }];
    let starts = [vec![0, 13, 14], vec![0, 5]];
    for ratio in [AspectRatio::Square, AspectRatio::Wide] {
        let whole = plan(&parts, ratio, 3, || true).unwrap();
        let states = plan_states(&parts, ratio, 3, &starts, || true).unwrap();
        assert_eq!(states.len(), 30 * 3 + 3 * 2);
        let (mut row, mut states) = (0, states.into_iter());
        for (part, starts) in parts.iter().zip(&starts) {
            let of_part: Vec<_> = states.by_ref().take(part.passes * starts.len()).collect();
            let count = part.frames.len();
            for (k, &start) in starts.iter().enumerate() {
                let end = starts.get(k + 1).copied().unwrap_or(count);
                let own: Vec<_> = of_part.iter().skip(k).step_by(starts.len()).copied().collect();
                let again = plan_stretch(&part.frames[start..end], ratio, &own, || true).unwrap();
                let planned = &whole[row..][..part.passes * count];
                let expected: Vec<_> =
                    planned.chunks(count).flat_map(|pass| &pass[start..end]).copied().collect();
                assert_eq!(again, expected);
            }
            row += part.passes * count;
        }
    }
}
