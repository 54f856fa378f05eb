//! Samples in files.

use std::fs::{File, OpenOptions};
use std::num::NonZeroUsize;
use std::path::PathBuf;

use numpy::{
    PyArray1, PyArray2, PyArray3, PyArrayMethods, PyReadonlyArray1, PyReadonlyArray2,
    PyUntypedArrayMethods,
};
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;

use crate::crops::Crop;
use crate::file::{self, Encoding, Input, Output};
use crate::py::common::{Failures, Jpeg, crops_of, keep_going, os_error, run, workers_or_all};
use crate::render::Size;

#[pyfunction]
pub fn create_file(path: PathBuf, length: u64) -> PyResult<()> {
    file::create(&path, length).map_err(|error| os_error(error, &path))
}

/// Where samples are in a file: attributes of the argument of both functions below.
#[derive(FromPyObject)]
pub struct Places<'py> {
    crops: Bound<'py, PyArray3<i32>>,
    width: usize,
    height: usize,
    text_blocks: Option<NonZeroUsize>,
    offsets: Bound<'py, PyArray2<u64>>,
}

impl<'py> Places<'py> {
    /// The crops and places of the samples of this many photographs.
    fn check(&self, photographs: usize) -> PyResult<Checked<'py>> {
        let crops = crops_of(&self.crops, photographs)?;
        if self.offsets.shape() != &self.crops.shape()[..2] {
            return Err(PyValueError::new_err("offsets and crops do not belong together"));
        }
        let size = Size { width: self.width, height: self.height };
        let bytes = size.values() * size_of::<f32>();
        let encoding = match self.text_blocks.map(NonZeroUsize::get) {
            None => Encoding::Raw,
            Some(blocks @ ..=7) if bytes.is_multiple_of(blocks) => Encoding::Text { blocks },
            Some(blocks) => {
                return Err(PyValueError::new_err(format!("no sample has {blocks} blocks")));
            }
        };
        Ok(Checked { crops, size, encoding, offsets: self.offsets.try_readonly()? })
    }
}

/// [`Places`] whose parts belong together.
struct Checked<'py> {
    crops: Vec<Crop>,
    size: Size,
    encoding: Encoding,
    offsets: PyReadonlyArray2<'py, u64>,
}

#[pyfunction]
#[pyo3(signature = (jpegs, places, path, checksums, workers, progress=None))]
pub fn render_to_file(
    py: Python<'_>,
    jpegs: Vec<Jpeg>,
    places: Places<'_>,
    path: PathBuf,
    checksums: &Bound<'_, PyArray1<u32>>,
    workers: Option<NonZeroUsize>,
    progress: Option<Py<PyAny>>,
) -> PyResult<Failures> {
    let Checked { crops, size, encoding, offsets } = places.check(jpegs.len())?;
    let file = OpenOptions::new().write(true).open(&path);
    let output = Output::new(file.map_err(|error| os_error(error, &path))?, size, encoding);
    let mut checksums = checksums.try_readwrite()?;
    let checksums = as_many(checksums.as_slice_mut()?, &crops)?;
    let runs = output.divide(offsets.as_slice()?, checksums, jpegs.len());
    run(py, jpegs.as_slice(), &crops, size, runs, workers, progress, &path)
}

#[pyfunction]
pub fn compare_with_file(
    py: Python<'_>,
    jpegs: Vec<Jpeg>,
    places: Places<'_>,
    path: PathBuf,
    equal: &Bound<'_, PyArray1<bool>>,
    workers: Option<NonZeroUsize>,
) -> PyResult<Failures> {
    let Checked { crops, size, encoding, offsets } = places.check(jpegs.len())?;
    let file = File::open(&path).map_err(|error| os_error(error, &path))?;
    let input = Input::new(file, size, encoding);
    let mut equal = equal.try_readwrite()?;
    let equal = as_many(equal.as_slice_mut()?, &crops)?;
    let runs = input.divide(offsets.as_slice()?, equal, jpegs.len());
    run(py, jpegs.as_slice(), &crops, size, runs, workers, None, &path)
}

#[pyfunction]
pub fn checksums<'py>(
    py: Python<'py>,
    path: PathBuf,
    offsets: PyReadonlyArray1<'py, u64>,
    lengths: PyReadonlyArray1<'py, u64>,
    workers: Option<NonZeroUsize>,
) -> PyResult<Bound<'py, PyArray1<u32>>> {
    let mut interrupt = Ok(());
    let workers = workers_or_all(workers)?;
    let pairs = offsets.as_slice()?.iter().copied().zip(lengths.as_slice()?.iter().copied());
    let pieces: Vec<(u64, u64)> = pairs.collect();
    let sums = py.detach(|| {
        let file = File::open(&path)?;
        file::checksums(&file, &pieces, workers, || keep_going(&mut interrupt))
    });
    interrupt?;
    let sums = sums.map_err(|error| os_error(error, &path))?;
    Ok(PyArray1::from_vec(py, sums.expect("cancelled by nothing but an interrupt")))
}

/// `out`, if it has one for each crop.
pub fn as_many<'a, T>(out: &'a mut [T], crops: &[Crop]) -> PyResult<&'a mut [T]> {
    if out.len() == crops.len() {
        return Ok(out);
    }
    Err(PyValueError::new_err("crops and their results do not belong together"))
}
