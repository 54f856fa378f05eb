//! Eight output values at once, with AVX2.

use std::arch::x86_64::{
    __m128i, __m256, __m256i, _mm_loadu_si128, _mm_storel_epi64, _mm_unpacklo_epi32, _mm256_add_ps,
    _mm256_castps_si256, _mm256_castsi128_si256, _mm256_castsi256_si128, _mm256_cmpgt_epi32,
    _mm256_cvtepi32_ps, _mm256_cvtps_epi32, _mm256_extracti128_si256, _mm256_fmadd_ps,
    _mm256_inserti128_si256, _mm256_loadu_ps, _mm256_loadu_si256, _mm256_madd_epi16,
    _mm256_min_epu16, _mm256_mul_ps, _mm256_set1_epi32, _mm256_set1_ps, _mm256_shuffle_epi8,
    _mm256_storeu_ps, _mm256_testz_si256,
};

use super::{CHANNELS, Group, MOST_GROUPS, REPEAT, WHOLE};
use crate::taps::Tap;

/// Makes an output row of each plane from two of its rows.
///
/// # Safety
/// AVX2 and FMA are available. The 16 bytes at each base of each group may be read from each row,
/// even beyond its end; the eight values from the start of each group may be written to each of
/// `outs`.
#[target_feature(enable = "avx2,fma")]
pub unsafe fn blend(
    groups: &[Group],
    [near, far]: [[*const u8; CHANNELS]; 2],
    down: &Tap,
    outs: [*mut f32; CHANNELS],
) {
    let (near_down, far_down) = (_mm256_set1_ps(down.near_weight), _mm256_set1_ps(down.far_weight));
    for group in groups {
        for ((near, far), out) in near.into_iter().zip(far).zip(outs) {
            // SAFETY: the caller's.
            unsafe {
                let (near, far) = (across_group(near, group), across_group(far, group));
                let value = weighted(near, far, near_down, far_down);
                _mm256_storeu_ps(out.add(group.start), value);
            }
        }
    }
}

/// Makes an output row of each plane as bytes. `scale` makes the sums along x whole numbers of
/// 1 / [`FIXED`](super::FIXED).
///
/// # Safety
/// As [`blend`].
#[target_feature(enable = "avx2,fma")]
pub unsafe fn blend_bytes(
    groups: &[Group],
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
#[target_feature(enable = "avx2,fma")]
unsafe fn fixed_bytes(
    groups: &[Group],
    [near, far]: [[*const u8; CHANNELS]; 2],
    (down, scale): (&Tap, f32),
    outs: [*mut u8; CHANNELS],
) -> u64 {
    let near_down = _mm256_set1_ps(down.near_weight * scale);
    let far_down = _mm256_set1_ps(down.far_weight * scale);
    let fraction = _mm256_set1_epi32(0xffff);
    let mut doubtful = 0;
    for (i, group) in groups.iter().enumerate() {
        // SAFETY: the caller's, for the rows and `outs`; the rest are arrays.
        unsafe {
            let rounding = _mm256_loadu_ps(group.rounding.as_ptr());
            let mut least = fraction;
            for ((near, far), out) in near.into_iter().zip(far).zip(outs) {
                let sum = _mm256_fmadd_ps(sums(near, group), near_down, rounding);
                let sum = _mm256_fmadd_ps(sums(far, group), far_down, sum);
                let fixed = _mm256_cvtps_epi32(sum);
                least = _mm256_min_epu16(least, fixed);
                let out = out.add(group.start).cast::<__m128i>();
                _mm_storel_epi64(out, bytes_at::<2>(fixed));
            }
            let thresholds = _mm256_loadu_si256(group.doubtful.as_ptr().cast::<__m256i>());
            let below = _mm256_cmpgt_epi32(thresholds, least);
            doubtful |= u64::from(_mm256_testz_si256(below, below) == 0) << i;
        }
    }
    doubtful
}

/// Makes a group's sums along x of a row's bytes.
///
/// # Safety
/// As [`across_group`].
#[target_feature(enable = "avx2,fma")]
unsafe fn sums(row: *const u8, group: &Group) -> __m256 {
    // SAFETY: the caller's, for the loads from `row`; the rest are arrays.
    unsafe {
        let pairs = _mm256_loadu_si256(group.pairs.as_ptr().cast::<__m256i>());
        let weights = _mm256_loadu_si256(group.weights.as_ptr().cast::<__m256i>());
        let pairs = _mm256_shuffle_epi8(bytes_of(row, group), pairs);
        _mm256_cvtepi32_ps(_mm256_madd_epi16(pairs, weights))
    }
}

/// Makes a group's bytes with floats.
///
/// # Safety
/// As [`blend`].
#[cold]
#[target_feature(enable = "avx2,fma")]
unsafe fn exact_bytes(
    group: &Group,
    [near, far]: [[*const u8; CHANNELS]; 2],
    down: &Tap,
    outs: [*mut u8; CHANNELS],
) {
    let (near_down, far_down) = (_mm256_set1_ps(down.near_weight), _mm256_set1_ps(down.far_weight));
    for ((near, far), out) in near.into_iter().zip(far).zip(outs) {
        // SAFETY: the caller's.
        unsafe {
            let (near, far) = (across_group(near, group), across_group(far, group));
            let value = weighted(near, far, near_down, far_down);
            let value = _mm256_mul_ps(value, _mm256_set1_ps(255.0));
            let value = _mm256_add_ps(value, _mm256_set1_ps(WHOLE));
            let out = out.add(group.start).cast::<__m128i>();
            _mm_storel_epi64(out, bytes_at::<0>(_mm256_castps_si256(value)));
        }
    }
}

/// One byte of each integer, in the lower half.
#[target_feature(enable = "avx2")]
fn bytes_at<const PLACE: i32>(integers: __m256i) -> __m128i {
    let chosen = _mm256_set1_epi32(0x0c08_0400 + 0x0101_0101 * PLACE);
    let bytes = _mm256_shuffle_epi8(integers, chosen);
    _mm_unpacklo_epi32(_mm256_castsi256_si128(bytes), _mm256_extracti128_si256::<1>(bytes))
}

/// Resizes a row of each plane along x.
///
/// # Safety
/// As [`blend`].
#[target_feature(enable = "avx2,fma")]
pub unsafe fn across(groups: &[Group], rows: [*const u8; CHANNELS], outs: [*mut f32; CHANNELS]) {
    for group in groups {
        for (row, out) in rows.into_iter().zip(outs) {
            // SAFETY: the caller's.
            unsafe { _mm256_storeu_ps(out.add(group.start), across_group(row, group)) };
        }
    }
}

/// Makes a group's values of a row.
///
/// # Safety
/// The 16 bytes at each of the group's bases must be there.
#[target_feature(enable = "avx2,fma")]
unsafe fn across_group(row: *const u8, group: &Group) -> __m256 {
    // SAFETY: the caller's, for the loads from `row`; the rest are arrays.
    unsafe {
        let near = _mm256_loadu_si256(group.near.as_ptr().cast::<__m256i>());
        let far = _mm256_loadu_si256(group.far.as_ptr().cast::<__m256i>());
        let near_weight = _mm256_loadu_ps(group.near_weight.as_ptr());
        let far_weight = _mm256_loadu_ps(group.far_weight.as_ptr());
        let bytes = bytes_of(row, group);
        let (near, far) = (_mm256_shuffle_epi8(bytes, near), _mm256_shuffle_epi8(bytes, far));
        weighted(unit(near), unit(far), near_weight, far_weight)
    }
}

/// Loads the bytes of a row that a group's values are made of.
///
/// # Safety
/// As [`across_group`].
#[target_feature(enable = "avx2,fma")]
unsafe fn bytes_of(row: *const u8, group: &Group) -> __m256i {
    // SAFETY: the caller's.
    unsafe {
        let lower = _mm_loadu_si128(row.add(group.base[0]).cast::<__m128i>());
        let upper = _mm_loadu_si128(row.add(group.base[1]).cast::<__m128i>());
        _mm256_inserti128_si256::<1>(_mm256_castsi128_si256(lower), upper)
    }
}

/// The sum of two values by their weights, every operation rounded by itself.
#[target_feature(enable = "avx2")]
fn weighted(near: __m256, far: __m256, near_weight: __m256, far_weight: __m256) -> __m256 {
    _mm256_add_ps(_mm256_mul_ps(near, near_weight), _mm256_mul_ps(far, far_weight))
}

/// `byte / 255` times `SCALE`, correctly rounded, of integers that hold the byte twice.
#[target_feature(enable = "avx2,fma")]
fn unit(twice: __m256i) -> __m256 {
    let value = _mm256_cvtepi32_ps(twice);
    _mm256_fmadd_ps(value, _mm256_set1_ps(REPEAT), value)
}
