// digits.ch:10: Dense(64, hidden, activation: relu)

@group(0) @binding(0) var<storage, read> x: array<f32>;
@group(0) @binding(1) var<storage, read> net_0_w: array<f32>;
@group(0) @binding(2) var<storage, read> net_0_b: array<f32>;
@group(0) @binding(3) var<storage, read_write> dense: array<f32>;
struct Sizes { N: i32 }
@group(0) @binding(4) var<uniform> sizes: Sizes;

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
    if (point < u32(64 * sizes.N)) {
        let i = i32(point / 64u);
        let j = i32(point % 64u);
        var dense_y: f32 = 0.0;
        for (var k = 0; k < 64; k++) {
            dense_y += x[64 * i + k] * net_0_w[j + 64 * k];
        }
        dense[64 * i + j] = max_f32(dense_y + net_0_b[j], 0.0);
    }
}
