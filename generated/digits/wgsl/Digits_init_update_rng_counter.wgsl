// digits.ch:8: model Digits(hidden: int = 64) {

@group(0) @binding(0) var<storage, read_write> rng_counter: array<u32>;

@compute @workgroup_size(64)
fn main(@builtin(global_invocation_id) invocation: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>) {
    let point = invocation.x + 64u * groups.x * invocation.y;
    if (point < 1u) {
        rng_counter[0] = rng_counter[0] + 1u;
    }
}
