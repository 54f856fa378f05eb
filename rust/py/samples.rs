//! Planning crops and rendering them into arrays.

use std::num::NonZeroUsize;
use std::path::Path;

use numpy::{
    PyArray2, PyArray3, PyArray5, PyArrayMethods, PyReadwriteArray5, PyUntypedArrayMethods,
};
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;

use crate::crops::{self, AspectRatio, Crop, Frame, Part, PlanError};
use crate::py::common::{Failures, Jpeg, crops_of, failures, keep_going, rows_of, run};
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
    let ratio = ratio_of(aspect_ratio)?;
    let frames = frames_of(frames)?;
    let parts = parts_of(&frames, &photographs, &passes)?;
    let planned = parts.iter().map(|part| part.passes * part.frames.len()).sum();
    let mut out = out.try_readwrite()?;
    let out = rows_of(out.as_slice_mut()?, planned)?;
    fill(py, out, |poll| crops::plan(&parts, ratio, seed, poll), row_of)
}

#[pyfunction]
#[pyo3(signature = (frames, photographs, passes, *, aspect_ratio, seed, starts, out))]
#[expect(clippy::too_many_arguments)]
pub fn plan_states(
    py: Python<'_>,
    frames: &Bound<'_, PyArray2<i64>>,
    photographs: Vec<usize>,
    passes: Vec<usize>,
    aspect_ratio: u8,
    seed: u32,
    starts: Vec<Vec<usize>>,
    out: &Bound<'_, PyArray2<u32>>,
) -> PyResult<Failures> {
    let ratio = ratio_of(aspect_ratio)?;
    let frames = frames_of(frames)?;
    let parts = parts_of(&frames, &photographs, &passes)?;
    let stretches =
        parts.iter().zip(&starts).map(|(part, starts)| part.passes * starts.len()).sum();
    let fits = |(part, starts): (&Part<'_>, &Vec<usize>)| {
        starts.is_sorted_by(|a, b| a < b) && starts.iter().all(|start| *start < part.frames.len())
    };
    if starts.len() != parts.len() || !parts.iter().zip(&starts).all(fits) {
        return Err(PyValueError::new_err("starts and parts do not belong together"));
    }
    let mut out = out.try_readwrite()?;
    let out = rows_of(out.as_slice_mut()?, stretches)?;
    fill(py, out, |poll| crops::plan_states(&parts, ratio, seed, &starts, poll), |state| state)
}

#[pyfunction]
#[pyo3(signature = (frames, states, *, aspect_ratio, out))]
pub fn plan_stretch(
    py: Python<'_>,
    frames: &Bound<'_, PyArray2<i64>>,
    states: &Bound<'_, PyArray2<u32>>,
    aspect_ratio: u8,
    out: &Bound<'_, PyArray3<i32>>,
) -> PyResult<Failures> {
    let ratio = ratio_of(aspect_ratio)?;
    let frames = frames_of(frames)?;
    let states = states.try_readonly()?;
    let (states, rest) = states.as_slice()?.as_chunks();
    if !rest.is_empty() {
        return Err(PyValueError::new_err("states have 624 words each"));
    }
    let mut out = out.try_readwrite()?;
    let out = rows_of(out.as_slice_mut()?, frames.len() * states.len())?;
    fill(py, out, |poll| crops::plan_stretch(&frames, ratio, states, poll), row_of)
}

pub fn ratio_of(aspect_ratio: u8) -> PyResult<AspectRatio> {
    match aspect_ratio {
        1 => Ok(AspectRatio::Square),
        0 => Ok(AspectRatio::Wide),
        _ => Err(PyValueError::new_err("aspect_ratio must be 1 or 0")),
    }
}

fn frames_of(frames: &Bound<'_, PyArray2<i64>>) -> PyResult<Vec<Frame>> {
    Ok(frames.try_readonly()?.as_slice()?.chunks_exact(6).map(frame).collect())
}

/// Divides frames into parts with these numbers of photographs and passes.
fn parts_of<'a>(
    frames: &'a [Frame],
    photographs: &[usize],
    passes: &[usize],
) -> PyResult<Vec<Part<'a>>> {
    let mut rest = frames;
    let mut parts = Vec::new();
    for (&photographs, &passes) in photographs.iter().zip(passes) {
        let Some((frames, after)) = rest.split_at_checked(photographs) else {
            return Err(PyValueError::new_err("parts have more photographs than frames"));
        };
        parts.push(Part { frames, passes });
        rest = after;
    }
    if rest.is_empty() {
        return Ok(parts);
    }
    Err(PyValueError::new_err("frames and parts do not belong together"))
}

/// Plans without the GIL, and fills `out` with the result.
fn fill<T: Send, const N: usize, V>(
    py: Python<'_>,
    out: &mut [[V; N]],
    plan: impl FnOnce(&mut (dyn FnMut() -> bool + Send)) -> Result<Vec<T>, PlanError> + Send,
    row: impl Fn(T) -> [V; N],
) -> PyResult<Failures> {
    let mut interrupt = Ok(());
    let planned = py.detach(|| plan(&mut || keep_going(&mut interrupt)));
    interrupt?;
    match planned {
        Ok(planned) => {
            out.iter_mut().zip(planned).for_each(|(out, planned)| *out = row(planned));
            Ok(Vec::new())
        }
        Err(PlanError::Photographs(errors)) => Ok(failures(errors)),
        Err(PlanError::Cancelled) => unreachable!("cancelled by nothing but an interrupt"),
    }
}

fn row_of(Crop { x, y, w, h }: Crop) -> [i32; 4] {
    [x, y, w, h]
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
    jpegs: Vec<Jpeg>,
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
