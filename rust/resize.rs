//! Cutting a crop from a photograph and resizing it: the arithmetic of OpenCV 4.2's `resize` on
//! float32 with `INTER_LINEAR`, to the bit.
//!
//! Bytes become `v = u8 / 255` in float32. On one axis, with `n_in` pixels becoming `n_out`, output
//! pixel `d` lies at `f = float32((d + 0.5) * (n_in / n_out) - 0.5)` (pixel centres, (0, 0) the top
//! left pixel, the inside in float64), between pixel `s = floor(f)` and the next, at the weight
//! `a = f - s`: `v[s] * (1 - a) + v[s + 1] * a`, indices clamped to the crop. Along x first, then
//! along y; along x only, `a` is 0 at and beyond the outermost pixels. Every operation is rounded
//! by itself: nothing is fused. A crop of exactly twice the output's size is averaged instead.

use crate::crops::Crop;
use crate::jpeg::{CHANNELS, Picture};
use crate::simd::{Loops, Shuffles, vectorised};
use crate::taps::{Tap, fill_taps};

/// `u8 / 255`, correctly rounded. (A multiplication by 1/255 is not the same for 126 of the 256.)
static UNIT: [f32; 256] = {
    let mut table = [0.0; 256];
    let mut byte = 0;
    while byte < 256 {
        table[byte] = byte as f32 / 255.0;
        byte += 1;
    }
    table
};

/// Where the rows of a sample go while they are made, from the top down.
pub trait Rows {
    /// Where the row at `y` of each plane goes.
    fn at(&mut self, y: usize) -> [&mut [f32]; CHANNELS];

    /// Called when these rows have been made.
    fn made(&mut self, _y: usize) {}

    /// Where the row at `y` of each plane goes as bytes; `None` if it must be made as floats.
    fn bytes_at(&mut self, _y: usize) -> Option<[&mut [u8]; CHANNELS]> {
        None
    }

    /// Called when these rows have been made as bytes.
    fn bytes_made(&mut self, _y: usize) {}
}

/// The planes of a sample, one after the other.
struct Planes<'a> {
    values: &'a mut [f32],
    width: usize,
}

impl Rows for Planes<'_> {
    #[inline(always)]
    fn at(&mut self, y: usize) -> [&mut [f32]; CHANNELS] {
        row_of_planes(self.values, self.width, y)
    }
}

/// Row `y` of each of the planes, which follow one another.
#[inline(always)]
pub fn row_of_planes<T>(planes: &mut [T], width: usize, y: usize) -> [&mut [T]; CHANNELS] {
    let plane = planes.len() / CHANNELS;
    let (first, rest) = planes.split_at_mut(plane);
    let (second, third) = rest.split_at_mut(plane);
    [first, second, third].map(|plane| &mut plane[y * width..][..width])
}

/// Renders samples of one size, keeping its scratch buffers between them.
pub struct Resizer {
    across: Vec<Tap>,
    down: Vec<Tap>,
    /// Without SIMD, or if rows serve several rows of the sample: the two last used rows of the crop,
    /// resized along x.
    kept: [Row; 2],
    /// `None` if the processor has no suitable SIMD.
    shuffles: Option<Shuffles>,
}

struct Row {
    /// Row of the crop; `None` for a stale one.
    y: Option<usize>,
    /// Of each plane.
    values: [Vec<f32>; CHANNELS],
}

impl Resizer {
    /// For samples of `width` x `height` pixels, with the best that this processor can do.
    pub fn new(width: usize, height: usize) -> Self {
        Self::with_lanes(width, height, usize::MAX)
    }

    /// The same without SIMD.
    pub fn plain(width: usize, height: usize) -> Self {
        Self::with_lanes(width, height, 1)
    }

    /// The same with vectors of so many values at most: 1, 8 or 16.
    pub fn with_lanes(width: usize, height: usize, most_lanes: usize) -> Self {
        let tap = Tap { near: 0, far: 0, near_weight: 1.0, far_weight: 0.0 };
        let row = || Row { y: None, values: std::array::from_fn(|_| vec![0.0; width]) };
        Resizer {
            across: vec![tap; width],
            down: vec![tap; height],
            kept: [row(), row()],
            shuffles: Shuffles::new(most_lanes),
        }
    }

    /// Renders `crop` of a picture into `sample`: planes of `height` x `width` values in 0..1, blue,
    /// green and red unless the picture has another order.
    ///
    /// # Panics
    /// If the crop is empty or leaves the picture, or `sample` has another length.
    pub fn render<'a>(&mut self, picture: impl Into<Picture<'a>>, crop: Crop, sample: &mut [f32]) {
        let width = self.across.len();
        assert_eq!(sample.len(), CHANNELS * width * self.down.len());
        self.render_rows(picture.into(), crop, false, Planes { values: sample, width });
    }

    /// The same, row by row; each row from right to left if `mirrored`. Rows may be made as bytes: as
    /// [`byte`] makes them of the values.
    ///
    /// [`byte`]: crate::simd::byte
    ///
    /// # Panics
    /// If the crop is empty or leaves the picture.
    pub fn render_rows(
        &mut self,
        picture: Picture<'_>,
        crop: Crop,
        mirrored: bool,
        rows: impl Rows,
    ) {
        let loops = Render { resizer: self, picture, crop, mirrored, rows };
        match loops.resizer.shuffles {
            Some(_) => vectorised(loops),
            None => loops.run(),
        }
    }
}

/// The arguments of [`Resizer::render_rows`].
struct Render<'a, R> {
    resizer: &'a mut Resizer,
    picture: Picture<'a>,
    crop: Crop,
    mirrored: bool,
    rows: R,
}

impl<R: Rows> Loops for Render<'_, R> {
    #[inline(always)]
    fn run(self) {
        let Render { resizer: this, picture, crop, mirrored, mut rows } = self;
        let (width, height) = (this.across.len(), this.down.len());
        assert!(crop.is_inside(picture.width(), picture.height()));
        let [x, y, w, h] = [crop.x, crop.y, crop.w, crop.h].map(|v| v as usize);
        let row = |channel: usize, at: usize| picture.row(channel, x, y + at);

        if w == 2 * width && h == 2 * height {
            for d in 0..height {
                for (channel, out) in rows.at(d).into_iter().enumerate() {
                    halve(row(channel, 2 * d), row(channel, 2 * d + 1), out);
                    if mirrored {
                        out.reverse();
                    }
                }
                rows.made(d);
            }
            return;
        }
        fill_taps(&mut this.across, w, true);
        if mirrored {
            this.across.reverse();
        }
        fill_taps(&mut this.down, h, false);
        let bytes = rows.bytes_at(0).is_some();
        let shuffles = this.shuffles.as_mut();
        let shuffles = shuffles.and_then(|s| s.prepare(&this.across, bytes).then_some(&*s));
        // Rows that serve only one output row are blended at once, and not kept.
        let blends = shuffles.filter(|_| h >= 2 * height);
        this.kept.iter_mut().for_each(|row| row.y = None);
        for (d, tap) in this.down.iter().enumerate() {
            let of_planes = |at| std::array::from_fn(|channel| row(channel, at));
            if let Some(shuffles) = shuffles
                && let Some(outs) = rows.bytes_at(d)
            {
                shuffles.blend_bytes([of_planes(tap.near), of_planes(tap.far)], tap, outs);
                rows.bytes_made(d);
                continue;
            }
            if let Some(shuffles) = blends {
                shuffles.blend([of_planes(tap.near), of_planes(tap.far)], tap, rows.at(d));
                rows.made(d);
                continue;
            }
            for at in [tap.near, tap.far] {
                // Neighbouring rows have different parity: the two never share a slot.
                let kept = &mut this.kept[at % 2];
                if kept.y != Some(at) {
                    kept.y = Some(at);
                    let outs = kept.values.each_mut().map(Vec::as_mut_slice);
                    match shuffles {
                        Some(shuffles) => shuffles.across(of_planes(at), outs),
                        None => across(of_planes(at), &this.across, outs),
                    }
                }
            }
            let [near, far] = [tap.near, tap.far].map(|at| &this.kept[at % 2].values);
            for ((near, far), out) in near.iter().zip(far).zip(rows.at(d)) {
                down(near, far, tap, out);
            }
            rows.made(d);
        }
    }
}

/// Resizes a row of each plane along x.
fn across(rows: [&[u8]; CHANNELS], taps: &[Tap], outs: [&mut [f32]; CHANNELS]) {
    for (row, out) in rows.into_iter().zip(outs) {
        for (tap, out) in taps.iter().zip(out) {
            let [near, far] = [tap.near, tap.far].map(|at| UNIT[usize::from(row[at])]);
            *out = near * tap.near_weight + far * tap.far_weight;
        }
    }
}

/// Blends two rows.
#[inline(always)]
fn down(near: &[f32], far: &[f32], tap: &Tap, out: &mut [f32]) {
    for ((near, far), out) in near.iter().zip(far).zip(out) {
        *out = near * tap.near_weight + far * tap.far_weight;
    }
}

/// Averages squares of four pixels, in OpenCV's order of additions.
#[inline(always)]
fn halve(top: &[u8], bottom: &[u8], out: &mut [f32]) {
    for ((top, bottom), out) in top.chunks_exact(2).zip(bottom.chunks_exact(2)).zip(out) {
        let [a, b, c, d] = [top[0], top[1], bottom[0], bottom[1]].map(|v| UNIT[usize::from(v)]);
        *out = (((a + b) + c) + d) * 0.25;
    }
}
