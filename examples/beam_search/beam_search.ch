//! Beam search over sequences of a first-order model, beside the best sequence by dynamic programming (Viterbi, 1967): what a beam has
//! dropped does not come back, so that it may fall short of the best, and a wider one less so.

/// Log-probabilities of the first symbol and of every step.
struct Chain(V: int) {
    first: f32[V]
    next: f32[V, V]  // from, to
    emit: f32[V, V]  // state, what is seen
}

/// The `B` best sequences, by their scores: `steps` symbols that explain what was seen.
fn beam(c: Chain(V), seen: i32[T], B: int) -> (i32[B, T], f32[B]) {
    let (start, symbol) = top_k(c.first + c.emit[:, seen[0]], B)
    let mut score = start
    let mut paths = zeros(B, T) as i32
    paths[:, 0] = symbol
    for t in 1..T {
        // every sequence of the beam goes on with every symbol; the best B of all go on
        let last = paths[:, t - 1]
        let all = score[:, None] + c.next[last] + c.emit[:, seen[t]][None, :]
        let (best, at) = top_k(all.reshape(B * V), B)
        paths = paths[div(at, V)]
        paths[:, t] = at % V
        score = best
    }
    (paths, score)
}

/// The best sequence of all.
fn viterbi(c: Chain(V), seen: i32[T]) -> (i32[T], f32) {
    let mut score = c.first + c.emit[:, seen[0]]
    let back = for t in 1..T {
        let all = score[:, None] + c.next
        let from = argmax(all, axis: 0)
        score = max(all, axis: 0) + c.emit[:, seen[t]]
        yield from
    }
    let mut path = zeros(T) as i32
    path[T - 1] = argmax(score)
    for k in 1..T {
        let t = T - 1 - k
        path[t] = back[t, path[t + 1]]
    }
    (path, max(score))
}

export fn narrow(c: Chain(12), seen: i32[T]) -> (i32[2, T], f32[2]) where T >= 2 = beam(c, seen, 2)
export fn wide(c: Chain(12), seen: i32[T]) -> (i32[12, T], f32[12]) where T >= 2 = beam(c, seen, 12)
export fn exact(c: Chain(12), seen: i32[T]) -> (i32[T], f32) where T >= 2 = viterbi(c, seen)

fn main() {
    let mut rng = seeded(9)
    let c = Chain(
        first: log_softmax(2.0 * normal([12], mut rng)),
        next: log_softmax(2.0 * normal([12, 12], mut rng)),
        emit: log_softmax(2.0 * normal([12, 12], mut rng)),
    )
    let seen = (uniform([20], mut rng) * 12.0) as i32
    let (path, best) = exact(c, seen)
    let (wide_paths, wide_scores) = wide(c, seen)
    let (narrow_paths, narrow_scores) = narrow(c, seen)
    print("exact ", best, path)
    print("wide  ", wide_scores[0], wide_paths[0])
    print("narrow", narrow_scores[0], narrow_paths[0])
}
