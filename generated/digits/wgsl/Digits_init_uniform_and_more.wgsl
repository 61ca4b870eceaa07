// nn.ch:17: param w: f32[i, o] = glorot_uniform()
// nn.ch:18: param b: f32[o] = zeros() if bias

@group(0) @binding(0) var<storage, read> rng_key: array<u32>;
@group(0) @binding(1) var<storage, read> rng_counter: array<u32>;
@group(0) @binding(2) var<storage, read_write> result_2_w: array<f32>;
@group(0) @binding(3) var<storage, read_write> result_0_b: array<f32>;
@group(0) @binding(4) var<storage, read_write> result_2_b: array<f32>;
@group(0) @binding(5) var<storage, read_write> random_bits: array<u32>;

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
    var point = invocation.x + 64u * groups.x * invocation.y;
    if (point < 1u) {
        let rng_key_element = rng_key[0];
        let rng_key_element_2 = rng_key[1];
        let bitnot = ~rng_counter[0];
        let random_bits_2 = threefry(rng_key_element, rng_key_element_2, 0u, bitnot).x;
        let random_bits_3 = threefry(rng_key_element, rng_key_element_2, 1u, bitnot).x;
        let random_bits_4 = threefry(random_bits_2, random_bits_3, 0u, 1830714210u).x;
        let random_bits_5 = threefry(random_bits_2, random_bits_3, 1u, 1830714210u).x;
        for (var i = 0; i < 2; i++) {
            random_bits[i] = threefry(random_bits_2, random_bits_3, u32(i), 2457933420u).x;
        }
        for (var i = 0; i < 640; i++) {
            result_2_w[i] = -0.2847474 + 0.5694948 * (f32(threefry(random_bits_4, random_bits_5, u32(i), 0u).x >> 8u) * 5.9604645e-08);
        }
        return;
    }
    point -= 1u;
    if (point < 64u) {
        let i = i32(point);
        result_0_b[i] = 0.0;
        return;
    }
    point -= 64u;
    if (point < 10u) {
        let i = i32(point);
        result_2_b[i] = 0.0;
    }
}
