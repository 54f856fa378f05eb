//! Eight output values at once, with AVX2.

use std::arch::x86_64::{
    __m128i, __m256, __m256i, _mm_loadu_si128, _mm256_add_ps, _mm256_castsi128_si256,
    _mm256_cvtepi32_ps, _mm256_fmadd_ps, _mm256_inserti128_si256, _mm256_loadu_ps,
    _mm256_loadu_si256, _mm256_mul_ps, _mm256_set1_ps, _mm256_shuffle_epi8, _mm256_storeu_ps,
};

use super::{CHANNELS, Group, REPEAT};
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
                let value =
                    _mm256_add_ps(_mm256_mul_ps(near, near_down), _mm256_mul_ps(far, far_down));
                _mm256_storeu_ps(out.add(group.start), value);
            }
        }
    }
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
        let lower = _mm_loadu_si128(row.add(group.base[0]).cast::<__m128i>());
        let upper = _mm_loadu_si128(row.add(group.base[1]).cast::<__m128i>());
        let bytes = _mm256_inserti128_si256::<1>(_mm256_castsi128_si256(lower), upper);
        _mm256_add_ps(
            _mm256_mul_ps(unit(_mm256_shuffle_epi8(bytes, near)), near_weight),
            _mm256_mul_ps(unit(_mm256_shuffle_epi8(bytes, far)), far_weight),
        )
    }
}

/// `byte / 255` times `SCALE`, correctly rounded, of integers that hold the byte twice.
#[target_feature(enable = "avx2,fma")]
fn unit(twice: __m256i) -> __m256 {
    let value = _mm256_cvtepi32_ps(twice);
    _mm256_fmadd_ps(value, _mm256_set1_ps(REPEAT), value)
}
