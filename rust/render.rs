//! Rendering a batch: every crop of every photograph, each photograph decoded once.
//!
//! Photographs are taken in groups of neighbours. A worker decodes a group and then, pass by pass,
//! renders the group's samples one after the other. These are neighbours in the output too, so they
//! are written in one piece (a [`Run`]), and no memory grows with the number of passes.

use std::io;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use thiserror::Error;

use crate::compressed::CompressedError;
use crate::crops::Crop;
use crate::jpeg::{CHANNELS, JpegError, Photo, PhotoDecoder, Picture};
use crate::resize::Resizer;
use crate::stored::{Stored, reason};
use crate::threads::supervise;

/// Size of the rendered samples, in pixels.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Size {
    /// Width.
    pub width: usize,
    /// Height.
    pub height: usize,
}

impl Size {
    /// Floats in a sample.
    pub fn values(self) -> usize {
        CHANNELS * self.width * self.height
    }
}

/// Where photographs come from.
pub trait Source: Sync {
    /// Number of photographs.
    fn count(&self) -> usize;

    /// A function that loads a photograph into a buffer. Each worker has its own.
    fn loader(&self) -> impl FnMut(usize, &mut Photo) -> Result<(), PhotographError>;
}

/// JPEG files.
impl<J: Stored> Source for [J] {
    fn count(&self) -> usize {
        self.len()
    }

    fn loader(&self) -> impl FnMut(usize, &mut Photo) -> Result<(), PhotographError> {
        let mut decoder = PhotoDecoder::default();
        move |i, photo| decode(&self[i], &mut decoder, photo)
    }
}

/// Decodes a photograph, after reading it from wherever it is.
///
/// # Errors
/// It cannot be read or decoded.
pub fn decode(
    file: &impl Stored,
    decoder: &mut PhotoDecoder,
    photo: &mut Photo,
) -> Result<(), PhotographError> {
    let mut buffer = std::mem::take(&mut decoder.file);
    let decoded = match file.bytes(&mut buffer) {
        Ok(jpeg) => decoder.decode(jpeg, photo).map_err(PhotographError::from),
        Err(error) => Err(PhotographError::Unreadable(error)),
    };
    decoder.file = buffer;
    decoded
}

/// Where the samples of one group of photographs in one pass go.
pub trait Run: Send {
    /// Photographs in a group.
    const GROUP: usize;

    /// Calls `draw(i, sample)` to render each sample `i` of the group, and puts the samples there.
    /// `scratch` belongs to the worker, and may be used and resized at will.
    ///
    /// # Errors
    /// Any failure to write.
    fn write(
        self,
        scratch: &mut Vec<f32>,
        draw: &mut dyn FnMut(usize, &mut [f32]),
    ) -> io::Result<()>;
}

/// A sample in memory.
///
/// Groups are of one photograph, which then stays in the processor's cache for all its crops: with
/// groups of 16, `render` takes 1.1 to 1.2 times as long.
pub struct MemoryRun<'a>(&'a mut [f32]);

impl<'a> MemoryRun<'a> {
    /// Divides `out`, pass-major samples, into runs.
    pub fn divide(out: &'a mut [f32], size: Size) -> Vec<Self> {
        out.chunks_exact_mut(size.values()).map(MemoryRun).collect()
    }
}

impl Run for MemoryRun<'_> {
    const GROUP: usize = 1;

    fn write(
        self,
        _scratch: &mut Vec<f32>,
        draw: &mut dyn FnMut(usize, &mut [f32]),
    ) -> io::Result<()> {
        draw(0, self.0);
        Ok(())
    }
}

/// Why a photograph could not be rendered.
#[derive(Debug, Error)]
pub enum PhotographError {
    /// It could not be read.
    #[error("cannot be read: {}", reason(.0))]
    Unreadable(#[source] io::Error),
    /// It could not be decoded.
    #[error(transparent)]
    Jpeg(#[from] JpegError),
    /// It could not be read from a bundle.
    #[error(transparent)]
    Compressed(#[from] CompressedError),
    /// A crop is empty or reaches beyond the picture.
    #[error("{crop} is not inside the picture of {width} x {height} pixels")]
    CropLeavesPicture {
        /// The crop.
        crop: Crop,
        /// Picture width.
        width: usize,
        /// Picture height.
        height: usize,
    },
}

/// Why a batch ended early.
#[derive(Debug, Error)]
pub enum RenderError {
    /// Photographs that could not be rendered, with their indices, ascending.
    #[error("{} photographs could not be rendered", .0.len())]
    Photographs(Vec<(usize, PhotographError)>),
    /// The output could not be written.
    #[error(transparent)]
    Output(#[from] io::Error),
    /// `keep_going` returned false.
    #[error("cancelled")]
    Cancelled,
}

/// A group of photographs and where its samples go, one run per pass.
struct Job<R> {
    first: usize,
    runs: Vec<R>,
}

/// What the workers share.
struct Batch<'a, S: ?Sized, R> {
    source: &'a S,
    photographs: usize,
    crops: &'a [Crop],
    size: Size,
    jobs: Mutex<std::vec::IntoIter<Job<R>>>,
    bad: Mutex<Vec<(usize, PhotographError)>>,
    stop: AtomicBool,
    /// Samples rendered so far.
    done: AtomicUsize,
}

/// Renders `crops` (pass-major: crop `k * n + i` is of photograph i of n) of `source` into `runs`
/// (pass-major, one for each group of [`Run::GROUP`] photographs of each pass), with `workers` threads.
///
/// The result depends on neither their number nor their order. `keep_going` is called on this
/// thread about every 50 ms with the number of samples done. If it returns false, the batch ends
/// within a few milliseconds.
///
/// # Errors
/// All photographs that cannot be decoded or cropped; the first failure to write; cancellation.
/// What the runs hold is unspecified then.
///
/// # Panics
/// If the lengths of `source`, `crops` and `runs` do not match.
pub fn render<S, R>(
    source: &S,
    crops: &[Crop],
    size: Size,
    runs: Vec<R>,
    workers: usize,
    mut keep_going: impl FnMut(usize) -> bool,
) -> Result<(), RenderError>
where
    S: Source + ?Sized,
    R: Run,
{
    let photographs = source.count();
    if photographs == 0 || crops.is_empty() {
        return Ok(());
    }
    assert_eq!(crops.len() % photographs, 0, "crops are not a whole number of passes");
    let groups = photographs.div_ceil(R::GROUP);
    assert_eq!(runs.len(), crops.len() / photographs * groups, "one run a pass and group");
    let mut jobs: Vec<Job<R>> =
        (0..groups).map(|group| Job { first: group * R::GROUP, runs: Vec::new() }).collect();
    for (i, run) in runs.into_iter().enumerate() {
        jobs[i % groups].runs.push(run);
    }
    let batch = Batch {
        source,
        photographs,
        crops,
        size,
        jobs: Mutex::new(jobs.into_iter()),
        bad: Mutex::new(Vec::new()),
        stop: AtomicBool::new(false),
        done: AtomicUsize::new(0),
    };

    let poll = || keep_going(batch.done.load(Ordering::Relaxed));
    let finished =
        supervise(workers.clamp(1, groups), &batch.stop, poll, |pause| batch.work(pause))?;
    if !finished {
        return Err(RenderError::Cancelled);
    }
    let mut bad = batch.bad.into_inner().unwrap_or_else(|poisoned| poisoned.into_inner());
    if bad.is_empty() {
        return Ok(());
    }
    bad.sort_by_key(|(i, _)| *i);
    Err(RenderError::Photographs(bad))
}

impl<S: Source + ?Sized, R: Run> Batch<'_, S, R> {
    fn stopped(&self) -> bool {
        self.stop.load(Ordering::Relaxed)
    }

    /// The next group, until all are taken or the batch is stopped.
    fn next_job(&self) -> Option<Job<R>> {
        if self.stopped() {
            return None;
        }
        self.jobs.lock().ok()?.next()
    }

    /// One worker: takes groups until there are none. Once a photograph is bad, nothing more is
    /// rendered, but the rest are still decoded to report all bad ones at once. `pause` is called
    /// between two photographs and between two runs.
    fn work(&self, pause: &mut dyn FnMut()) -> io::Result<()> {
        let mut photos: Vec<Photo> = (0..R::GROUP).map(|_| Photo::default()).collect();
        let mut load = self.source.loader();
        let mut resizer = Resizer::new(self.size.width, self.size.height);
        let mut scratch = Vec::new();
        while let Some(Job { first, runs }) = self.next_job() {
            let group = first..(first + R::GROUP).min(self.photographs);
            for (photo, i) in photos.iter_mut().zip(group.clone()) {
                pause();
                if self.stopped() {
                    return Ok(());
                }
                if let Err(error) = load(i, photo).and_then(|()| self.check(photo, i)) {
                    self.bad.lock().expect("no worker panics with it").push((i, error));
                }
            }
            if !self.bad.lock().expect("no worker panics with it").is_empty() {
                continue;
            }
            for (pass, run) in runs.into_iter().enumerate() {
                pause();
                if self.stopped() {
                    return Ok(());
                }
                let crops = &self.crops[pass * self.photographs + first..];
                run.write(&mut scratch, &mut |i, sample| {
                    resizer.render(&photos[i], crops[i], sample);
                })?;
                self.done.fetch_add(group.len(), Ordering::Relaxed);
            }
        }
        Ok(())
    }

    /// Checks that all crops of photograph `i` are inside it.
    fn check(&self, photo: &Photo, i: usize) -> Result<(), PhotographError> {
        let crops = self.crops.iter().skip(i).step_by(self.photographs);
        crops.copied().try_for_each(|crop| require_inside(crop, photo))
    }
}

/// Checks that a crop is inside its picture.
///
/// # Errors
/// If it is not.
pub fn require_inside<'a>(
    crop: Crop,
    picture: impl Into<Picture<'a>>,
) -> Result<(), PhotographError> {
    let picture = picture.into();
    let (width, height) = (picture.width(), picture.height());
    if crop.is_inside(width, height) {
        return Ok(());
    }
    Err(PhotographError::CropLeavesPicture { crop, width, height })
}
