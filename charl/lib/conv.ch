//! Convolutions and pools over [batch, channels, space…] with one, two, three or more axes of space.
//!
//! A convolution is a contraction over windows, a pool a reduction over windows. Sizes, strides, paddings and dilations are numbers, or
//! lists with one for each axis of space; the padding of an axis may be a pair `(before, behind)`.

from norm import over_channels

// ---- functions

/// The convolution of frameworks, which does not turn the kernel round:
/// y[n, o, p] = sum over i, k of x[n, i, stride * p + dilation * k - padding] * w[o, i, k].
///
/// An axis of length L has floor((L + 2 padding - dilation (k - 1) - 1) / stride) + 1 places. With `groups`, each group of
/// output channels sees its own group of input channels (groups = C: depthwise).
///
/// Shapes: x [N, C, space…], w [O, C / groups, taps…], to [N, O, places…]. Source: Dumoulin and Visin (2016), chapter 2;
/// torch.nn.functional.conv2d.
fn convolve<E: float>(
    x: E[N, C, *S], w: E[O, I, *K], stride = 1, padding = 0, dilation = 1, groups: int = 1
) {
    if groups == 1 {
        let seen = windows(x, [*K], stride: stride, padding: padding, dilation: dilation)
        einsum("oi*K,ni*P*K->no*P", w, seen)
    } else {
        let parts = x.reshape(N, groups, C / groups, [*S])
        let seen = windows(parts, [*K], stride: stride, padding: padding, dilation: dilation)
        let y = einsum("goi*K,ngi*P*K->ngo*P", w.reshape(groups, O / groups, I, [*K]), seen)
        y.reshape(N, O, shape(y)[3:])
    }
}

/// The adjoint of `convolve` in x, also called deconvolution: x[n, i, p] lays w[i, o, …] down at stride * p + dilation * k -
/// padding, and what overlaps adds up.
///
/// An axis of length L becomes (L - 1) stride - 2 padding + dilation (k - 1) + 1 + extra; `extra` (output padding) says which
/// of several lengths it was, where the stride is above 1.
///
/// Shapes: x [N, C, space…], w [C, O / groups, taps…], to [N, O, longer space…]. Source: Zeiler et al. (2010); Dumoulin and
/// Visin (2016), chapter 4; torch.nn.functional.conv_transpose2d.
fn convolve_transposed<E: float>(
    x: E[N, C, *S], w: E[C, O, *K], stride = 1, padding = 0, dilation = 1, groups: int = 1, extra = 0
) {
    let parts = x.reshape(N, groups, C / groups, [*S])
    let laid = einsum("ngi*S,gio*K->ngo*S*K", parts, w.reshape(groups, C / groups, O, [*K]))
    let space = range(3, rank(parts))
    let y = overlap_add(laid, stride: stride, dilation: dilation, padding: padding, extra: extra, axes: space)
    y.reshape(N, groups * O, shape(y)[3:])
}

/// Axes of the taps of windows over the space of a tensor of rank `r`, counted from the end.
fn taps(r) = range(2 - r, 0)

/// y[n, c, p] = max over k of x[n, c, stride * p + dilation * k - padding]: the largest element of every window; padding never
/// wins. At ties the gradient goes to the first.
///
/// Shapes: [N, C, space…] to [N, C, places…]. Source: Zhou and Chellappa (1988); torch.nn.functional.max_pool2d.
fn max_pool(x, size, stride = None, padding = 0, dilation = 1) {
    let step = if stride == None { size } else { stride }
    let space = range(2, rank(x))
    let seen = windows(
        x, size, stride: step, padding: padding, dilation: dilation, fill: -infinity, axes: space
    )
    max(seen, axis: taps(rank(x)))
}

/// y[n, c, p] = mean over k of x[n, c, stride * p + k - padding]: the mean of every window. Zeros of the padding count, unless
/// `count_padding` is false.
///
/// Shapes: [N, C, space…] to [N, C, places…]. Source: LeCun et al. (1989); torch.nn.functional.avg_pool2d.
fn average_pool(x, size, stride = None, padding = 0, count_padding: bool = true) {
    let step = if stride == None { size } else { stride }
    let space = range(2, rank(x))
    let total = sum(windows(x, size, stride: step, padding: padding, axes: space), axis: taps(rank(x)))
    if count_padding {
        let seen = windows(x, size, stride: step, padding: padding, axes: space)
        total / prod(shape(seen)[rank(x):])
    } else {
        let here = windows(
            ones_like(x[0, 0]), size, stride: step, padding: padding, axes: range(0, rank(x) - 2)
        )
        total / sum(here, axis: taps(rank(x)))
    }
}

/// Whether element p of `l` is in part i of `n`: floor(i l / n) <= p < ceil((i + 1) l / n), as PyTorch parts an axis. [l, n].
fn parts(l: int, n: int) {
    let place = iota(l)[:, None]
    let part = iota(n)[None, :]
    place >= div(part * l, n) and place < div(part * l + l + n - 1, n)
}

/// The mean of each of n parts of the last axis.
fn mean_of_parts<E: float>(x: E[*S, L], n: int) -> E[*S, n] {
    if n == 1 {
        mean(x, axis: -1, keepdims: true)
    } else {
        let inside = parts(L, n) as E
        x @ (inside / sum(inside, axis: 0))
    }
}

/// The largest element of each of n parts of the last axis.
fn max_of_parts<E: float>(x: E[*S, L], n: int) -> E[*S, n] {
    if n == 1 {
        max(x, axis: -1, keepdims: true)
    } else {
        max(where(parts(L, n), x[..., None], -infinity), axis: -2)
    }
}

/// f over every axis of space of x [N, C, space…], the last first: f(x, n) gives n elements for the last axis.
fn over_space(f, x, sizes, left) {
    if left == 0 {
        x
    } else {
        let y = f(x, sizes[left - 1])
        let last = rank(x) - 1
        over_space(f, y.transpose(0, 1, last, range(2, last)), sizes, left - 1)
    }
}

/// Means over `size` parts of every axis of space, whatever the space is: part i of n of an axis of length l is from floor(i *
/// l / n) to ceil((i + 1) * l / n).
///
/// Shapes: [N, C, space…] to [N, C, size…]. Source: torch.nn.functional.adaptive_avg_pool2d.
fn adaptive_average_pool(x, size) = over_space(mean_of_parts, x, each(size, rank(x) - 2), rank(x) - 2)

/// Largest elements of `size` parts of every axis of space, parted as by `adaptive_average_pool`: floor(i * l / n) to ceil((i +
/// 1) * l / n).
///
/// Shapes: [N, C, space…] to [N, C, size…]. Source: torch.nn.functional.adaptive_max_pool2d.
fn adaptive_max_pool(x, size) = over_space(max_of_parts, x, each(size, rank(x) - 2), rank(x) - 2)

// ---- layers

/// activation(convolve(x, w) + b) over one axis of space. `groups: i` is a depthwise convolution.
///
/// Shapes: [N, i, space…] to [N, o, places…]. Source: torch.nn.Conv1d.
model Conv1d(
    i: int,
    o: int,
    kernel,
    stride = 1,
    padding = 0,
    dilation = 1,
    groups: int = 1,
    bias: bool = true,
    activation: fn(f32[*S]) -> f32[*S] = identity,
) {
    param w: f32[o, i / groups, each(kernel, 1)[0]] = glorot_uniform(axes: (1, 0))
    param b: f32[o] = zeros() if bias

    fn forward(x: f32[N, i, *S]) {
        let y = convolve(x, w, stride: stride, padding: padding, dilation: dilation, groups: groups)
        activation(if bias { y + over_channels(b, y) } else { y })
    }
}

/// activation(convolve_transposed(x, w) + b) over one axis of space.
///
/// Shapes: [N, i, space…] to [N, o, longer space…]. Source: torch.nn.ConvTranspose1d.
model ConvTransposed1d(
    i: int,
    o: int,
    kernel,
    stride = 1,
    padding = 0,
    extra = 0,
    dilation = 1,
    groups: int = 1,
    bias: bool = true,
    activation: fn(f32[*S]) -> f32[*S] = identity,
) {
    param w: f32[i, o / groups, each(kernel, 1)[0]] = glorot_uniform()
    param b: f32[o] = zeros() if bias

    fn forward(x: f32[N, i, *S]) {
        let y = convolve_transposed(
            x, w, stride: stride, padding: padding, dilation: dilation, groups: groups, extra: extra
        )
        activation(if bias { y + over_channels(b, y) } else { y })
    }
}

/// A depthwise convolution, then one of a single tap that mixes the channels: about 1 / o + 1 / taps of the products of
/// `Conv1d`.
///
/// Shapes: [N, i, space…] to [N, o, places…]. Source: Sifre (2014); Chollet (2017).
model ConvSeparable1d(i: int, o: int, kernel, stride = 1, padding = 0, dilation = 1, bias: bool = true) {
    layers {
        Conv1d(i, i, kernel, stride: stride, padding: padding, dilation: dilation, groups: i, bias: false)
        Conv1d(i, o, 1, bias: bias)
    }
}

/// activation(convolve(x, w) + b) over two axes of space. `groups: i` is a depthwise convolution.
///
/// Shapes: [N, i, space…] to [N, o, places…]. Source: torch.nn.Conv2d.
model Conv2d(
    i: int,
    o: int,
    kernel,
    stride = 1,
    padding = 0,
    dilation = 1,
    groups: int = 1,
    bias: bool = true,
    activation: fn(f32[*S]) -> f32[*S] = identity,
) {
    param w: f32[o, i / groups, each(kernel, 2)[0], each(kernel, 2)[1]] = glorot_uniform(axes: (1, 0))
    param b: f32[o] = zeros() if bias

    fn forward(x: f32[N, i, *S]) {
        let y = convolve(x, w, stride: stride, padding: padding, dilation: dilation, groups: groups)
        activation(if bias { y + over_channels(b, y) } else { y })
    }
}

/// activation(convolve_transposed(x, w) + b) over two axes of space.
///
/// Shapes: [N, i, space…] to [N, o, longer space…]. Source: torch.nn.ConvTranspose2d.
model ConvTransposed2d(
    i: int,
    o: int,
    kernel,
    stride = 1,
    padding = 0,
    extra = 0,
    dilation = 1,
    groups: int = 1,
    bias: bool = true,
    activation: fn(f32[*S]) -> f32[*S] = identity,
) {
    param w: f32[i, o / groups, each(kernel, 2)[0], each(kernel, 2)[1]] = glorot_uniform()
    param b: f32[o] = zeros() if bias

    fn forward(x: f32[N, i, *S]) {
        let y = convolve_transposed(
            x, w, stride: stride, padding: padding, dilation: dilation, groups: groups, extra: extra
        )
        activation(if bias { y + over_channels(b, y) } else { y })
    }
}

/// A depthwise convolution, then one of a single tap that mixes the channels: about 1 / o + 1 / taps of the products of
/// `Conv2d`.
///
/// Shapes: [N, i, space…] to [N, o, places…]. Source: Sifre (2014); Chollet (2017).
model ConvSeparable2d(i: int, o: int, kernel, stride = 1, padding = 0, dilation = 1, bias: bool = true) {
    layers {
        Conv2d(i, i, kernel, stride: stride, padding: padding, dilation: dilation, groups: i, bias: false)
        Conv2d(i, o, 1, bias: bias)
    }
}

/// activation(convolve(x, w) + b) over three axes of space. `groups: i` is a depthwise convolution.
///
/// Shapes: [N, i, space…] to [N, o, places…]. Source: torch.nn.Conv3d.
model Conv3d(
    i: int,
    o: int,
    kernel,
    stride = 1,
    padding = 0,
    dilation = 1,
    groups: int = 1,
    bias: bool = true,
    activation: fn(f32[*S]) -> f32[*S] = identity,
) {
    param w: f32[
        o, i / groups, each(kernel, 3)[0], each(kernel, 3)[1], each(kernel, 3)[2]
    ] = glorot_uniform(axes: (1, 0))
    param b: f32[o] = zeros() if bias

    fn forward(x: f32[N, i, *S]) {
        let y = convolve(x, w, stride: stride, padding: padding, dilation: dilation, groups: groups)
        activation(if bias { y + over_channels(b, y) } else { y })
    }
}

/// activation(convolve_transposed(x, w) + b) over three axes of space.
///
/// Shapes: [N, i, space…] to [N, o, longer space…]. Source: torch.nn.ConvTranspose3d.
model ConvTransposed3d(
    i: int,
    o: int,
    kernel,
    stride = 1,
    padding = 0,
    extra = 0,
    dilation = 1,
    groups: int = 1,
    bias: bool = true,
    activation: fn(f32[*S]) -> f32[*S] = identity,
) {
    param w: f32[i, o / groups, each(kernel, 3)[0], each(kernel, 3)[1], each(kernel, 3)[2]] = glorot_uniform()
    param b: f32[o] = zeros() if bias

    fn forward(x: f32[N, i, *S]) {
        let y = convolve_transposed(
            x, w, stride: stride, padding: padding, dilation: dilation, groups: groups, extra: extra
        )
        activation(if bias { y + over_channels(b, y) } else { y })
    }
}

/// A depthwise convolution, then one of a single tap that mixes the channels: about 1 / o + 1 / taps of the products of
/// `Conv3d`.
///
/// Shapes: [N, i, space…] to [N, o, places…]. Source: Sifre (2014); Chollet (2017).
model ConvSeparable3d(i: int, o: int, kernel, stride = 1, padding = 0, dilation = 1, bias: bool = true) {
    layers {
        Conv3d(i, i, kernel, stride: stride, padding: padding, dilation: dilation, groups: i, bias: false)
        Conv3d(i, o, 1, bias: bias)
    }
}

/// y = max_pool(x, size) over one axis of space.
///
/// Shapes: [N, C, L] to [N, C, places]. Source: torch.nn.MaxPool1d.
model MaxPool1d(size, stride = None, padding = 0, dilation = 1) {
    fn forward(x: f32[N, C, L]) = max_pool(x, size, stride: stride, padding: padding, dilation: dilation)
}

/// y = average_pool(x, size) over one axis of space.
///
/// Shapes: [N, C, L] to [N, C, places]. Source: torch.nn.AvgPool1d.
model AveragePool1d(size, stride = None, padding = 0, count_padding: bool = true) {
    fn forward(x: f32[N, C, L]) =
        average_pool(x, size, stride: stride, padding: padding, count_padding: count_padding)
}

/// y = max_pool(x, size) over two axes of space.
///
/// Shapes: [N, C, H, W] to [N, C, rows, columns]. Source: torch.nn.MaxPool2d.
model MaxPool2d(size, stride = None, padding = 0, dilation = 1) {
    fn forward(x: f32[N, C, H, W]) = max_pool(x, size, stride: stride, padding: padding, dilation: dilation)
}

/// y = average_pool(x, size) over two axes of space.
///
/// Shapes: [N, C, H, W] to [N, C, rows, columns]. Source: torch.nn.AvgPool2d.
model AveragePool2d(size, stride = None, padding = 0, count_padding: bool = true) {
    fn forward(x: f32[N, C, H, W]) =
        average_pool(x, size, stride: stride, padding: padding, count_padding: count_padding)
}

/// y = max_pool(x, size) over three axes of space.
///
/// Shapes: [N, C, D, H, W] to [N, C, places…]. Source: torch.nn.MaxPool3d.
model MaxPool3d(size, stride = None, padding = 0, dilation = 1) {
    fn forward(x: f32[N, C, D, H, W]) =
        max_pool(x, size, stride: stride, padding: padding, dilation: dilation)
}

/// y = average_pool(x, size) over three axes of space.
///
/// Shapes: [N, C, D, H, W] to [N, C, places…]. Source: torch.nn.AvgPool3d.
model AveragePool3d(size, stride = None, padding = 0, count_padding: bool = true) {
    fn forward(x: f32[N, C, D, H, W]) =
        average_pool(x, size, stride: stride, padding: padding, count_padding: count_padding)
}

/// y = adaptive_average_pool(x, size).
///
/// Shapes: [N, C, space…] to [N, C, size…]. Source: torch.nn.AdaptiveAvgPool2d.
model AdaptiveAveragePool(size) {
    fn forward(x: f32[N, C, *S]) = adaptive_average_pool(x, size)
}

/// y = adaptive_max_pool(x, size).
///
/// Shapes: [N, C, space…] to [N, C, size…]. Source: torch.nn.AdaptiveMaxPool2d.
model AdaptiveMaxPool(size) {
    fn forward(x: f32[N, C, *S]) = adaptive_max_pool(x, size)
}

/// y[n, c] = mean of x[n, c, …]: over all of space.
///
/// Shapes: [N, C, space…] to [N, C]. Source: Lin et al. (2014), section 3.2.
model GlobalAveragePool() {
    fn forward(x: f32[N, C, *S]) -> f32[N, C] = mean(x, axis: range(2, rank(x)))
}

/// y[n, c] = max of x[n, c, …]: the largest element of all of space.
///
/// Shapes: [N, C, space…] to [N, C]. Source: Oquab et al. (2015).
model GlobalMaxPool() {
    fn forward(x: f32[N, C, *S]) -> f32[N, C] = max(x, axis: range(2, rank(x)))
}
