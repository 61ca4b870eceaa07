// digits.ch:12: Dense(hidden, CLASSES)
// digits.ch:29: adam.update(mut net, g, lr: 1e-3)

@group(0) @binding(0) var<storage, read_write> adam_m_2_b: array<f32>;
@group(0) @binding(1) var<storage, read_write> adam_v_2_b: array<f32>;
@group(0) @binding(2) var<storage, read_write> net_2_b: array<f32>;
@group(0) @binding(3) var<storage, read> d_dense: array<f32>;
@group(0) @binding(4) var<storage, read> div: array<f32>;
@group(0) @binding(5) var<storage, read> scale: array<f32>;
struct Sizes { N: i32 }
@group(0) @binding(6) var<uniform> sizes: Sizes;

@compute @workgroup_size(64)
fn main(@builtin(global_invocation_id) invocation: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>) {
    let point = invocation.x + 64u * groups.x * invocation.y;
    if (point < 10u) {
        let i = i32(point);
        var d: f32 = 0.0;
        for (var j = 0; j < sizes.N; j++) {
            d += d_dense[i + 10 * j];
        }
        let t = 0.9 * adam_m_2_b[i] + 0.1 * d;
        let t_2 = 0.999 * adam_v_2_b[i] + 0.001 * (d * d);
        adam_m_2_b[i] = t;
        adam_v_2_b[i] = t_2;
        net_2_b[i] = net_2_b[i] - -div[0] * t / (sqrt(t_2) * scale[0] + 1e-08);
    }
}
