/// The discrete Fourier transform of 64 points whose order is reversed by bits: every stage reads the one before at other places.
export fn fft(re: f32[64], im: f32[64]) -> (f32[64], f32[64]) {
    let mut a = re
    let mut b = im
    for const s in 0..6 {
        let h = 2 ** s
        let u = a.reshape(div(32, h), 2, h)
        let v = b.reshape(div(32, h), 2, h)
        let angle = -pi / h * (iota(h) as f32)
        let real = u[:, 1] * cos(angle) - v[:, 1] * sin(angle)
        let imaginary = u[:, 1] * sin(angle) + v[:, 1] * cos(angle)
        a = stack([u[:, 0] + real, u[:, 0] - real], axis: 1).reshape(64)
        b = stack([v[:, 0] + imaginary, v[:, 0] - imaginary], axis: 1).reshape(64)
    }
    (a, b)
}
