//! Four output values at once, with NEON.

use std::arch::aarch64::{
    float32x4_t, uint8x16_t, vaddq_f32, vcvtq_f32_u32, vdupq_n_f32, vfmaq_f32, vld1q_f32, vld1q_u8,
    vmulq_f32, vqtbl1q_u8, vreinterpretq_u32_u8, vst1q_f32,
};

use super::{CHANNELS, Group, REPEAT};
use crate::taps::Tap;

/// Output values of half a group.
const HALF: usize = 4;

/// Makes an output row of each plane from two of its rows.
///
/// # Safety
/// The 16 bytes at each base of each group may be read from each row, even beyond its end; the eight
/// values from the start of each group may be written to each of `outs`.
#[target_feature(enable = "neon")]
pub unsafe fn blend(
    groups: &[Group],
    [near, far]: [[*const u8; CHANNELS]; 2],
    down: &Tap,
    outs: [*mut f32; CHANNELS],
) {
    let (near_down, far_down) = (vdupq_n_f32(down.near_weight), vdupq_n_f32(down.far_weight));
    for group in groups {
        for half in 0..2 {
            for ((near, far), out) in near.into_iter().zip(far).zip(outs) {
                // SAFETY: the caller's.
                unsafe {
                    let near = across_half(near, group, half);
                    let far = across_half(far, group, half);
                    let value = vaddq_f32(vmulq_f32(near, near_down), vmulq_f32(far, far_down));
                    vst1q_f32(out.add(group.start + half * HALF), value);
                }
            }
        }
    }
}

/// Resizes a row of each plane along x.
///
/// # Safety
/// As [`blend`].
#[target_feature(enable = "neon")]
pub unsafe fn across(groups: &[Group], rows: [*const u8; CHANNELS], outs: [*mut f32; CHANNELS]) {
    for group in groups {
        for half in 0..2 {
            for (row, out) in rows.into_iter().zip(outs) {
                let out = out.wrapping_add(group.start + half * HALF);
                // SAFETY: the caller's.
                unsafe { vst1q_f32(out, across_half(row, group, half)) };
            }
        }
    }
}

/// Makes the values of half a group of a row.
///
/// # Safety
/// The 16 bytes at the half's base must be there.
#[target_feature(enable = "neon")]
unsafe fn across_half(row: *const u8, group: &Group, half: usize) -> float32x4_t {
    // SAFETY: the caller's, for the load from `row`; the rest are arrays.
    unsafe {
        let near = vld1q_u8(group.near[half * 16..][..16].as_ptr());
        let far = vld1q_u8(group.far[half * 16..][..16].as_ptr());
        let near_weight = vld1q_f32(group.near_weight[half * HALF..][..HALF].as_ptr());
        let far_weight = vld1q_f32(group.far_weight[half * HALF..][..HALF].as_ptr());
        let bytes = vld1q_u8(row.add(group.base[half]));
        vaddq_f32(
            vmulq_f32(unit(vqtbl1q_u8(bytes, near)), near_weight),
            vmulq_f32(unit(vqtbl1q_u8(bytes, far)), far_weight),
        )
    }
}

/// `byte / 255` times `SCALE`, correctly rounded, of integers that hold the byte twice.
#[target_feature(enable = "neon")]
fn unit(twice: uint8x16_t) -> float32x4_t {
    let value = vcvtq_f32_u32(vreinterpretq_u32_u8(twice));
    vfmaq_f32(value, value, vdupq_n_f32(REPEAT))
}
