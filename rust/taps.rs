//! Where the pixels of a resized row or column come from, and with what weights.

/// Where one output pixel comes from on one axis.
#[derive(Clone, Copy)]
pub struct Tap {
    /// Index of the pixel at or before it.
    pub near: usize,
    /// Index of the pixel after it.
    pub far: usize,
    /// Weight of `near`: `1 - far_weight`.
    pub near_weight: f32,
    /// Weight of `far`.
    pub far_weight: f32,
}

/// Fills `taps` for an axis of `n_in` pixels. `clear_at_border` is the rule of the x axis.
#[inline(always)]
pub fn fill_taps(taps: &mut [Tap], n_in: usize, clear_at_border: bool) {
    let scale = n_in as f64 / taps.len() as f64;
    let last = n_in as isize - 1;
    for (d, tap) in taps.iter_mut().enumerate() {
        let f = ((d as f64 + 0.5) * scale - 0.5) as f32;
        let floor = f.floor();
        let s = floor as isize;
        let outermost = s < 0 || s >= last;
        let far_weight = if clear_at_border && outermost { 0.0 } else { f - floor };
        *tap = Tap {
            near: s.clamp(0, last) as usize,
            far: (s + 1).clamp(0, last) as usize,
            near_weight: 1.0 - far_weight,
            far_weight,
        };
    }
}
