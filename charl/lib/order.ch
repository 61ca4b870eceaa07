//! Order: sorting, the greatest elements, products along an axis.

/// Indices i with x[i[0]] <= x[i[1]] <= … along an axis; equal elements keep their order, and NaN counts as the greatest
/// number.
///
/// Shapes: any; i32 of the same shape. Source: numpy.argsort(kind="stable").
fn argsort(x, axis: int = -1, descending: bool = false) {
    let last = swapaxes(x, axis, -1)
    let n = shape(last)[-1]
    let rows = stop_gradient(last.reshape(prod(shape(last)[:-1]), n))
    let (keys, bytes) = sort_keys(rows, descending)
    swapaxes(argsort_keys(keys, bytes).reshape(shape(last)), axis, -1)
}

/// Unsigned integers in the order of the elements of `x`, or the other way round, and of how many bytes they are.
fn sort_keys(x, descending: bool) {
    let (keys, bytes) = order_keys(x)
    (if descending { bitnot(keys) } else { keys }, bytes)
}

/// Indices that put the rows of keys in order.
fn argsort_keys<E: int>(keys: E[M, N], bytes: int) -> i32[M, N] {
    if N <= 48 {
        by_counting(keys)
    } else if parallel() {
        by_merging(keys)
    } else {
        for row in keys { yield by_digits(row, bytes) }
    }
}

/// Each element's place is the number of elements before it.
fn by_counting<E: int>(keys: E[M, N]) -> i32[M, N] {
    let place = iota(M, N, axis: 1)
    let mut before = zeros_like(place)
    for i in 0..N {
        let other = keys[:, i][:, None]
        before = before + ((other < keys or (other == keys and i < place)) as i32)
    }
    let mut order = place
    order[iota(M)[:, None], before] = place
    order
}

/// Radix sort from the last digit on (Knuth, The Art of Computer Programming 3, 5.2.5): counts of digits say where each digit begins.
fn by_digits<E: int>(keys: E[N], bytes: int) -> i32[N] {
    let mut order = iota(N)
    let mut sorted = keys
    for byte in 0..bytes {
        let (from, before) = (sorted, order)
        let digit = |key| bitand(shr(key, (8 * byte) as E), 255) as i32
        let mut place = zeros_like(iota(256))
        for i in 0..N {
            let d = digit(from[i])
            place[d] = place[d] + 1
        }
        let mut total = 0
        for d in 0..256 {
            let count = place[d]
            place[d] = total
            total = total + count
        }
        for i in 0..N {
            let d = digit(from[i])
            let p = place[d]
            order[p] = before[i]
            sorted[p] = from[i]
            place[d] = p + 1
        }
    }
    order
}

/// Merge sort (Knuth, 5.2.4), all pairs of runs at once: an element finds its place by counting, with a binary search, how many of
/// the other run come before it.
fn by_merging<E: int>(x: E[M, N]) -> i32[M, N] {
    let place = iota(M, N, axis: 1)
    let mut order = place
    let mut width = 1
    for _ in 0..31 while width < N {
        let keys = take_along_axis(x, order)
        let start = place - place % (2 * width)
        let left = place - start < width
        let middle = min(start + width, N)
        let other = where(left, middle, start)
        let mut low = other
        let mut high = where(left, min(start + 2 * width, N), middle)
        for _ in 0..31 while any(low < high) {
            let at = (low + high) / 2
            let probe = take_along_axis(keys, at)
            let ahead = where(left, probe < keys, probe <= keys)
            low = where(low < high and ahead, at + 1, low)
            high = where(low < high and not ahead, at, high)
        }
        order[iota(M)[:, None], place - where(left, 0, middle - start) + low - other] = order
        width = 2 * width
    }
    order
}

/// x[argsort(x)]: the elements of `x` in order along an axis, NaN last (first where `descending`).
///
/// Shapes: any; the shape stays. Source: numpy.sort.
fn sort(x, axis: int = -1, descending: bool = false) = take_along_axis(x, argsort(x, axis, descending), axis)

/// (x[i], i) with the indices i of the k greatest elements along the last axis, greatest first; of equal ones the first.
///
/// Shapes: [*S, n] to [*S, k] and i32[*S, k]. Source: torch.topk, jax.lax.top_k.
fn top_k(x, k: int) {
    let n = shape(x)[-1]
    let (keys, bytes) = sort_keys(stop_gradient(x.reshape(prod(shape(x)[:-1]), n)), true)
    let first = first_of(keys, bytes, k)
    let (lead, found) = (shape(x)[:-1], shape(first)[1])
    let order = first.reshape([*lead, found])
    (take_along_axis(x, order), order)
}

/// Indices of the k least keys of each row, in order.
fn first_of<E: int>(keys: E[M, N], bytes: int, k: int) {
    if k > 64 or N <= 48 or parallel() {
        argsort_keys(keys, bytes)[:, 0:k]
    } else {
        for row in keys { yield by_insertion(row, k) }
    }
}

/// The k least so far stay in order, and few keys belong among them.
fn by_insertion<E: int>(keys: E[N], k: int) {
    let mut least = zeros_like(keys[0:k])
    let mut order = iota(N)[0:k]
    let last = (min(k, N) as i32) - 1
    for i in 0..N {
        let key = keys[i]
        if i <= last or key < least[last] {
            let mut j = min(i, last)
            for _ in 0..k while j > 0 and key < least[max(j - 1, 0)] {
                least[j] = least[j - 1]
                order[j] = order[j - 1]
                j = j - 1
            }
            least[j] = key
            order[j] = i
        }
    }
    order
}

/// y[i] = x[0] * x[1] * … * x[i] along an axis.
///
/// Shapes: any; the shape stays. Source: numpy.cumprod.
fn cumprod(x, axis: int) {
    let mut product = ones_like(swapaxes(x, axis, 0)[0])
    let all = for row in swapaxes(x, axis, 0) {
        product = product * row
        yield product
    }
    swapaxes(all, axis, 0)
}
