// digits.ch:10: Dense(64, hidden, activation: relu)
// digits.ch:11: Dropout(0.2)

@group(0) @binding(0) var<storage, read> rng_key: array<u32>;
@group(0) @binding(1) var<storage, read> rng_counter: array<u32>;
@group(0) @binding(2) var<storage, read> x: array<f32>;
@group(0) @binding(3) var<storage, read> net_0_w: array<f32>;
@group(0) @binding(4) var<storage, read> net_0_b: array<f32>;
@group(0) @binding(5) var<storage, read_write> unit_interval: array<f32>;
@group(0) @binding(6) var<storage, read_write> dense_add: array<f32>;
@group(0) @binding(7) var<storage, read_write> dropout: array<f32>;
struct Sizes { N: i32 }
@group(0) @binding(8) var<uniform> sizes: Sizes;

// By the bits: implementations may assume that comparisons never see a NaN.
fn is_nan(x: f32) -> bool {
    return (bitcast<u32>(x) & 0x7fffffffu) > 0x7f800000u;
}

fn max_f32(a: f32, b: f32) -> f32 {
    return select(select(max(a, b), b, is_nan(b)), a, is_nan(a));
}

// Threefry-2x32 with 20 rounds (Salmon, Moraes, Dror, Shaw: Parallel random numbers: as easy as 1, 2, 3; SC 2011).
fn threefry(key0: u32, key1: u32, counter0: u32, counter1: u32) -> vec2<u32> {
    var key = array<u32, 3>(key0, key1, key0 ^ key1 ^ 0x1bd11bdau);
    var turns = array<u32, 8>(13u, 15u, 26u, 6u, 17u, 29u, 16u, 24u);
    var x = counter0 + key0;
    var y = counter1 + key1;
    for (var group = 0u; group < 5u; group++) {
        for (var round = 0u; round < 4u; round++) {
            let turn = turns[4u * (group & 1u) + round];
            x += y;
            y = (y << turn) | (y >> (32u - turn));
            y ^= x;
        }
        x += key[(group + 1u) % 3u];
        y += key[(group + 2u) % 3u] + group + 1u;
    }
    return vec2<u32>(x, y);
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
        let unit_interval_2 = f32(threefry(rng_key[0], rng_key[1], u32(64 * i + j), rng_counter[0]).x >> 8u) * 5.9604645e-08;
        let dense_add_2 = dense_y + net_0_b[j];
        unit_interval[64 * i + j] = unit_interval_2;
        dense_add[64 * i + j] = dense_add_2;
        dropout[64 * i + j] = select(0.0, max_f32(dense_add_2, 0.0) * 1.25, unit_interval_2 < 0.8);
    }
}
