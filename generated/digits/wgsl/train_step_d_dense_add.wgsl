// digits.ch:10: Dense(64, hidden, activation: relu)
// digits.ch:11: Dropout(0.2)
// digits.ch:12: Dense(hidden, CLASSES)

@group(0) @binding(0) var<storage, read> net_2_w: array<f32>;
@group(0) @binding(1) var<storage, read_write> d_dense_add: array<f32>;
@group(0) @binding(2) var<storage, read> dense_add: array<f32>;
@group(0) @binding(3) var<storage, read> unit_interval: array<f32>;
@group(0) @binding(4) var<storage, read> d_dense: array<f32>;
struct Sizes { N: i32 }
@group(0) @binding(5) var<uniform> sizes: Sizes;

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
        var d_dropout: f32 = 0.0;
        for (var k = 0; k < 10; k++) {
            d_dropout += d_dense[10 * i + k] * net_2_w[10 * j + k];
        }
        d_dense_add[64 * i + j] = select(0.0, select(0.0, d_dropout, unit_interval[64 * i + j] < 0.8) * 1.25, max_f32(dense_add[64 * i + j], 0.0) > 0.0);
    }
}
