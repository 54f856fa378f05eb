//! Compressed photographs: kind `small`.

use std::fs::File;
use std::num::NonZeroUsize;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};

use numpy::{PyArray1, PyArray2, PyArray3, PyArray5, PyArrayMethods, PyUntypedArrayMethods};
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use pyo3::pybacked::PyBackedBytes;
use pyo3::types::PyBytes;

use crate::compressed::{self, CompressedError, Piece};
use crate::crops::Crop;
use crate::jpeg::Photo;
use crate::py::common::{Failures, crops_of, failures, keep_going, os_error, run, workers_or_all};
use crate::py::files::as_many;
use crate::py::samples::runs_of;
use crate::render::{PhotographError, Source, require_inside};
use crate::text;
use crate::threads::in_order;

#[pyfunction]
pub fn to_text<'py>(py: Python<'py>, data: &[u8]) -> Bound<'py, PyBytes> {
    PyBytes::new(py, &text::encode_padded(&mut data.to_vec()))
}

#[pyfunction]
pub fn from_text<'py>(py: Python<'py>, text: &[u8]) -> PyResult<Bound<'py, PyBytes>> {
    let mut text = text.to_vec();
    let data = text::decode_padded(&mut text);
    let data = data.ok_or_else(|| PyValueError::new_err("not text of seven bits a byte"))?;
    Ok(PyBytes::new(py, data))
}

/// Where compressed photographs stand: the attributes of what the functions below are given.
#[derive(FromPyObject)]
pub struct Pieces<'py> {
    path: PathBuf,
    offsets: Bound<'py, PyArray1<u64>>,
    lengths: Bound<'py, PyArray1<u64>>,
    sizes: Bound<'py, PyArray2<u64>>,
}

impl Pieces<'_> {
    fn open(&self) -> PyResult<compressed::Pieces> {
        let (offsets, lengths) = (self.offsets.try_readonly()?, self.lengths.try_readonly()?);
        let sizes = self.sizes.try_readonly()?;
        if offsets.len() != lengths.len() || sizes.shape() != [offsets.len(), 2] {
            return Err(PyValueError::new_err("the pieces do not belong together"));
        }
        let pieces = offsets.as_slice()?.iter().zip(lengths.as_slice()?);
        let piece = |((&offset, &length), size): ((&u64, &u64), &[u64])| Piece {
            offset,
            length: length as usize,
            width: size[0] as usize,
            height: size[1] as usize,
        };
        let pieces = pieces.zip(sizes.as_slice()?.chunks_exact(2)).map(piece).collect();
        let file = File::open(&self.path).map_err(|error| os_error(error, &self.path))?;
        Ok(compressed::Pieces { file, pieces })
    }
}

#[pyfunction]
pub fn compress_photographs(
    py: Python<'_>,
    jpegs: Vec<PyBackedBytes>,
    parts: &Bound<'_, PyArray3<i32>>,
    workers: Option<NonZeroUsize>,
    sink: Py<PyAny>,
) -> PyResult<Failures> {
    let parts = as_many_as(crops_of(parts, jpegs.len())?, jpegs.len())?;
    let worker = || {
        let mut load = jpegs.loader();
        let (mut photo, mut scratch) = (Photo::default(), Vec::new());
        let parts = &parts;
        move |i: usize| -> Result<(Vec<u8>, u32), PhotographError> {
            load(i, &mut photo)?;
            require_inside(parts[i], &photo)?;
            let text = compressed::compress(&photo, parts[i], &mut scratch);
            let sum = crc32fast::hash(&text);
            Ok((text, sum))
        }
    };
    let mut bad = Vec::new();
    let consume = |i: usize, made: Result<(Vec<u8>, u32), PhotographError>| match made {
        Ok((text, sum)) if bad.is_empty() => {
            Python::attach(|py| sink.call1(py, (PyBytes::new(py, &text), sum)).map(drop))
        }
        Ok(_) => Ok(()),
        Err(error) => {
            bad.push((i, error));
            Ok(())
        }
    };
    finish_in_order(py, jpegs.len(), workers, worker, consume)?;
    Ok(failures(bad))
}

#[pyfunction]
pub fn compare_photographs(
    py: Python<'_>,
    jpegs: Vec<PyBackedBytes>,
    parts: &Bound<'_, PyArray3<i32>>,
    pieces: Pieces<'_>,
    equal: &Bound<'_, PyArray1<bool>>,
    workers: Option<NonZeroUsize>,
) -> PyResult<Failures> {
    let parts = as_many_as(crops_of(parts, jpegs.len())?, jpegs.len())?;
    let pieces = pieces.open()?;
    let mut equal = equal.try_readwrite()?;
    let equal = as_many(equal.as_slice_mut()?, &parts)?;
    let worker = || {
        let mut load = jpegs.loader();
        let mut load_piece = pieces.loader();
        let (mut photo, mut picture) = (Photo::default(), Photo::default());
        let parts = &parts;
        move |i: usize| -> Result<bool, PhotographError> {
            load(i, &mut photo)?;
            require_inside(parts[i], &photo)?;
            match load_piece(i, &mut picture) {
                Ok(()) => Ok(compressed::is_part(&photo, parts[i], &picture)),
                Err(PhotographError::Compressed(CompressedError::Damaged)) => Ok(false),
                Err(error) => Err(error),
            }
        }
    };
    let mut bad = Vec::new();
    let consume = |i: usize, found| {
        match found {
            Ok(found) => equal[i] = found,
            Err(error) => bad.push((i, error)),
        }
        Ok(())
    };
    finish_in_order(py, jpegs.len(), workers, worker, consume)?;
    Ok(failures(bad))
}

#[pyfunction]
pub fn render_compressed(
    py: Python<'_>,
    pieces: Pieces<'_>,
    crops: &Bound<'_, PyArray3<i32>>,
    out: &Bound<'_, PyArray5<f32>>,
    workers: Option<NonZeroUsize>,
) -> PyResult<Failures> {
    let pieces = pieces.open()?;
    let crops = crops_of(crops, pieces.count())?;
    let mut out = out.try_readwrite()?;
    let (size, runs) = runs_of(&mut out, pieces.count(), &crops)?;
    run(py, &pieces, &crops, size, runs, workers, None, Path::new("out"))
}

/// `parts`, if there is one for each photograph.
fn as_many_as(parts: Vec<Crop>, photographs: usize) -> PyResult<Vec<Crop>> {
    if parts.len() == photographs {
        return Ok(parts);
    }
    Err(PyValueError::new_err("there must be one part for each photograph"))
}

/// [`in_order`] with the GIL released, until all is done or Python raises an exception.
fn finish_in_order<T: Send, W: FnMut(usize) -> T>(
    py: Python<'_>,
    items: usize,
    workers: Option<NonZeroUsize>,
    worker: impl Fn() -> W + Sync + Send,
    mut consume: impl FnMut(usize, T) -> PyResult<()> + Send,
) -> PyResult<()> {
    let workers = workers_or_all(workers)?;
    let mut interrupt = Ok(());
    let mut failure = Ok(());
    let flow = |go: bool| if go { ControlFlow::Continue(()) } else { ControlFlow::Break(()) };
    py.detach(|| {
        in_order(
            items,
            workers,
            || flow(keep_going(&mut interrupt)),
            worker,
            |i, made| {
                failure = consume(i, made);
                flow(failure.is_ok())
            },
        )
    })?;
    interrupt.and(failure)
}
