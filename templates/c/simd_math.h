/* Functions of vectors of floats, the same for every instruction set. Errors stand in docs/accuracy.md of the compiler. */
#ifndef CHARL_SIMD_MATH_H
#define CHARL_SIMD_MATH_H

/* `size` with the sign of `x`. */
static inline vf32 vf32_with_sign(vf32 size, vf32 x) {
    const vi32 sign = vi32_bitand(vi32_of_bits_f32(x), vi32_set1(INT32_MIN));
    return vf32_of_bits_i32(vi32_bitor(vi32_of_bits_f32(size), sign));
}

//: f32 | tan asin acos atan sinh cosh
/* In double precision, half by half. */
static inline vf32 vf32_$S(vf32 x) {
    return vf32_of_halves(vf64_$S(vf64_of_low(x)), vf64_$S(vf64_of_high(x)));
}

/* In double precision, half by half. */
static inline vf32 vf32_atan2(vf32 y, vf32 x) {
    const vf64 low = vf64_atan2(vf64_of_low(y), vf64_of_low(x));
    return vf32_of_halves(low, vf64_atan2(vf64_of_high(y), vf64_of_high(x)));
}

/* In double precision, half by half; the cases of C99, F.9.4.4. */
static inline vf32 vf32_pow(vf32 x, vf32 y) {
    const vf32 zero = vf32_set1(0.0f);
    const vf32 one = vf32_set1(1.0f);
    const vf32 size = vf32_abs(x);
    const vf64 low = vf64_pow_near(vf64_of_low(size), vf64_of_low(y));
    const vf32 power = vf32_of_halves(low, vf64_pow_near(vf64_of_high(size), vf64_of_high(y)));
    /* an infinite power is even, and so is every float from 2^24 on */
    const vf32 half = vf32_mul(y, vf32_set1(0.5f));
    const vm32 whole = vf32_eq(vf32_floor(y), y);
    const vm32 odd = vm32_and(whole, vf32_ne(vf32_floor(half), half));
    const vf32 turned = vf32_select(odd, vf32_with_sign(power, x), power);
    const vm32 lost = vm32_and(vm32_and(vf32_lt(x, zero), vf32_gt(x, vf32_set1(-INFINITY))), vm32_not(whole));
    const vf32 found = vf32_select(lost, vf32_set1(NAN), turned);
    const vm32 nothing = vm32_or(vf32_eq(y, zero), vf32_eq(x, one));
    const vm32 level = vm32_and(vf32_eq(size, one), vf32_eq(vf32_abs(y), vf32_set1(INFINITY)));
    return vf32_select(vm32_or(nothing, level), one, found);
}

/* The nearest whole number n to x * rate, as 2^23 + 2^22 + 127 + n: its lowest bits are those of n + 127. */
static inline vf32 vf32_whole(vf32 x, float rate) {
    return vf32_fma(x, vf32_set1(rate), vf32_set1(12583039.0f));
}

/* n of what `vf32_whole` gives. */
static inline vf32 vf32_number(vf32 whole) {
    return vf32_sub(whole, vf32_set1(12583039.0f));
}

/* 2^n of what `vf32_whole` gives, for n from -126 to 127. */
static inline vf32 vf32_power_of_two(vf32 whole) {
    return vf32_of_bits_i32(vi32_shl(vi32_of_bits_f32(whole), vi32_set1(23)));
}

/* (exp(r) - 1 - r) / r^2 for |r| <= log(2) / 2. */
static inline vf32 vf32_exp_tail(vf32 r) {
    vf32 p = vf32_set1(1.3814540104e-3f);
    p = vf32_fma(p, r, vf32_set1(8.3687451320e-3f));
    p = vf32_fma(p, r, vf32_set1(4.1668390787e-2f));
    p = vf32_fma(p, r, vf32_set1(1.6666520399e-1f));
    return vf32_fma(p, r, vf32_set1(4.9999993432e-1f));
}

/* exp(r) for |r| <= log(2) / 2. */
static inline vf32 vf32_exp_near(vf32 r) {
    const vf32 one = vf32_set1(1.0f);
    return vf32_fma(vf32_fma(vf32_exp_tail(r), r, one), r, one);
}

/* x - n log(2), with log(2) in two parts. */
static inline vf32 vf32_exp_rest(vf32 x, vf32 n) {
    const vf32 r = vf32_fma(n, vf32_set1(-0.693147182f), x);
    return vf32_fma(n, vf32_set1(1.90465421e-9f), r);
}

/* exp(x) for x from -87 to 88. */
static inline vf32 vf32_exp_normal(vf32 x) {
    const vf32 whole = vf32_whole(x, 1.44269504f);
    return vf32_mul(vf32_exp_near(vf32_exp_rest(x, vf32_number(whole))), vf32_power_of_two(whole));
}

static inline vf32 vf32_exp(vf32 x) {
    const vm32 small = vf32_lt(x, vf32_set1(-87.33654f));
    const vf32 y = vf32_least(vf32_set1(89.0f), x);
    const vf32 n = vf32_number(vf32_whole(y, 1.44269504f));
    return vf32_scale_small(small, vf32_exp_near(vf32_exp_rest(y, n)), n);
}

static inline vf32 vf32_exp2(vf32 x) {
    const vm32 small = vf32_lt(x, vf32_set1(-126.0f));
    vf32 f;
    const vf32 n = vf32_nearest(x, &f);
    vf32 p = vf32_set1(1.5353361960e-4f);
    p = vf32_fma(p, f, vf32_set1(1.3398875017e-3f));
    p = vf32_fma(p, f, vf32_set1(9.6184369177e-3f));
    p = vf32_fma(p, f, vf32_set1(5.5503323674e-2f));
    p = vf32_fma(p, f, vf32_set1(2.4022647738e-1f));
    p = vf32_fma(p, f, vf32_set1(6.9314718246e-1f));
    return vf32_scale_small(small, vf32_fma(p, f, vf32_set1(1.0f)), n);
}

static inline vf32 vf32_expm1(vf32 x) {
    const vf32 y = vf32_clamp(x, -18.0f, 89.0f);
    const vf32 whole = vf32_whole(y, 1.44269504f);
    const vf32 r = vf32_exp_rest(y, vf32_number(whole));
    const vf32 p = vf32_fma(vf32_mul(r, r), vf32_exp_tail(r), r);
    /* half of 2^n: with n = 128 the power itself has no float */
    const vf32 s = vf32_power_of_two(vf32_sub(whole, vf32_set1(1.0f)));
    const vf32 half = vf32_fma(s, p, vf32_sub(s, vf32_set1(0.5f)));
    return vf32_select(vf32_eq(x, vf32_set1(0.0f)), x, vf32_add(half, half));
}

/* Near zero an odd polynomial, else 1 - 2 / (exp(2 |x|) + 1). */
static inline vf32 vf32_tanh(vf32 x) {
    const vf32 size = vf32_least(vf32_set1(9.02f), vf32_abs(x));
    const vf32 z = vf32_mul(x, x);
    vf32 p = vf32_set1(-5.70498872745e-3f);
    p = vf32_fma(p, z, vf32_set1(2.06390887954e-2f));
    p = vf32_fma(p, z, vf32_set1(-5.37397155531e-2f));
    p = vf32_fma(p, z, vf32_set1(1.33314422036e-1f));
    p = vf32_fma(p, z, vf32_set1(-3.33332819422e-1f));
    const vf32 near_zero = vf32_fma(vf32_mul(p, z), size, size);
    const vf32 one = vf32_set1(1.0f);
    const vf32 e = vf32_exp_normal(vf32_add(size, size));
    const vf32 far_out = vf32_sub(one, vf32_div(vf32_set1(2.0f), vf32_add(e, one)));
    return vf32_with_sign(vf32_select(vf32_lt(size, vf32_set1(0.625f)), near_zero, far_out), x);
}

/* x = m 2^e with m from sqrt(1/2) to sqrt(2): gives m - 1 and e. For x > 0 and finite. */
static inline vf32 vf32_split(vf32 x, vf32 *e) {
    const vm32 tiny = vf32_lt(x, vf32_set1(1.17549435e-38f));
    const vf32 y = vf32_select(tiny, vf32_mul(x, vf32_set1(8388608.0f)), x);
    const vi32 bits = vi32_sub(vi32_of_bits_f32(y), vi32_set1(0x3f3504f3));
    const vi32 power = vi32_shr(bits, vi32_set1(23));
    const vi32 low = vi32_bitand(bits, vi32_set1(0x007fffff));
    *e = vf32_sub(vf32_from_i32(power), vf32_select(tiny, vf32_set1(23.0f), vf32_set1(0.0f)));
    return vf32_sub(vf32_of_bits_i32(vi32_add(low, vi32_set1(0x3f3504f3))), vf32_set1(1.0f));
}

/* log(1 + f) - f for f from sqrt(1/2) - 1 to sqrt(2) - 1. */
static inline vf32 vf32_log_tail(vf32 f, vf32 e) {
    const vf32 z = vf32_mul(f, f);
    vf32 p = vf32_set1(7.0376836292e-2f);
    p = vf32_fma(p, f, vf32_set1(-1.1514610310e-1f));
    p = vf32_fma(p, f, vf32_set1(1.1676998740e-1f));
    p = vf32_fma(p, f, vf32_set1(-1.2420140846e-1f));
    p = vf32_fma(p, f, vf32_set1(1.4249322787e-1f));
    p = vf32_fma(p, f, vf32_set1(-1.6668057665e-1f));
    p = vf32_fma(p, f, vf32_set1(2.0000714765e-1f));
    p = vf32_fma(p, f, vf32_set1(-2.4999993993e-1f));
    p = vf32_fma(p, f, vf32_set1(3.3333331174e-1f));
    p = vf32_mul(vf32_mul(p, f), z);
    return vf32_fma(z, vf32_set1(-0.5f), vf32_add(p, e));
}

static inline vf32 vf32_log(vf32 x) {
    vf32 e;
    const vf32 f = vf32_split(x, &e);
    const vf32 y = vf32_log_tail(f, vf32_mul(e, vf32_set1(-2.12194440e-4f)));
    return vf32_log_edges(x, vf32_fma(e, vf32_set1(0.693359375f), vf32_add(f, y)));
}

static inline vf32 vf32_log2(vf32 x) {
    vf32 e;
    const vf32 f = vf32_split(x, &e);
    const vf32 y = vf32_log_tail(f, vf32_set1(0.0f));
    const vf32 more = vf32_set1(0.44269504f);
    const vf32 low = vf32_fma(f, more, vf32_fma(y, more, y));
    return vf32_log_edges(x, vf32_add(e, vf32_add(f, low)));
}

static inline vf32 vf32_log1p(vf32 x) {
    const vf32 one = vf32_set1(1.0f);
    const vf32 u = vf32_add(x, one);
    const vm32 large = vf32_gt(x, one);
    const vf32 lost = vf32_select(large, vf32_sub(one, vf32_sub(u, x)), vf32_sub(x, vf32_sub(u, one)));
    const vf32 y = vf32_add(vf32_log(u), vf32_div(lost, u));
    const vm32 edge = vm32_not(vm32_and(vf32_gt(u, vf32_set1(0.0f)), vf32_lt(u, vf32_set1(INFINITY))));
    const vf32 whole = vf32_select(edge, vf32_log(u), y);
    return vf32_select(vf32_eq(x, vf32_set1(0.0f)), x, whole);
}

/* x - n pi / 2 for the nearest whole n, where |x| is below 1e5; the lowest bits of `quadrant` are those of n. */
static inline vf32 vf32_turn_rest(vf32 x, vi32 *quadrant) {
    const vf32 whole = vf32_fma(x, vf32_set1(0.636619772f), vf32_set1(12582912.0f));
    const vf32 n = vf32_sub(whole, vf32_set1(12582912.0f));
    vf32 r = vf32_fma(n, vf32_set1(-1.57079637e+0f), x);
    r = vf32_fma(n, vf32_set1(4.37113883e-8f), r);
    *quadrant = vi32_of_bits_f32(whole);
    return vf32_fma(n, vf32_set1(1.71512489e-15f), r);
}

/* Whether some finite lane is too large to lose its whole turns exactly. */
static inline bool vf32_turns_much(vf32 x) {
    const vf32 size = vf32_abs(x);
    return vm32_reduce_or(vm32_and(vf32_gt(size, vf32_set1(1e5f)), vf32_lt(size, vf32_set1(INFINITY))));
}

/* sin for |r| <= pi / 4. */
static inline vf32 vf32_sin_near(vf32 r) {
    const vf32 z = vf32_mul(r, r);
    vf32 p = vf32_set1(-1.9515295891e-4f);
    p = vf32_fma(p, z, vf32_set1(8.3321608736e-3f));
    p = vf32_fma(p, z, vf32_set1(-1.6666654611e-1f));
    return vf32_fma(vf32_mul(p, z), r, r);
}

/* cos for |r| <= pi / 4. */
static inline vf32 vf32_cos_near(vf32 r) {
    const vf32 z = vf32_mul(r, r);
    vf32 p = vf32_set1(2.443315711809948e-5f);
    p = vf32_fma(p, z, vf32_set1(-1.388731625493765e-3f));
    p = vf32_fma(p, z, vf32_set1(4.166664568298827e-2f));
    return vf32_fma(vf32_mul(p, z), z, vf32_fma(z, vf32_set1(-0.5f), vf32_set1(1.0f)));
}

//: f32 f64
/* sin of r plus `quadrant` right angles. */
static inline v$T v$T_sin_turned(v$T r, vi$N quadrant) {
    const v$T y = v$T_select(vi$N_has(quadrant, 1), v$T_cos_near(r), v$T_sin_near(r));
    return v$T_select(vi$N_has(quadrant, 2), v$T_neg(y), y);
}

//: f32 f64 | sin cos
/* For large arguments, whose whole turns need more digits. */
static inline v$T v$T_$S_far(v$T x) {
    $C lanes[VL$N];
    v$T_store(lanes, x);
    for (int i = 0; i < VL$N; ++i) {
        lanes[i] = $S$F(lanes[i]);
    }
    return v$T_load(lanes);
}

//: f32 f64
static inline v$T v$T_sin(v$T x) {
    vi$N quadrant;
    const v$T r = v$T_turn_rest(x, &quadrant);
    if (v$T_turns_much(x)) {
        return v$T_sin_far(x);
    }
    return v$T_select(v$T_eq(x, v$T_set1(0)), x, v$T_sin_turned(r, quadrant));
}

//: f32 f64
static inline v$T v$T_cos(v$T x) {
    vi$N quadrant;
    const v$T r = v$T_turn_rest(x, &quadrant);
    if (v$T_turns_much(x)) {
        return v$T_cos_far(x);
    }
    return v$T_sin_turned(r, vi$N_add(quadrant, vi$N_set1(1)));
}

/* After N. Juffa's minimax approximations in two ranges. */
static inline vf32 vf32_erf(vf32 x) {
    const vf32 size = vf32_abs(x);
    const vf32 z = vf32_mul(x, x);
    const vf32 t = vf32_min(size, vf32_set1(4.0f));
    const vf32 tt = vf32_mul(t, t);
    vf32 far_out = vf32_fma(vf32_set1(-1.72853470e-5f), t, vf32_set1(3.83197126e-4f));
    const vf32 u = vf32_fma(vf32_set1(-3.88396438e-3f), t, vf32_set1(2.42546219e-2f));
    far_out = vf32_fma(far_out, tt, u);
    far_out = vf32_fma(far_out, t, vf32_set1(-1.06777877e-1f));
    far_out = vf32_fma(far_out, t, vf32_set1(-6.34846687e-1f));
    far_out = vf32_fma(far_out, t, vf32_set1(-1.28717512e-1f));
    far_out = vf32_fma(far_out, t, vf32_neg(t));
    far_out = vf32_sub(vf32_set1(1.0f), vf32_exp_normal(far_out));
    far_out = vf32_with_sign(far_out, x);
    vf32 p = vf32_set1(-5.96761703e-4f);
    p = vf32_fma(p, z, vf32_set1(4.99119423e-3f));
    p = vf32_fma(p, z, vf32_set1(-2.67681349e-2f));
    p = vf32_fma(p, z, vf32_set1(1.12819925e-1f));
    p = vf32_fma(p, z, vf32_set1(-3.76125336e-1f));
    p = vf32_fma(p, z, vf32_set1(1.28379166e-1f));
    return vf32_select(vf32_gt(size, vf32_set1(0.927734375f)), far_out, vf32_fma(p, x, x));
}

#endif
