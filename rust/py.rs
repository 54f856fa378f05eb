//! The module `headpose_fast._core`: borrow buffers, release the GIL, call, convert errors.
//!
//! Functions over many photographs fill a buffer of the caller's and return what failed, as pairs
//! of index and reason: only the caller knows the photographs' names.

mod archive;
mod common;
mod compressed;
mod files;
mod samples;
mod training;

/// Functions of the Rust core.
#[pyo3::pymodule]
mod _core {
    use pyo3::prelude::*;

    #[pymodule_export]
    use super::archive::{digests, jpeg_sizes, read_archive};
    #[pymodule_export]
    use super::compressed::{
        compare_photographs, compress_photographs, from_text, render_compressed, to_text,
    };
    #[pymodule_export]
    use super::files::{checksums, compare_with_file, create_file, render_to_file};
    #[pymodule_export]
    use super::samples::{plan_crops, plan_states, plan_stretch, render_samples};
    #[pymodule_export]
    use super::training::{decode_photographs, draw, render_batch};

    #[pymodule_init]
    fn init(module: &Bound<'_, PyModule>) -> PyResult<()> {
        module.add("__version__", env!("CARGO_PKG_VERSION"))
    }
}
