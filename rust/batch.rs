//! Samples as networks take them: a crop of each of some photographs, changed by its look, as floats
//! or bytes, in either order of planes and axes.

use std::cell::RefCell;
use std::io;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};

use crate::crops::Crop;
use crate::draws::Look;
use crate::jpeg::{CHANNELS, Photo, PhotoDecoder, Picture};
use crate::render::{PhotographError, RenderError, Size, require_inside};
use crate::resize::Resizer;
use crate::simd::{Loops, prefetch, vectorised};
use crate::threads::supervise;

/// Photographs that samples are cut from.
pub trait Pictures: Sync {
    /// Brings one of them: by decoding it into `photo`, or from wherever it is.
    ///
    /// # Errors
    /// It cannot be decoded.
    fn open<'a>(
        &'a self,
        photograph: usize,
        decoder: &mut PhotoDecoder,
        photo: &'a mut Photo,
    ) -> Result<Picture<'a>, PhotographError>;

    /// One that need not be decoded.
    fn at_hand(&self, _photograph: usize) -> Option<Picture<'_>> {
        None
    }
}

/// JPEG files.
impl<J: AsRef<[u8]> + Sync> Pictures for [J] {
    fn open<'a>(
        &'a self,
        photograph: usize,
        decoder: &mut PhotoDecoder,
        photo: &'a mut Photo,
    ) -> Result<Picture<'a>, PhotographError> {
        decoder.decode(self[photograph].as_ref(), photo)?;
        Ok((&*photo).into())
    }
}

/// Pictures that are decoded already.
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

    fn at_hand(&self, photograph: usize) -> Option<Picture<'_>> {
        Some(self.0[photograph])
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
    /// In pixels.
    pub size: Size,
    /// Red first; else blue first.
    pub rgb: bool,
    /// Whether the three values of a pixel are neighbours (HWC); else planes are (CHW).
    pub interleaved: bool,
    /// Of floats: what is subtracted from each channel, and what the difference is divided by.
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

/// Shares of a batch that each worker takes, about.
const SHARES: usize = 4;

/// Renders a batch with `workers` threads; a single one is the caller's.
///
/// # Errors
/// Photographs that cannot be decoded or that a crop leaves, by the first such sample's place;
/// cancellation.
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
    let share = items.len().div_ceil(workers.max(1) * SHARES).max(1);
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
            let mut groups = share.chunk_by_mut(|a, b| a.1.photograph == b.1.photograph).peekable();
            while let Some(samples) = groups.next() {
                pause();
                if stop.load(Ordering::Relaxed) {
                    break 'shares;
                }
                let mut ahead = rows_ahead(pictures, groups.peek().map(|next| next[0].1));
                worker.render(pictures, form, samples, &mut ahead, |i, error| {
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
    // Shares may divide the samples of a photograph: one of them is enough.
    bad.sort_by_key(|(i, _)| (wanted[*i].photograph, *i));
    bad.dedup_by_key(|(i, _)| wanted[*i].photograph);
    bad.sort_by_key(|(i, _)| *i);
    Err(RenderError::Photographs(bad))
}

/// The rows of planes that the next sample needs, if they are in memory.
///
/// They lie apart, so that waiting for them would take twice as long as resizing: they are fetched
/// into the cache while the sample before is resized.
fn rows_ahead<P: Pictures + ?Sized>(
    pictures: &P,
    next: Option<Wanted>,
) -> impl Iterator<Item = &[u8]> {
    let found = next.and_then(|next| Some((pictures.at_hand(next.photograph)?, next.crop)));
    let inside = found.filter(|(p, crop)| crop.is_inside(p.width(), p.height()));
    inside.into_iter().flat_map(|(picture, crop)| {
        let [x, y, w, h] = [crop.x, crop.y, crop.w, crop.h].map(|v| v as usize);
        let rows = (0..CHANNELS).flat_map(move |channel| (y..y + h).map(move |y| (channel, y)));
        rows.map(move |(channel, y)| &picture.row(channel, x, y)[..w])
    })
}

/// Rows that are fetched for each row of a plane that is made: as many as most crops need.
const ROWS_AHEAD: usize = 2;

thread_local! {
    /// Kept from batch to batch, which may be of one sample.
    static WORKER: RefCell<Worker> = RefCell::default();
}

/// What a thread uses again and again.
#[derive(Default)]
struct Worker {
    decoder: PhotoDecoder,
    photo: Photo,
    resizer: Option<(Size, Resizer)>,
    scratch: Vec<f32>,
}

impl Worker {
    /// Renders samples of one photograph.
    fn render<'p, P: Pictures + ?Sized>(
        &mut self,
        pictures: &P,
        form: Form,
        samples: &mut [Item<'_>],
        ahead: &mut impl Iterator<Item = &'p [u8]>,
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
        for (i, Wanted { crop, look, .. }, out) in samples {
            if let Err(error) = require_inside(*crop, picture) {
                fail(*i, error);
                continue;
            }
            let in_place = !form.interleaved;
            let values = match out {
                Out::Floats(out) if in_place => &mut **out,
                _ => {
                    self.scratch.resize(form.size.values(), 0.0);
                    &mut self.scratch[..]
                }
            };
            resizer.render_beside(picture, *crop, values, || {
                ahead.by_ref().take(ROWS_AHEAD).for_each(prefetch);
            });
            vectorised(Change { values, look, form });
            match out {
                Out::Floats(_) if in_place => {}
                Out::Floats(out) => vectorised(Interleave { values: &self.scratch, form, out }),
                Out::Bytes(out) => vectorised(ToBytes { values: &self.scratch, form, out }),
            }
        }
    }
}

/// Applies a look to planes, and normalises them.
struct Change<'a> {
    values: &'a mut [f32],
    look: &'a Look,
    form: Form,
}

impl Loops for Change<'_> {
    #[inline(always)]
    fn run(self) {
        let Change { values, look, form } = self;
        let Size { width, height } = form.size;
        if look.mirrored {
            values.chunks_exact_mut(width).for_each(<[f32]>::reverse);
        }
        if look.grey {
            let (first, rest) = values.split_at_mut(width * height);
            let (green, last) = rest.split_at_mut(width * height);
            let (red, blue) = if form.rgb { (first, last) } else { (last, first) };
            for ((red, green), blue) in red.iter_mut().zip(green).zip(blue) {
                let luma = LUMA[0] * *red + LUMA[1] * *green + LUMA[2] * *blue;
                (*red, *green, *blue) = (luma, luma, luma);
            }
        }
        if (look.gain, look.offset) != (1.0, 0.0) {
            for value in &mut *values {
                *value = (*value * look.gain + look.offset).clamp(0.0, 1.0);
            }
        }
        if let Some([means, deviations]) = form.normal {
            let planes = values.chunks_exact_mut(width * height);
            for (plane, (mean, deviation)) in planes.zip(means.into_iter().zip(deviations)) {
                for value in plane {
                    *value = (*value - mean) / deviation;
                }
            }
        }
    }
}

/// Of red, green and blue: ITU-R BT.601, as Pillow and OpenCV have it.
const LUMA: [f32; CHANNELS] = [0.299, 0.587, 0.114];

/// Brings the planes of a pixel together.
struct Interleave<'a> {
    values: &'a [f32],
    form: Form,
    out: &'a mut [f32],
}

impl Loops for Interleave<'_> {
    #[inline(always)]
    fn run(self) {
        let pixels = self.form.size.values() / CHANNELS;
        let (first, rest) = self.values.split_at(pixels);
        let (second, third) = rest.split_at(pixels);
        let planes = first.iter().zip(second).zip(third);
        for (out, ((a, b), c)) in self.out.chunks_exact_mut(CHANNELS).zip(planes) {
            (out[0], out[1], out[2]) = (*a, *b, *c);
        }
    }
}

/// Makes bytes of values in 0..1, and brings the planes of a pixel together if asked.
struct ToBytes<'a> {
    values: &'a [f32],
    form: Form,
    out: &'a mut [u8],
}

/// Added to a value of 0..255, it leaves no room for what is behind the point: the sum is rounded
/// to the nearest whole number, ties to even, which is its lowest byte.
const WHOLE: f32 = 12_582_912.0;

#[inline(always)]
fn byte(value: f32) -> u8 {
    (value * 255.0 + WHOLE).to_bits() as u8
}

impl Loops for ToBytes<'_> {
    #[inline(always)]
    fn run(self) {
        let ToBytes { values, form, out } = self;
        if !form.interleaved {
            for (out, value) in out.iter_mut().zip(values) {
                *out = byte(*value);
            }
            return;
        }
        let pixels = form.size.values() / CHANNELS;
        let (first, rest) = values.split_at(pixels);
        let (second, third) = rest.split_at(pixels);
        let planes = first.iter().zip(second).zip(third);
        for (out, ((a, b), c)) in out.chunks_exact_mut(CHANNELS).zip(planes) {
            (out[0], out[1], out[2]) = (byte(*a), byte(*b), byte(*c));
        }
    }
}
