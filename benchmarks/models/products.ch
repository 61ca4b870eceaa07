//! Matrix products in the four layouts that networks need.

/// a b
export fn product(a: f32[M, K], b: f32[K, N]) -> f32[M, N] = a @ b

/// a' b, as in the gradient of a weight.
export fn product_left_transposed(a: f32[K, M], b: f32[K, N]) -> f32[M, N] = a.T @ b

/// a b', as in the gradient of an input.
export fn product_right_transposed(a: f32[M, K], b: f32[N, K]) -> f32[M, N] = a @ b.T
