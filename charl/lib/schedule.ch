//! Learning rates by step: functions of the number of steps taken, t = 0, 1, …, that an optimizer's `lr:` takes. Each is a formula; write your own
//! the same way.

/// lr * factor ** div(t, every).
///
/// Shapes: scalars. Source: He et al. (2016), section 3.4; torch.optim.lr_scheduler.StepLR.
fn step_decay(t: i32, lr: f32, every: int, factor: float = 0.1) -> f32 =
    lr * exp(log(factor) * (div(t, every) as f32))

/// lr * factor ** t.
///
/// Shapes: scalars. Source: Senior et al. (2013); torch.optim.lr_scheduler.ExponentialLR.
fn exponential_decay(t: i32, lr: f32, factor: float) -> f32 = lr * exp(log(factor) * (t as f32))

/// least + (lr - least) / 2 * (1 + cos(pi * t / steps)): half a cosine from lr down to `least` in `steps` steps, which then
/// stays.
///
/// Shapes: scalars. Source: Loshchilov and Hutter (2017), equation 5; torch.optim.lr_scheduler.CosineAnnealingLR.
fn cosine_decay(t: i32, lr: f32, steps: int, least: f32 = 0.0) -> f32 {
    least + 0.5 * (lr - least) * (1.0 + cos(pi * part(t, steps)))
}

/// lr * (start + (1 - start) * t / steps): a line from start * lr up to lr in `steps` steps, which then stays. Its lr may be
/// another schedule's.
///
/// Shapes: scalars. Source: Goyal et al. (2017), section 2.2; torch.optim.lr_scheduler.LinearLR.
fn warm_up(t: i32, lr: f32, steps: int, start: float = 0.0) -> f32 =
    lr * (start + (1.0 - start) * part(t, steps))

/// lr + (least - lr) * t / steps: a line from lr down to `least` in `steps` steps, which then stays.
///
/// Shapes: scalars. Source: torch.optim.lr_scheduler.LinearLR.
fn linear_decay(t: i32, lr: f32, steps: int, least: f32 = 0.0) -> f32 = lr + (least - lr) * part(t, steps)

/// Half a cosine from peak / start up to `peak` within the first `rise` part of `steps`, another down to peak / (start * end):
/// the peak is at step rise * steps - 1, the end at steps - 1.
///
/// Shapes: scalars. Source: Smith and Topin (2018); torch.optim.lr_scheduler.OneCycleLR.
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
