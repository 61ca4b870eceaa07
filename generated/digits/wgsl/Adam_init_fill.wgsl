// optim.ch:61: struct Adam<M> {

@group(0) @binding(0) var<storage, read_write> result_m_0_w: array<f32>;
@group(0) @binding(1) var<storage, read_write> result_v_0_w: array<f32>;

@compute @workgroup_size(64)
fn main(@builtin(global_invocation_id) invocation: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>) {
    let point = invocation.x + 64u * groups.x * invocation.y;
    if (point < 4096u) {
        let i = i32(point / 64u);
        let j = i32(point % 64u);
        result_m_0_w[64 * i + j] = 0.0;
        result_v_0_w[64 * i + j] = 0.0;
    }
}
