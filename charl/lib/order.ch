//! Order: sorting, the greatest elements, products along an axis.

/// Whether `a` comes before `b`: NaN is the greatest number.
fn before(a, b, descending: bool) {
    if descending { a > b or ((a != a) and (b == b)) } else { a < b or ((b != b) and (a == a)) }
}

/// Indices that put `x` in order along an axis; equal elements keep their order, and NaN counts as the greatest number.
fn argsort(x, axis: int = -1, descending: bool = false) {
    let last = swapaxes(x, axis, -1)
    let n = shape(last)[-1]
    let rows = stop_gradient(last.reshape(prod(shape(last)[:-1]), n))
    swapaxes(argsort_rows(rows, descending).reshape(shape(last)), axis, -1)
}

/// Merge sort (Knuth, The Art of Computer Programming 3, 5.2.4), all pairs of runs at once: an element finds its place by counting,
/// with a binary search, how many of the other run come before it.
fn argsort_rows(x, descending: bool) {
    let rows = shape(x)[0]
    let n = shape(x)[1]
    let place = iota(rows, n, axis: 1)
    let mut order = place
    let mut width = 1
    for _ in 0..31 while width < n {
        let keys = take_along_axis(x, order)
        let start = place - place % (2 * width)
        let left = place - start < width
        let middle = min(start + width, n)
        let other = where(left, middle, start)
        let mut low = other
        let mut high = where(left, min(start + 2 * width, n), middle)
        for _ in 0..31 while any(low < high) {
            let at = (low + high) / 2
            let probe = take_along_axis(keys, at)
            let ahead = where(left, before(probe, keys, descending), not before(keys, probe, descending))
            low = where(low < high and ahead, at + 1, low)
            high = where(low < high and not ahead, at, high)
        }
        order[iota(rows)[:, None], place - where(left, 0, middle - start) + low - other] = order
        width = 2 * width
    }
    order
}

/// The elements of `x` in order along an axis, NaN last (first where `descending`).
fn sort(x, axis: int = -1, descending: bool = false) = take_along_axis(x, argsort(x, axis, descending), axis)

/// The k greatest elements along the last axis, greatest first, and their indices; of equal ones the first.
fn top_k(x, k: int) {
    let order = argsort(x, descending: true)[..., 0:k]
    (take_along_axis(x, order), order)
}

/// Products of everything up to and including each element along an axis.
fn cumprod(x, axis: int) {
    let mut product = ones_like(swapaxes(x, axis, 0)[0])
    let all = for row in swapaxes(x, axis, 0) {
        product = product * row
        yield product
    }
    swapaxes(all, axis, 0)
}
