// digits.ch:11: Dropout(0.2)
// digits.ch:23: cross_entropy(net(x, rng: mut rng), y)
// digits.ch:29: adam.update(mut net, g, lr: 1e-3)

@group(0) @binding(0) var<storage, read_write> adam_t: array<i32>;
@group(0) @binding(1) var<storage, read_write> rng_counter: array<u32>;
@group(0) @binding(2) var<storage, read_write> adam_update_rate: array<f32>;
@group(0) @binding(3) var<storage, read_write> adam_update_scale: array<f32>;
@group(0) @binding(4) var<storage, read_write> d_mean_sum: array<f32>;
struct Sizes { N: i32 }
@group(0) @binding(5) var<uniform> sizes: Sizes;

// exp(x) - 1: near 0 by its series, elsewhere the subtraction loses nothing.
fn expm1_f32(x: f32) -> f32 {
    if (abs(x) > 0.5) {
        return exp(x) - 1.0;
    }
    var p = 2.4801587e-5;
    p = p * x + 1.9841270e-4;
    p = p * x + 1.3888889e-3;
    p = p * x + 8.3333333e-3;
    p = p * x + 4.1666667e-2;
    p = p * x + 1.6666667e-1;
    p = p * x + 0.5;
    return p * x * x + x;
}

@compute @workgroup_size(64)
fn main(@builtin(global_invocation_id) invocation: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>) {
    var point = invocation.x + 64u * groups.x * invocation.y;
    if (point < 1u) {
        let adam_t_2 = adam_t[0] + 1;
        let adam_update_steps = f32(adam_t_2);
        adam_t[0] = adam_t_2;
        adam_update_rate[0] = 0.001 / expm1_f32(adam_update_steps * -0.105360515);
        adam_update_scale[0] = inverseSqrt(-expm1_f32(adam_update_steps * -0.0010005003));
        return;
    }
    point -= 1u;
    if (point < 1u) {
        d_mean_sum[0] = 1.0 / f32(sizes.N);
        return;
    }
    point -= 1u;
    if (point < 1u) {
        rng_counter[0] = rng_counter[0] + 1u;
    }
}
