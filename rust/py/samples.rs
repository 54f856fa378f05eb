//! Planning crops and rendering them into arrays.

use std::num::NonZeroUsize;
use std::path::Path;

use numpy::{
    PyArray2, PyArray3, PyArray5, PyArrayMethods, PyReadwriteArray5, PyUntypedArrayMethods,
};
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use pyo3::pybacked::PyBackedBytes;

use crate::crops::{self, AspectRatio, Crop, Frame, Part, PlanError};
use crate::py::common::{Failures, crops_of, failures, keep_going, run};
use crate::render::{MemoryRun, Size};

#[pyfunction]
#[pyo3(signature = (frames, photographs, passes, *, aspect_ratio, seed, out))]
pub fn plan_crops(
    py: Python<'_>,
    frames: &Bound<'_, PyArray2<i64>>,
    photographs: Vec<usize>,
    passes: Vec<usize>,
    aspect_ratio: u8,
    seed: u32,
    out: &Bound<'_, PyArray2<i32>>,
) -> PyResult<Failures> {
    let ratio = match aspect_ratio {
        1 => AspectRatio::Square,
        0 => AspectRatio::Wide,
        _ => return Err(PyValueError::new_err("aspect_ratio must be 1 or 0")),
    };
    let frames = frames.try_readonly()?;
    let frames: Vec<Frame> = frames.as_slice()?.chunks_exact(6).map(frame).collect();
    let mut out = out.try_readwrite()?;
    let out = out.as_slice_mut()?;
    let mut rest = frames.as_slice();
    let mut split = Vec::new();
    for (photographs, passes) in photographs.into_iter().zip(passes) {
        let Some((part, after)) = rest.split_at_checked(photographs) else {
            return Err(PyValueError::new_err("parts have more photographs than frames"));
        };
        split.push(Part { frames: part, passes });
        rest = after;
    }
    let planned = split.iter().map(|part| part.passes * part.frames.len()).sum::<usize>();
    if !rest.is_empty() || out.len() != 4 * planned {
        return Err(PyValueError::new_err("frames, parts and out do not belong together"));
    }
    let mut interrupt = Ok(());
    let planned = py.detach(|| crops::plan(&split, ratio, seed, || keep_going(&mut interrupt)));
    interrupt?;
    match planned {
        Ok(crops) => {
            for (out, Crop { x, y, w, h }) in out.chunks_exact_mut(4).zip(crops) {
                out.copy_from_slice(&[x, y, w, h]);
            }
            Ok(Vec::new())
        }
        Err(PlanError::Photographs(errors)) => Ok(failures(errors)),
        Err(PlanError::Cancelled) => unreachable!("cancelled by nothing but an interrupt"),
    }
}

/// A row of an array of frames.
pub fn frame(row: &[i64]) -> Frame {
    let &[width, height, cx, cy, face_width, face_height] = row else {
        unreachable!("frames have six columns")
    };
    Frame { width, height, cx, cy, face_width, face_height }
}

#[pyfunction]
pub fn render_samples(
    py: Python<'_>,
    jpegs: Vec<PyBackedBytes>,
    crops: &Bound<'_, PyArray3<i32>>,
    out: &Bound<'_, PyArray5<f32>>,
    workers: Option<NonZeroUsize>,
) -> PyResult<Failures> {
    let crops = crops_of(crops, jpegs.len())?;
    let mut out = out.try_readwrite()?;
    let (size, runs) = runs_of(&mut out, jpegs.len(), &crops)?;
    run(py, jpegs.as_slice(), &crops, size, runs, workers, None, Path::new("out"))
}

/// The size of the samples of an array (passes, photographs, 3, height, width), and their runs.
pub fn runs_of<'a>(
    out: &'a mut PyReadwriteArray5<'_, f32>,
    photographs: usize,
    crops: &[Crop],
) -> PyResult<(Size, Vec<MemoryRun<'a>>)> {
    let &[passes, of, 3, height, width] = out.shape() else {
        return Err(PyValueError::new_err("out must have three planes a sample"));
    };
    if of != photographs || passes * photographs != crops.len() {
        return Err(PyValueError::new_err("out and crops do not belong together"));
    }
    let size = Size { width, height };
    Ok((size, MemoryRun::divide(out.as_slice_mut()?, size)))
}
