//! Sixteen output values at once, with AVX-512 and its byte shuffles over 64 bytes (VBMI).

use std::arch::x86_64::{
    __m512, __m512i, _mm512_add_ps, _mm512_cvtepi32_ps, _mm512_fmadd_ps, _mm512_loadu_ps,
    _mm512_loadu_si512, _mm512_maskz_permutexvar_epi8, _mm512_mul_ps, _mm512_set1_ps,
    _mm512_storeu_ps,
};

use super::{CHANNELS, REPEAT, WideGroup};
use crate::taps::Tap;

/// The lower two bytes of each integer.
const TWICE: u64 = 0x3333_3333_3333_3333;

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
                let value =
                    _mm512_add_ps(_mm512_mul_ps(near, near_down), _mm512_mul_ps(far, far_down));
                _mm512_storeu_ps(out.add(group.start), value);
            }
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
        _mm512_add_ps(
            _mm512_mul_ps(unit(bytes, near), near_weight),
            _mm512_mul_ps(unit(bytes, far), far_weight),
        )
    }
}

/// `byte / 255` times `SCALE`, correctly rounded, of the bytes that are chosen.
#[target_feature(enable = "avx512f,avx512bw,avx512vbmi")]
fn unit(bytes: __m512i, chosen: __m512i) -> __m512 {
    let value = _mm512_cvtepi32_ps(_mm512_maskz_permutexvar_epi8(TWICE, chosen, bytes));
    _mm512_fmadd_ps(value, _mm512_set1_ps(REPEAT), value)
}
