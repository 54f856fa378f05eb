//! Drawing what a network is shown: the crop of a photograph and how the sample is changed, from
//! only a seed and a key, so workers, order and earlier draws do not matter.

use crate::crops::{AspectRatio, Crop, CropError, Frame};
use crate::philox::Keyed;

/// Which crop is drawn.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Rule {
    /// The original script's, see [`Frame::draw`].
    DeepLens(AspectRatio),
    /// The face box, enlarged and clipped to the picture.
    Grown {
        /// The factor is drawn between these.
        factor: [f64; 2],
        /// The box grows at the left, top, right and bottom by the factor times these multiples of
        /// its width or height.
        sides: [f64; 4],
    },
}

/// What is drawn.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Recipe {
    /// The crop.
    pub rule: Rule,
    /// Probability that the sample is mirrored.
    pub mirror: f64,
    /// Probability that it is made grey.
    pub grey: f64,
    /// The values' factor is drawn between these.
    pub gain: [f64; 2],
    /// The number added after that is drawn between these.
    pub offset: [f64; 2],
}

/// How a sample is changed after resizing.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Look {
    /// Columns are reversed.
    pub mirrored: bool,
    /// All planes become the luma.
    pub grey: bool,
    /// Values are multiplied by this,
    pub gain: f32,
    /// this is added, and they are limited to 0..1.
    pub offset: f32,
}

impl Look {
    /// Whether values are multiplied or shifted.
    pub fn changes_brightness(&self) -> bool {
        (self.gain, self.offset) != (1.0, 0.0)
    }
}

impl Recipe {
    /// Draws for a photograph and a key.
    ///
    /// The look comes first, always from the first four numbers, so that crops depend only on their
    /// rule.
    ///
    /// # Errors
    /// The face box allows no such crop.
    pub fn draw(&self, frame: &Frame, seed: u64, key: u64) -> Result<(Crop, Look), CropError> {
        let mut numbers = Keyed::new(seed, key);
        let look = Look {
            mirrored: numbers.uniform() < self.mirror,
            grey: numbers.uniform() < self.grey,
            gain: between(self.gain, numbers.uniform()) as f32,
            offset: between(self.offset, numbers.uniform()) as f32,
        };
        let crop = match self.rule {
            Rule::DeepLens(ratio) => {
                frame.check(ratio)?;
                frame.draw(ratio, || numbers.uniform())?
            }
            Rule::Grown { factor, sides } => {
                grown(frame, between(factor, numbers.uniform()), sides)?
            }
        };
        Ok((crop, look))
    }
}

fn between([least, most]: [f64; 2], uniform: f64) -> f64 {
    least + uniform * (most - least)
}

/// The face box, enlarged by `factor` times `sides` of its width or height.
fn grown(frame: &Frame, factor: f64, sides: [f64; 4]) -> Result<Crop, CropError> {
    frame.check_box()?;
    let Frame { width, height, cx, cy, face_width, face_height } = *frame;
    let axis = |centre: i64, margin: i64, face: i64, before: f64, after: f64, size: i64| {
        let first = centre - margin;
        let by = |side: f64| factor * side * face as f64;
        let start = (first as f64 - by(before)).clamp(0.0, first as f64) as i64;
        let end = ((first + face) as f64 + by(after)).clamp((first + face) as f64, size as f64);
        (start as i32, (end as i64 - start) as i32)
    };
    let (x, w) = axis(cx, frame.margin_x(), face_width, sides[0], sides[2], width);
    let (y, h) = axis(cy, frame.margin_y(), face_height, sides[1], sides[3], height);
    Ok(Crop { x, y, w, h })
}
