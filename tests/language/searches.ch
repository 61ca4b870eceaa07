//! Searches that return from loops: bisection, line search, stacks, binary search.
fn bisect(f: fn(f32) -> f32, lo: f32, hi: f32) -> f32 {
    let (mut a, mut b) = (lo, hi)
    for _ in 0..40 {
        let m = 0.5 * (a + b)
        if abs(f(m)) < 1e-6 { return m }
        if f(a) * f(m) < 0.0 { b = m } else { a = m }
    }
    0.5 * (a + b)
}

fn classify(x: f32) -> i32 {
    if x < 0.0 { return -1 }
    if x == 0.0 { return 0 }
    return 1
}

fn search(x: f32[N], v: f32) -> i32 {
    let mut lo = 0
    let mut hi = N
    while lo < hi {
        let mid = (lo + hi) / 2
        if x[mid] == v { return mid }
        if x[mid] < v { lo = mid + 1 } else { hi = mid }
    }
    -1
}

struct Stack(n: int) {
    items: f32[n]
    top: i32 = 0
    fn push(v: f32) -> bool[] {
        if top >= n { return false }
        items[top] = v
        top += 1
        true
    }
    fn pop(default_: f32) -> f32 {
        if top == 0 { return default_ }
        top -= 1
        items[top]
    }
}

export fn roots(c: f32[4]) -> f32[4] = vmap(|k| bisect(|t| t * t * t - k, 0.0, 3.0))(c)
export fn signs(x: f32[N]) -> i32[N] = vmap(classify)(x)
export fn find(x: f32[8], v: f32) -> i32 = search(x, v)

export fn stack_ops(x: f32[5]) -> (f32[3], i32) {
    let mut s = Stack(items: zeros(3))
    let mut ok = 0
    for v in x { if s.push(v) { ok += 1 } }
    let out = for _ in 0..3 { yield s.pop(-1.0) }
    (out, ok)
}

fn collatz(n: i32) -> i32 {
    let mut m = n
    for i in 0..1000 {
        if m == 1 { return i }
        m = if m % 2 == 0 { m / 2 } else { 3 * m + 1 }
    }
    -1
}

export fn steps(n: i32[6]) -> i32[6] = vmap(collatz)(n)

fn line_search(f: fn(f32[D]) -> f32, x: f32[D], g: f32[D]) -> f32[D] {
    let mut t = 1.0
    let f0 = f(x)
    for _ in 0..20 {
        let y = x - t * g
        if f(y) <= f0 - 1e-4 * t * (g @ g) { return y }
        t *= 0.5
    }
    x
}

fn rosen(x: f32[D]) -> f32 where D >= 2 = sum(100.0 * (x[1:] - x[:-1] ** 2) ** 2 + (1.0 - x[:-1]) ** 2)

export fn minimise(x: f32[4]) -> f32[4] {
    let mut y = x
    for _ in 0..50 { y = line_search(rosen, y, grad(rosen)(y)) }
    y
}

export fn meta(x: f32[4]) -> f32[4] = grad(|x| rosen(line_search(rosen, x, grad(rosen)(x))))(x)

// One side of a branch, a kernel of its own: elements of the inner sum were taken for values outside of it.
export fn act(x: f32[4], w: f32[4, 16], b: f32[16, 3], c: f32) -> i32 {
    if c < 0.0 {
        0
    } else {
        let y = tanh(x @ w) @ b
        argmax(y - mean(y))
    }
}

// A table known while compiling is what the loop begins with.
export fn primes(n: i32) -> i32 {
    let mut sieve = ones(40) as i32
    sieve[0:2] = zeros(2) as i32
    for i in 2..7 {
        if sieve[i] == 1 {
            for j in i..40 {
                if j % i == 0 and j > i { sieve[j] = 0 }
            }
        }
    }
    sum(where(iota(40) <= n, sieve, 0))
}

test "values" {
    assert primes(30) == 10 and primes(39) == 12
    let b = concat([zeros(16, 1), ones(16, 1), -ones(16, 1)], axis: 1)
    assert act(ones(4), ones(4, 16), b, 1.0) == 1 and act(ones(4), ones(4, 16), b, -1.0) == 0
    assert close(bisect(|t| t * t - 2.0, 0.0, 2.0), 1.4142135, atol: 1e-5)
    assert classify(-2.0) == -1 and classify(0.0) == 0 and classify(3.0) == 1
    assert search([1.0, 3.0, 5.0, 9.0], 5.0) == 2 and search([1.0, 3.0], 2.0) == -1
    assert collatz(27) == 111
}
