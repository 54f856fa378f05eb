//! Reading archives, and examining photographs before they are rendered.

use std::io;
use std::num::NonZeroUsize;
use std::path::PathBuf;

use numpy::{PyArray2, PyArrayMethods};
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use pyo3::types::PyBytes;

use crate::archive::{self, ArchiveError, Content, Wanted};
use crate::files::{self, Bad};
use crate::py::common::{Failures, Jpeg, failures, keep_going, os_error, rows_of, workers_or_all};

/// The attributes of `headpose_fast.Limits` that apply to an archive.
#[derive(FromPyObject)]
pub struct Limits {
    members: u64,
    archive_bytes: u64,
    unpacked_bytes: u64,
    expansion: u64,
}

#[pyfunction]
pub fn read_archive<'py>(
    py: Python<'py>,
    path: PathBuf,
    limits: Limits,
    wanted: &Bound<'py, PyAny>,
) -> PyResult<Vec<(String, Bound<'py, PyAny>)>> {
    let wanted = wanted.clone().unbind();
    let Limits { members, archive_bytes, unpacked_bytes, expansion } = limits;
    let limits = archive::Limits { members, archive_bytes, unpacked_bytes, expansion };
    let members = py.detach(|| {
        archive::read(
            &path,
            limits,
            |name| {
                let wanted: Option<(u64, bool)> =
                    Python::attach(|py| wanted.bind(py).call1((name,))?.extract())?;
                Ok(wanted.map(|(most_bytes, by_place)| Wanted { most_bytes, by_place }))
            },
            || Python::attach(|py| py.check_signals()),
        )
    });
    let members = members.map_err(|error| match error {
        ArchiveError::System(error) => os_error(error, &path),
        ArchiveError::Caller(error) => error,
        error => PyValueError::new_err(error.to_string()),
    })?;
    let member = |(name, content)| {
        let content = match content {
            Content::Bytes(bytes) => PyBytes::new(py, &bytes).into_any(),
            Content::Place { offset, length } => (offset, length).into_pyobject(py)?.into_any(),
        };
        Ok((name, content))
    };
    members.into_iter().map(member).collect()
}

#[pyfunction]
pub fn jpeg_sizes(
    py: Python<'_>,
    files: Vec<Jpeg>,
    most_pixels: u64,
    out: &Bound<'_, PyArray2<u32>>,
    workers: Option<NonZeroUsize>,
) -> PyResult<Failures> {
    let mut out = out.try_readwrite()?;
    let out = rows_of(out.as_slice_mut()?, files.len())?;
    let workers = workers_or_all(workers)?;
    examine(py, |poll| files::sizes(&files, most_pixels, out, workers, poll))
}

#[pyfunction]
pub fn digests(
    py: Python<'_>,
    files: Vec<Jpeg>,
    out: &Bound<'_, PyArray2<u8>>,
    workers: Option<NonZeroUsize>,
) -> PyResult<Failures> {
    let mut out = out.try_readwrite()?;
    let out = rows_of(out.as_slice_mut()?, files.len())?;
    let workers = workers_or_all(workers)?;
    examine(py, |poll| files::digests(&files, out, workers, poll))
}

/// Examines files without the GIL.
fn examine(
    py: Python<'_>,
    find: impl FnOnce(&mut (dyn FnMut() -> bool + Send)) -> io::Result<Option<Bad>> + Send,
) -> PyResult<Failures> {
    let mut interrupt = Ok(());
    let bad = py.detach(|| find(&mut || keep_going(&mut interrupt)));
    interrupt?;
    Ok(failures(bad?.expect("cancelled by nothing but an interrupt")))
}
