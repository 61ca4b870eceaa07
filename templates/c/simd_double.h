/* Functions of vectors of doubles, the same for every instruction set. Coefficients interpolate at Chebyshev nodes.
   Errors stand in docs/accuracy.md of the compiler. */
#ifndef CHARL_SIMD_DOUBLE_H
#define CHARL_SIMD_DOUBLE_H

//: f64 | erf:erf tan:tan_far
/* Lane by lane. */
static inline vf64 vf64_$X(vf64 x) {
    double lanes[VL64];
    vf64_store(lanes, x);
    for (int i = 0; i < VL64; ++i) {
        lanes[i] = $S(lanes[i]);
    }
    return vf64_load(lanes);
}

/* Lane by lane. */
static inline vf64 vf64_pow(vf64 a, vf64 b) {
    double x[VL64];
    double y[VL64];
    vf64_store(x, a);
    vf64_store(y, b);
    for (int i = 0; i < VL64; ++i) {
        x[i] = pow(x[i], y[i]);
    }
    return vf64_load(x);
}

/* `size` with the sign of `x`. */
static inline vf64 vf64_with_sign(vf64 size, vf64 x) {
    const vi64 sign = vi64_bitand(vi64_of_bits_f64(x), vi64_set1(INT64_MIN));
    return vf64_of_bits_i64(vi64_bitor(vi64_of_bits_f64(size), sign));
}

/* The nearest whole number n to x * rate, as 2^52 + 2^51 + 1023 + n: its lowest bits are those of n + 1023. */
static inline vf64 vf64_whole(vf64 x, double rate) {
    return vf64_fma(x, vf64_set1(rate), vf64_set1(6755399441056767.0));
}

/* n of what `vf64_whole` gives. */
static inline vf64 vf64_number(vf64 whole) {
    return vf64_sub(whole, vf64_set1(6755399441056767.0));
}

/* 2^n of what `vf64_whole` gives, for n from -1022 to 1023. */
static inline vf64 vf64_power_of_two(vf64 whole) {
    return vf64_of_bits_i64(vi64_shl(vi64_of_bits_f64(whole), vi64_set1(52)));
}

/* (exp(r) - 1 - r) / r^2 for |r| <= log(2) / 2. */
static inline vf64 vf64_exp_tail(vf64 r) {
    vf64 p = vf64_set1(2.510038549551032e-08);
    p = vf64_fma(p, r, vf64_set1(2.7620088445409746e-07));
    p = vf64_fma(p, r, vf64_set1(2.7557268459997064e-06));
    p = vf64_fma(p, r, vf64_set1(2.4801521295954376e-05));
    p = vf64_fma(p, r, vf64_set1(0.00019841269863053618));
    p = vf64_fma(p, r, vf64_set1(0.0013888888917213717));
    p = vf64_fma(p, r, vf64_set1(0.008333333333330062));
    p = vf64_fma(p, r, vf64_set1(0.04166666666662413));
    p = vf64_fma(p, r, vf64_set1(0.16666666666666669));
    return vf64_fma(p, r, vf64_set1(0.5000000000000001));
}

/* x - n log(2), with log(2) in two parts. */
static inline vf64 vf64_exp_rest(vf64 x, vf64 n) {
    const vf64 r = vf64_fma(n, vf64_set1(-0.6931471805599453), x);
    return vf64_fma(n, vf64_set1(-2.3190468138462996e-17), r);
}

static inline vf64 vf64_exp(vf64 x) {
    const vm64 small = vf64_lt(x, vf64_set1(-708.3964185322641));
    const vf64 y = vf64_least(vf64_set1(710.0), x);
    const vf64 n = vf64_number(vf64_whole(y, 1.4426950408889634));
    const vf64 r = vf64_exp_rest(y, n);
    const vf64 one = vf64_set1(1.0);
    const vf64 p = vf64_fma(vf64_fma(vf64_exp_tail(r), r, one), r, one);
    return vf64_scale_small(small, p, n);
}

static inline vf64 vf64_exp2(vf64 x) {
    const vm64 small = vf64_lt(x, vf64_set1(-1022.0));
    vf64 f;
    const vf64 n = vf64_nearest(x, &f);
    const vf64 r = vf64_mul(f, vf64_set1(0.6931471805599453));
    const vf64 one = vf64_set1(1.0);
    const vf64 p = vf64_fma(vf64_fma(vf64_exp_tail(r), r, one), r, one);
    return vf64_scale_small(small, p, n);
}

static inline vf64 vf64_expm1(vf64 x) {
    const vf64 y = vf64_clamp(x, -38.0, 710.0);
    const vf64 whole = vf64_whole(y, 1.4426950408889634);
    const vf64 r = vf64_exp_rest(y, vf64_number(whole));
    const vf64 p = vf64_fma(vf64_mul(r, r), vf64_exp_tail(r), r);
    /* half of 2^n: with n = 1024 the power itself has no double */
    const vf64 s = vf64_power_of_two(vf64_sub(whole, vf64_set1(1.0)));
    const vf64 half = vf64_fma(s, p, vf64_sub(s, vf64_set1(0.5)));
    return vf64_select(vf64_eq(x, vf64_set1(0.0)), x, vf64_add(half, half));
}

static inline vf64 vf64_tanh(vf64 x) {
    const vf64 y = vf64_least(vf64_set1(20.0), vf64_abs(x));
    const vf64 e = vf64_expm1(vf64_add(y, y));
    return vf64_with_sign(vf64_div(e, vf64_add(e, vf64_set1(2.0))), x);
}

static inline vf64 vf64_sinh(vf64 x) {
    const vf64 size = vf64_abs(x);
    const vf64 half = vf64_set1(0.5);
    const vf64 e = vf64_expm1(size);
    const vf64 near_zero = vf64_mul(half, vf64_add(e, vf64_div(e, vf64_add(e, vf64_set1(1.0)))));
    const vf64 root = vf64_exp(vf64_mul(half, size));
    const vf64 large = vf64_mul(vf64_mul(half, root), root);
    return vf64_with_sign(vf64_select(vf64_lt(size, vf64_set1(40.0)), near_zero, large), x);
}

static inline vf64 vf64_cosh(vf64 x) {
    const vf64 half = vf64_set1(0.5);
    const vf64 root = vf64_exp(vf64_mul(half, vf64_abs(x)));
    const vf64 e = vf64_exp(vf64_abs(x));
    const vf64 large = vf64_mul(vf64_mul(half, root), root);
    const vf64 sum = vf64_fma(half, e, vf64_div(half, e));
    return vf64_select(vf64_lt(vf64_abs(x), vf64_set1(40.0)), sum, large);
}

/* x = m 2^e with m from sqrt(1/2) to sqrt(2): gives m - 1 and e. For x > 0 and finite. */
static inline vf64 vf64_split(vf64 x, vf64 *e) {
    const vm64 tiny = vf64_lt(x, vf64_set1(2.2250738585072014e-308));
    const vf64 y = vf64_select(tiny, vf64_mul(x, vf64_set1(4503599627370496.0)), x);
    const vu64 low = vu64_set1(0x3fe6a09e00000000u);
    const vu64 bits = vu64_add(vu64_of_bits_f64(y), vu64_sub(vu64_set1(0x3ff0000000000000u), low));
    /* the power plus 1023 as the lowest bits of 2^52 */
    const vu64 power = vu64_bitor(vu64_shr(bits, vu64_set1(52)), vu64_set1(0x4330000000000000u));
    const vf64 start = vf64_select(tiny, vf64_set1(4503599627371571.0), vf64_set1(4503599627371519.0));
    *e = vf64_sub(vf64_of_bits_u64(power), start);
    return vf64_sub(vf64_of_bits_u64(vu64_add(vu64_bitand(bits, vu64_set1(0xfffffffffffffu)), low)), vf64_set1(1.0));
}

/* log(1 + f) - f + low for f from sqrt(1/2) - 1 to sqrt(2) - 1. */
static inline vf64 vf64_log_tail(vf64 f, vf64 low) {
    const vf64 s = vf64_div(f, vf64_add(f, vf64_set1(2.0)));
    const vf64 z = vf64_mul(s, s);
    const vf64 square = vf64_mul(vf64_mul(f, f), vf64_set1(0.5));
    vf64 p = vf64_set1(0.14617807153417325);
    p = vf64_fma(p, z, vf64_set1(0.15331611722055008));
    p = vf64_fma(p, z, vf64_set1(0.1818289243253687));
    p = vf64_fma(p, z, vf64_set1(0.22222211089379496));
    p = vf64_fma(p, z, vf64_set1(0.28571428626253836));
    p = vf64_fma(p, z, vf64_set1(0.3999999999989889));
    p = vf64_fma(p, z, vf64_set1(0.666666666666667));
    /* 2 s = f - s f, and s f = f^2 / 2 - s f^2 / 2 */
    return vf64_sub(vf64_fma(s, vf64_fma(p, z, square), low), square);
}

static inline vf64 vf64_log(vf64 x) {
    vf64 e;
    const vf64 f = vf64_split(x, &e);
    const vf64 y = vf64_log_tail(f, vf64_mul(e, vf64_set1(2.3190468138462996e-17)));
    return vf64_log_edges(x, vf64_fma(e, vf64_set1(0.6931471805599453), vf64_add(f, y)));
}

static inline vf64 vf64_log2(vf64 x) {
    vf64 e;
    const vf64 f = vf64_split(x, &e);
    const vf64 y = vf64_log_tail(f, vf64_set1(0.0));
    const vf64 more = vf64_set1(0.4426950408889634);
    const vf64 low = vf64_fma(f, more, vf64_fma(y, more, y));
    return vf64_log_edges(x, vf64_add(e, vf64_add(f, low)));
}

static inline vf64 vf64_log1p(vf64 x) {
    const vf64 one = vf64_set1(1.0);
    const vf64 u = vf64_add(x, one);
    const vm64 large = vf64_gt(x, one);
    const vf64 lost = vf64_select(large, vf64_sub(one, vf64_sub(u, x)), vf64_sub(x, vf64_sub(u, one)));
    const vf64 whole = vf64_log(u);
    const vm64 edge = vm64_not(vm64_and(vf64_gt(u, vf64_set1(0.0)), vf64_lt(u, vf64_set1((double)INFINITY))));
    const vf64 y = vf64_select(edge, whole, vf64_add(whole, vf64_div(lost, u)));
    return vf64_select(vf64_eq(x, vf64_set1(0.0)), x, y);
}

/* x - n pi / 2 for the nearest whole n, where |x| is below 1e8; `quadrant` is n. */
static inline vf64 vf64_turn_rest(vf64 x, vi64 *quadrant) {
    const vf64 whole = vf64_fma(x, vf64_set1(0.6366197723675814), vf64_set1(6755399441055744.0));
    const vf64 n = vf64_sub(whole, vf64_set1(6755399441055744.0));
    vf64 r = vf64_fma(n, vf64_set1(-1.5707963267948966), x);
    r = vf64_fma(n, vf64_set1(-6.123233995736766e-17), r);
    *quadrant = vi64_of_bits_f64(whole);
    return vf64_fma(n, vf64_set1(1.4973849048591833e-33), r);
}

/* Whether some finite lane is too large to lose its whole turns exactly. */
static inline bool vf64_turns_much(vf64 x) {
    const vf64 size = vf64_abs(x);
    return vm64_reduce_or(vm64_and(vf64_gt(size, vf64_set1(1e8)), vf64_lt(size, vf64_set1((double)INFINITY))));
}

/* sin for |r| <= pi / 4. */
static inline vf64 vf64_sin_near(vf64 r) {
    const vf64 z = vf64_mul(r, r);
    vf64 p = vf64_set1(1.5917988979397435e-10);
    p = vf64_fma(p, z, vf64_set1(-2.5051129896450185e-08));
    p = vf64_fma(p, z, vf64_set1(2.7557316093198404e-06));
    p = vf64_fma(p, z, vf64_set1(-0.00019841269836740532));
    p = vf64_fma(p, z, vf64_set1(0.008333333333330936));
    p = vf64_fma(p, z, vf64_set1(-0.16666666666666666));
    return vf64_fma(vf64_mul(p, z), r, r);
}

/* cos for |r| <= pi / 4. */
static inline vf64 vf64_cos_near(vf64 r) {
    const vf64 z = vf64_mul(r, r);
    const vf64 half = vf64_mul(z, vf64_set1(0.5));
    const vf64 most = vf64_sub(vf64_set1(1.0), half);
    const vf64 lost = vf64_sub(vf64_sub(vf64_set1(1.0), most), half);
    vf64 p = vf64_set1(-1.138254464534925e-11);
    p = vf64_fma(p, z, vf64_set1(2.087614504941318e-09));
    p = vf64_fma(p, z, vf64_set1(-2.755731726587808e-07));
    p = vf64_fma(p, z, vf64_set1(2.48015872987544e-05));
    p = vf64_fma(p, z, vf64_set1(-0.0013888888888887389));
    p = vf64_fma(p, z, vf64_set1(0.041666666666666664));
    return vf64_add(most, vf64_fma(vf64_mul(p, z), z, lost));
}

static inline vf64 vf64_tan(vf64 x) {
    vi64 quadrant;
    const vf64 r = vf64_turn_rest(x, &quadrant);
    const vm64 odd = vi64_has(quadrant, 1);
    const vf64 s = vf64_sin_near(r);
    const vf64 c = vf64_cos_near(r);
    if (vf64_turns_much(x)) {
        return vf64_tan_far(x);
    }
    const vf64 y = vf64_div(vf64_select(odd, vf64_neg(c), s), vf64_select(odd, s, c));
    return vf64_select(vf64_eq(x, vf64_set1(0.0)), x, y);
}

/* The angle of the point (x, y) with x, y >= 0, not both 0 and not both infinite. */
static inline vf64 vf64_angle(vf64 x, vf64 y) {
    const vm64 steep = vf64_gt(vf64_mul(y, vf64_set1(0.41421356237309503)), x);
    const vm64 flat = vf64_le(y, vf64_mul(x, vf64_set1(0.41421356237309503)));
    /* below pi / 8 as it is, above 3 pi / 8 turned by pi / 2, between by pi / 4 */
    const vf64 above = vf64_select(flat, y, vf64_select(steep, vf64_neg(x), vf64_sub(y, x)));
    const vf64 below = vf64_select(flat, x, vf64_select(steep, y, vf64_add(y, x)));
    const vf64 turn = vf64_select(steep, vf64_set1(1.5707963267948966), vf64_set1(0.7853981633974483));
    const vf64 rest = vf64_select(steep, vf64_set1(6.123233995736766e-17), vf64_set1(3.061616997868383e-17));
    const vf64 t = vf64_div(above, below);
    const vf64 z = vf64_mul(t, t);
    vf64 p = vf64_set1(-0.01917392228554793);
    p = vf64_fma(p, z, vf64_set1(0.03922923713835943));
    p = vf64_fma(p, z, vf64_set1(-0.05085365922344248));
    p = vf64_fma(p, z, vf64_set1(0.05858132894427922));
    p = vf64_fma(p, z, vf64_set1(-0.06664509603255386));
    p = vf64_fma(p, z, vf64_set1(0.07692183059894114));
    p = vf64_fma(p, z, vf64_set1(-0.09090904572487347));
    p = vf64_fma(p, z, vf64_set1(0.11111111015117626));
    p = vf64_fma(p, z, vf64_set1(-0.1428571428466482));
    p = vf64_fma(p, z, vf64_set1(0.19999999999995513));
    p = vf64_fma(p, z, vf64_set1(-0.3333333333333333));
    const vf64 low = vf64_mul(vf64_mul(p, z), t);
    return vf64_select(flat, vf64_add(t, low), vf64_add(turn, vf64_add(t, vf64_add(low, rest))));
}

static inline vf64 vf64_atan(vf64 x) {
    const vf64 size = vf64_least(vf64_set1(1e300), vf64_abs(x));
    return vf64_with_sign(vf64_angle(vf64_set1(1.0), size), x);
}

static inline vf64 vf64_atan2(vf64 y, vf64 x) {
    /* Two that are 0 or infinite count as equally large, 0 beside a positive x. */
    const vf64 high = vf64_abs(y);
    const vf64 wide = vf64_abs(x);
    const vf64 far_out = vf64_set1((double)INFINITY);
    const vm64 corner = vm64_and(vf64_eq(high, far_out), vf64_eq(wide, far_out));
    const vm64 origin = vm64_and(vf64_eq(high, vf64_set1(0.0)), vf64_eq(wide, vf64_set1(0.0)));
    const vf64 one = vf64_set1(1.0);
    const vf64 x_size = vf64_select(vm64_or(corner, origin), one, wide);
    const vf64 y_size = vf64_select(corner, one, high);
    const vf64 rate = vf64_select(vf64_gt(vf64_max(x_size, y_size), vf64_set1(1e300)), vf64_set1(8.673617379884035e-19), one);
    const vf64 a = vf64_angle(vf64_mul(x_size, rate), vf64_mul(y_size, rate));
    const vm64 left = vi64_lt(vi64_of_bits_f64(x), vi64_set1(0));
    const vf64 turned = vf64_sub(vf64_set1(3.141592653589793), vf64_sub(a, vf64_set1(1.2246467991473532e-16)));
    return vf64_with_sign(vf64_select(left, turned, a), y);
}

/* asin(s) - s for 0 <= s <= 1/2, z = s^2. */
static inline vf64 vf64_asin_tail(vf64 s, vf64 z) {
    vf64 p = vf64_set1(0.028169218060881414);
    p = vf64_fma(p, z, vf64_set1(-0.010749050339697808));
    p = vf64_fma(p, z, vf64_set1(0.01603551434914882));
    p = vf64_fma(p, z, vf64_set1(0.0078029494773533175));
    p = vf64_fma(p, z, vf64_set1(0.011875494382636922));
    p = vf64_fma(p, z, vf64_set1(0.013929652902326633));
    p = vf64_fma(p, z, vf64_set1(0.017355259955786323));
    p = vf64_fma(p, z, vf64_set1(0.02237204763174451));
    p = vf64_fma(p, z, vf64_set1(0.03038194736709848));
    p = vf64_fma(p, z, vf64_set1(0.044642857103423646));
    p = vf64_fma(p, z, vf64_set1(0.07500000000020764));
    p = vf64_fma(p, z, vf64_set1(0.1666666666666665));
    return vf64_mul(vf64_mul(p, z), s);
}

static inline vf64 vf64_asin(vf64 x) {
    const vf64 size = vf64_abs(x);
    const vm64 large = vf64_gt(size, vf64_set1(0.5));
    const vf64 half = vf64_mul(vf64_sub(vf64_set1(1.0), size), vf64_set1(0.5));
    const vf64 z = vf64_select(large, half, vf64_mul(x, x));
    const vf64 s = vf64_select(large, vf64_sqrt(half), size);
    const vf64 tail = vf64_asin_tail(s, z);
    const vf64 twice = vf64_fma(vf64_add(s, tail), vf64_set1(-2.0), vf64_set1(6.123233995736766e-17));
    const vf64 y = vf64_select(large, vf64_add(vf64_set1(1.5707963267948966), twice), vf64_add(s, tail));
    return vf64_with_sign(vf64_abs(y), x);
}

static inline vf64 vf64_acos(vf64 x) {
    const vf64 size = vf64_abs(x);
    const vm64 large = vf64_gt(size, vf64_set1(0.5));
    const vm64 left = vf64_lt(x, vf64_set1(0.0));
    const vf64 half = vf64_mul(vf64_sub(vf64_set1(1.0), size), vf64_set1(0.5));
    const vf64 z = vf64_select(large, half, vf64_mul(x, x));
    const vf64 s = vf64_select(large, vf64_sqrt(half), size);
    const vf64 p = vf64_add(s, vf64_asin_tail(s, z));
    const vf64 signed_p = vf64_select(left, vf64_neg(p), p);
    const vf64 middle = vf64_sub(vf64_set1(1.5707963267948966), vf64_sub(signed_p, vf64_set1(6.123233995736766e-17)));
    const vf64 twice = vf64_add(signed_p, signed_p);
    const vf64 turn = vf64_select(left, vf64_set1(3.141592653589793), vf64_set1(0.0));
    return vf64_select(large, vf64_add(turn, twice), middle);
}

/* x to the power y for what fits a float, where x >= 0: exact enough to be rounded once. */
static inline vf64 vf64_pow_near(vf64 x, vf64 y) {
    return vf64_exp2(vf64_clamp(vf64_mul(y, vf64_log2(x)), -200.0, 200.0));
}

#endif
