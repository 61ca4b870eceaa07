//! Learning rates by step: functions of the number of steps taken, t = 0, 1, …, that an optimizer's `lr:` takes. Each is a formula; write your own
//! the same way.

/// lr times `factor` for every `every` steps: lr factor ** div(t, every) (He et al., 2016).
fn step_decay(t: i32, lr: f32, every: int, factor: float = 0.1) -> f32 =
    lr * exp(log(factor) * (div(t, every) as f32))

/// lr times `factor` for every step: lr factor ** t (Senior et al., 2013).
fn exponential_decay(t: i32, lr: f32, factor: float) -> f32 = lr * exp(log(factor) * (t as f32))

/// Half a cosine from lr down to `least` in `steps` steps, which then stays (Loshchilov and Hutter, 2017).
fn cosine_decay(t: i32, lr: f32, steps: int, least: f32 = 0.0) -> f32 {
    least + 0.5 * (lr - least) * (1.0 + cos(pi * part(t, steps)))
}

/// A line from start * lr up to lr in `steps` steps, which then stays (Goyal et al., 2017). Its lr may be another schedule's.
fn warm_up(t: i32, lr: f32, steps: int, start: float = 0.0) -> f32 =
    lr * (start + (1.0 - start) * part(t, steps))

/// A line from lr down to `least` in `steps` steps, which then stays.
fn linear_decay(t: i32, lr: f32, steps: int, least: f32 = 0.0) -> f32 = lr + (least - lr) * part(t, steps)

/// Half a cosine from peak / start up to `peak` within the first `rise` part of `steps`, another down to peak / (start * end) (Smith and Topin,
/// 2018), as in PyTorch: the peak is at step rise * steps - 1, the end at steps - 1.
fn one_cycle(t: i32, peak: f32, steps: int, rise: float = 0.3, start: float = 25.0, end: float = 1e4) -> f32 {
    let top = rise * steps - 1.0
    let up = min((t as f32) / top, 1.0)
    let down = clip(((t as f32) - top) / (steps - 1.0 - top), 0.0, 1.0)
    let first = peak / start
    let last = first / end
    where(
        (t as f32) <= top,
        peak + 0.5 * (first - peak) * (1.0 + cos(pi * up)),
        last + 0.5 * (peak - last) * (1.0 + cos(pi * down)),
    )
}

/// How much of `steps` is done: 0 to 1.
fn part(t: i32, steps: int) -> f32 = min((t as f32) / steps, 1.0)
