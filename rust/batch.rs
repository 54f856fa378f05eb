//! Samples in the form that networks need: a crop of each of some photographs, changed by its look,
//! as floats or bytes, in either order of planes and axes.

use std::cell::RefCell;
use std::io;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};

use crate::crops::Crop;
use crate::draws::Look;
use crate::jpeg::{CHANNELS, Photo, PhotoDecoder, Picture};
use crate::render::{PhotographError, RenderError, Size, decode, require_inside};
use crate::resize::{Resizer, Rows, row_of_planes};
use crate::simd::{byte, prefetch};
use crate::stored::Stored;
use crate::threads::supervise;

/// Photographs that samples are cut from.
pub trait Pictures: Sync {
    /// Loads one of them: by decoding it into `photo`, or from wherever it is.
    ///
    /// # Errors
    /// It cannot be decoded.
    fn open<'a>(
        &'a self,
        photograph: usize,
        decoder: &mut PhotoDecoder,
        photo: &'a mut Photo,
    ) -> Result<Picture<'a>, PhotographError>;
}

/// JPEG files.
impl<J: Stored> Pictures for [J] {
    fn open<'a>(
        &'a self,
        photograph: usize,
        decoder: &mut PhotoDecoder,
        photo: &'a mut Photo,
    ) -> Result<Picture<'a>, PhotographError> {
        decode(&self[photograph], decoder, photo)?;
        Ok((&*photo).into())
    }
}

/// Pictures that are already decoded.
pub struct Decoded<'a>(pub Vec<Picture<'a>>);

impl Pictures for Decoded<'_> {
    fn open<'a>(
        &'a self,
        photograph: usize,
        _decoder: &mut PhotoDecoder,
        _photo: &'a mut Photo,
    ) -> Result<Picture<'a>, PhotographError> {
        Ok(self.0[photograph])
    }
}

/// One sample of a batch.
#[derive(Clone, Copy, Debug)]
pub struct Wanted {
    /// Index of the photograph.
    pub photograph: usize,
    /// The part of it that is shown.
    pub crop: Crop,
    /// How it is changed.
    pub look: Look,
}

/// The form of a sample.
#[derive(Clone, Copy, Debug)]
pub struct Form {
    /// Its size in pixels.
    pub size: Size,
    /// Red first; else blue first.
    pub rgb: bool,
    /// Whether the three values of a pixel are neighbours (HWC); else planes are (CHW).
    pub interleaved: bool,
    /// For floats: the values subtracted from each channel, and those the difference is divided by.
    pub normal: Option<[[f32; CHANNELS]; 2]>,
}

/// Where a batch goes, sample by sample.
pub enum Out<'a> {
    /// Values in 0..255: 255 times the float, rounded to the nearest, ties to even.
    Bytes(&'a mut [u8]),
    /// Values in 0..1, or normalised ones.
    Floats(&'a mut [f32]),
}

impl<'a> Out<'a> {
    fn samples(self, values: usize) -> Vec<Out<'a>> {
        match self {
            Out::Bytes(out) => out.chunks_exact_mut(values).map(Out::Bytes).collect(),
            Out::Floats(out) => out.chunks_exact_mut(values).map(Out::Floats).collect(),
        }
    }
}

/// A sample to render: its place in the batch, what it is, and where it goes.
type Item<'a> = (usize, Wanted, Out<'a>);

/// Approximate number of shares of a batch that each worker takes.
const SHARES: usize = 4;

/// Renders a batch with `workers` threads; a single one is the caller's.
///
/// # Errors
/// Photographs that cannot be decoded or that a crop leaves, each by the index of its first such
/// sample; cancellation.
///
/// # Panics
/// If `out` is not as long as the samples.
pub fn render_batch<P: Pictures + ?Sized>(
    pictures: &P,
    wanted: &[Wanted],
    form: Form,
    out: Out<'_>,
    workers: usize,
    keep_going: impl FnMut() -> bool,
) -> Result<(), RenderError> {
    let outs = out.samples(form.size.values());
    assert_eq!(outs.len(), wanted.len());
    let items = wanted.iter().zip(outs).enumerate();
    let mut items: Vec<Item> = items.map(|(i, (wanted, out))| (i, *wanted, out)).collect();
    // Samples of one photograph follow each other, so that it is decoded once.
    items.sort_by_key(|(_, wanted, _)| wanted.photograph);
    let share = items.len().div_ceil(workers.max(1).saturating_mul(SHARES)).max(1);
    let mut shares = Vec::new();
    while !items.is_empty() {
        let rest = items.split_off(share.min(items.len()));
        shares.push(std::mem::replace(&mut items, rest));
    }
    let workers = workers.clamp(1, shares.len().max(1));
    let shares = Mutex::new(shares.into_iter());
    let bad = Mutex::new(Vec::new());
    let stop = AtomicBool::new(false);
    let work = |pause: &mut dyn FnMut()| {
        // Taken, not borrowed: a signal handler that `pause` runs may render a batch too.
        let mut worker = WORKER.take();
        'shares: loop {
            let share = shares.lock().expect("no worker panics with it").next();
            let Some(mut share) = share else { break };
            let groups = share.chunk_by_mut(|a, b| a.1.photograph == b.1.photograph);
            for samples in groups {
                pause();
                if stop.load(Ordering::Relaxed) {
                    break 'shares;
                }
                worker.render(pictures, form, samples, |i, error| {
                    bad.lock().expect("no worker panics with it").push((i, error));
                });
            }
        }
        WORKER.set(worker);
        Ok::<(), io::Error>(())
    };
    if !supervise(workers, &stop, keep_going, work)? {
        return Err(RenderError::Cancelled);
    }
    let mut bad = bad.into_inner().unwrap_or_else(|poisoned| poisoned.into_inner());
    if bad.is_empty() {
        return Ok(());
    }
    // Shares may divide the samples of a photograph; one error for each is enough.
    bad.sort_by_key(|(i, _)| (wanted[*i].photograph, *i));
    bad.dedup_by_key(|(i, _)| wanted[*i].photograph);
    bad.sort_by_key(|(i, _)| *i);
    Err(RenderError::Photographs(bad))
}

thread_local! {
    /// Kept from batch to batch, since a batch may be a single sample.
    static WORKER: RefCell<Worker> = RefCell::default();
}

/// What a thread reuses.
#[derive(Default)]
struct Worker {
    decoder: PhotoDecoder,
    photo: Photo,
    resizer: Option<(Size, Resizer)>,
    /// A row of each plane.
    scratch: Vec<f32>,
    scratch_bytes: Vec<u8>,
}

impl Worker {
    /// Renders samples of one photograph.
    fn render<P: Pictures + ?Sized>(
        &mut self,
        pictures: &P,
        form: Form,
        samples: &mut [Item<'_>],
        mut fail: impl FnMut(usize, PhotographError),
    ) {
        let Size { width, height } = form.size;
        let resizer = match &mut self.resizer {
            Some((size, resizer)) if *size == form.size => resizer,
            other => &mut other.insert((form.size, Resizer::new(width, height))).1,
        };
        let photograph = samples[0].1.photograph;
        let picture = match pictures.open(photograph, &mut self.decoder, &mut self.photo) {
            Ok(picture) => picture.in_order(form.rgb),
            Err(error) => return fail(samples[0].0, error),
        };
        self.scratch.resize(CHANNELS * width, 0.0);
        self.scratch_bytes.resize(CHANNELS * width, 0);
        for (i, Wanted { crop, look, .. }, out) in samples {
            match require_inside(*crop, picture) {
                Ok(()) => {
                    let scratch = &mut self.scratch[..];
                    let scratch_bytes = &mut self.scratch_bytes[..];
                    let ahead = Ahead::of(picture, *crop);
                    let rows = Finish { form, look, out, scratch, scratch_bytes, ahead };
                    resizer.render_rows(picture, *crop, look.mirrored, rows);
                }
                Err(error) => fail(*i, error),
            }
        }
    }
}

/// Fetches the pixels of a sample into the cache shortly before they are needed.
///
/// They are scattered: a row of a crop is a few hundred bytes of each plane. Requests for a few rows
/// at once take less time than one after the other, as the pixels are needed.
struct Ahead<'a> {
    picture: Picture<'a>,
    crop: Crop,
    /// The next row to fetch.
    row: usize,
    /// What was left of a row after the last one, times the sample's height.
    rest: usize,
}

/// Rows between those that are needed and those that are fetched: of 1, 2, 3, 4, 8, ... the fastest.
const ROWS_AHEAD: usize = 2;

impl<'a> Ahead<'a> {
    fn of(picture: Picture<'a>, crop: Crop) -> Self {
        Ahead { picture, crop, row: ROWS_AHEAD, rest: 0 }
    }

    /// Fetches as many rows as one of the sample's `height` rows takes on average.
    #[inline(always)]
    fn fetch(&mut self, height: usize) {
        let [left, top, w, h] =
            [self.crop.x, self.crop.y, self.crop.w, self.crop.h].map(|v| v as usize);
        self.rest += h;
        while self.rest >= height {
            self.rest -= height;
            if self.row < h {
                for channel in 0..CHANNELS {
                    prefetch(&self.picture.row(channel, left, top + self.row)[..w]);
                }
            }
            self.row += 1;
        }
    }
}

/// Changes the rows of a sample by its look, converts them to its form, and stores them.
struct Finish<'a, 'out> {
    form: Form,
    look: &'a Look,
    out: &'a mut Out<'out>,
    /// A row of each plane, unless they are made in place.
    scratch: &'a mut [f32],
    scratch_bytes: &'a mut [u8],
    ahead: Ahead<'a>,
}

impl Rows for Finish<'_, '_> {
    #[inline(always)]
    fn at(&mut self, y: usize) -> [&mut [f32]; CHANNELS] {
        let width = self.form.size.width;
        match &mut *self.out {
            Out::Floats(out) if !self.form.interleaved => row_of_planes(out, width, y),
            _ => row_of_planes(self.scratch, width, 0),
        }
    }

    #[inline(always)]
    fn made(&mut self, y: usize) {
        let (form, look) = (self.form, self.look);
        let Size { width, height } = form.size;
        self.ahead.fetch(height);
        let mut rows = self.at(y);
        change(&mut rows, look, form);
        let rows = row_of_planes(self.scratch, width, 0);
        match &mut *self.out {
            Out::Floats(out) if form.interleaved => interleave(&rows, out, y, |value| value),
            Out::Floats(_) => {}
            Out::Bytes(out) if form.interleaved => interleave(&rows, out, y, byte),
            Out::Bytes(out) => {
                for (row, out) in rows.into_iter().zip(row_of_planes(out, width, y)) {
                    for (value, out) in row.iter().zip(out) {
                        *out = byte(*value);
                    }
                }
            }
        }
    }

    #[inline(always)]
    fn bytes_at(&mut self, y: usize) -> Option<[&mut [u8]; CHANNELS]> {
        let (form, look) = (self.form, self.look);
        let changes_values = look.grey || look.changes_brightness() || form.normal.is_some();
        let width = form.size.width;
        match &mut *self.out {
            Out::Bytes(_) if changes_values => None,
            Out::Bytes(_) if form.interleaved => Some(row_of_planes(self.scratch_bytes, width, 0)),
            Out::Bytes(out) => Some(row_of_planes(out, width, y)),
            Out::Floats(_) => None,
        }
    }

    #[inline(always)]
    fn bytes_made(&mut self, y: usize) {
        let Size { width, height } = self.form.size;
        self.ahead.fetch(height);
        if let (Out::Bytes(out), true) = (&mut *self.out, self.form.interleaved) {
            interleave(&row_of_planes(self.scratch_bytes, width, 0), out, y, |byte| byte);
        }
    }
}

/// Applies a look to a row of each plane that is mirrored already if it is to be, and normalises
/// them.
#[inline(always)]
fn change(rows: &mut [&mut [f32]; CHANNELS], look: &Look, form: Form) {
    if look.grey {
        let [first, green, last] = rows;
        let (red, blue) = if form.rgb { (first, last) } else { (last, first) };
        for ((red, green), blue) in red.iter_mut().zip(green.iter_mut()).zip(blue.iter_mut()) {
            let luma = LUMA[0] * *red + LUMA[1] * *green + LUMA[2] * *blue;
            (*red, *green, *blue) = (luma, luma, luma);
        }
    }
    if look.changes_brightness() {
        for row in &mut *rows {
            for value in row.iter_mut() {
                *value = (*value * look.gain + look.offset).clamp(0.0, 1.0);
            }
        }
    }
    if let Some([means, deviations]) = form.normal {
        for (row, (mean, deviation)) in rows.iter_mut().zip(means.into_iter().zip(deviations)) {
            for value in row.iter_mut() {
                *value = (*value - mean) / deviation;
            }
        }
    }
}

/// Weights of red, green and blue: ITU-R BT.601, as in Pillow and OpenCV.
const LUMA: [f32; CHANNELS] = [0.299, 0.587, 0.114];

/// Interleaves the three values of each pixel of row `y`.
#[inline(always)]
fn interleave<V: Copy, T>(
    rows: &[&mut [V]; CHANNELS],
    out: &mut [T],
    y: usize,
    convert: impl Fn(V) -> T,
) {
    let [first, second, third] = rows;
    let out = out[CHANNELS * first.len() * y..].chunks_exact_mut(CHANNELS);
    for (((out, a), b), c) in out.zip(first.iter()).zip(second.iter()).zip(third.iter()) {
        (out[0], out[1], out[2]) = (convert(*a), convert(*b), convert(*c));
    }
}
