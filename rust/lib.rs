//! The hot loop of headpose-fast: from JPEG bytes and face boxes to samples in place.
//!
//! The job, in the order of the data:
//!
//! 1. [`archive`] reads the members of the database's tar file; Python parses names and labels.
//! 2. [`jpeg`] reads each photograph's header, for its size.
//! 3. [`crops`] plans every crop of the job from one stream of random numbers. From here on
//!    nothing is random, so neither order nor threads can change a byte.
//! 4. [`render`] runs the batch over threads: [`jpeg`] decodes a photograph once, [`resize`]
//!    renders each of its crops as planar float32, and the samples go
//! 5. into the caller's array, or, with [`file`], to their places in the bundle, which Python has
//!    laid out beforehand.
//!
//! Kind `small` renders nothing: [`compressed`] deflates the part of each photograph that its crops
//! cover, and inflates it when the bundle is loaded. It is written as [`text`], and so is `any`.
//!
//! For training, samples are made by key instead: [`draws`] draws a crop and a look from only a seed
//! and a key, with [`philox`], and [`batch`] renders such samples, from JPEG files or from pixels
//! decoded earlier.
//!
//! [`threads`] divides the work, [`simd`] is the vector code, [`taps`] the geometry of resizing.
//! Only `py.rs` and `py/` know that Python and NumPy exist.

pub mod archive;
pub mod batch;
pub mod compressed;
pub mod crops;
pub mod draws;
pub mod file;
pub mod files;
pub mod jpeg;
pub mod philox;
#[cfg(feature = "python")]
mod py;
pub mod render;
pub mod resize;
mod simd;
pub mod stored;
mod taps;
pub mod text;
mod threads;
