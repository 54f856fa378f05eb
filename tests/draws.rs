//! Draws follow from seed and key alone, and from published vectors.

use headpose_fast::crops::{AspectRatio, Crop, CropError, Frame};
use headpose_fast::draws::{Recipe, Rule};
use headpose_fast::philox::{Keyed, philox, unit};

const FRAME: Frame =
    Frame { width: 384, height: 288, cx: 180, cy: 130, face_width: 101, face_height: 90 };

const PLAIN: Recipe = Recipe {
    rule: Rule::DeepLens(AspectRatio::Square),
    mirror: 0.0,
    grey: 0.0,
    gain: [1.0, 1.0],
    offset: [0.0, 0.0],
};

#[test]
fn the_published_vectors_come_out() {
    // `kat_vectors` of Random123 1.14.0, philox4x32 with 10 rounds.
    let pi = [0x243f_6a88, 0x85a3_08d3, 0x1319_8a2e, 0x0370_7344];
    for (counter, key, words) in [
        ([0; 4], [0; 2], [0x6627_e8d5, 0xe169_c58d, 0xbc57_ac4c, 0x9b00_dbd8]),
        ([u32::MAX; 4], [u32::MAX; 2], [0x408f_276d, 0x41c8_3b0e, 0xa20b_c7c6, 0x6d54_51fd]),
        (pi, [0xa409_3822, 0x299f_31d0], [0xd16c_fe09, 0x94fd_cceb, 0x5001_e420, 0x2412_6ea1]),
    ] {
        assert_eq!(philox(counter, key), words);
    }
}

#[test]
fn numbers_of_a_key_are_blocks_of_its_counter() {
    let (seed, key) = (0x1234_5678_9abc_def0, 0x0fed_cba9_8765_4321);
    let mut numbers = Keyed::new(seed, key);
    for block in 0..3 {
        let words = philox([0x8765_4321, 0x0fed_cba9, block, 0], [0x9abc_def0, 0x1234_5678]);
        assert_eq!(numbers.uniform(), unit(words[0], words[1]));
        assert_eq!(numbers.uniform(), unit(words[2], words[3]));
    }
    assert_eq!(unit(0, 0), 0.0);
    assert!(unit(u32::MAX, u32::MAX) < 1.0);
}

#[test]
fn crops_depend_on_their_rule_alone() {
    let other = Recipe { mirror: 0.5, grey: 1.0, gain: [0.5, 2.0], offset: [-0.1, 0.1], ..PLAIN };
    let mut mirrored = 0;
    for key in 0..1000 {
        let (crop, look) = PLAIN.draw(&FRAME, 7, key).unwrap();
        let (same, changed) = other.draw(&FRAME, 7, key).unwrap();
        assert_eq!(crop, same);
        assert_eq!(crop.w, crop.h);
        assert!(crop.is_inside(384, 288) && crop.x < 130 && crop.x + crop.w > 230);
        assert!(!look.mirrored && !look.grey && changed.grey);
        assert_eq!((look.gain, look.offset), (1.0, 0.0));
        assert!((0.5..=2.0).contains(&changed.gain) && changed.offset.abs() <= 0.1);
        mirrored += i32::from(changed.mirrored);
    }
    assert!((450..550).contains(&mirrored), "{mirrored}");
    assert_ne!(PLAIN.draw(&FRAME, 7, 1).unwrap().0, PLAIN.draw(&FRAME, 8, 1).unwrap().0);
}

#[test]
fn a_box_grows_by_its_sides_and_stays_in_the_picture() {
    let grown =
        |least, most, sides| Recipe { rule: Rule::Grown { factor: [least, most], sides }, ..PLAIN };
    let face = grown(0.0, 0.0, [0.0; 4]).draw(&FRAME, 0, 0).unwrap().0;
    assert_eq!(face, Crop { x: 130, y: 85, w: 101, h: 90 });
    let crop = grown(0.5, 0.5, [1.0, 2.0, 0.5, 0.0]).draw(&FRAME, 0, 0).unwrap().0;
    // 130 - 50.5, 85 - 90 beyond the border, 231 + 25.25, 175.
    assert_eq!(crop, Crop { x: 79, y: 0, w: 177, h: 175 });
    for key in 0..1000 {
        let crop = grown(0.2, 9.0, [0.6, 2.0, 0.6, 0.6]).draw(&FRAME, 0, key).unwrap().0;
        assert!(crop.is_inside(384, 288));
        assert!(crop.x <= 117 && crop.x + crop.w >= 243);
    }
}

#[test]
fn impossible_boxes_are_errors() {
    let beyond = Frame { cx: 10, ..FRAME };
    let face = Recipe { rule: Rule::Grown { factor: [0.0; 2], sides: [0.0; 4] }, ..PLAIN };
    assert!(matches!(face.draw(&beyond, 0, 0), Err(CropError::BoxLeavesPicture(_))));
    assert!(matches!(PLAIN.draw(&beyond, 0, 0), Err(CropError::BoxLeavesPicture(_))));
    let empty = Frame { face_height: 0, ..FRAME };
    assert!(matches!(face.draw(&empty, 0, 0), Err(CropError::EmptyBox { .. })));
}
