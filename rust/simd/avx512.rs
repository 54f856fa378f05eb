//! Sixteen output values at once, with AVX-512 and its byte shuffles over 64 bytes (VBMI).

use std::arch::x86_64::{
    __m128i, __m512, __m512i, _mm_storeu_si128, _mm512_add_ps, _mm512_castps_si512,
    _mm512_castsi512_si128, _mm512_cvtepi32_epi8, _mm512_cvtepi32_ps, _mm512_cvtps_epi32,
    _mm512_fmadd_ps, _mm512_loadu_ps, _mm512_loadu_si512, _mm512_madd_epi16,
    _mm512_mask_cmplt_epu16_mask, _mm512_maskz_permutexvar_epi8, _mm512_min_epu16, _mm512_mul_ps,
    _mm512_permutexvar_epi8, _mm512_set1_epi8, _mm512_set1_ps, _mm512_storeu_ps,
};
use std::hint::black_box;

use super::{CHANNELS, MOST_GROUPS, REPEAT, WHOLE, WideGroup};
use crate::taps::Tap;

/// The lower two bytes of each integer.
const TWICE: u64 = 0x3333_3333_3333_3333;

/// The lower byte of each 16 bits.
const LOWER: u64 = 0x5555_5555_5555_5555;

/// Indices of the third byte of each integer; the rest is not used.
static THIRD_BYTES: [u8; 64] = {
    let mut indices = [0; 64];
    let mut i = 0;
    while i < 16 {
        indices[i] = 4 * i as u8 + 2;
        i += 1;
    }
    indices
};

/// Makes an output row of each plane from two of its rows.
///
/// # Safety
/// AVX-512 with VBMI is there. Behind each row the 64 bytes at the base of each group, and in each
/// of `outs` the sixteen values from the start of each group on, may be read and written.
#[target_feature(enable = "avx512f,avx512bw,avx512vbmi")]
pub unsafe fn blend(
    groups: &[WideGroup],
    [near, far]: [[*const u8; CHANNELS]; 2],
    down: &Tap,
    outs: [*mut f32; CHANNELS],
) {
    let (near_down, far_down) = (_mm512_set1_ps(down.near_weight), _mm512_set1_ps(down.far_weight));
    for group in groups {
        for ((near, far), out) in near.into_iter().zip(far).zip(outs) {
            // SAFETY: the caller's.
            unsafe {
                let (near, far) = (across_group(near, group), across_group(far, group));
                let value = weighted(near, far, near_down, far_down);
                _mm512_storeu_ps(out.add(group.start), value);
            }
        }
    }
}

/// Makes an output row of each plane as bytes. `scale` makes the sums along x whole numbers of
/// 1 / [`FIXED`](super::FIXED).
///
/// # Safety
/// As [`blend`].
#[target_feature(enable = "avx512f,avx512bw,avx512vbmi")]
pub unsafe fn blend_bytes(
    groups: &[WideGroup],
    rows: [[*const u8; CHANNELS]; 2],
    (down, scale): (&Tap, f32),
    outs: [*mut u8; CHANNELS],
) {
    for groups in groups.chunks(MOST_GROUPS) {
        // SAFETY: the caller's.
        let mut doubtful = unsafe { fixed_bytes(groups, rows, (down, scale), outs) };
        while doubtful != 0 {
            let group = &groups[doubtful.trailing_zeros() as usize];
            // SAFETY: the caller's.
            unsafe { exact_bytes(group, rows, down, outs) };
            doubtful &= doubtful - 1;
        }
    }
}

/// Makes the bytes of at most 64 groups with whole numbers; returns a bit for each one that is in
/// doubt.
///
/// # Safety
/// As [`blend`].
#[target_feature(enable = "avx512f,avx512bw,avx512vbmi")]
unsafe fn fixed_bytes(
    groups: &[WideGroup],
    [near, far]: [[*const u8; CHANNELS]; 2],
    (down, scale): (&Tap, f32),
    outs: [*mut u8; CHANNELS],
) -> u64 {
    let near_down = _mm512_set1_ps(down.near_weight * scale);
    let far_down = _mm512_set1_ps(down.far_weight * scale);
    // The compiler would make two operations of a known one, which takes 1.04 times as long.
    let lower = black_box(LOWER);
    // SAFETY: an array.
    let third_bytes = unsafe { _mm512_loadu_si512(THIRD_BYTES.as_ptr().cast::<__m512i>()) };
    let mut doubtful = 0;
    for (i, group) in groups.iter().enumerate() {
        // SAFETY: the caller's, for the rows and `outs`; the rest are arrays.
        unsafe {
            let rounding = _mm512_loadu_ps(group.rounding.as_ptr());
            let mut least = _mm512_set1_epi8(-1);
            for ((near, far), out) in near.into_iter().zip(far).zip(outs) {
                let sum = _mm512_fmadd_ps(sums(near, group, lower), near_down, rounding);
                let sum = _mm512_fmadd_ps(sums(far, group, lower), far_down, sum);
                let fixed = _mm512_cvtps_epi32(sum);
                least = _mm512_min_epu16(least, fixed);
                let bytes = _mm512_castsi512_si128(_mm512_permutexvar_epi8(third_bytes, fixed));
                _mm_storeu_si128(out.add(group.start).cast::<__m128i>(), bytes);
            }
            let thresholds = _mm512_loadu_si512(group.doubtful.as_ptr().cast::<__m512i>());
            let below = _mm512_mask_cmplt_epu16_mask(LOWER as u32, least, thresholds);
            doubtful |= u64::from(below != 0) << i;
        }
    }
    doubtful
}

/// Makes a group's sums along x of a row's bytes.
///
/// # Safety
/// As [`across_group`].
#[target_feature(enable = "avx512f,avx512bw,avx512vbmi")]
unsafe fn sums(row: *const u8, group: &WideGroup, lower: u64) -> __m512 {
    // SAFETY: the caller's, for the load from `row`; the rest are arrays.
    unsafe {
        let pairs = _mm512_loadu_si512(group.pairs.as_ptr().cast::<__m512i>());
        let weights = _mm512_loadu_si512(group.weights.as_ptr().cast::<__m512i>());
        let bytes = _mm512_loadu_si512(row.add(group.base[0]).cast::<__m512i>());
        let pairs = _mm512_maskz_permutexvar_epi8(lower, pairs, bytes);
        _mm512_cvtepi32_ps(_mm512_madd_epi16(pairs, weights))
    }
}

/// Makes a group's bytes with floats.
///
/// # Safety
/// As [`blend`].
#[cold]
#[target_feature(enable = "avx512f,avx512bw,avx512vbmi")]
unsafe fn exact_bytes(
    group: &WideGroup,
    [near, far]: [[*const u8; CHANNELS]; 2],
    down: &Tap,
    outs: [*mut u8; CHANNELS],
) {
    let (near_down, far_down) = (_mm512_set1_ps(down.near_weight), _mm512_set1_ps(down.far_weight));
    for ((near, far), out) in near.into_iter().zip(far).zip(outs) {
        // SAFETY: the caller's.
        unsafe {
            let (near, far) = (across_group(near, group), across_group(far, group));
            let value = weighted(near, far, near_down, far_down);
            let value = _mm512_mul_ps(value, _mm512_set1_ps(255.0));
            let value = _mm512_add_ps(value, _mm512_set1_ps(WHOLE));
            let bytes = _mm512_cvtepi32_epi8(_mm512_castps_si512(value));
            _mm_storeu_si128(out.add(group.start).cast::<__m128i>(), bytes);
        }
    }
}

/// Resizes a row of each plane along x.
///
/// # Safety
/// As [`blend`].
#[target_feature(enable = "avx512f,avx512bw,avx512vbmi")]
pub unsafe fn across(
    groups: &[WideGroup],
    rows: [*const u8; CHANNELS],
    outs: [*mut f32; CHANNELS],
) {
    for group in groups {
        for (row, out) in rows.into_iter().zip(outs) {
            // SAFETY: the caller's.
            unsafe { _mm512_storeu_ps(out.add(group.start), across_group(row, group)) };
        }
    }
}

/// Makes a group's values of a row.
///
/// # Safety
/// The 64 bytes at the group's base must be there.
#[target_feature(enable = "avx512f,avx512bw,avx512vbmi")]
unsafe fn across_group(row: *const u8, group: &WideGroup) -> __m512 {
    // SAFETY: the caller's, for the load from `row`; the rest are arrays.
    unsafe {
        let near = _mm512_loadu_si512(group.near.as_ptr().cast::<__m512i>());
        let far = _mm512_loadu_si512(group.far.as_ptr().cast::<__m512i>());
        let near_weight = _mm512_loadu_ps(group.near_weight.as_ptr());
        let far_weight = _mm512_loadu_ps(group.far_weight.as_ptr());
        let bytes = _mm512_loadu_si512(row.add(group.base[0]).cast::<__m512i>());
        weighted(unit(bytes, near), unit(bytes, far), near_weight, far_weight)
    }
}

/// The sum of two values by their weights, every operation rounded by itself.
#[target_feature(enable = "avx512f")]
fn weighted(near: __m512, far: __m512, near_weight: __m512, far_weight: __m512) -> __m512 {
    _mm512_add_ps(_mm512_mul_ps(near, near_weight), _mm512_mul_ps(far, far_weight))
}

/// `byte / 255` times `SCALE`, correctly rounded, of the bytes that are chosen.
#[target_feature(enable = "avx512f,avx512bw,avx512vbmi")]
fn unit(bytes: __m512i, chosen: __m512i) -> __m512 {
    let value = _mm512_cvtepi32_ps(_mm512_maskz_permutexvar_epi8(TWICE, chosen, bytes));
    _mm512_fmadd_ps(value, _mm512_set1_ps(REPEAT), value)
}
