//! Drawing by key, rendering batches, and decoding all photographs once.

use std::num::NonZeroUsize;
use std::ops::ControlFlow;

use numpy::{PyArray1, PyArray2, PyArrayMethods, PyReadonlyArray1};
use pyo3::exceptions::{PyTypeError, PyValueError};
use pyo3::prelude::*;
use pyo3::types::PyBytes;

use crate::batch::{self, Decoded, Form, Out, Wanted};
use crate::crops::Crop;
use crate::draws::{self, Look, Rule};
use crate::jpeg::{CHANNELS, Photo, Picture};
use crate::py::common::{Failures, Jpeg, failures, keep_going, workers_or_all};
use crate::py::samples::{frame, ratio_of};
use crate::render::{RenderError, Size, Source};
use crate::threads::in_order;

/// The attributes of a recipe.
#[derive(FromPyObject)]
pub struct Recipe {
    aspect_ratio: Option<u8>,
    factor: [f64; 2],
    sides: [f64; 4],
    mirror: f64,
    grey: f64,
    gain: [f64; 2],
    offset: [f64; 2],
}

impl Recipe {
    fn check(&self) -> PyResult<draws::Recipe> {
        let rule = match self.aspect_ratio {
            None => Rule::Grown { factor: self.factor, sides: self.sides },
            Some(ratio) => Rule::DeepLens(ratio_of(ratio)?),
        };
        let Recipe { mirror, grey, gain, offset, .. } = *self;
        Ok(draws::Recipe { rule, mirror, grey, gain, offset })
    }
}

/// The attributes of draws.
#[derive(FromPyObject)]
pub struct Draws<'py> {
    crops: Bound<'py, PyArray2<i32>>,
    mirrored: Bound<'py, PyArray1<bool>>,
    grey: Bound<'py, PyArray1<bool>>,
    gain: Bound<'py, PyArray1<f32>>,
    offset: Bound<'py, PyArray1<f32>>,
}

#[pyfunction]
pub fn draw(
    frames: &Bound<'_, PyArray2<i64>>,
    keys: &Bound<'_, PyArray1<u64>>,
    seed: u64,
    recipe: Recipe,
    out: Draws<'_>,
) -> PyResult<Failures> {
    let recipe = recipe.check()?;
    let (frames, keys) = (frames.try_readonly()?, keys.try_readonly()?);
    let (frames, keys) = (frames.as_slice()?, keys.as_slice()?);
    let photographs = frames.len() / 6;
    let (mut crops, mut mirrored) = (out.crops.try_readwrite()?, out.mirrored.try_readwrite()?);
    let (mut grey, mut gain) = (out.grey.try_readwrite()?, out.gain.try_readwrite()?);
    let mut offset = out.offset.try_readwrite()?;
    let (crops, mirrored) = (crops.as_slice_mut()?, mirrored.as_slice_mut()?);
    let (grey, gain, offset) = (grey.as_slice_mut()?, gain.as_slice_mut()?, offset.as_slice_mut()?);
    let lengths = [crops.len() / 4, mirrored.len(), grey.len(), gain.len(), offset.len()];
    if photographs == 0 || lengths != [keys.len(); 5] {
        return Err(PyValueError::new_err("frames, keys and out do not belong together"));
    }
    let mut bad = Vec::new();
    for (i, &key) in keys.iter().enumerate() {
        let photograph = (key % photographs as u64) as usize;
        match recipe.draw(&frame(&frames[6 * photograph..][..6]), seed, key) {
            Ok((Crop { x, y, w, h }, look)) => {
                crops[4 * i..][..4].copy_from_slice(&[x, y, w, h]);
                (mirrored[i], grey[i]) = (look.mirrored, look.grey);
                (gain[i], offset[i]) = (look.gain, look.offset);
            }
            Err(error) => bad.push((photograph, error)),
        }
    }
    Ok(failures(bad))
}

/// Photographs that are already decoded: the attributes of their owner.
#[derive(FromPyObject)]
pub struct Pixels<'py> {
    pixels: Bound<'py, PyArray1<u8>>,
    offsets: Bound<'py, PyArray1<u64>>,
    sizes: Bound<'py, PyArray2<i32>>,
}

/// Photographs in either state.
#[derive(FromPyObject)]
pub enum Photographs<'py> {
    Decoded(Pixels<'py>),
    Jpegs(Vec<Jpeg>),
}

/// The attributes of the form of a batch.
#[derive(FromPyObject)]
pub struct BatchForm {
    width: usize,
    height: usize,
    rgb: bool,
    interleaved: bool,
    normal: Option<[[f32; CHANNELS]; 2]>,
}

#[pyfunction]
pub fn render_batch(
    py: Python<'_>,
    source: Photographs<'_>,
    photographs: &Bound<'_, PyArray1<i64>>,
    draws: Draws<'_>,
    form: BatchForm,
    out: &Bound<'_, PyAny>,
    workers: Option<NonZeroUsize>,
) -> PyResult<Failures> {
    let photographs = photographs.try_readonly()?;
    let wanted = draws.wanted(photographs.as_slice()?)?;
    let BatchForm { width, height, rgb, interleaved, normal } = form;
    let form = Form { size: Size { width, height }, rgb, interleaved, normal };
    let workers = workers_or_all(workers)?;
    let run = |wanted: &[Wanted], out: Out<'_>| match &source {
        Photographs::Jpegs(jpegs) => {
            if wanted.iter().any(|wanted| wanted.photograph >= jpegs.len()) {
                return Err(PyValueError::new_err("there are not so many photographs"));
            }
            run_batch(py, jpegs.as_slice(), wanted, form, out, workers)
        }
        Photographs::Decoded(pixels) => {
            let bytes = pixels.pixels.try_readonly()?;
            let (offsets, sizes) = (pixels.offsets.try_readonly()?, pixels.sizes.try_readonly()?);
            let pictures = Decoded(pictures(&bytes, &offsets, sizes.as_slice()?, wanted)?);
            let mut own = wanted.to_vec();
            own.iter_mut().enumerate().for_each(|(i, wanted)| wanted.photograph = i);
            run_batch(py, &pictures, &own, form, out, workers)
        }
    };
    let values = wanted.len() * form.size.values();
    if let Ok(out) = out.cast::<numpy::PyArrayDyn<u8>>() {
        let mut out = out.try_readwrite()?;
        let out = out.as_slice_mut()?;
        require(out.len() == values)?;
        run(&wanted, Out::Bytes(out))
    } else if let Ok(out) = out.cast::<numpy::PyArrayDyn<f32>>() {
        let mut out = out.try_readwrite()?;
        let out = out.as_slice_mut()?;
        require(out.len() == values)?;
        run(&wanted, Out::Floats(out))
    } else {
        Err(PyTypeError::new_err("out must be an array of uint8 or float32"))
    }
}

fn require(fits: bool) -> PyResult<()> {
    if fits { Ok(()) } else { Err(PyValueError::new_err("out and draws do not belong together")) }
}

impl Draws<'_> {
    /// The samples of some photographs.
    fn wanted(&self, photographs: &[i64]) -> PyResult<Vec<Wanted>> {
        let (crops, mirrored) = (self.crops.try_readonly()?, self.mirrored.try_readonly()?);
        let (grey, gain) = (self.grey.try_readonly()?, self.gain.try_readonly()?);
        let offset = self.offset.try_readonly()?;
        let (crops, mirrored) = (crops.as_slice()?, mirrored.as_slice()?);
        let (grey, gain, offset) = (grey.as_slice()?, gain.as_slice()?, offset.as_slice()?);
        let lengths = [crops.len() / 4, mirrored.len(), grey.len(), gain.len(), offset.len()];
        if lengths != [photographs.len(); 5] {
            return Err(PyValueError::new_err("photographs and draws do not belong together"));
        }
        let sample = |(i, &photograph): (usize, &i64)| Wanted {
            photograph: photograph as usize,
            crop: {
                let [x, y, w, h] = [0, 1, 2, 3].map(|k| crops[4 * i + k]);
                Crop { x, y, w, h }
            },
            look: Look { mirrored: mirrored[i], grey: grey[i], gain: gain[i], offset: offset[i] },
        };
        Ok(photographs.iter().enumerate().map(sample).collect())
    }
}

/// The picture of each sample.
fn pictures<'a>(
    pixels: &'a PyReadonlyArray1<'_, u8>,
    offsets: &PyReadonlyArray1<'_, u64>,
    sizes: &[i32],
    wanted: &[Wanted],
) -> PyResult<Vec<Picture<'a>>> {
    let (pixels, offsets) = (pixels.as_slice()?, offsets.as_slice()?);
    let picture = |wanted: &Wanted| {
        let size = sizes.chunks_exact(2).nth(wanted.photograph)?;
        let planes = pixels.get(usize::try_from(*offsets.get(wanted.photograph)?).ok()?..)?;
        Picture::new(size[0].try_into().ok()?, size[1].try_into().ok()?, planes)
    };
    let pictures: Option<Vec<_>> = wanted.iter().map(picture).collect();
    pictures.ok_or_else(|| PyValueError::new_err("there are not so many pixels"))
}

fn run_batch<P: batch::Pictures + ?Sized>(
    py: Python<'_>,
    pictures: &P,
    wanted: &[Wanted],
    form: Form,
    out: Out<'_>,
    workers: usize,
) -> PyResult<Failures> {
    let mut interrupt = Ok(());
    let poll = || keep_going(&mut interrupt);
    let result = py.detach(|| batch::render_batch(pictures, wanted, form, out, workers, poll));
    interrupt?;
    match result {
        Ok(()) => Ok(Vec::new()),
        Err(RenderError::Photographs(errors)) => Ok(failures(errors)),
        Err(RenderError::Output(error)) => Err(error.into()),
        Err(RenderError::Cancelled) => unreachable!("cancelled by nothing but an interrupt"),
    }
}

#[pyfunction]
pub fn decode_photographs(
    py: Python<'_>,
    jpegs: Vec<Jpeg>,
    workers: Option<NonZeroUsize>,
    sink: Py<PyAny>,
) -> PyResult<Failures> {
    let workers = workers_or_all(workers)?;
    let worker = || {
        let mut load = jpegs.loader();
        move |i| {
            let mut photo = Photo::default();
            load(i, &mut photo).map(|()| photo)
        }
    };
    let mut bad = Vec::new();
    let mut exception = Ok(());
    let consume = |i, decoded: Result<Photo, _>| {
        match decoded {
            Ok(photo) if bad.is_empty() => {
                let planes = photo.planes();
                let checksum = crc32fast::hash(planes);
                exception = Python::attach(|py| {
                    sink.call1(py, (PyBytes::new(py, planes), checksum)).map(drop)
                });
            }
            Ok(_) => {}
            Err(error) => bad.push((i, error)),
        }
        if exception.is_ok() { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
    };
    let mut interrupt = Ok(());
    let poll = || match keep_going(&mut interrupt) {
        true => ControlFlow::Continue(()),
        false => ControlFlow::Break(()),
    };
    py.detach(|| in_order(jpegs.len(), workers, poll, worker, consume))?;
    interrupt.and(exception)?;
    Ok(failures(bad))
}
