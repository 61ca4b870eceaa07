// digits.ch:23: cross_entropy(net(x, rng: mut rng), y)
// digits.ch:28: let (loss, g) = value_and_grad(objective)(net, x, y, mut rng)

@group(0) @binding(0) var<storage, read> y: array<i32>;
@group(0) @binding(1) var<storage, read_write> cross_entropy_loss: array<f32>;
@group(0) @binding(2) var<storage, read> dense: array<f32>;
@group(0) @binding(3) var<storage, read_write> d_dense: array<f32>;
@group(0) @binding(4) var<storage, read> d_mean_sum: array<f32>;
struct Sizes { N: i32 }
@group(0) @binding(5) var<uniform> sizes: Sizes;

// Infinity and NaN are no literals of WGSL, and constant expressions must be finite: hence the variable.
fn from_bits(bits: u32) -> f32 {
    var runtime = bits;
    return bitcast<f32>(runtime);
}

// By the bits: implementations may assume that comparisons never see a NaN.
fn is_nan(x: f32) -> bool {
    return (bitcast<u32>(x) & 0x7fffffffu) > 0x7f800000u;
}

fn max_f32(a: f32, b: f32) -> f32 {
    return select(select(max(a, b), b, is_nan(b)), a, is_nan(a));
}

// log(1 + x): near 0 as 2 artanh(x / (2 + x)).
fn log1p_f32(x: f32) -> f32 {
    if (x < -0.3 || x > 0.5) {
        return log(1.0 + x);
    }
    let s = x / (2.0 + x);
    let z = s * s;
    let p = 0.6666667 + z * (0.4 + z * (0.2857143 + z * (0.2222222 + z * (0.1818182 + z * 0.1538462))));
    return x - s * (x - z * p);
}

// Near 1, where implementations may be wrong by 2^-21, by the series of log(1 + x).
fn log_f32(x: f32) -> f32 {
    if (abs(x - 1.0) < 0.25) {
        return log1p_f32(x - 1.0);
    }
    return log(x);
}

@compute @workgroup_size(64)
fn main(@builtin(global_invocation_id) invocation: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>) {
    let point = invocation.x + 64u * groups.x * invocation.y;
    if (point < u32(sizes.N)) {
        let i = i32(point);
        var logsumexp_max: f32 = from_bits(0xff800000u);
        for (var j = 0; j < 10; j++) {
            logsumexp_max = max_f32(logsumexp_max, dense[10 * i + j]);
        }
        let logsumexp_shift = select(0.0, logsumexp_max, abs(logsumexp_max) < from_bits(0x7f800000u));
        var logsumexp_sum: f32 = 0.0;
        for (var j = 0; j < 10; j++) {
            logsumexp_sum += exp(dense[10 * i + j] - logsumexp_shift);
        }
        let index = max(min(y[i], 9), 0);
        let d_mean_sum_element = d_mean_sum[0];
        let cross_entropy_loss_2 = log_f32(logsumexp_sum) + logsumexp_shift - dense[10 * i + index];
        let d_cross_entropy_loss = -d_mean_sum_element;
        let d_logsumexp_exp = d_mean_sum_element / logsumexp_sum;
        cross_entropy_loss[i] = cross_entropy_loss_2;
        for (var j = 0; j < 10; j++) {
            d_dense[10 * i + j] = select(0.0, d_cross_entropy_loss, j == index) + d_logsumexp_exp * exp(dense[10 * i + j] - logsumexp_shift);
        }
    }
}
