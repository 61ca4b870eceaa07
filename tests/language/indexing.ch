//! Reads and writes by every kind of index; test_indexing.py says in NumPy what each gives.

export fn g1(x: f32[4, 5], i: i32[3], j: i32[3]) = x[i, j]
export fn g2(x: f32[4, 5, 6], i: i32[3], j: i32[3]) = x[i, :, j]
export fn g3(x: f32[4, 5, 6], i: i32[3, 1], j: i32[2]) = x[1:3, i, j]
export fn g4(x: f32[4, 5, 6], i: i32[3]) = x[1, :, i]
export fn g5(x: f32[4, 5, 6], i: i32[3]) = x[i, 2, 1:4]
export fn g6(x: f32[4, 5, 6], i: i32[3], j: i32) = x[i, j]
export fn g7(x: f32[4, 5, 6], i: i32[3]) = x[:, 1, None, i]
export fn g8(x: f32[4, 5, 6], i: i32[3]) = x[i, :, None, 2]
export fn g9(x: f32[4, 5, 6], i: i32[3]) = x[::-1, i, ::2]
export fn k1(x: f32[4, 5, 6], i: i32[3], j: i32[3]) = x[:, i, ..., j]
export fn k2(x: f32[4, 5, 6], i: i32[3], j: i32[3]) = x[:, i, j, ...]
export fn k3(x: f32[4, 5, 6], i: i32[3]) = x[:, 1, ..., i]
export fn h1(x: f32[8]) = x[6:2:-1]
export fn h2(x: f32[8]) = x[5::-2]
export fn h3(x: f32[8]) = x[:2:-3]
export fn h4(x: f32[8]) = x[-2:-7:-2]
export fn h5(x: f32[4, 8]) = x[::-2, ::-1]
export fn h6(x: f32[8]) = x[2:6:-1]
export fn h7(x: f32[8]) = x[100:-100:-1]
export fn h8(x: f32[N]) = x[::-2]
export fn h9(x: f32[8], t: i32) = x[t:t+5:2]

export fn w1(x: f32[8], v: f32[4]) {
    let mut y = x
    y[::2] = v
    y
}

export fn w2(x: f32[4, 8], v: f32[4, 3]) {
    let mut y = x
    y[..., 1::3] = v
    y
}

export fn w3(x: f32[8], i: i32[5], v: f32[5]) {
    let mut y = x
    y[i] = v
    y
}

export fn w4(x: f32[8]) {
    let mut y = x
    y[::-1] = x
    y
}

export fn w5(x: f32[4, 5, 6], i: i32[3], j: i32[3], v: f32[3, 5]) {
    let mut y = x
    y[i, :, j] += v
    y
}

export fn w6(x: f32[4, 5, 6], i: i32[3], j: i32[3], v: f32[3, 5]) {
    let mut y = x
    y[i, :, j] = v
    y
}

export fn w7(x: f32[4, 6], i: i32[3]) {
    let mut y = x
    y[1:3, i] = 7.0
    y
}

export fn w8(x: f32[8]) {
    let mut y = x
    y[6:1:-2] = [1.0, 2.0, 3.0]
    y
}

export fn w9(x: f32[4, 6], i: i32[3]) {
    let mut y = x
    y[i, ::2] *= 2.0
    y
}

export fn w10(x: f32[4, 6], i: i32[3], v: f32[3]) {
    let mut y = x
    y[i, i] -= v
    y
}

export fn w11(x: f32[8], t: i32, v: f32[3]) {
    let mut y = x
    y[t:t+5:2] = v
    y
}

export fn w12(x: f32[4, 6], t: i32, i: i32[3]) {
    let mut y = x
    y[t, i] = 9.0
    y
}

export fn w13(x: f32[N, 3], v: f32[3]) {
    let mut y = x
    y[::2] = v
    y
}

export fn w14(x: f32[4, 6], v: f32[6]) {
    let mut y = x
    y[-1] = v
    y[0, -1] = 5.0
    y[1:3, None, 2] += 1.0
    y
}

fn l(x: f32[4, 6], i: i32[3], v: f32[3, 3]) -> f32 {
    let mut y = x * x
    y[i, ::2] = v * v
    sum(y * y)
}

export fn d1(x: f32[4, 6], i: i32[3], v: f32[3, 3]) = grad(l, wrt: (0, 2))(x, i, v)
