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
        let t = 0.9 * adam_m_0_b[i] + 0.1 * d;
        let t_2 = 0.999 * adam_v_0_b[i] + 0.001 * (d * d);
        adam_m_0_b[i] = t;
        adam_v_0_b[i] = t_2;
        net_0_b[i] = net_0_b[i] - -div[0] * t / (sqrt(t_2) * scale[0] + 1e-08);
    }
}
