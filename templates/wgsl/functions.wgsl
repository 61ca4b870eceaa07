// Scalar functions that WGSL lacks, leaves open, or allows too much error. A kernel carries those it calls.

// Infinity and NaN are no literals of WGSL, and constant expressions must be finite: hence the variable.
fn from_bits(bits: u32) -> f32 {
    var runtime = bits;
    return bitcast<f32>(runtime);
}

// By the bits: implementations may assume that comparisons never see a NaN.
fn is_nan(x: f32) -> bool {
    return (bitcast<u32>(x) & 0x7fffffffu) > 0x7f800000u;
}

fn is_infinite(x: f32) -> bool {
    return (bitcast<u32>(x) & 0x7fffffffu) == 0x7f800000u;
}

// A copy that is no constant expression, so that arithmetic of two constants wraps instead of being refused.
fn runtime_i32(x: i32) -> i32 {
    return x;
}

fn runtime_u32(x: u32) -> u32 {
    return x;
}

fn runtime_f32(x: f32) -> f32 {
    return x;
}

fn with_sign_of(x: f32, y: f32) -> f32 {
    return bitcast<f32>((bitcast<u32>(x) & 0x7fffffffu) | (bitcast<u32>(y) & 0x80000000u));
}

// Rounds down; 0 for a zero divisor.
fn div_i32(a: i32, b: i32) -> i32 {
    if (b == 0) {
        return 0;
    }
    if (b == -1) {
        return -a;
    }
    let q = a / b;
    return select(q, q - 1, a - q * b != 0 && (a < 0) != (b < 0)); // drivers differ on % of negative numbers
}

fn div_u32(a: u32, b: u32) -> u32 {
    if (b == 0u) {
        return 0u;
    }
    return a / b;
}

// The remainder with the sign of the divisor; 0 for a zero divisor.
fn mod_i32(a: i32, b: i32) -> i32 {
    if (b == 0 || b == -1) {
        return 0;
    }
    let r = a - (a / b) * b; // drivers differ on % of negative numbers
    return select(r, r + b, r != 0 && (r < 0) != (b < 0));
}

fn mod_u32(a: u32, b: u32) -> u32 {
    if (b == 0u) {
        return 0u;
    }
    return a % b;
}

fn mod_f32(a: f32, b: f32) -> f32 {
    return a - floor(a / b) * b;
}

fn ceildiv_i32(a: i32, b: i32) -> i32 {
    return -div_i32(-a, b);
}

// Shifts by the width or more give 0; WGSL would take the amount modulo 32.
fn shl_i32(a: i32, b: i32) -> i32 {
    return select(0, a << (bitcast<u32>(b) & 31u), bitcast<u32>(b) < 32u);
}

fn shl_u32(a: u32, b: u32) -> u32 {
    return select(0u, a << (b & 31u), b < 32u);
}

fn shr_i32(a: i32, b: i32) -> i32 {
    return select(0, a >> (bitcast<u32>(b) & 31u), bitcast<u32>(b) < 32u);
}

fn shr_u32(a: u32, b: u32) -> u32 {
    return select(0u, a >> (b & 31u), b < 32u);
}

// Truncates and saturates; NaN gives 0.
fn to_i32(x: f32) -> i32 {
    if (is_nan(x)) {
        return 0;
    }
    if (x >= 2147483648.0) {
        return 2147483647;
    }
    if (x <= -2147483648.0) {
        return i32(-2147483648);
    }
    return i32(x);
}

fn to_u32(x: f32) -> u32 {
    if (is_nan(x) || x <= 0.0) {
        return 0u;
    }
    if (x >= 4294967296.0) {
        return 4294967295u;
    }
    return u32(x);
}

fn min_f32(a: f32, b: f32) -> f32 {
    return select(select(min(a, b), b, is_nan(b)), a, is_nan(a));
}

fn max_f32(a: f32, b: f32) -> f32 {
    return select(select(max(a, b), b, is_nan(b)), a, is_nan(a));
}

fn sign_f32(x: f32) -> f32 {
    return select(f32(x > 0.0) - f32(x < 0.0), x, is_nan(x));
}

// Whether the value x replaces the best one so far: a NaN beats every number.
fn above(x: f32, best: f32) -> bool {
    return (is_nan(x) || x > best) && !is_nan(best);
}

fn below(x: f32, best: f32) -> bool {
    return (is_nan(x) || x < best) && !is_nan(best);
}

// exp(x) - 1: near 0 by its series, elsewhere the subtraction loses nothing.
fn expm1_f32(x: f32) -> f32 {
    if (abs(x) > 0.5) {
        return exp(x) - 1.0;
    }
    var p = 2.4801587e-5;
    p = p * x + 1.9841270e-4;
    p = p * x + 1.3888889e-3;
    p = p * x + 8.3333333e-3;
    p = p * x + 4.1666667e-2;
    p = p * x + 1.6666667e-1;
    p = p * x + 0.5;
    return p * x * x + x;
}

// log(1 + x): near 0 as 2 artanh(x / (2 + x)).
fn log1p_f32(x: f32) -> f32 {
    if (x < -0.3 || x > 0.5) {
        return log(1.0 + x);
    }
    let s = x / (2.0 + x);
    let z = s * s;
    let p = 0.6666667 + z * (0.4 + z * (0.2857143 + z * (0.2222222 + z * (0.1818182 + z * 0.1538462))));
    return x - s * (x - z * p);
}

// Near 1, where implementations may be wrong by 2^-21, by the series of log(1 + x).
fn log_f32(x: f32) -> f32 {
    if (abs(x - 1.0) < 0.25) {
        return log1p_f32(x - 1.0);
    }
    return log(x);
}

fn log2_f32(x: f32) -> f32 {
    if (abs(x - 1.0) < 0.25) {
        return 1.4426950 * log1p_f32(x - 1.0);
    }
    return log2(x);
}

// Built-in tanh may overflow for large arguments.
// NaN is chosen before the sign: Mesa 22.3 gets long kernels wrong where it is chosen last.
fn tanh_f32(x: f32) -> f32 {
    let t = expm1_f32(-2.0 * abs(x));
    return with_sign_of(select(-t / (t + 2.0), x, is_nan(x)), x);
}

fn sinh_f32(x: f32) -> f32 {
    let a = abs(x);
    if (a < 1.0) {
        let t = expm1_f32(a);
        return with_sign_of(0.5 * (t + t / (t + 1.0)), x);
    }
    let e = exp(0.5 * a); // twice, so that it overflows only where the result does
    return select(with_sign_of((0.5 * e) * e - 0.5 / e / e, x), x, is_nan(x));
}

fn cosh_f32(x: f32) -> f32 {
    let e = exp(0.5 * abs(x));
    return (0.5 * e) * e + 0.5 / e / e;
}

// Arcus functions are allowed an error of 2^-11 in WGSL; these are good to some units in the last place. Reduced to
// |x| < tan(pi / 8) as in Cephes.
fn atan_f32(x: f32) -> f32 {
    let a = abs(x);
    var t = a;
    var base = 0.0;
    if (a > 2.4142135) {
        t = -1.0 / a;
        base = 1.5707964;
    } else if (a > 0.41421357) {
        t = (a - 1.0) / (a + 1.0);
        base = 0.7853982;
    }
    let z = t * t;
    let p = ((8.0537445e-2 * z - 0.13877685) * z + 0.19977711) * z - 0.33332950;
    return select(with_sign_of(base + (p * z * t + t), x), x, is_nan(x));
}

fn atan2_f32(y: f32, x: f32) -> f32 {
    if (is_nan(x) || is_nan(y)) {
        return x + y;
    }
    let low = min(abs(x), abs(y));
    let high = max(abs(x), abs(y));
    // Infinite arguments are on the diagonal or the axis; 0 / 0 is the angle 0.
    let both = is_infinite(low);
    let ratio = select(low / high, 0.0, high == 0.0 || is_infinite(high));
    var angle = atan_f32(select(ratio, 1.0, both));
    if (abs(y) > abs(x)) {
        angle = 1.5707964 - angle;
    }
    if (bitcast<i32>(x) < 0) {
        angle = 3.1415927 - angle;
    }
    return with_sign_of(angle, y);
}

fn asin_f32(x: f32) -> f32 {
    let a = abs(x);
    if (a > 1.0) {
        return from_bits(0x7fc00000u);
    }
    let far = a > 0.5;
    let z = select(a * a, 0.5 * (1.0 - a), far);
    let t = select(a, sqrt(z), far);
    var p = 4.2163199e-2;
    p = p * z + 2.4181311e-2;
    p = p * z + 4.5470026e-2;
    p = p * z + 7.4953003e-2;
    p = p * z + 0.16666752;
    let r = p * z * t + t;
    return select(with_sign_of(select(r, 1.5707964 - 2.0 * r, far), x), x, is_nan(x));
}

fn acos_f32(x: f32) -> f32 {
    if (x > 0.5) {
        return 2.0 * asin_f32(sqrt(0.5 * (1.0 - x)));
    }
    if (x < -0.5) {
        return 3.1415927 - 2.0 * asin_f32(sqrt(0.5 * (1.0 + x)));
    }
    return 1.5707964 - asin_f32(x);
}

// Built-in pow is open for negative bases. Small whole exponents are products, hence exact where the result is.
fn pow_f32(x: f32, y: f32) -> f32 {
    if (y == 0.0 || x == 1.0) {
        return 1.0;
    }
    if (is_nan(x) || is_nan(y)) {
        return x + y;
    }
    let whole = floor(y) == y;
    if (whole && abs(y) <= 64.0) {
        var r = 1.0;
        var b = x;
        for (var n = u32(abs(y)); n != 0u; n >>= 1u) {
            if ((n & 1u) != 0u) {
                r *= b;
            }
            b *= b;
        }
        return select(r, 1.0 / r, y < 0.0);
    }
    let a = abs(x);
    if (a == 1.0) {
        // Infinite exponents are even.
        return select(select(from_bits(0x7fc00000u), 1.0, whole), -1.0, whole && abs(y) < 16777216.0 && floor(0.5 * y) * 2.0 != y);
    }
    if (x < 0.0 && !whole && !is_infinite(x)) {
        return from_bits(0x7fc00000u);
    }
    let up = (a > 1.0) == (y > 0.0);
    var r = pow(a, y);
    if (a == 0.0 || is_infinite(x) || is_infinite(y)) {
        r = select(0.0, from_bits(0x7f800000u), up);
    }
    return select(r, -r, bitcast<i32>(x) < 0 && whole && floor(0.5 * y) * 2.0 != y);
}

// The error function to one unit in the last place: a polynomial near 0, 1 - exp of one further out.
fn erf_f32(x: f32) -> f32 {
    let t = abs(x);
    let s = x * x;
    if (t > 0.92773438) {
        var p = -1.7285347e-5 * t + 3.8319713e-4;
        p = p * s + (-3.8839644e-3 * t + 2.4254622e-2);
        p = p * t - 0.10677788;
        p = p * t - 0.63484669;
        p = p * t - 0.12871751;
        p = p * t - t;
        return select(with_sign_of(1.0 - exp(min(p, 0.0)), x), x, is_nan(x));
    }
    var q = -5.9676170e-4;
    q = q * s + 4.9911942e-3;
    q = q * s - 2.6768135e-2;
    q = q * s + 0.11281993;
    q = q * s - 0.37612534;
    q = q * s + 0.12837917;
    return q * x + x;
}

// Threefry-2x32 with 20 rounds (Salmon, Moraes, Dror, Shaw: Parallel random numbers: as easy as 1, 2, 3; SC 2011).
fn threefry(key0: u32, key1: u32, counter0: u32, counter1: u32) -> vec2<u32> {
    var key = array<u32, 3>(key0, key1, key0 ^ key1 ^ 0x1bd11bdau);
    var turns = array<u32, 8>(13u, 15u, 26u, 6u, 17u, 29u, 16u, 24u);
    var x = counter0 + key0;
    var y = counter1 + key1;
    for (var group = 0u; group < 5u; group++) {
        for (var round = 0u; round < 4u; round++) {
            let turn = turns[4u * (group & 1u) + round];
            x += y;
            y = (y << turn) | (y >> (32u - turn));
            y ^= x;
        }
        x += key[(group + 1u) % 3u];
        y += key[(group + 2u) % 3u] + group + 1u;
    }
    return vec2<u32>(x, y);
}

// ---------------------------------------------------------------- half floats, which registers hold as f32

// The bits of the nearest f16, ties to even; by the bits, since built-in packing leaves overflow and small numbers open.
fn f16_bits(x: f32) -> u32 {
    let word = bitcast<u32>(x);
    let sign = (word >> 16u) & 0x8000u;
    let size = word & 0x7fffffffu;
    if (size > 0x7f800000u) {
        return sign | 0x7e00u;
    }
    if (size >= 0x477ff000u) {
        return sign | 0x7c00u;
    }
    if (size < 0x33000000u) {
        return sign;
    }
    if (size < 0x38800000u) {
        // Less than the least normal number: the digits move right, and what falls off rounds.
        let digits = (size & 0x7fffffu) | 0x800000u;
        let count = 126u - (size >> 23u);
        let rest = digits & ((1u << count) - 1u);
        let half = 1u << (count - 1u);
        let low = digits >> count;
        return sign | (low + select(0u, 1u, rest > half || (rest == half && (low & 1u) == 1u)));
    }
    return sign | ((size + 0xfffu + ((size >> 13u) & 1u) - 0x38000000u) >> 13u);
}

// The value of the f16 in the low 16 bits.
fn f16_value(bits: u32) -> f32 {
    let sign = (bits & 0x8000u) << 16u;
    let rest = (bits & 0x7fffu) << 13u;
    if (rest >= 0x0f800000u) {
        return bitcast<f32>(sign | 0x70000000u | rest);
    }
    if (rest < 0x00800000u) {
        return bitcast<f32>(sign | bitcast<u32>(f32(rest >> 13u) * 5.9604644775390625e-8));
    }
    return bitcast<f32>(sign | (rest + 0x38000000u));
}

// The nearest value that an f16 holds, ties to even.
fn f16_round(x: f32) -> f32 {
    return f16_value(f16_bits(x));
}

// The bits of the nearest bf16, ties to even.
fn bf16_bits(x: f32) -> u32 {
    let word = bitcast<u32>(x);
    if ((word & 0x7fffffffu) > 0x7f800000u) {
        return (word >> 16u) | 0x40u;
    }
    return (word + 0x7fffu + ((word >> 16u) & 1u)) >> 16u;
}

// The value of the bf16 in the low 16 bits.
fn bf16_value(bits: u32) -> f32 {
    return bitcast<f32>(bits << 16u);
}

// The nearest value that a bf16 holds, ties to even.
fn bf16_round(x: f32) -> f32 {
    return bf16_value(bf16_bits(x));
}

// ---------------------------------------------------------------- integers of 64 bits: two words, the low one first

fn add_u64(a: vec2<u32>, b: vec2<u32>) -> vec2<u32> {
    let low = a.x + b.x;
    return vec2<u32>(low, a.y + b.y + select(0u, 1u, low < a.x));
}

fn neg_u64(a: vec2<u32>) -> vec2<u32> {
    return add_u64(~a, vec2<u32>(1u, 0u));
}

fn sub_u64(a: vec2<u32>, b: vec2<u32>) -> vec2<u32> {
    return vec2<u32>(a.x - b.x, a.y - b.y - select(0u, 1u, a.x < b.x));
}

// The whole product of two words, by halves of 16 bits.
fn product_u32(a: u32, b: u32) -> vec2<u32> {
    let low = (a & 0xffffu) * (b & 0xffffu);
    let left = (a >> 16u) * (b & 0xffffu) + (low >> 16u);
    let right = (a & 0xffffu) * (b >> 16u) + (left & 0xffffu);
    let high = (a >> 16u) * (b >> 16u) + (left >> 16u) + (right >> 16u);
    return vec2<u32>((low & 0xffffu) | (right << 16u), high);
}

fn mul_u64(a: vec2<u32>, b: vec2<u32>) -> vec2<u32> {
    let low = product_u32(a.x, b.x);
    return vec2<u32>(low.x, low.y + a.x * b.y + a.y * b.x);
}

fn lt_u64(a: vec2<u32>, b: vec2<u32>) -> bool {
    return a.y < b.y || (a.y == b.y && a.x < b.x);
}

fn lt_i64(a: vec2<u32>, b: vec2<u32>) -> bool {
    return lt_u64(a ^ vec2<u32>(0u, 0x80000000u), b ^ vec2<u32>(0u, 0x80000000u));
}

fn min_u64(a: vec2<u32>, b: vec2<u32>) -> vec2<u32> {
    return select(a, b, lt_u64(b, a));
}

fn max_u64(a: vec2<u32>, b: vec2<u32>) -> vec2<u32> {
    return select(a, b, lt_u64(a, b));
}

fn min_i64(a: vec2<u32>, b: vec2<u32>) -> vec2<u32> {
    return select(a, b, lt_i64(b, a));
}

fn max_i64(a: vec2<u32>, b: vec2<u32>) -> vec2<u32> {
    return select(a, b, lt_i64(a, b));
}

// The absolute value; the lowest number stays.
fn abs_i64(a: vec2<u32>) -> vec2<u32> {
    return select(a, neg_u64(a), a.y >= 0x80000000u);
}

// -1, 0 or 1.
fn sign_i64(a: vec2<u32>) -> vec2<u32> {
    return select(sign_u64(a), vec2<u32>(0xffffffffu), a.y >= 0x80000000u);
}

// 0 or 1.
fn sign_u64(a: vec2<u32>) -> vec2<u32> {
    return vec2<u32>(select(0u, 1u, any(a != vec2<u32>(0u))), 0u);
}

// Shifts by the width or more give 0; a negative count is one of those.
fn shl_u64(a: vec2<u32>, b: vec2<u32>) -> vec2<u32> {
    if (b.y != 0u || b.x >= 64u) {
        return vec2<u32>(0u);
    }
    if (b.x >= 32u) {
        return vec2<u32>(0u, a.x << (b.x - 32u));
    }
    if (b.x == 0u) {
        return a;
    }
    return vec2<u32>(a.x << b.x, (a.y << b.x) | (a.x >> (32u - b.x)));
}

fn shr_u64(a: vec2<u32>, b: vec2<u32>) -> vec2<u32> {
    if (b.y != 0u || b.x >= 64u) {
        return vec2<u32>(0u);
    }
    if (b.x >= 32u) {
        return vec2<u32>(a.y >> (b.x - 32u), 0u);
    }
    if (b.x == 0u) {
        return a;
    }
    return vec2<u32>((a.x >> b.x) | (a.y << (32u - b.x)), a.y >> b.x);
}

fn shr_i64(a: vec2<u32>, b: vec2<u32>) -> vec2<u32> {
    if (b.y != 0u || b.x >= 64u) {
        return vec2<u32>(0u);
    }
    if (a.y >= 0x80000000u) {
        return ~shr_u64(~a, b);
    }
    return shr_u64(a, b);
}

// Quotient (x, y) and remainder (z, w), bit by bit; both 0 for a zero divisor.
fn divided_u64(a: vec2<u32>, b: vec2<u32>) -> vec4<u32> {
    if (all(b == vec2<u32>(0u))) {
        return vec4<u32>(0u);
    }
    if (a.y == 0u && b.y == 0u) {
        return vec4<u32>(a.x / b.x, 0u, a.x % b.x, 0u);
    }
    var quotient = vec2<u32>(0u);
    var rest = vec2<u32>(0u);
    for (var i = 0u; i < 64u; i++) {
        let at = 63u - i;
        let word = select(a.x, a.y, at >= 32u);
        let over = rest.y >= 0x80000000u;
        rest = vec2<u32>((rest.x << 1u) | ((word >> (at & 31u)) & 1u), (rest.y << 1u) | (rest.x >> 31u));
        if (over || !lt_u64(rest, b)) {
            rest = sub_u64(rest, b);
            let bit = 1u << (at & 31u);
            quotient |= select(vec2<u32>(bit, 0u), vec2<u32>(0u, bit), at >= 32u);
        }
    }
    return vec4<u32>(quotient, rest);
}

fn div_u64(a: vec2<u32>, b: vec2<u32>) -> vec2<u32> {
    return divided_u64(a, b).xy;
}

fn mod_u64(a: vec2<u32>, b: vec2<u32>) -> vec2<u32> {
    return divided_u64(a, b).zw;
}

// Rounds down; 0 for a zero divisor.
fn div_i64(a: vec2<u32>, b: vec2<u32>) -> vec2<u32> {
    let parts = divided_u64(abs_i64(a), abs_i64(b));
    if (((a.y ^ b.y) & 0x80000000u) == 0u) {
        return parts.xy;
    }
    if (any(parts.zw != vec2<u32>(0u))) {
        return ~parts.xy;
    }
    return neg_u64(parts.xy);
}

// The remainder with the sign of the divisor; 0 for a zero divisor.
fn mod_i64(a: vec2<u32>, b: vec2<u32>) -> vec2<u32> {
    if (all(b == vec2<u32>(0u))) {
        return b;
    }
    return sub_u64(a, mul_u64(div_i64(a, b), b));
}

fn i64_of_i32(x: i32) -> vec2<u32> {
    return vec2<u32>(bitcast<u32>(x), select(0u, 0xffffffffu, x < 0));
}

fn u64_of_u32(x: u32) -> vec2<u32> {
    return vec2<u32>(x, 0u);
}

// The nearest f32, ties to even.
fn f32_of_u64(x: vec2<u32>) -> f32 {
    if (x.y == 0u && x.x < 0x1000000u) {
        return f32(x.x);
    }
    let up = select(countLeadingZeros(x.y), 32u + countLeadingZeros(x.x), x.y == 0u);
    let first = shl_u64(x, vec2<u32>(up, 0u));
    let digits = first.y >> 8u;
    let rest = (first.y & 0xffu) | select(0u, 0x100u, first.x != 0u);
    let half = rest & 0xffu;
    let more = half > 0x80u || (half == 0x80u && (rest > 0xffu || (digits & 1u) == 1u));
    return f32(digits + select(0u, 1u, more)) * bitcast<f32>((167u - up) << 23u);
}

fn f32_of_i64(x: vec2<u32>) -> f32 {
    return select(f32_of_u64(x), -f32_of_u64(neg_u64(x)), x.y >= 0x80000000u);
}

// Truncates and saturates; NaN and negative numbers give 0.
fn to_u64(x: f32) -> vec2<u32> {
    let word = bitcast<u32>(x);
    let exponent = (word >> 23u) & 0xffu;
    if (word >= 0x80000000u || word > 0x7f800000u || exponent < 127u) {
        return vec2<u32>(0u);
    }
    if (exponent >= 191u) {
        return vec2<u32>(0xffffffffu);
    }
    let digits = vec2<u32>((word & 0x7fffffu) | 0x800000u, 0u);
    if (exponent >= 150u) {
        return shl_u64(digits, vec2<u32>(exponent - 150u, 0u));
    }
    return vec2<u32>(digits.x >> (150u - exponent), 0u);
}

// Truncates and saturates; NaN gives 0.
fn to_i64(x: f32) -> vec2<u32> {
    let word = bitcast<u32>(x);
    if ((word & 0x7fffffffu) > 0x7f800000u) {
        return vec2<u32>(0u);
    }
    let size = to_u64(bitcast<f32>(word & 0x7fffffffu));
    if (word < 0x80000000u) {
        return select(size, vec2<u32>(0xffffffffu, 0x7fffffffu), size.y >= 0x80000000u);
    }
    return select(neg_u64(size), vec2<u32>(0u, 0x80000000u), size.y >= 0x80000000u);
}
