//! Four output values at once, with NEON.

use std::arch::aarch64::{
    float32x4_t, uint8x16_t, uint32x4_t, vaddq_f32, vandq_u32, vcltq_u32, vcombine_u16,
    vcvtq_f32_s32, vcvtq_f32_u32, vcvtq_u32_f32, vdupq_n_f32, vdupq_n_u32, vfmaq_f32, vfmaq_n_f32,
    vget_low_s16, vld1q_f32, vld1q_s16, vld1q_u8, vld1q_u32, vmaxvq_u32, vmovn_u16, vmovn_u32,
    vmull_high_s16, vmull_s16, vmulq_f32, vorrq_u32, vpaddq_s32, vqtbl1q_u8, vreinterpretq_s16_u8,
    vreinterpretq_u32_f32, vreinterpretq_u32_u8, vshrq_n_u32, vst1_u8, vst1q_f32,
};

use super::{CHANNELS, Group, MOST_GROUPS, REPEAT, WHOLE};
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

/// Makes an output row of each plane as bytes. `scale` makes the sums along x whole numbers of
/// 1 / [`FIXED`](super::FIXED).
///
/// # Safety
/// As [`blend`].
#[target_feature(enable = "neon")]
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
#[target_feature(enable = "neon")]
unsafe fn fixed_bytes(
    groups: &[Group],
    [near, far]: [[*const u8; CHANNELS]; 2],
    down: (&Tap, f32),
    outs: [*mut u8; CHANNELS],
) -> u64 {
    let mut doubtful = 0;
    for (i, group) in groups.iter().enumerate() {
        let mut below = vdupq_n_u32(0);
        for ((near, far), out) in near.into_iter().zip(far).zip(outs) {
            // SAFETY: the caller's; the rest are arrays.
            unsafe {
                let values = [0, 1].map(|half| fixed([near, far], group, half, down));
                for (half, value) in values.into_iter().enumerate() {
                    let fraction = vandq_u32(value, vdupq_n_u32(0xffff));
                    let threshold = vld1q_u32(group.doubtful[half * HALF..][..HALF].as_ptr());
                    below = vorrq_u32(below, vcltq_u32(fraction, threshold));
                }
                store(out.add(group.start), values.map(|value| vshrq_n_u32::<16>(value)));
            }
        }
        doubtful |= u64::from(vmaxvq_u32(below) != 0) << i;
    }
    doubtful
}

/// Stores the lowest byte of each integer.
///
/// # Safety
/// Eight bytes may be written.
#[target_feature(enable = "neon")]
unsafe fn store(out: *mut u8, integers: [uint32x4_t; 2]) {
    let [lower, upper] = integers.map(|integers| vmovn_u32(integers));
    // SAFETY: the caller's.
    unsafe { vst1_u8(out, vmovn_u16(vcombine_u16(lower, upper))) };
}

/// Makes bytes of half a group from two rows, rounded if shifted by 16 bits.
///
/// # Safety
/// As [`across_half`].
#[target_feature(enable = "neon")]
unsafe fn fixed(
    [near, far]: [*const u8; 2],
    group: &Group,
    half: usize,
    (down, scale): (&Tap, f32),
) -> uint32x4_t {
    // SAFETY: the caller's.
    let (near, far) = unsafe { (sums(near, group, half), sums(far, group, half)) };
    // SAFETY: an array.
    let value = unsafe { vld1q_f32(group.rounding[half * HALF..][..HALF].as_ptr()) };
    let value = vfmaq_n_f32(value, near, down.near_weight * scale);
    vcvtq_u32_f32(vfmaq_n_f32(value, far, down.far_weight * scale))
}

/// Makes the sums along x of a row's bytes for half a group.
///
/// # Safety
/// As [`across_half`].
#[target_feature(enable = "neon")]
unsafe fn sums(row: *const u8, group: &Group, half: usize) -> float32x4_t {
    // SAFETY: the caller's, for the load from `row`; the rest are arrays.
    unsafe {
        let pairs = vld1q_u8(group.pairs[half * 16..][..16].as_ptr());
        let weights = vld1q_s16(group.weights[half * HALF..][..HALF].as_ptr().cast::<i16>());
        let pairs = vreinterpretq_s16_u8(vqtbl1q_u8(vld1q_u8(row.add(group.base[half])), pairs));
        let lower = vmull_s16(vget_low_s16(pairs), vget_low_s16(weights));
        vcvtq_f32_s32(vpaddq_s32(lower, vmull_high_s16(pairs, weights)))
    }
}

/// Makes a group's bytes with floats.
///
/// # Safety
/// As [`blend`].
#[cold]
#[target_feature(enable = "neon")]
unsafe fn exact_bytes(
    group: &Group,
    [near, far]: [[*const u8; CHANNELS]; 2],
    down: &Tap,
    outs: [*mut u8; CHANNELS],
) {
    let (near_down, far_down) = (vdupq_n_f32(down.near_weight), vdupq_n_f32(down.far_weight));
    for ((near, far), out) in near.into_iter().zip(far).zip(outs) {
        // SAFETY: the caller's.
        unsafe {
            let bytes = [0, 1].map(|half| {
                let near = across_half(near, group, half);
                let far = across_half(far, group, half);
                let value = vaddq_f32(vmulq_f32(near, near_down), vmulq_f32(far, far_down));
                let value = vaddq_f32(vmulq_f32(value, vdupq_n_f32(255.0)), vdupq_n_f32(WHOLE));
                vreinterpretq_u32_f32(value)
            });
            store(out.add(group.start), bytes);
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
