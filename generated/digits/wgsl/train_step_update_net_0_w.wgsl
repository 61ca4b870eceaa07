// digits.ch:10: Dense(64, hidden, activation: relu)
// digits.ch:29: adam.update(mut net, g, lr: 1e-3)

@group(0) @binding(0) var<storage, read_write> adam_m_0_w: array<f32>;
@group(0) @binding(1) var<storage, read> x: array<f32>;
@group(0) @binding(2) var<storage, read_write> adam_v_0_w: array<f32>;
@group(0) @binding(3) var<storage, read_write> net_0_w: array<f32>;
@group(0) @binding(4) var<storage, read> d_y: array<f32>;
@group(0) @binding(5) var<storage, read> div: array<f32>;
@group(0) @binding(6) var<storage, read> scale: array<f32>;
struct Sizes { N: i32 }
@group(0) @binding(7) var<uniform> sizes: Sizes;

@compute @workgroup_size(64)
fn main(@builtin(global_invocation_id) invocation: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>) {
    let point = invocation.x + 64u * groups.x * invocation.y;
    if (point < 4096u) {
        let i = i32(point / 64u);
        let j = i32(point % 64u);
        var d: f32 = 0.0;
        for (var k = 0; k < sizes.N; k++) {
            d += x[i + 64 * k] * d_y[j + 64 * k];
        }
        let t = select(d, 0.0, abs(d) < 1.0842022e-15);
        let t_2 = 0.9 * adam_m_0_w[64 * i + j] + 0.1 * t;
        let t_3 = select(t_2, 0.0, abs(t_2) < 1.1754944e-34);
        let t_4 = 0.999 * adam_v_0_w[64 * i + j] + 0.001 * (t * t);
        let t_5 = select(t_4, 0.0, abs(t_4) < 1.1754944e-34);
        adam_m_0_w[64 * i + j] = t_3;
        adam_v_0_w[64 * i + j] = t_5;
        net_0_w[64 * i + j] = net_0_w[64 * i + j] - -div[0] * t_3 / (sqrt(t_5) * scale[0] + 1e-08);
    }
}
