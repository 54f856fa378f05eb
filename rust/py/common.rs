//! What the module's functions share: errors, interrupts, arguments that belong together.

use std::io;
use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};
use std::thread::available_parallelism;

use numpy::{PyArray3, PyArrayMethods, PyUntypedArrayMethods};
use pyo3::exceptions::{PyOSError, PyValueError};
use pyo3::prelude::*;
use pyo3::pybacked::PyBackedBytes;

use crate::crops::Crop;
use crate::render::{self, RenderError, Run, Size, Source};
use crate::stored::{Place, Stored, reason};

/// A photograph's file: bytes, or the attributes of a place on disk.
#[derive(FromPyObject)]
pub enum Jpeg {
    Bytes(PyBackedBytes),
    Place { path: PathBuf, offset: u64, length: u64 },
}

impl Stored for Jpeg {
    fn start<'a>(&'a self, most: u64, buffer: &'a mut Vec<u8>) -> io::Result<&'a [u8]> {
        match self {
            Jpeg::Bytes(bytes) => Ok(bytes),
            Jpeg::Place { path, offset, length } => {
                Place { path, offset: *offset, length: *length }.read(most, buffer)
            }
        }
    }
}

pub type Failures = Vec<(usize, String)>;

pub fn failures<E: ToString>(errors: Vec<(usize, E)>) -> Failures {
    errors.into_iter().map(|(i, error)| (i, error.to_string())).collect()
}

/// An `OSError` of the appropriate subclass, which names the file.
pub fn os_error(error: io::Error, path: &Path) -> PyErr {
    match error.raw_os_error() {
        Some(code) => {
            // Rust writes the code after the reason; Python writes it before.
            PyOSError::new_err((code, reason(&error), path.as_os_str().to_owned()))
        }
        None => PyOSError::new_err(format!("{}: {error}", path.display())),
    }
}

/// Returns false and stores the exception if Ctrl-C was pressed.
pub fn keep_going(interrupt: &mut PyResult<()>) -> bool {
    *interrupt = Python::attach(|py| py.check_signals());
    interrupt.is_ok()
}

/// Crops of an array (passes, photographs, 4), and how many photographs there are.
pub fn crops_of(array: &Bound<'_, PyArray3<i32>>, jpegs: usize) -> PyResult<Vec<Crop>> {
    if array.shape()[1..] != [jpegs, 4] {
        return Err(PyValueError::new_err(format!(
            "crops must have the shape (passes, {jpegs}, 4), not {:?}",
            array.shape()
        )));
    }
    let crops = array.try_readonly()?;
    let crop = |row: &[i32]| Crop { x: row[0], y: row[1], w: row[2], h: row[3] };
    Ok(crops.as_slice()?.chunks_exact(4).map(crop).collect())
}

/// The rows of an array, which must have this many.
pub fn rows_of<T, const N: usize>(out: &mut [T], count: usize) -> PyResult<&mut [[T; N]]> {
    let (rows, rest) = out.as_chunks_mut();
    if rows.len() == count && rest.is_empty() {
        return Ok(rows);
    }
    Err(PyValueError::new_err("out has another number of rows than what it is for"))
}

pub fn workers_or_all(workers: Option<NonZeroUsize>) -> io::Result<usize> {
    Ok(match workers {
        Some(workers) => workers,
        None => available_parallelism()?,
    }
    .get())
}

/// Renders with the GIL released, taking it about every 50 ms to see whether Ctrl-C was pressed and
/// to call `progress` with the number of samples done. `output` is named when writing fails.
#[expect(clippy::too_many_arguments)]
pub fn run<S: Source + ?Sized, R: Run>(
    py: Python<'_>,
    source: &S,
    crops: &[Crop],
    size: Size,
    runs: Vec<R>,
    workers: Option<NonZeroUsize>,
    progress: Option<Py<PyAny>>,
    output: &Path,
) -> PyResult<Failures> {
    let workers = workers_or_all(workers)?;
    let mut interrupt = Ok(());
    let poll = |done: usize| {
        interrupt = Python::attach(|py| {
            py.check_signals()?;
            progress.as_ref().map_or(Ok(()), |progress| progress.call1(py, (done,)).map(drop))
        });
        interrupt.is_ok()
    };
    let result = py.detach(|| render::render(source, crops, size, runs, workers, poll));
    interrupt?;
    match result {
        Ok(()) => Ok(Vec::new()),
        Err(RenderError::Photographs(errors)) => Ok(failures(errors)),
        Err(RenderError::Output(error)) => Err(os_error(error, output)),
        Err(RenderError::Cancelled) => unreachable!("cancelled by nothing but an interrupt"),
    }
}
