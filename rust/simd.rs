//! The inner loops of [`crate::resize`] and of [`crate::jpeg`] for processors with AVX2: the same
//! bits as the plain ones, which stay beside them. All of the crate's `unsafe` is here.
//!
//! What takes the time is fetching two pixels for each output value along x. The pixels of four
//! neighbouring output values lie within 16 bytes of a plane as long as the crop is reduced by no
//! more than about four, so one load and two byte shuffles fetch them for four values at once.

#![allow(unsafe_code)]
#![cfg_attr(not(target_arch = "x86_64"), allow(dead_code))]

#[cfg(target_arch = "x86_64")]
use std::arch::x86_64::{
    __m128i, __m256, __m256i, _mm_loadu_si128, _mm256_add_ps, _mm256_castsi128_si256,
    _mm256_cvtepi32_ps, _mm256_fmadd_ps, _mm256_inserti128_si256, _mm256_loadu_ps, _mm256_loadu_si256,
    _mm256_mul_ps, _mm256_set1_ps, _mm256_shuffle_epi8, _mm256_storeu_ps,
};

use crate::jpeg::CHANNELS;
use crate::resize::Tap;

/// Output values that are made at once.
pub const LANES: usize = 8;

/// Bytes of a plane that one load fetches, for half of the lanes.
const REACH: usize = 16;

/// What [`unit`] is too large by. The weights are as much too small: a power of two rounds nothing.
const SCALE: f32 = 65_536.0;

/// Whether this processor has what is needed here.
pub fn available() -> bool {
    #[cfg(target_arch = "x86_64")]
    return is_x86_feature_detected!("avx2") && is_x86_feature_detected!("fma");
    #[cfg(not(target_arch = "x86_64"))]
    false
}

/// Work in plain loops, of which the compiler makes vectors.
pub trait Loops {
    /// Does it. This and what it calls must be `#[inline(always)]`, or it is compiled by itself.
    fn run(self);
}

/// Runs loops compiled for AVX2 if the processor has it: wider vectors, the same bits. (As closures
/// or function values they would be compiled by themselves, without AVX2.)
pub fn vectorised(loops: impl Loops) {
    #[cfg(target_arch = "x86_64")]
    if available() {
        #[target_feature(enable = "avx2")]
        fn with_avx2(loops: impl Loops) {
            loops.run();
        }
        // SAFETY: AVX2 is there.
        return unsafe { with_avx2(loops) };
    }
    loops.run();
}

/// How [`LANES`] neighbouring output values come from a row of a plane.
#[derive(Clone)]
struct Group {
    /// Where the loads for the lower and the upper four begin.
    base: [usize; 2],
    /// For each byte of the eight integers, which loaded byte it is; the high bit makes it zero.
    near: [u8; 4 * LANES],
    far: [u8; 4 * LANES],
    near_weight: [f32; LANES],
    far_weight: [f32; LANES],
}

/// The taps of an axis, as shuffles.
#[derive(Default)]
pub struct Shuffles {
    groups: Vec<Group>,
    /// Bytes of a row that are loaded, used or not.
    reach: usize,
}

impl Shuffles {
    /// Prepares the taps of an axis; `false` if the pixels of some four lie too far apart.
    pub fn prepare(&mut self, taps: &[Tap]) -> bool {
        self.groups.clear();
        self.reach = 0;
        for taps in taps.chunks(LANES) {
            let mut group = Group {
                base: [0; 2],
                near: [0x80; 4 * LANES],
                far: [0x80; 4 * LANES],
                near_weight: [0.0; LANES],
                far_weight: [0.0; LANES],
            };
            for (half, taps) in taps.chunks(LANES / 2).enumerate() {
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

    /// Resizes a row along x, into planes of a whole number of [`LANES`] values. `rows` are the rest
    /// of the planes from the row's first pixel on.
    pub fn across(&self, rows: [&[u8]; CHANNELS], out: &mut [f32]) {
        let stride = self.groups.len() * LANES;
        assert_eq!(out.len(), CHANNELS * stride);
        assert!(rows.iter().all(|row| row.len() >= self.reach));
        assert!(available());
        #[cfg(target_arch = "x86_64")]
        // SAFETY: AVX2 and FMA are there. Each load of 16 bytes ends at or before `reach`, which no row is
        // shorter than, and each store of 8 floats is at a group's place in a plane of `out`.
        unsafe {
            self.across_avx2(rows, out.as_mut_ptr(), stride)
        }
    }

    #[cfg(target_arch = "x86_64")]
    #[target_feature(enable = "avx2,fma")]
    unsafe fn across_avx2(&self, rows: [&[u8]; CHANNELS], out: *mut f32, stride: usize) {
        for (g, group) in self.groups.iter().enumerate() {
            // SAFETY: the caller's, for the loads from `rows` and the stores; the rest are arrays.
            unsafe {
                let near = _mm256_loadu_si256(group.near.as_ptr().cast::<__m256i>());
                let far = _mm256_loadu_si256(group.far.as_ptr().cast::<__m256i>());
                let near_weight = _mm256_loadu_ps(group.near_weight.as_ptr());
                let far_weight = _mm256_loadu_ps(group.far_weight.as_ptr());
                for (channel, row) in rows.iter().enumerate() {
                    let load = |base| _mm_loadu_si128(row.as_ptr().add(base).cast::<__m128i>());
                    let bytes = _mm256_inserti128_si256::<1>(
                        _mm256_castsi128_si256(load(group.base[0])),
                        load(group.base[1]),
                    );
                    let near = unit(_mm256_shuffle_epi8(bytes, near));
                    let far = unit(_mm256_shuffle_epi8(bytes, far));
                    let value = _mm256_add_ps(
                        _mm256_mul_ps(near, near_weight),
                        _mm256_mul_ps(far, far_weight),
                    );
                    _mm256_storeu_ps(out.add(channel * stride + g * LANES), value);
                }
            }
        }
    }
}

/// `byte / 255` times [`SCALE`], correctly rounded, of integers that hold the byte twice.
///
/// `byte / 255` is the byte repeated without end behind the binary point. Twice it is an exact
/// float; six times are enough to round as without end, and are made by one fused addition.
#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2,fma")]
fn unit(twice: __m256i) -> __m256 {
    const REPEAT: f32 = 1.0 / 65_536.0 + 1.0 / 65_536.0 / 65_536.0;
    let value = _mm256_cvtepi32_ps(twice);
    _mm256_fmadd_ps(value, _mm256_set1_ps(REPEAT), value)
}
