// digits.ch:12: Dense(hidden, CLASSES)

@group(0) @binding(0) var<storage, read> net_2_w: array<f32>;
@group(0) @binding(1) var<storage, read> net_2_b: array<f32>;
@group(0) @binding(2) var<storage, read_write> dense_2: array<f32>;
@group(0) @binding(3) var<storage, read> dense: array<f32>;
struct Sizes { N: i32 }
@group(0) @binding(4) var<uniform> sizes: Sizes;

@compute @workgroup_size(64)
fn main(@builtin(global_invocation_id) invocation: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>) {
    let point = invocation.x + 64u * groups.x * invocation.y;
    if (point < u32(10 * sizes.N)) {
        let i = i32(point / 10u);
        let j = i32(point % 10u);
        var dense_y: f32 = 0.0;
        for (var k = 0; k < 64; k++) {
            dense_y += dense[64 * i + k] * net_2_w[j + 10 * k];
        }
        dense_2[10 * i + j] = dense_y + net_2_b[j];
    }
}
