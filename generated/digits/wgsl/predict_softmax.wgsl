// digits.ch:18: softmax(net(x))

@group(0) @binding(0) var<storage, read_write> result: array<f32>;
@group(0) @binding(1) var<storage, read> dense_2: array<f32>;
struct Sizes { N: i32 }
@group(0) @binding(2) var<uniform> sizes: Sizes;

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

@compute @workgroup_size(64)
fn main(@builtin(global_invocation_id) invocation: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>) {
    let point = invocation.x + 64u * groups.x * invocation.y;
    if (point < u32(sizes.N)) {
        let i = i32(point);
        var softmax_max: f32 = from_bits(0xff800000u);
        for (var j = 0; j < 10; j++) {
            softmax_max = max_f32(softmax_max, dense_2[10 * i + j]);
        }
        var softmax_sum: f32 = 0.0;
        for (var j = 0; j < 10; j++) {
            softmax_sum += exp(dense_2[10 * i + j] - softmax_max);
        }
        let softmax_div = 1.0 / softmax_sum;
        for (var j = 0; j < 10; j++) {
            result[10 * i + j] = exp(dense_2[10 * i + j] - softmax_max) * softmax_div;
        }
    }
}
