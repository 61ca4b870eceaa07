// digits.ch:12: Dense(hidden, CLASSES)
// digits.ch:29: adam.update(mut net, g, lr: 1e-3)

@group(0) @binding(0) var<storage, read_write> adam_m_2_b: array<f32>;
@group(0) @binding(1) var<storage, read_write> adam_v_2_b: array<f32>;
@group(0) @binding(2) var<storage, read_write> net_2_b: array<f32>;
@group(0) @binding(3) var<storage, read> d_dense: array<f32>;
@group(0) @binding(4) var<storage, read> adam_update_rate: array<f32>;
@group(0) @binding(5) var<storage, read> adam_update_scale: array<f32>;
struct Sizes { N: i32 }
@group(0) @binding(6) var<uniform> sizes: Sizes;

@compute @workgroup_size(64)
fn main(@builtin(global_invocation_id) invocation: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>) {
    let point = invocation.x + 64u * groups.x * invocation.y;
    if (point < 10u) {
        let i = i32(point);
        var d_net_2_b: f32 = 0.0;
        for (var j = 0; j < sizes.N; j++) {
            d_net_2_b += d_dense[i + 10 * j];
        }
        let seen = select(d_net_2_b, 0.0, abs(d_net_2_b) < 1.0842022e-15);
        let decayed_next = 0.9 * adam_m_2_b[i] + 0.1 * seen;
        let decayed = select(decayed_next, 0.0, abs(decayed_next) < 1.1754944e-34);
        let decayed_next_2 = 0.999 * adam_v_2_b[i] + 0.001 * (seen * seen);
        let decayed_2 = select(decayed_next_2, 0.0, abs(decayed_next_2) < 1.1754944e-34);
        adam_m_2_b[i] = decayed;
        adam_v_2_b[i] = decayed_2;
        net_2_b[i] = net_2_b[i] - -adam_update_rate[0] * decayed / (sqrt(decayed_2) * adam_update_scale[0] + 1e-08);
    }
}
