// optim.ch:61: struct Adam<M> {

@group(0) @binding(0) var<storage, read_write> result_m_0_b: array<f32>;
@group(0) @binding(1) var<storage, read_write> result_v_0_b: array<f32>;
@group(0) @binding(2) var<storage, read_write> result_m_2_w: array<f32>;
@group(0) @binding(3) var<storage, read_write> result_v_2_w: array<f32>;
@group(0) @binding(4) var<storage, read_write> result_m_2_b: array<f32>;
@group(0) @binding(5) var<storage, read_write> result_v_2_b: array<f32>;
@group(0) @binding(6) var<storage, read_write> result_t: array<i32>;

@compute @workgroup_size(64)
fn main(@builtin(global_invocation_id) invocation: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>) {
    var point = invocation.x + 64u * groups.x * invocation.y;
    if (point < 64u) {
        let i = i32(point);
        result_m_0_b[i] = 0.0;
        result_v_0_b[i] = 0.0;
        return;
    }
    point -= 64u;
    if (point < 640u) {
        let i = i32(point / 10u);
        let j = i32(point % 10u);
        result_m_2_w[10 * i + j] = 0.0;
        result_v_2_w[10 * i + j] = 0.0;
        return;
    }
    point -= 640u;
    if (point < 10u) {
        let i = i32(point);
        result_m_2_b[i] = 0.0;
        result_v_2_b[i] = 0.0;
        return;
    }
    point -= 10u;
    if (point < 1u) {
        result_t[0] = 0;
    }
}
