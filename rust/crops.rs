//! Planning crops: which part of which photograph each sample shows.
//!
//! A crop reaches from somewhere between the picture's corner and the face box's upper left corner
//! to somewhere between the box's lower right corner and the picture's, drawn anew until it fits.
//! All randomness of the job is here; what comes after is a pure function of the crops.

use std::fmt;

use rand_mt::Mt;
use thiserror::Error;

use crate::philox::unit;

/// Triples drawn for one crop before it is given up. The worst crop of the published database at
/// seed 0 takes 338 at 1:1 and 752 at 16:9.
const MOST_TRIPLES: u32 = 1_000_000;

/// Numbers drawn between two calls of `keep_going`: some milliseconds.
const POLL: u64 = 1 << 20;

/// Crop heights are multiples of this many pixels.
const HEIGHT_STEP: i64 = 9;

/// Proportions of a crop, and with them the default size of a sample.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AspectRatio {
    /// 1:1, 84 x 84 (`--aspect-ratio 1`).
    Square,
    /// 16:9, 96 x 54 (`--aspect-ratio 0`).
    Wide,
}

impl AspectRatio {
    /// Crop width for [`HEIGHT_STEP`] pixels of height.
    fn width_step(self) -> i64 {
        match self {
            AspectRatio::Square => 9,
            AspectRatio::Wide => 16,
        }
    }
}

/// Size of an (oriented) picture and the face box in it, in pixels, origin top left.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Frame {
    /// Picture width.
    pub width: i64,
    /// Picture height.
    pub height: i64,
    /// Face centre, from the left.
    pub cx: i64,
    /// Face centre, from the top.
    pub cy: i64,
    /// Width of the face box.
    pub face_width: i64,
    /// Height of the face box.
    pub face_height: i64,
}

impl fmt::Display for Frame {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Frame { width, height, cx, cy, face_width, face_height } = self;
        write!(f, "centre ({cx}, {cy}), size {face_width} x {face_height} ")?;
        write!(f, "in {width} x {height} pixels")
    }
}

/// A rectangle of a picture in pixels, origin top left.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Crop {
    /// Left edge.
    pub x: i32,
    /// Upper edge.
    pub y: i32,
    /// Width.
    pub w: i32,
    /// Height.
    pub h: i32,
}

impl fmt::Display for Crop {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Crop { x, y, w, h } = self;
        write!(f, "crop of {w} x {h} pixels at ({x}, {y})")
    }
}

impl Crop {
    /// Whether it is not empty and lies inside a picture.
    pub fn is_inside(&self, width: usize, height: usize) -> bool {
        let fits = |start: i32, length: i32, size: usize| {
            start >= 0 && length > 0 && i64::from(start) + i64::from(length) <= size as i64
        };
        fits(self.x, self.w, width) && fits(self.y, self.h, height)
    }
}

/// Why a photograph cannot be cropped.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum CropError {
    /// Width or height of the face box is zero or less.
    #[error("the face box is empty: {width} x {height} pixels")]
    EmptyBox {
        /// Width of the face box.
        width: i64,
        /// Height of the face box.
        height: i64,
    },
    /// The face box is not inside the picture.
    #[error("the face box leaves the picture: {0}")]
    BoxLeavesPicture(Frame),
    /// None of the crops that can be drawn is accepted.
    #[error("no crop of this aspect ratio fits around the face box: {0}")]
    NoCrop(Frame),
    /// A crop exists, but is too rare to be drawn.
    #[error(
        "no crop was accepted in {MOST_TRIPLES} draws; one exists, but is too rare to be found"
    )]
    TooRare,
}

impl Frame {
    /// Half of the box's width, rounded down.
    pub fn margin_x(&self) -> i64 {
        self.face_width / 2
    }

    /// Half of the box's height, rounded down.
    pub fn margin_y(&self) -> i64 {
        self.face_height / 2
    }

    /// Says what is wrong with the face box, if anything, without drawing.
    ///
    /// # Errors
    /// It is empty, leaves the picture, or allows no crop.
    pub fn check(&self, ratio: AspectRatio) -> Result<(), CropError> {
        self.check_box()?;
        if !self.some_crop_fits(ratio) {
            return Err(CropError::NoCrop(*self));
        }
        Ok(())
    }

    /// Checks that the face box is not empty and is inside the picture.
    ///
    /// # Errors
    /// It is empty or leaves the picture.
    pub fn check_box(&self) -> Result<(), CropError> {
        let Frame { width, height, cx, cy, face_width, face_height } = *self;
        if face_width <= 0 || face_height <= 0 {
            return Err(CropError::EmptyBox { width: face_width, height: face_height });
        }
        let inside = |centre: i64, margin: i64, size: i64| {
            centre >= margin && centre.checked_add(margin).is_some_and(|end| end < size)
        };
        if !inside(cx, self.margin_x(), width) || !inside(cy, self.margin_y(), height) {
            return Err(CropError::BoxLeavesPicture(*self));
        }
        Ok(())
    }

    /// Whether any crop that can be drawn is accepted. For one height, the acceptable positions are
    /// an interval on each axis, and every height in it can be drawn there, so checking heights is
    /// enough.
    fn some_crop_fits(&self, ratio: AspectRatio) -> bool {
        let fits = |centre: i64, margin: i64, size: i64, crop: i64| {
            let first = (centre + margin - crop + 1).max(0);
            let last = (centre - margin - 1).max(0).min(size - crop - 1);
            first <= last
        };
        (1..=self.height / HEIGHT_STEP).any(|steps| {
            fits(self.cy, self.margin_y(), self.height, steps * HEIGHT_STEP)
                && fits(self.cx, self.margin_x(), self.width, steps * ratio.width_step())
        })
    }

    /// Draws one crop of a frame that was checked, with numbers in [0, 1). The order of the draws and
    /// every rounding are those of the original script.
    ///
    /// # Errors
    /// The crop is too rare.
    pub fn draw(
        &self,
        ratio: AspectRatio,
        mut uniform: impl FnMut() -> f64,
    ) -> Result<Crop, CropError> {
        // An integer in 0..n, truncated; 0 for n = 0.
        let mut below = |n: i64| (uniform() * n as f64) as i64;
        let (right, bottom) = (self.cx + self.margin_x(), self.cy + self.margin_y());
        for _ in 0..MOST_TRIPLES {
            let x = below(self.cx - self.margin_x());
            let y = below(self.cy - self.margin_y());
            let low = bottom - y;
            let high = self.height - y;
            let steps = (low + below(high - low)) / HEIGHT_STEP;
            let (w, h) = (steps * ratio.width_step(), steps * HEIGHT_STEP);
            if right < x + w && x + w < self.width && bottom < y + h && y + h < self.height {
                // A checked frame lies inside a JPEG, whose sides are below 2^16.
                let [x, y, w, h] = [x, y, w, h].map(|v| v as i32);
                return Ok(Crop { x, y, w, h });
            }
        }
        Err(CropError::TooRare)
    }
}

/// Words of a [`State`].
pub const STATE: usize = 624;

/// A position in the stream of random numbers: the next words, which determine all later ones
/// (MT19937 has this many words of state).
pub type State = [u32; STATE];

/// The doubles of `numpy.random.RandomState(seed).random_sample()`.
///
/// M. Matsumoto, T. Nishimura: Mersenne Twister (MT19937), seeded by `init_genrand`, two outputs
/// to a double.
struct Stream {
    /// Words to return before those of the generator.
    first: std::vec::IntoIter<u32>,
    generator: Mt,
    drawn: u64,
}

impl Stream {
    fn new(seed: u32) -> Self {
        Stream { first: Vec::new().into_iter(), generator: Mt::new(seed), drawn: 0 }
    }

    /// Continues from a position.
    fn at(state: &State) -> Self {
        let generator = Mt::recover(*state).expect("a state has as many words as are needed");
        Stream { first: Vec::from(*state).into_iter(), generator, drawn: 0 }
    }

    fn state(&self) -> State {
        let (mut first, mut generator) = (self.first.clone(), self.generator.clone());
        std::array::from_fn(|_| first.next().unwrap_or_else(|| generator.next_u32()))
    }

    fn word(&mut self) -> u32 {
        self.first.next().unwrap_or_else(|| self.generator.next_u32())
    }

    /// The next double in [0, 1).
    fn next(&mut self) -> f64 {
        self.drawn += 1;
        let high = self.word();
        unit(high, self.word())
    }
}

/// Why crops were not planned.
#[derive(Debug, Error, PartialEq, Eq)]
pub enum PlanError {
    /// Photographs that cannot be cropped, with their indices over all parts, ascending.
    #[error("{} photographs cannot be cropped", .0.len())]
    Photographs(Vec<(usize, CropError)>),
    /// `keep_going` returned false.
    #[error("cancelled")]
    Cancelled,
}

/// One part of the database (train or test): its photographs and how often each is cropped.
#[derive(Clone, Copy, Debug)]
pub struct Part<'a> {
    /// The photographs, in order.
    pub frames: &'a [Frame],
    /// Passes over them.
    pub passes: usize,
}

/// What [`walk`] does with each crop that is drawn, and before it.
trait Visitor {
    /// Called before the crop of photograph `i` of a part is drawn, in each pass.
    fn before(&mut self, part: usize, i: usize, stream: &Stream);

    fn crop(&mut self, crop: Crop);
}

/// Draws the crops of all parts from one stream, pass-major: sample `k * n + i` of a part is pass k
/// of photograph i of n. `keep_going` is called now and then.
fn walk(
    parts: &[Part<'_>],
    ratio: AspectRatio,
    stream: &mut Stream,
    mut keep_going: impl FnMut() -> bool,
    visitor: &mut impl Visitor,
) -> Result<(), PlanError> {
    let mut next_poll = 0;
    let mut before = 0;
    for (number, part) in parts.iter().enumerate() {
        for _ in 0..part.passes {
            for (i, frame) in part.frames.iter().enumerate() {
                if stream.drawn >= next_poll {
                    next_poll = stream.drawn + POLL;
                    if !keep_going() {
                        return Err(PlanError::Cancelled);
                    }
                }
                visitor.before(number, i, stream);
                let crop = frame.draw(ratio, || stream.next());
                visitor
                    .crop(crop.map_err(|error| PlanError::Photographs(vec![(before + i, error)]))?);
            }
        }
        before += part.frames.len();
    }
    Ok(())
}

/// Keeps all crops.
impl Visitor for Vec<Crop> {
    fn before(&mut self, _part: usize, _i: usize, _stream: &Stream) {}

    fn crop(&mut self, crop: Crop) {
        self.push(crop);
    }
}

/// Keeps the states at which stretches of photographs begin.
struct Starts<'a> {
    /// Of each part: indices of photographs, ascending.
    starts: &'a [Vec<usize>],
    states: Vec<State>,
}

impl Visitor for Starts<'_> {
    fn before(&mut self, part: usize, i: usize, stream: &Stream) {
        if self.starts[part].binary_search(&i).is_ok() {
            self.states.push(stream.state());
        }
    }

    fn crop(&mut self, _crop: Crop) {}
}

/// Finds all photographs that cannot be cropped, before the first draw.
fn check_all(parts: &[Part<'_>], ratio: AspectRatio) -> Result<(), PlanError> {
    let frames = parts.iter().flat_map(|part| part.frames).enumerate();
    let bad: Vec<_> =
        frames.filter_map(|(i, frame)| Some((i, frame.check(ratio).err()?))).collect();
    if bad.is_empty() { Ok(()) } else { Err(PlanError::Photographs(bad)) }
}

/// Plans the crops of all parts from one stream.
///
/// # Errors
/// All photographs that cannot be cropped, found before the first draw, or the one whose crop is
/// too rare; cancellation.
pub fn plan(
    parts: &[Part<'_>],
    ratio: AspectRatio,
    seed: u32,
    keep_going: impl FnMut() -> bool,
) -> Result<Vec<Crop>, PlanError> {
    check_all(parts, ratio)?;
    let mut crops = Vec::new();
    walk(parts, ratio, &mut Stream::new(seed), keep_going, &mut crops)?;
    Ok(crops)
}

/// Draws the same crops, but keeps only the states of the stream where stretches of photographs
/// begin, part by part, pass by pass.
///
/// `starts` has the indices of the first photographs of each part's stretches, ascending.
///
/// # Errors
/// As [`plan`].
pub fn plan_states(
    parts: &[Part<'_>],
    ratio: AspectRatio,
    seed: u32,
    starts: &[Vec<usize>],
    keep_going: impl FnMut() -> bool,
) -> Result<Vec<State>, PlanError> {
    check_all(parts, ratio)?;
    let mut visitor = Starts { starts, states: Vec::new() };
    walk(parts, ratio, &mut Stream::new(seed), keep_going, &mut visitor)?;
    Ok(visitor.states)
}

/// Plans the crops of a stretch of photographs again, from the states at its beginning in each pass.
///
/// # Errors
/// As [`plan`].
pub fn plan_stretch(
    frames: &[Frame],
    ratio: AspectRatio,
    states: &[State],
    mut keep_going: impl FnMut() -> bool,
) -> Result<Vec<Crop>, PlanError> {
    let part = [Part { frames, passes: 1 }];
    check_all(&part, ratio)?;
    let mut crops = Vec::new();
    for state in states {
        walk(&part, ratio, &mut Stream::at(state), &mut keep_going, &mut crops)?;
    }
    Ok(crops)
}
