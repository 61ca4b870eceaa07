// digits.ch:10: Dense(64, hidden, activation: relu)
// digits.ch:23: cross_entropy(net(x, rng: mut rng), y)
// digits.ch:29: adam.update(mut net, g, lr: 1e-3)

@group(0) @binding(0) var<storage, read_write> adam_m_0_b: array<f32>;
@group(0) @binding(1) var<storage, read_write> adam_v_0_b: array<f32>;
@group(0) @binding(2) var<storage, read_write> net_0_b: array<f32>;
@group(0) @binding(3) var<storage, read_write> result: array<f32>;
@group(0) @binding(4) var<storage, read> loss: array<f32>;
@group(0) @binding(5) var<storage, read> d_y: array<f32>;
@group(0) @binding(6) var<storage, read> div: array<f32>;
@group(0) @binding(7) var<storage, read> scale: array<f32>;
struct Sizes { N: i32 }
@group(0) @binding(8) var<uniform> sizes: Sizes;

@compute @workgroup_size(64)
fn main(@builtin(global_invocation_id) invocation: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>) {
    var point = invocation.x + 64u * groups.x * invocation.y;
    if (point < 1u) {
        var sum: f32 = 0.0;
        for (var i = 0; i < sizes.N; i++) {
            sum += loss[i];
        }
        result[0] = sum / f32(sizes.N);
        return;
    }
    point -= 1u;
    if (point < 64u) {
        let i = i32(point);
        var d: f32 = 0.0;
        for (var j = 0; j < sizes.N; j++) {
            d += d_y[i + 64 * j];
        }
        let t = select(d, 0.0, abs(d) < 1.0842022e-15);
        let t_2 = 0.9 * adam_m_0_b[i] + 0.1 * t;
        let t_3 = select(t_2, 0.0, abs(t_2) < 1.1754944e-34);
        let t_4 = 0.999 * adam_v_0_b[i] + 0.001 * (t * t);
        let t_5 = select(t_4, 0.0, abs(t_4) < 1.1754944e-34);
        adam_m_0_b[i] = t_3;
        adam_v_0_b[i] = t_5;
        net_0_b[i] = net_0_b[i] - -div[0] * t_3 / (sqrt(t_5) * scale[0] + 1e-08);
    }
}
