//! The module `headpose_fast._core`: borrow buffers, release the GIL, call, convert errors.
//!
//! Functions over many photographs fill a buffer of the caller's and return what failed, as pairs
//! of index and reason: only the caller knows the photographs' names.

use std::fs::{File, OpenOptions};
use std::io;
use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};
use std::thread::available_parallelism;

use numpy::{
    PyArray1, PyArray2, PyArray3, PyArray5, PyArrayMethods, PyReadonlyArray1, PyReadonlyArray2,
    PyUntypedArrayMethods,
};
use pyo3::exceptions::{PyOSError, PyValueError};
use pyo3::prelude::*;
use pyo3::pybacked::PyBackedBytes;
use pyo3::types::PyBytes;

use crate::archive::{self, ArchiveError, Limits};
use crate::crops::{self, AspectRatio, Crop, Frame, Part, PlanError};
use crate::file::{self, Encoding, Input, Output};
use crate::jpeg::Header;
use crate::render::{self, MemoryRun, RenderError, Run, Size};

type Failures = Vec<(usize, String)>;

fn failures<E: ToString>(errors: Vec<(usize, E)>) -> Failures {
    errors.into_iter().map(|(i, error)| (i, error.to_string())).collect()
}

/// An `OSError`, of the subclass that fits, which names the file.
fn os_error(error: io::Error, path: &Path) -> PyErr {
    match error.raw_os_error() {
        Some(code) => {
            // Rust writes the code behind the reason; Python writes it in front of it.
            let reason = error.to_string();
            let reason = reason.split(" (os error").next().unwrap_or_default().to_owned();
            PyOSError::new_err((code, reason, path.as_os_str().to_owned()))
        }
        None => PyOSError::new_err(format!("{}: {error}", path.display())),
    }
}

#[pyfunction]
fn read_archive<'py>(
    py: Python<'py>,
    path: PathBuf,
    limits: (u64, u64, u64, u64),
    wanted: &Bound<'py, PyAny>,
) -> PyResult<Vec<(String, Bound<'py, PyBytes>)>> {
    let wanted = wanted.clone().unbind();
    let (members, archive_bytes, unpacked_bytes, expansion) = limits;
    let limits = Limits { members, archive_bytes, unpacked_bytes, expansion };
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
fn jpeg_sizes(
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

#[pyfunction]
fn plan_crops(
    py: Python<'_>,
    frames: &Bound<'_, PyArray2<i64>>,
    parts: Vec<(usize, usize)>,
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
    for (photographs, passes) in parts {
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

/// Whether Ctrl-C was not pressed; keeps the exception if it was.
fn keep_going(interrupt: &mut PyResult<()>) -> bool {
    *interrupt = Python::attach(|py| py.check_signals());
    interrupt.is_ok()
}

fn frame(row: &[i64]) -> Frame {
    let &[width, height, cx, cy, face_width, face_height] = row else {
        unreachable!("frames have six columns")
    };
    Frame { width, height, cx, cy, face_width, face_height }
}

/// Crops of an array (passes, photographs, 4), and how many photographs there are.
fn crops_of(array: &Bound<'_, PyArray3<i32>>, jpegs: usize) -> PyResult<Vec<Crop>> {
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

#[pyfunction]
fn render_samples(
    py: Python<'_>,
    jpegs: Vec<PyBackedBytes>,
    crops: &Bound<'_, PyArray3<i32>>,
    out: &Bound<'_, PyArray5<f32>>,
    workers: Option<NonZeroUsize>,
) -> PyResult<Failures> {
    let crops = crops_of(crops, jpegs.len())?;
    let &[passes, photographs, 3, height, width] = out.shape() else {
        return Err(PyValueError::new_err("out must have three planes a sample"));
    };
    if photographs != jpegs.len() || passes * photographs != crops.len() {
        return Err(PyValueError::new_err("out and crops do not belong together"));
    }
    let size = Size { width, height };
    let mut out = out.try_readwrite()?;
    let runs = MemoryRun::divide(out.as_slice_mut()?, size);
    run(py, &jpegs, &crops, size, runs, workers, None, Path::new("out"))
}

#[pyfunction]
fn create_file(path: PathBuf, length: u64) -> PyResult<()> {
    file::create(&path, length).map_err(|error| os_error(error, &path))
}

/// Where samples are in a file: what both functions below are told in the same way.
struct Places<'py> {
    photographs: usize,
    crops: Vec<Crop>,
    size: Size,
    encoding: Encoding,
    offsets: PyReadonlyArray2<'py, u64>,
}

impl<'py> FromPyObject<'_, 'py> for Places<'py> {
    type Error = PyErr;

    fn extract(object: Borrowed<'_, 'py, PyAny>) -> PyResult<Self> {
        type Parts<'py> = (
            Bound<'py, PyArray3<i32>>,
            (usize, usize),
            Option<NonZeroUsize>,
            Bound<'py, PyArray2<u64>>,
        );
        let (crops, (width, height), text_blocks, offsets): Parts<'py> = object.extract()?;
        let photographs = crops.shape()[1];
        let crops = crops_of(&crops, photographs)?;
        if offsets.shape() != [crops.len() / photographs.max(1), photographs] {
            return Err(PyValueError::new_err("offsets and crops do not belong together"));
        }
        let size = Size { width, height };
        let bytes = size.values() * size_of::<f32>();
        let encoding = match text_blocks.map(NonZeroUsize::get) {
            None => Encoding::Raw,
            Some(blocks @ ..=7) if bytes.is_multiple_of(blocks) => Encoding::Text { blocks },
            Some(blocks) => {
                return Err(PyValueError::new_err(format!("no sample has {blocks} blocks")));
            }
        };
        Ok(Places { photographs, crops, size, encoding, offsets: offsets.try_readonly()? })
    }
}

#[pyfunction]
#[pyo3(signature = (jpegs, places, path, checksums, workers, progress=None))]
fn render_to_file(
    py: Python<'_>,
    jpegs: Vec<PyBackedBytes>,
    places: Places<'_>,
    path: PathBuf,
    checksums: &Bound<'_, PyArray1<u32>>,
    workers: Option<NonZeroUsize>,
    progress: Option<Py<PyAny>>,
) -> PyResult<Failures> {
    let Places { photographs, crops, size, encoding, offsets } = places;
    require_as_many(&jpegs, photographs)?;
    let file = OpenOptions::new().write(true).open(&path);
    let output = Output::new(file.map_err(|error| os_error(error, &path))?, size, encoding);
    let mut checksums = checksums.try_readwrite()?;
    let checksums = as_many(checksums.as_slice_mut()?, &crops)?;
    let runs = output.divide(offsets.as_slice()?, checksums, jpegs.len());
    run(py, &jpegs, &crops, size, runs, workers, progress, &path)
}

#[pyfunction]
fn compare_with_file(
    py: Python<'_>,
    jpegs: Vec<PyBackedBytes>,
    places: Places<'_>,
    path: PathBuf,
    equal: &Bound<'_, PyArray1<bool>>,
    workers: Option<NonZeroUsize>,
) -> PyResult<Failures> {
    let Places { photographs, crops, size, encoding, offsets } = places;
    require_as_many(&jpegs, photographs)?;
    let file = File::open(&path).map_err(|error| os_error(error, &path))?;
    let input = Input::new(file, size, encoding);
    let mut equal = equal.try_readwrite()?;
    let equal = as_many(equal.as_slice_mut()?, &crops)?;
    let runs = input.divide(offsets.as_slice()?, equal, jpegs.len());
    run(py, &jpegs, &crops, size, runs, workers, None, &path)
}

#[pyfunction]
fn checksums<'py>(
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
fn as_many<'a, T>(out: &'a mut [T], crops: &[Crop]) -> PyResult<&'a mut [T]> {
    if out.len() == crops.len() {
        return Ok(out);
    }
    Err(PyValueError::new_err("crops and their results do not belong together"))
}

fn require_as_many(jpegs: &[PyBackedBytes], photographs: usize) -> PyResult<()> {
    if jpegs.len() == photographs {
        return Ok(());
    }
    Err(PyValueError::new_err(format!(
        "crops are of {photographs} photographs, not {}",
        jpegs.len()
    )))
}

fn workers_or_all(workers: Option<NonZeroUsize>) -> io::Result<usize> {
    Ok(match workers {
        Some(workers) => workers,
        None => available_parallelism()?,
    }
    .get())
}

/// Renders with the GIL released, taking it about every 50 ms to see whether Ctrl-C was pressed and
/// to tell `progress` how many samples are done. `output` is named when writing fails.
#[expect(clippy::too_many_arguments)]
fn run<R: Run>(
    py: Python<'_>,
    jpegs: &[PyBackedBytes],
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
    let result = py.detach(|| render::render(jpegs, crops, size, runs, workers, poll));
    interrupt?;
    match result {
        Ok(()) => Ok(Vec::new()),
        Err(RenderError::Photographs(errors)) => Ok(failures(errors)),
        Err(RenderError::Output(error)) => Err(os_error(error, output)),
        Err(RenderError::Cancelled) => unreachable!("cancelled by nothing but an interrupt"),
    }
}

#[pymodule]
fn _core(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add("__version__", env!("CARGO_PKG_VERSION"))?;
    module.add_function(wrap_pyfunction!(read_archive, module)?)?;
    module.add_function(wrap_pyfunction!(jpeg_sizes, module)?)?;
    module.add_function(wrap_pyfunction!(plan_crops, module)?)?;
    module.add_function(wrap_pyfunction!(render_samples, module)?)?;
    module.add_function(wrap_pyfunction!(create_file, module)?)?;
    module.add_function(wrap_pyfunction!(render_to_file, module)?)?;
    module.add_function(wrap_pyfunction!(compare_with_file, module)?)?;
    module.add_function(wrap_pyfunction!(checksums, module)?)
}
