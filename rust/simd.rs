//! The inner loops of resizing and of decoding for processors with AVX2 or NEON: the same bits as
//! the plain ones, which stay beside them. All of the crate's `unsafe` is here and in `simd/`.
//!
//! Most of the time goes into fetching two pixels for each output value along x. The pixels of four
//! neighbouring output values lie within 16 bytes of a plane as long as the crop is reduced by no
//! more than about four, so one load and two byte shuffles fetch them for four values at once.

#![allow(unsafe_code)]
#![cfg_attr(not(any(target_arch = "x86_64", target_arch = "aarch64")), allow(dead_code))]

#[cfg_attr(target_arch = "x86_64", path = "simd/avx2.rs")]
#[cfg_attr(target_arch = "aarch64", path = "simd/neon.rs")]
#[cfg(any(target_arch = "x86_64", target_arch = "aarch64"))]
mod vectors;

use crate::taps::Tap;

/// Planes that are resized together, since they have the same taps.
const CHANNELS: usize = 3;

/// Output values that are made at once.
pub const LANES: usize = 8;

/// Bytes of a plane that one load fetches, for half of the lanes.
const REACH: usize = 16;

/// The factor by which a value, `byte / 255`, is too large until it is multiplied by its weight,
/// which is too small by the same factor: a power of two, so nothing is rounded.
///
/// `byte / 255` is the byte repeated endlessly after the binary point. Repeated twice, it is an
/// exact float. Six times is enough to round like the endless number, and is made by one fused
/// addition of [`REPEAT`] times the float.
const SCALE: f32 = 65_536.0;

const REPEAT: f32 = 1.0 / 65_536.0 + 1.0 / 65_536.0 / 65_536.0;

/// Whether this processor has what is needed here.
pub fn available() -> bool {
    #[cfg(target_arch = "x86_64")]
    return is_x86_feature_detected!("avx2") && is_x86_feature_detected!("fma");
    // Every processor of this architecture has NEON.
    #[cfg(not(target_arch = "x86_64"))]
    return cfg!(target_arch = "aarch64");
}

/// Bytes of a cache line, or fewer than that.
const LINE: usize = 64;

/// Asks the processor, where possible, to fetch bytes that will be read soon.
#[inline]
pub fn prefetch(bytes: &[u8]) {
    #[cfg(target_arch = "x86_64")]
    for line in bytes.chunks(LINE) {
        use std::arch::x86_64::{_MM_HINT_T0, _mm_prefetch};
        // SAFETY: every x86-64 processor has it, and the address is in the slice.
        unsafe { _mm_prefetch::<_MM_HINT_T0>(line.as_ptr().cast()) };
    }
    #[cfg(not(target_arch = "x86_64"))]
    let _ = (bytes, LINE);
}

/// Work in plain loops, which the compiler vectorises.
pub trait Loops {
    /// Does the work. This and what it calls must be `#[inline(always)]`, or it is compiled apart.
    fn run(self);
}

/// Runs loops compiled for AVX2 if the processor has it: wider vectors, the same bits. (Closures and
/// function values would be compiled apart, without AVX2.) On other architectures, the loops are
/// compiled for all that their processors have, NEON included.
pub fn vectorised(loops: impl Loops) {
    #[cfg(target_arch = "x86_64")]
    if available() {
        #[target_feature(enable = "avx2,fma")]
        fn with_avx2(loops: impl Loops) {
            loops.run();
        }
        // SAFETY: AVX2 is there.
        return unsafe { with_avx2(loops) };
    }
    loops.run();
}

/// How [`LANES`] neighbouring output values come from a row of a plane: four by one load each.
#[derive(Clone)]
struct Group {
    /// Index of the first of them in the output row.
    start: usize,
    /// Where the loads for the lower and the upper four begin.
    base: [usize; 2],
    /// For each byte of the eight integers, the loaded byte's index; the high bit makes it zero.
    near: [u8; 4 * LANES],
    far: [u8; 4 * LANES],
    near_weight: [f32; LANES],
    far_weight: [f32; LANES],
}

/// The taps of the x axis, as shuffles.
#[derive(Default)]
pub struct Shuffles {
    groups: Vec<Group>,
    /// Output values in a row.
    width: usize,
    /// Bytes of a row that are loaded, used or not.
    reach: usize,
}

impl Shuffles {
    /// Prepares the taps of an axis; `false` if they are too few or too far apart.
    pub fn prepare(&mut self, taps: &[Tap]) -> bool {
        self.groups.clear();
        self.width = taps.len();
        self.reach = 0;
        let Some(last) = taps.len().checked_sub(LANES) else {
            return false;
        };
        for start in (0..taps.len()).step_by(LANES) {
            // The last group makes some values a second time instead of making fewer.
            let start = start.min(last);
            let mut group = Group {
                start,
                base: [0; 2],
                near: [0x80; 4 * LANES],
                far: [0x80; 4 * LANES],
                near_weight: [0.0; LANES],
                far_weight: [0.0; LANES],
            };
            for (half, taps) in taps[start..][..LANES].chunks(LANES / 2).enumerate() {
                let base = taps[0].near;
                if taps[taps.len() - 1].far - base >= REACH {
                    return false;
                }
                group.base[half] = base;
                self.reach = self.reach.max(base + REACH);
                for (i, tap) in taps.iter().enumerate() {
                    let lane = half * LANES / 2 + i;
                    group.near[4 * lane..][..2].fill((tap.near - base) as u8);
                    group.far[4 * lane..][..2].fill((tap.far - base) as u8);
                    group.near_weight[lane] = tap.near_weight / SCALE;
                    group.far_weight[lane] = tap.far_weight / SCALE;
                }
            }
            self.groups.push(group);
        }
        true
    }

    /// Resizes a row of a plane, with readable bytes after its end, along x. [`prepare`] must have
    /// returned true.
    ///
    /// [`prepare`]: Shuffles::prepare
    #[inline(always)]
    pub fn across(&self, row: &[u8], out: &mut [f32]) {
        assert_eq!(out.len(), self.width);
        assert!(row.len() >= self.reach);
        assert!(available());
        #[cfg(any(target_arch = "x86_64", target_arch = "aarch64"))]
        // SAFETY: as in `blend`.
        unsafe {
            vectors::across(&self.groups, row.as_ptr(), out.as_mut_ptr());
        }
    }

    /// Makes an output row of each plane from two of its rows, with readable bytes after their ends.
    /// [`prepare`] must have returned true.
    ///
    /// [`prepare`]: Shuffles::prepare
    #[inline(always)]
    pub fn blend(&self, rows: [[&[u8]; 2]; CHANNELS], down: &Tap, outs: [&mut [f32]; CHANNELS]) {
        assert!(outs.iter().all(|out| out.len() == self.width));
        assert!(rows.as_flattened().iter().all(|row| row.len() >= self.reach));
        assert!(available());
        #[cfg(any(target_arch = "x86_64", target_arch = "aarch64"))]
        // SAFETY: the vectors are there. Each load of 16 bytes ends at or before `reach`, which no
        // row is shorter than, and each store at or before `width`.
        unsafe {
            let rows = rows.map(|pair| pair.map(<[u8]>::as_ptr));
            vectors::blend(&self.groups, rows, down, outs.map(<[f32]>::as_mut_ptr));
        }
    }
}
