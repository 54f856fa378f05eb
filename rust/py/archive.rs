//! Reading archives, and the headers of photographs.

use std::path::PathBuf;

use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use pyo3::pybacked::PyBackedBytes;
use pyo3::types::PyBytes;

use crate::archive::{self, ArchiveError};
use crate::jpeg::Header;
use crate::py::common::{Failures, failures, os_error};

/// The attributes of `headpose_fast.Limits` that an archive is held to.
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
) -> PyResult<Vec<(String, Bound<'py, PyBytes>)>> {
    let wanted = wanted.clone().unbind();
    let Limits { members, archive_bytes, unpacked_bytes, expansion } = limits;
    let limits = archive::Limits { members, archive_bytes, unpacked_bytes, expansion };
    let members = py.detach(|| {
        archive::read(
            &path,
            limits,
            |name| Python::attach(|py| wanted.bind(py).call1((name,))?.extract()),
            || Python::attach(|py| py.check_signals()),
        )
    });
    let members = members.map_err(|error| match error {
        ArchiveError::System(error) => os_error(error, &path),
        ArchiveError::Caller(error) => error,
        error => PyValueError::new_err(error.to_string()),
    })?;
    Ok(members.into_iter().map(|(name, data)| (name, PyBytes::new(py, &data))).collect())
}

#[pyfunction]
pub fn jpeg_sizes(
    py: Python<'_>,
    jpegs: Vec<PyBackedBytes>,
    most_pixels: u64,
) -> (Vec<(usize, usize)>, Failures) {
    let mut errors = Vec::new();
    let mut size = |(i, jpeg): (usize, &PyBackedBytes)| {
        let header = Header::parse(jpeg, most_pixels);
        header.map(|header| header.size()).unwrap_or_else(|error| {
            errors.push((i, error));
            (0, 0)
        })
    };
    let sizes = py.detach(|| jpegs.iter().enumerate().map(&mut size).collect());
    (sizes, failures(errors))
}
