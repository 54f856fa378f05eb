//! Compressed photographs: kind `small`.

use std::fs::File;
use std::num::NonZeroUsize;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};

use numpy::{PyArray1, PyArray2, PyArray3, PyArray5, PyArrayMethods, PyUntypedArrayMethods};
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use pyo3::types::PyBytes;

use crate::compressed::{self, Compressed, Piece};
use crate::crops::Crop;
use crate::py::common::{
    Failures, Jpeg, crops_of, failures, keep_going, os_error, run, workers_or_all,
};
use crate::py::files::as_many;
use crate::py::samples::runs_of;
use crate::render::{PhotographError, Source};
use crate::text;

#[pyfunction]
pub fn to_text<'py>(py: Python<'py>, data: &[u8]) -> Bound<'py, PyBytes> {
    PyBytes::new(py, &text::encode_padded(&mut data.to_vec()))
}

#[pyfunction]
pub fn from_text<'py>(py: Python<'py>, text: &[u8]) -> PyResult<Bound<'py, PyBytes>> {
    let mut text = text.to_vec();
    let data = text::decode_padded(&mut text);
    let data = data.ok_or_else(|| PyValueError::new_err("not text with seven bits per byte"))?;
    Ok(PyBytes::new(py, data))
}

/// Where compressed photographs are: attributes of the arguments of the functions below.
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
    jpegs: Vec<Jpeg>,
    parts: &Bound<'_, PyArray3<i32>>,
    workers: Option<NonZeroUsize>,
    sink: Py<PyAny>,
) -> PyResult<Failures> {
    let parts = parts_of(parts, jpegs.len())?;
    let workers = workers_or_all(workers)?;
    let mut bad = Vec::new();
    let mut exception = Ok(());
    let consume = |i, made: Result<Compressed, PhotographError>| {
        match made {
            Ok(Compressed { text, checksum }) if bad.is_empty() => {
                exception = Python::attach(|py| {
                    sink.call1(py, (PyBytes::new(py, &text), checksum)).map(drop)
                });
            }
            Ok(_) => {}
            Err(error) => bad.push((i, error)),
        }
        flow(exception.is_ok())
    };
    let mut interrupt = Ok(());
    let poll = || flow(keep_going(&mut interrupt));
    py.detach(|| compressed::compress_all(&jpegs, &parts, workers, poll, consume))?;
    interrupt.and(exception)?;
    Ok(failures(bad))
}

#[pyfunction]
pub fn compare_photographs(
    py: Python<'_>,
    jpegs: Vec<Jpeg>,
    parts: &Bound<'_, PyArray3<i32>>,
    pieces: Pieces<'_>,
    equal: &Bound<'_, PyArray1<bool>>,
    workers: Option<NonZeroUsize>,
) -> PyResult<Failures> {
    let parts = parts_of(parts, jpegs.len())?;
    let pieces = pieces.open()?;
    let workers = workers_or_all(workers)?;
    let mut equal = equal.try_readwrite()?;
    let equal = as_many(equal.as_slice_mut()?, &parts)?;
    if pieces.count() != jpegs.len() {
        return Err(PyValueError::new_err("there must be one piece for each photograph"));
    }
    let mut bad = Vec::new();
    let consume = |i: usize, found| {
        match found {
            Ok(found) => equal[i] = found,
            Err(error) => bad.push((i, error)),
        }
        flow(true)
    };
    let mut interrupt = Ok(());
    let poll = || flow(keep_going(&mut interrupt));
    py.detach(|| compressed::compare_all(&jpegs, &parts, &pieces, workers, poll, consume))?;
    interrupt?;
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

/// The parts of an array (1, photographs, 4).
fn parts_of(array: &Bound<'_, PyArray3<i32>>, photographs: usize) -> PyResult<Vec<Crop>> {
    if array.shape()[0] != 1 {
        return Err(PyValueError::new_err("there must be one part for each photograph"));
    }
    crops_of(array, photographs)
}

fn flow(go: bool) -> ControlFlow<()> {
    if go { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
}
