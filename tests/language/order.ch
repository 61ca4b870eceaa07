//! Sorting, sums of products with any subscripts, streams; test_order.py says in NumPy what each gives.

export fn s1(x: f32[4, 5]) = sort(x, axis: -1)
export fn s2(x: f32[4, 5]) = argsort(x, axis: 0)
export fn s3(x: f32[4, 15]) = top_k(x, 3)
export fn s4(x: f32[4, 5]) = cumprod(x, axis: 1)
export fn s5(x: f32[N]) = (sort(x), argsort(x, descending: true))
export fn s6(x: i32[37]) = argsort(x)
export fn s7(x: f32[2, 9, 3]) = sort(x, axis: 1, descending: true)
export fn s8(x: f32[1]) = sort(x)
fn w(x: f32[7]) -> f32 = sum(sort(x) * [1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0]) + sum(cumprod(x, axis: 0))
export fn s9(x: f32[7]) = grad(w)(x)
export fn o1(x: f32[M, N]) = top_k(x, 5)
export fn o2(x: f32[3, 200]) = (top_k(x, 64), top_k(x, 100))
export fn o3(x: i32[N]) = (argsort(x), argsort(x, descending: true), top_k(x, 3)[1])
export fn o4(x: u32[77]) = argsort(x)
export fn o5(x: f32[5, 60]) = vmap(|r| argsort(r))(x)
fn greatest(x: f32[60]) -> f32 = sum(sort(x) * (iota(60) as f32)) + sum(top_k(x, 3)[0])
export fn o6(x: f32[60]) = grad(greatest)(x)

/// Places that the kernel itself computes by a sum.
export fn o7(keys: i32[1, N]) -> i32[1, N] {
    let mut order = iota(1, N, axis: 1)
    order[iota(1)[:, None], sum((keys[:, None, :] < keys[:, :, None]) as i32, axis: -1)] = iota(1, N, axis: 1)
    order
}

export fn e1(x: f32[4, 4]) = einsum("ii->i", x)
export fn e2(x: f32[4, 4]) = einsum("ii", x)
export fn e3(x: f32[2, 3, 4], y: f32[4, 5]) = einsum("...ij,...jk->...ik", x, y)
export fn e4(x: f32[3], y: f32[4], z: f32[5]) = einsum("i,j,k->kji", x, y, z)
export fn e5(x: f32[1, 3, 4], y: f32[2, 4, 5]) = einsum("...ij,...jk", x, y)
export fn e6(x: f32[3, 4, 3, 4]) = einsum("ijij->ji", x)
export fn e7(x: f32[3, 4]) = einsum("ij->", x)
export fn e8(x: f32[3, 4]) = einsum("ji", x)
export fn e9(x: f32[3, 4, 4], y: f32[4, 3]) = einsum("aii,ia->a", x, y)
export fn e10(x: f32[1, 3], y: f32[1, 3]) = einsum("...i,...i->...", x, y)
export fn e11(x: f32[N, N]) = einsum("nn->n", x)
export fn p1(mut r: Rng) = permutation(10, mut r)

export fn p2(r: Rng) {
    let mut a = r.split(1)
    let mut b = r.split(2)
    (uniform([3], mut a), uniform([3], mut b))
}

export fn p3(r: Rng) {
    let mut q = r
    let k = |x, mut q: Rng| uniform([3], mut q)
    vmap(k)(iota(2), mut q)
}

export fn p4(r: Rng) -> f32[2, 3] {
    let mut a = r.split(0)
    let mut b = r.split(1)
    stack([uniform([3], mut a), uniform([3], mut b)])
}
