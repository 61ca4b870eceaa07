// nn.ch:17: param w: f32[i, o] = glorot_uniform()

@group(0) @binding(0) var<storage, read_write> result_0_w: array<f32>;
@group(0) @binding(1) var<storage, read> random_bits: array<u32>;

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
    if (point < 4096u) {
        let i = i32(point / 64u);
        let j = i32(point % 64u);
        result_0_w[64 * i + j] = -0.21650635 + 0.4330127 * (f32(threefry(random_bits[0], random_bits[1], u32(64 * i + j), 0u).x >> 8u) * 5.9604645e-08);
    }
}
