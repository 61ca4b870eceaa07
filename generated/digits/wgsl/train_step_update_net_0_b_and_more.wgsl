// digits.ch:10: Dense(64, hidden, activation: relu)
// digits.ch:23: cross_entropy(net(x, rng: mut rng), y)
// digits.ch:29: adam.update(mut net, g, lr: 1e-3)

@group(0) @binding(0) var<storage, read_write> adam_m_0_b: array<f32>;
@group(0) @binding(1) var<storage, read_write> adam_v_0_b: array<f32>;
@group(0) @binding(2) var<storage, read_write> net_0_b: array<f32>;
@group(0) @binding(3) var<storage, read_write> result: array<f32>;
@group(0) @binding(4) var<storage, read> cross_entropy_loss: array<f32>;
@group(0) @binding(5) var<storage, read> d_dense_add: array<f32>;
@group(0) @binding(6) var<storage, read> adam_update_rate: array<f32>;
@group(0) @binding(7) var<storage, read> adam_update_scale: array<f32>;
struct Sizes { N: i32 }
@group(0) @binding(8) var<uniform> sizes: Sizes;

@compute @workgroup_size(64)
fn main(@builtin(global_invocation_id) invocation: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>) {
    var point = invocation.x + 64u * groups.x * invocation.y;
    if (point < 1u) {
        var mean_sum: f32 = 0.0;
        for (var i = 0; i < sizes.N; i++) {
            mean_sum += cross_entropy_loss[i];
        }
        result[0] = mean_sum / f32(sizes.N);
        return;
    }
    point -= 1u;
    if (point < 64u) {
        let i = i32(point);
        var d_net_0_b: f32 = 0.0;
        for (var j = 0; j < sizes.N; j++) {
            d_net_0_b += d_dense_add[i + 64 * j];
        }
        let seen = select(d_net_0_b, 0.0, abs(d_net_0_b) < 1.0842022e-15);
        let decayed_next = 0.9 * adam_m_0_b[i] + 0.1 * seen;
        let decayed = select(decayed_next, 0.0, abs(decayed_next) < 1.1754944e-34);
        let decayed_next_2 = 0.999 * adam_v_0_b[i] + 0.001 * (seen * seen);
        let decayed_2 = select(decayed_next_2, 0.0, abs(decayed_next_2) < 1.1754944e-34);
        adam_m_0_b[i] = decayed;
        adam_v_0_b[i] = decayed_2;
        net_0_b[i] = net_0_b[i] - -adam_update_rate[0] * decayed / (sqrt(decayed_2) * adam_update_scale[0] + 1e-08);
    }
}
