//! The inner loops of resizing and of decoding for processors with AVX2 or NEON: the same bits as
//! the plain ones, which stay beside them. All of the crate's `unsafe` is here and in `simd/`.
//!
//! Most of the time goes into fetching two pixels for each output value along x. The pixels of four
//! neighbouring output values lie within 16 bytes of a plane as long as the crop is reduced by no
//! more than about four, so one load and two byte shuffles fetch them for four values at once.

#![allow(unsafe_code)]
#![cfg_attr(not(any(target_arch = "x86_64", target_arch = "aarch64")), allow(dead_code))]

#[cfg(target_arch = "x86_64")]
#[path = "simd/avx512.rs"]
mod wide_vectors;

#[cfg_attr(target_arch = "x86_64", path = "simd/avx2.rs")]
#[cfg_attr(target_arch = "aarch64", path = "simd/neon.rs")]
#[cfg(any(target_arch = "x86_64", target_arch = "aarch64"))]
mod vectors;

use crate::taps::Tap;

/// Planes that are resized together, since they have the same taps.
const CHANNELS: usize = 3;

/// The factor by which a value, `byte / 255`, is too large until it is multiplied by its weight,
/// which is too small by the same factor: a power of two, so nothing is rounded.
///
/// `byte / 255` is the byte repeated endlessly after the binary point. Repeated twice, it is an
/// exact float. Six times is enough to round like the endless number, and is made by one fused
/// addition of [`REPEAT`] times the float.
const SCALE: f32 = 65_536.0;

const REPEAT: f32 = 1.0 / 65_536.0 + 1.0 / 65_536.0 / 65_536.0;

/// Weighted bytes are made as whole numbers of one part in so many.
const FIXED: f32 = 65_536.0;

/// Half of one: added to round to the nearest.
const HALF: f32 = 32_768.0;

/// The largest scale of the weights of bytes along x, which are whole numbers of 16 bits.
const MOST_SCALE: usize = 32_768;

/// How far a weighted byte may be from [`FIXED`] times what the floats would give, in such units,
/// apart from the errors of the weights along x: the floats are rounded eight times, by 2^-24 of 255
/// each, which makes 8; here, the products and sums along y are, which makes 4.
const ROUNDED: f32 = 12.0;

/// Groups whose bytes are made at once: as many as a number has bits.
const MOST_GROUPS: usize = 64;

/// Added to a value in 0..255, it leaves no bits for a fraction: the sum is rounded to the nearest
/// whole number, ties to even, which is its lowest byte.
const WHOLE: f32 = 12_582_912.0;

/// The byte nearest to 255 times a value in 0..1, ties to even.
#[inline(always)]
pub fn byte(value: f32) -> u8 {
    (value * 255.0 + WHOLE).to_bits() as u8
}

/// Whether this processor has what is needed here.
fn available() -> bool {
    #[cfg(target_arch = "x86_64")]
    return is_x86_feature_detected!("avx2") && is_x86_feature_detected!("fma");
    // Every processor of this architecture has NEON.
    #[cfg(not(target_arch = "x86_64"))]
    return cfg!(target_arch = "aarch64");
}

/// Whether it has sixteen lanes and shuffles over 64 bytes.
#[cfg(target_arch = "x86_64")]
fn available_wide() -> bool {
    available()
        && is_x86_feature_detected!("avx512f")
        && is_x86_feature_detected!("avx512bw")
        && is_x86_feature_detected!("avx512vl")
        && is_x86_feature_detected!("avx512dq")
        && is_x86_feature_detected!("avx512vbmi")
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
    if available_wide() {
        #[target_feature(enable = "avx2,fma,avx512f,avx512bw,avx512vl,avx512dq,avx512vbmi")]
        fn with_avx512(loops: impl Loops) {
            loops.run();
        }
        // SAFETY: all of them are there.
        return unsafe { with_avx512(loops) };
    }
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

/// The scale of the weights of bytes along an axis of `n_out` values: a multiple of `2 * n_out`, since
/// they are, but for the rounding of coordinates to float, whole multiples of `1 / (2 * n_out)`.
fn weight_scale(n_out: usize) -> usize {
    match MOST_SCALE.checked_div(2 * n_out) {
        None | Some(0) => MOST_SCALE,
        Some(times) => times * 2 * n_out,
    }
}

/// Where rows begin. (`map` would be called, not inlined.)
#[inline(always)]
fn starts_of([near, far]: [[&[u8]; CHANNELS]; 2]) -> [[*const u8; CHANNELS]; 2] {
    [
        [near[0].as_ptr(), near[1].as_ptr(), near[2].as_ptr()],
        [far[0].as_ptr(), far[1].as_ptr(), far[2].as_ptr()],
    ]
}

/// How neighbouring output values come from a row of a plane, by a load for each few of them.
///
/// `VALUES` of them, by `LOADS` loads, and `BYTES` are four times as many. The arrays are loaded
/// whole, which takes longer if they do not begin where a cache line does.
#[derive(Clone)]
#[repr(C, align(64))]
struct GroupOf<const VALUES: usize, const LOADS: usize, const BYTES: usize> {
    /// For each byte of as many integers, which loaded byte it is; the high bit makes it zero.
    near: [u8; BYTES],
    far: [u8; BYTES],
    near_weight: [f32; VALUES],
    far_weight: [f32; VALUES],
    /// For bytes: 16 bits of the near one, then of the far one.
    pairs: [u8; BYTES],
    /// Their weights times the scale: negative, since 32,768 does not fit 16 bits but -32,768 does.
    weights: [[i16; 2]; VALUES],
    /// [`HALF`] and the margin: how far a weighted byte may be from that of the floats.
    rounding: [f32; VALUES],
    /// Twice the margin: if the fraction of a byte that was so rounded is below it, floats decide.
    doubtful: [u32; VALUES],
    /// Index of the first of them in the output row.
    start: usize,
    /// Where each load begins.
    base: [usize; LOADS],
}

/// Of eight values: the lower and the upper four by a load of 16 bytes each.
type Group = GroupOf<8, 2, 32>;

/// Of sixteen values by one load of 64 bytes.
#[cfg(target_arch = "x86_64")]
type WideGroup = GroupOf<16, 1, 64>;

impl<const VALUES: usize, const LOADS: usize, const BYTES: usize> GroupOf<VALUES, LOADS, BYTES> {
    /// Bytes of a plane that one load fetches.
    const REACH: usize = BYTES / LOADS;

    /// Fills `groups` for the taps of an axis, with what bytes need if there is a scale for them;
    /// `None` if the taps are too few or too far apart, else the bytes of a row that are loaded, used
    /// or not.
    fn prepare(groups: &mut Vec<Self>, taps: &[Tap], scale: Option<f32>) -> Option<usize> {
        groups.clear();
        let mut reach = 0;
        let last = taps.len().checked_sub(VALUES)?;
        for start in (0..taps.len()).step_by(VALUES) {
            // The last group makes some values a second time rather than fewer.
            let start = start.min(last);
            let mut group = GroupOf {
                start,
                base: [0; LOADS],
                near: [0x80; BYTES],
                far: [0x80; BYTES],
                near_weight: [0.0; VALUES],
                far_weight: [0.0; VALUES],
                pairs: [0x80; BYTES],
                weights: [[0; 2]; VALUES],
                rounding: [0.0; VALUES],
                doubtful: [0; VALUES],
            };
            for (load, taps) in taps[start..][..VALUES].chunks(VALUES / LOADS).enumerate() {
                // They ascend, or descend if the sample is mirrored.
                let (first, last) = (&taps[0], &taps[taps.len() - 1]);
                let base = first.near.min(last.near);
                if first.far.max(last.far) - base >= Self::REACH {
                    return None;
                }
                group.base[load] = base;
                reach = reach.max(base + Self::REACH);
                for (i, tap) in taps.iter().enumerate() {
                    let value = load * VALUES / LOADS + i;
                    group.near[4 * value..][..2].fill((tap.near - base) as u8);
                    group.far[4 * value..][..2].fill((tap.far - base) as u8);
                    group.near_weight[value] = tap.near_weight / SCALE;
                    group.far_weight[value] = tap.far_weight / SCALE;
                    if let Some(scale) = scale {
                        group.prepare_bytes(value, base, tap, scale);
                    }
                }
            }
            groups.push(group);
        }
        Some(reach)
    }

    /// Sets what is needed to make a value as a byte.
    #[inline(always)]
    fn prepare_bytes(&mut self, value: usize, base: usize, tap: &Tap, scale: f32) {
        self.pairs[4 * value] = (tap.near - base) as u8;
        self.pairs[4 * value + 2] = (tap.far - base) as u8;
        let far = (tap.far_weight * scale).round_ties_even();
        self.weights[value] = [far - scale, -far].map(|weight| weight as i16);
        // Bytes differ by 255 at most.
        let error = (far / scale - tap.far_weight).abs() * 255.0 * FIXED;
        let margin = (error + ROUNDED).ceil();
        self.rounding[value] = HALF + margin;
        self.doubtful[value] = 2 * margin as u32;
    }
}

/// The taps of the x axis, as shuffles.
pub struct Shuffles {
    /// Output values that are made at once at most.
    #[cfg(target_arch = "x86_64")]
    most_lanes: usize,
    groups: Vec<Group>,
    /// In use instead of those if there are any.
    #[cfg(target_arch = "x86_64")]
    wide: Vec<WideGroup>,
    /// Output values in a row.
    width: usize,
    /// Bytes of a row that are loaded, used or not.
    reach: usize,
    /// Makes sums of weighted bytes along x whole numbers of 1 / [`FIXED`].
    scale: f32,
}

impl Shuffles {
    /// With so many output values at once at most; `None` if this processor has no such vectors.
    pub fn new(most_lanes: usize) -> Option<Self> {
        (most_lanes >= 8 && available()).then(|| Shuffles {
            #[cfg(target_arch = "x86_64")]
            most_lanes,
            groups: Vec::new(),
            #[cfg(target_arch = "x86_64")]
            wide: Vec::new(),
            width: 0,
            reach: 0,
            scale: 0.0,
        })
    }

    /// Prepares the taps of an axis, for bytes or floats; `false` if they are too few or too far
    /// apart.
    pub fn prepare(&mut self, taps: &[Tap], bytes: bool) -> bool {
        self.width = taps.len();
        let scale = bytes.then(|| weight_scale(self.width) as f32);
        self.scale = scale.map_or(0.0, |scale| -FIXED / scale);
        #[cfg(target_arch = "x86_64")]
        if self.most_lanes >= 16 && available_wide() {
            if let Some(reach) = WideGroup::prepare(&mut self.wide, taps, scale) {
                self.reach = reach;
                return true;
            }
            self.wide.clear();
        }
        let reach = Group::prepare(&mut self.groups, taps, scale);
        self.reach = reach.unwrap_or_default();
        reach.is_some()
    }

    /// Resizes a row of each plane, which goes on behind its end, along x. [`prepare`] must have said
    /// yes.
    ///
    /// [`prepare`]: Shuffles::prepare
    #[inline(always)]
    pub fn across(&self, rows: [&[u8]; CHANNELS], outs: [&mut [f32]; CHANNELS]) {
        assert!(outs.iter().all(|out| out.len() == self.width));
        assert!(rows.iter().all(|row| row.len() >= self.reach));
        assert!(available());
        #[cfg(any(target_arch = "x86_64", target_arch = "aarch64"))]
        // SAFETY: as in `blend`.
        unsafe {
            let (rows, outs) = (rows.map(<[u8]>::as_ptr), outs.map(<[f32]>::as_mut_ptr));
            #[cfg(target_arch = "x86_64")]
            if !self.wide.is_empty() {
                return wide_vectors::across(&self.wide, rows, outs);
            }
            vectors::across(&self.groups, rows, outs);
        }
    }

    /// Makes an output row of each plane from two rows of it, which go on behind their ends: near
    /// ones and far ones. [`prepare`] must have said yes.
    ///
    /// [`prepare`]: Shuffles::prepare
    #[inline(always)]
    pub fn blend(&self, rows: [[&[u8]; CHANNELS]; 2], down: &Tap, outs: [&mut [f32]; CHANNELS]) {
        assert!(outs.iter().all(|out| out.len() == self.width));
        assert!(rows.as_flattened().iter().all(|row| row.len() >= self.reach));
        assert!(available());
        #[cfg(any(target_arch = "x86_64", target_arch = "aarch64"))]
        // SAFETY: the vectors are there: wide groups are only made if wide ones are. Each load ends at
        // or before `reach`, which no row is shorter than, and each store at or before `width`.
        unsafe {
            let rows = starts_of(rows);
            let outs = outs.map(<[f32]>::as_mut_ptr);
            #[cfg(target_arch = "x86_64")]
            if !self.wide.is_empty() {
                return wide_vectors::blend(&self.wide, rows, down, outs);
            }
            vectors::blend(&self.groups, rows, down, outs);
        }
    }

    /// Makes the bytes that [`byte`] makes of [`blend`]'s values. [`prepare`] must have said yes, for
    /// bytes.
    ///
    /// Whole numbers do it with half the operations. A result that is so near to half that floats
    /// might round it the other way is made again with floats.
    ///
    /// [`prepare`]: Shuffles::prepare
    ///
    /// [`blend`]: Shuffles::blend
    #[inline(always)]
    pub fn blend_bytes(
        &self,
        rows: [[&[u8]; CHANNELS]; 2],
        down: &Tap,
        outs: [&mut [u8]; CHANNELS],
    ) {
        assert!(outs.iter().all(|out| out.len() == self.width));
        assert!(rows.as_flattened().iter().all(|row| row.len() >= self.reach));
        assert!(available());
        #[cfg(any(target_arch = "x86_64", target_arch = "aarch64"))]
        // SAFETY: as in `blend`.
        unsafe {
            let rows = starts_of(rows);
            let outs = outs.map(<[u8]>::as_mut_ptr);
            #[cfg(target_arch = "x86_64")]
            if !self.wide.is_empty() {
                return wide_vectors::blend_bytes(&self.wide, rows, (down, self.scale), outs);
            }
            vectors::blend_bytes(&self.groups, rows, (down, self.scale), outs);
        }
    }
}
