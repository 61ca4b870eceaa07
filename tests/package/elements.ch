// Every element type at the border of a package: in structs, arrays, numbers and results.

model Net(i: int, h: int) {
    param w: f16[i, h] = glorot_uniform()
    param b: bf16[h] = uniform(-0.5, 0.5)
    state seen: i64[] = 0
    state flags: u8[3] = 7

    fn forward(x: f16[N, i]) -> f32[N, h] { tanh((x @ w) as f32 + b as f32) }
}

export fn predict(net: Net(3, 8), x: f16[N, 3], scale: bf16, shift: f16) -> (bf16[N, 8], f16) {
    let y = net(x)
    ((y as bf16) * scale, max(y) as f16 + shift)
}

export fn train_step(mut net: Net(3, 8), x: f16[N, 3], y: f32[N, 8]) -> f32 {
    let (l, g) = value_and_grad(|n: Net(3, 8)| mean((n(x) - y) ** 2))(net)
    net = net - 0.5 * g
    net.seen += 4294967297
    net.flags = net.flags * 3
    l
}

export fn signed(a: i8[N], b: i16[N]) -> (i8[N], i16[N]) = (a + 100, b * b)
export fn unsigned(a: u8[N], b: u16[N]) -> (u8[N], u16[N]) = (a - 201, b + 65535)
export fn long(a: i64[N], b: u64[N]) -> (i64[N], u64[N]) = (a * 4294967297 - 5, b * b)
export fn numbers(a: i64, b: u8) -> (i64, u8) = (a / 3, b + 200)

fn main() {
    let mut rng = seeded(3)
    let mut net = Net(3, 8).init(mut rng)
    save(net, "net.safetensors")
    net = Net(3, 8).init(mut rng)
    load(mut net, "net.safetensors")
    print([9007199254740993] as i64 + 2, ([60000.0] as f16) * 2, [1.00390625] as bf16, net.flags)
}
