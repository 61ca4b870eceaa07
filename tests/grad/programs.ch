//! Derivatives of derivatives, in lanes, through loops: each is compared with float64 differences or a closed form.

struct Body { position: f64[3], mass: f64, tag: i32 }

fn energy(b: Body) -> f64 = b.mass * b.mass * sum(b.position ** 3)
fn make(x: f64[3], i: i32) -> Body = Body(position: x, mass: x[0] + 2.0, tag: i)
fn moved(b: Body) -> (f64[3], f64) = (b.position * b.mass, sum(b.position))

/// Square roots by Newton's method, without a bound; what remains when the loop ends two more steps square away.
fn newton(x: f64) -> f64 {
    let mut y = x
    while abs(y * y - x) > 0.00001 * x { y = 0.5 * (y + x / y) }
    let z = 0.5 * (y + x / y)
    0.5 * (z + x / z)
}

/// The same for all elements at once.
fn solve(a: f64[*S]) -> f64[*S] {
    let mut y = 1.0 + a
    while max(abs(y * y / a - 1.0)) > 0.00001 { y = 0.5 * (y + a / y) }
    let z = 0.5 * (y + a / y)
    0.5 * (z + a / z)
}

/// As many steps as it takes, at most 40.
fn bounded(x: f64) -> f64 {
    let mut y = x
    for _ in 0..40 while abs(y * y - x) > 0.00001 * x { y = 0.5 * (y + x / y) }
    let z = 0.5 * (y + x / y)
    0.5 * (z + x / z)
}

fn walk(x: f64[3], n: i32) -> (f64[3], f64[4]) {
    let mut y = x
    let ys = for i in 0..4 {
        if i < n { y[i % 3] += 1.0 }
        yield sum(y ** 2) * (i as f64)
    }
    (y, ys)
}

/// Reads and writes at places that differ from lane to lane.
fn shuffled(x: f64[5], at: i32) -> f64[5] {
    let mut y = x
    y[at] = x[at + 1] * x[at - 1]
    y[at:at + 2] = y[at:at + 2] * 2.0
    y
}

fn loss(w: f64[3], x: f64[3]) -> f64 = sum(tanh(w * x)) ** 2

/// Three steps of gradient descent on `loss` inside an objective.
fn adapted(w: f64[3], x: f64[3]) -> f64 {
    let mut v = w
    for _ in 0..3 { v = v - 0.1 * grad(loss)(v, x) }
    loss(v, x * 1.5)
}

/// The same with tangents: each inner gradient in forward mode, one direction after the other.
fn adapted_forward(w: f64[3], x: f64[3]) -> f64 {
    let mut v = w
    for _ in 0..3 { v = v - 0.1 * jacobian(|u| [loss(u, x), loss(u, x), loss(u, x), loss(u, x)])(v)[0] }
    loss(v, x * 1.5)
}

// ---- vmap

export fn nested_lanes(x: f64[N, M, 3]) -> f64[N, M] = vmap(vmap(|v| sum(v * v)))(x)
export fn energies(x: f64[N, 3], i: i32[N]) -> (f64[N], i32[N]) {
    let all = vmap(make)(x, i)
    (vmap(energy)(all), all.tag)
}
export fn forces(x: f64[N, 3], i: i32[N]) -> f64[N, 3] = vmap(grad(energy))(vmap(make)(x, i)).position
export fn roots(x: f64[N]) -> f64[N] = vmap(newton)(x)
export fn walks(x: f64[N, 3], n: i32[N]) -> (f64[N, 3], f64[N, 4]) = vmap(walk)(x, n)
export fn shuffles(x: f64[N, 5], at: i32[N]) -> f64[N, 5] = vmap(shuffled)(x, at)
export fn shared_shuffle(x: f64[5], at: i32[N]) -> f64[N, 5] = vmap(|i| shuffled(x, i))(at)
export fn shuffles_back(x: f64[N, 5], at: i32[N], ct: f64[N, 5]) -> f64[N, 5] {
    grad(|x| sum(vmap(shuffled)(x, at) * ct))(x)
}
export fn per_sample(w: f64[3], x: f64[N, 3]) -> f64[N, 3] = vmap(|v| grad(loss)(w, v))(x)
export fn of_lanes(w: f64[3], x: f64[N, 3]) -> f64[3] = grad(|w| sum(vmap(|v| loss(w, v))(x)))(w)
export fn lanes_in_a_loop(x: f64[N, 3]) -> f64[N, 3] {
    let mut y = x
    for _ in 0..3 { y = vmap(grad(|v| sum(sin(v)) * v[0]))(y) }
    y
}
export fn walks_back(x: f64[N, 3], n: i32[N]) -> f64[N, 3] = grad(|x| sum(vmap(walk)(x, n)[1] ** 2))(x)
export fn walks_back_lanes(x: f64[N, 3], n: i32[N]) -> f64[N, 3] {
    vmap(grad(|x, n| sum(walk(x, n)[1] ** 2)))(x, n)
}
export fn updated(x: f64[N, 3]) -> (f64[N, 3], f64[N]) {
    let mut y = x
    let s = vmap(|mut v| { v[0] = sum(v)
        v[1] })(mut y)
    (y, s)
}
export fn draws(key: u32[2], x: f64[N]) -> (f64[N, 2], f64[N, 2], f64) {
    let mut rng = Rng(key: key, counter: 3)
    let split = for i in 0..N { let mut own = rng.split(i as u32)
        yield uniform([2], mut own) as f64 }
    let lanes = vmap(|a, mut r| a + (uniform([2], mut r) as f64))(x, mut rng)
    (lanes, split, uniform([], mut rng) as f64)
}

// ---- Jacobians and Hessians

export fn by_struct(x: f64[3], m: f64) -> (f64[3, 3], f64[3]) {
    let j = jacobian(|b| b.position * b.mass)(Body(position: x, mass: m, tag: 0))
    (j.position, j.mass)
}
export fn by_tuple(x: f64[3], m: f64) -> (f64[3, 3], f64[3]) {
    let (a, b) = jacobian(moved)(Body(position: x, mass: m, tag: 0))
    (a.position, b.position)
}
export fn hessian_by_struct(x: f64[3], m: f64) -> (f64[3, 3], f64[3], f64) {
    let h = hessian(energy)(Body(position: x, mass: m, tag: 0))
    (h.position.position, h.position.mass, h.mass.mass)
}
export fn of_solver(a: f64[N]) -> f64[N, N] = jacobian(solve)(a)
export fn wide(x: f64[N], w: f64[M, N]) -> f64[M, M, N] = jacobian(|w| tanh(w @ x))(w)
export fn tall(x: f64[2], w: f64[5, 2]) -> f64[5, 2] = jacobian(|x| tanh(w @ x))(x)
export fn of_lanes_jacobian(x: f64[N, 2]) -> f64[N, 2, N, 2] = jacobian(|x| vmap(|v| v * sum(v))(x))(x)
export fn bend(x: f64[N]) -> f64[N, N] = hessian(|x| sum(x ** 3) * sum(sin(x)))(x)
export fn mixed(x: f64[3], y: f64[2]) -> (f64[2, 3], f64[2, 2]) {
    jacobian(|x, y| y * sum(x * x), wrt: (0, 1))(x, y)
}
export fn hessian_of_loop(x: f64[3], n: i32) -> f64[3, 3] = hessian(|x| sum(walk(x, n)[1]) ** 2)(x)
export fn per_lane_jacobian(x: f64[N, 3]) -> f64[N, 3, 3] = vmap(jacobian(|v| v * sum(v)))(x)

// ---- modes in modes

export fn hvp_forward_reverse(w: f64[3], v: f64[3], x: f64[3]) -> f64[3] = jvp(|w| grad(loss)(w, x))(w, v)[1]
export fn hvp_reverse_forward(w: f64[3], v: f64[3], x: f64[3]) -> f64[3] {
    grad(|w| jvp(|w| loss(w, x))(w, v)[1])(w)
}
export fn hvp_reverse_reverse(w: f64[3], v: f64[3], x: f64[3]) -> f64[3] {
    grad(|w| sum(grad(loss)(w, x) * v))(w)
}
export fn hvp_forward_forward(w: f64[3], v: f64[3], x: f64[3]) -> f64[3] {
    jvp(|w| jacobian(|u| [loss(u, x), 0.0, 0.0, 0.0])(w)[0])(w, v)[1]
}
export fn meta(w: f64[3], x: f64[3]) -> f64 = adapted(w, x)
export fn meta_rr(w: f64[3], x: f64[3]) -> f64[3] = grad(|w| adapted(w, x))(w)
export fn meta_fr(w: f64[3], v: f64[3], x: f64[3]) -> f64 = jvp(|w| adapted(w, x))(w, v)[1]
export fn meta_rf(w: f64[3], x: f64[3]) -> f64[3] = grad(|w| adapted_forward(w, x))(w)
export fn meta_ff(w: f64[3], v: f64[3], x: f64[3]) -> f64 = jvp(|w| adapted_forward(w, x))(w, v)[1]
export fn meta_batch(w: f64[3], x: f64[N, 3]) -> f64[3] = grad(|w| mean(vmap(|v| adapted(w, v))(x)))(w)
export fn slope(x: f64) -> f64 = jvp(newton)(x, 1.0)[1]
export fn slopes(x: f64[N]) -> f64[N] = vmap(|a| jvp(newton)(a, 1.0)[1])(x)
export fn second_slope(x: f64) -> f64 = jvp(|x| jvp(newton)(x, 1.0)[1])(x, 1.0)[1]
export fn bounded_back(x: f64[N]) -> f64[N] = vmap(grad(bounded))(x)
export fn bounded_all(x: f64[N]) -> f64[N] = grad(|x| sum(vmap(bounded)(x)))(x)
export fn bounded_hessian(x: f64) -> f64 = hessian(bounded)(x)
export fn pulled(x: f64[3], m: f64, ct: f64[3]) -> (f64[3], f64, f64[3, 3]) {
    let (value, pull) = vjp(|x, m| (x * m, sum(x)), wrt: (0, 1))(x, m)
    let (gx, gm) = pull(ct, 2.0)
    let rows = vmap(|c| pull(c, 0.0)[0])(diag(ct))
    (gx, gm, rows)
}
export fn one_side(x: f64[N]) -> (f64[N], f64[N], f64[N]) {
    let f = |x| where(x > 0.0, sqrt(where(x > 0.0, x, 0.0)), 0.0)
    let g = |x| sqrt(where(x > 0.0, x, 0.0))
    (jvp(f)(x, x * 0.0 + 1.0)[1], grad(|x| sum(f(x)))(x), jvp(g)(x, x * 0.0 + 1.0)[1])
}

// ---- rules of one's own

fn root(x: f64[*S]) -> f64[*S] = solve(x)

@gradient(of: root)
fn root_rule(x, result, ct) = 0.5 * ct / result

fn clipped(x: f64[N]) -> f64[N] = x

@gradient(of: clipped)
fn clip_rule(x, result, ct) = where(x > 0.0, ct, 0.25 * ct)

fn two(x: f64, y: f64) -> (f64, f64) = (x * y, x + y)

@gradient(of: two)
fn two_rule(x, y, result, ct) = (10.0 * ct[0] + ct[1], 100.0 * ct[1] + ct[0])

struct Circle {
    radius: f64
    segments: i32
    fn area(scale: f64) -> f64 = scale * radius * radius
}

@gradient(of: Circle.area)
fn area_rule(self: Circle, scale: f64, result: f64, ct: f64) {
    (Circle(radius: 7.0 * ct, segments: self.segments), ct * result / scale)
}

export fn ruled(x: f64[N]) -> f64[N] = grad(|x| sum(root(x) * x))(x)
export fn ruled_hessian(x: f64[N]) -> f64[N, N] = hessian(|x| sum(root(x) * x))(x)
export fn ruled_forward(x: f64[N], t: f64[N]) -> f64[N] = jvp(|x| root(x) * x)(x, t)[1]
export fn ruled_lanes(x: f64[N]) -> f64[N] = vmap(grad(|x| root(x) * x))(x)
export fn ruled_of_lanes(x: f64[N]) -> f64[N] = grad(|x| sum(vmap(|a| root(a) * a)(x)))(x)
export fn ruled_clip(x: f64[N], t: f64[N]) -> (f64[N], f64[N]) {
    (grad(|x| sum(clipped(x) ** 2))(x), jvp(clipped)(x, t)[1])
}
export fn ruled_two(x: f64, y: f64) -> (f64, f64) {
    grad(|x, y| { let (a, b) = two(x, y)
        2.0 * a + b }, wrt: (0, 1))(x, y)
}
export fn ruled_two_forward(x: f64, y: f64) -> (f64, f64) = jvp(two)(x, y, 1.0, 1.0)[1]
export fn ruled_method(r: f64, k: f64) -> (f64, f64) {
    let (a, b) = grad(|c, k| c.area(k) * 2.0, wrt: (0, 1))(Circle(radius: r, segments: 1), k)
    (a.radius, b)
}
export fn ruled_loop(x: f64[N]) -> f64[N] {
    grad(|x| {
        let mut s = x
        for _ in 0..3 { s = root(s) + clipped(s) }
        sum(s)
    })(x)
}

// ---- checkpoint

fn turned(x: f64[3]) -> f64[3] {
    let mut y = x
    for _ in 0..5 { y = 1.1 * sin(y) + 0.1 * y * x }
    y
}
fn noisy(x: f64[3], mut rng: Rng) -> f64[3] = x * x * (uniform([3], mut rng) as f64)

export fn held(x: f64[3]) -> (f64[3], f64[3]) {
    let f = |x| {
        let mut y = x
        for _ in 0..4 { y = turned(y) }
        sum(y)
    }
    let g = |x| {
        let mut y = x
        for _ in 0..4 { y = checkpoint(turned)(y) }
        sum(y)
    }
    (grad(f)(x), grad(g)(x))
}
export fn held_hessian(x: f64[3]) -> (f64[3, 3], f64[3, 3]) {
    (hessian(|x| sum(turned(x)))(x), hessian(|x| sum(checkpoint(turned)(x)))(x))
}
export fn held_lanes(x: f64[N]) -> f64[N] = vmap(grad(|a| checkpoint(|b| sin(b) * a)(a)))(x)
export fn replayed(x: f64[3], key: u32[2]) -> (f64[3], f64[3], u32[2]) {
    let mut one = Rng(key: key, counter: 0)
    let mut two = one
    let g = grad(|x, mut r| sum(noisy(x, mut r)))(x, mut one)
    let h = grad(|x, mut r| sum(checkpoint(noisy)(x, mut r)))(x, mut two)
    (g, h, [one.counter, two.counter])
}

/// A loop up to the index of the one around it, of which a matrix of one row leaves no turn.
fn log_pivots(x: f64[n, n]) -> f64 {
    let mut m = x
    let mut total = 0.0 as f64
    for i in 0..n {
        total += log(m[i, i])
        for j in i+1..n { m[j] -= m[j, i] / m[i, i] * m[i] }
    }
    total
}
export fn pivots_of_one(x: f64[1, 1]) -> (f64[1, 1], f64[1, 1, 1, 1]) {
    (grad(log_pivots)(x), jacobian(grad(log_pivots))(x))
}

/// Elements are written one by one before a loop: what is behind each in the gradient is written over what the loop leaves.
fn started(x: f64[N], w: f64[T]) -> f64 where N >= 2 {
    let mut a = zeros(N) as f64
    a[0] = x[0]
    a[1] = x[1] * 2.0
    for t in 0..T { a = sin(a) * w[t] + concat([zeros(1) as f64, a[:-1]]) }
    a[N - 1]
}
export fn slope_of_started(x: f64[N], w: f64[T]) -> f64[N] where N >= 2 = grad(started)(x, w)
