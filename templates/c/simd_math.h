/* Functions of vectors, the same for every instruction set. Where nothing better is known, lane by lane.
   Errors of the float functions are within 2 units in the last place (tan: 4). */
#ifndef CHARL_SIMD_MATH_H
#define CHARL_SIMD_MATH_H

//: f32 f64 i32 u32 i64 u64
static inline v$T v$T_load_strided(const $C *p, ptrdiff_t stride) {
    $C lanes[VL$N];
    for (int i = 0; i < VL$N; ++i) {
        lanes[i] = p[i * stride];
    }
    return v$T_load(lanes);
}

//: f32 f64 i32 u32 i64 u64
static inline v$T v$T_load_strided_mask(const $C *p, ptrdiff_t stride, vm$N m) {
    $C lanes[VL$N];
    bool on[VL$N];
    vm$N_store(on, m);
    for (int i = 0; i < VL$N; ++i) {
        lanes[i] = on[i] ? p[i * stride] : 0;
    }
    return v$T_load(lanes);
}

//: f32 f64 i32 u32 i64 u64
static inline void v$T_store_strided($C *p, ptrdiff_t stride, v$T x) {
    $C lanes[VL$N];
    v$T_store(lanes, x);
    for (int i = 0; i < VL$N; ++i) {
        p[i * stride] = lanes[i];
    }
}

//: f32 f64 i32 u32 i64 u64
static inline void v$T_store_strided_mask($C *p, ptrdiff_t stride, v$T x, vm$N m) {
    $C lanes[VL$N];
    bool on[VL$N];
    v$T_store(lanes, x);
    vm$N_store(on, m);
    for (int i = 0; i < VL$N; ++i) {
        if (on[i]) {
            p[i * stride] = lanes[i];
        }
    }
}

//: i32 i64
static inline vm$N vm$N_eq(vm$N a, vm$N b) {
    return vm$N_not(vm$N_ne(a, b));
}

//: i32 i64
static inline vm$N vm$N_select(vm$N m, vm$N a, vm$N b) {
    return vm$N_or(vm$N_and(m, a), vm$N_and(vm$N_not(m), b));
}

//: i32 u32 i64 u64
static inline v$T v$T_neg(v$T a) {
    return v$T_sub(v$T_set1(0), a);
}

//: u32 u64
static inline v$T v$T_abs(v$T a) {
    return a;
}

//: u32 i32 u64 i64
static inline v$T v$T_bitnot(v$T a) {
    return v$T_bitxor(a, v$T_set1(($C)-1));
}

//: f32 f64 i32 i64
static inline v$T v$T_sign(v$T a) {
    const v$T zero = v$T_set1(0);
    const v$T low = v$T_select(v$T_lt(a, zero), v$T_set1(-1), a);
    return v$T_select(v$T_gt(a, zero), v$T_set1(1), low);
}

//: u32 u64
static inline v$T v$T_sign(v$T a) {
    return v$T_min(a, v$T_set1(1));
}

//: i32 u32 i64 u64 | div mod pow
static inline v$T v$T_$S(v$T a, v$T b) {
    $C x[VL$N];
    $C y[VL$N];
    v$T_store(x, a);
    v$T_store(y, b);
    for (int i = 0; i < VL$N; ++i) {
        x[i] = $T_$S(x[i], y[i]);
    }
    return v$T_load(x);
}

//: f32 f64
/* Remainder with the sign of the divisor. */
static inline v$T v$T_mod(v$T a, v$T b) {
    return v$T_sub(a, v$T_mul(v$T_floor(v$T_div(a, b)), b));
}

//: f32 f64
static inline v$T v$T_rsqrt(v$T x) {
    return v$T_div(v$T_set1(1), v$T_sqrt(x));
}

//: f32 f64
/* Whether a replaces b as the largest so far: NaN counts as the largest. */
static inline vm$N v$T_exceeds(v$T a, v$T b) {
    return vm$N_or(v$T_gt(a, b), vm$N_and(v$T_ne(a, a), v$T_eq(b, b)));
}

//: f32 f64
/* Whether a replaces b as the smallest so far: NaN counts as the smallest. */
static inline vm$N v$T_precedes(v$T a, v$T b) {
    return vm$N_or(v$T_lt(a, b), vm$N_and(v$T_ne(a, a), v$T_eq(b, b)));
}

//: i32 u32 i64 u64 | exceeds:gt precedes:lt
static inline vm$N v$T_$S(v$T a, v$T b) {
    return v$T_$X(a, b);
}

//: i32 u32 i64 u64 | add:+ mul:*
static inline $C v$T_reduce_$S(v$T x) {
    $C lanes[VL$N];
    $W total;
    v$T_store(lanes, x);
    total = ($W)lanes[0];
    for (int i = 1; i < VL$N; ++i) {
        total = total $X ($W)lanes[i];
    }
    return ($C)total;
}

//: i32 u32 i64 u64 | min max
static inline $C v$T_reduce_$S(v$T x) {
    $C lanes[VL$N];
    v$T_store(lanes, x);
    for (int i = 1; i < VL$N; ++i) {
        lanes[0] = $T_$S(lanes[0], lanes[i]);
    }
    return lanes[0];
}

//: f32 f64 i32 u32 i64 u64 | argmax:exceeds argmin:precedes
/* The place of the extreme over all lanes, the first of several. */
static inline int32_t v$T_reduce_$S(v$T best, vi$N place) {
    $C values[VL$N];
    int$N_t places[VL$N];
    int first = 0;
    v$T_store(values, best);
    vi$N_store(places, place);
    for (int i = 1; i < VL$N; ++i) {
        const bool tie = !$T_$X(values[i], values[first]) && !$T_$X(values[first], values[i]);
        if ($T_$X(values[i], values[first]) || (tie && places[i] < places[first])) {
            first = i;
        }
    }
    return (int32_t)places[first];
}

//: f32 f64 | asin acos atan sinh cosh
static inline v$T v$T_$S(v$T x) {
    $C lanes[VL$N];
    v$T_store(lanes, x);
    for (int i = 0; i < VL$N; ++i) {
        lanes[i] = $S$F(lanes[i]);
    }
    return v$T_load(lanes);
}

//: f64 | exp exp2 expm1 log log2 log1p sin cos tan tanh erf
static inline v$T v$T_$S(v$T x) {
    $C lanes[VL$N];
    v$T_store(lanes, x);
    for (int i = 0; i < VL$N; ++i) {
        lanes[i] = $S$F(lanes[i]);
    }
    return v$T_load(lanes);
}

//: f32 f64 | pow atan2
static inline v$T v$T_$S(v$T a, v$T b) {
    $C x[VL$N];
    $C y[VL$N];
    v$T_store(x, a);
    v$T_store(y, b);
    for (int i = 0; i < VL$N; ++i) {
        x[i] = $S$F(x[i], y[i]);
    }
    return v$T_load(x);
}

/* 2^n for whole n from -126 to 127. */
static inline vf32 vf32_power_of_two(vi32 n) {
    return vf32_of_bits_i32(vi32_shl(vi32_add(n, vi32_set1(127)), vi32_set1(23)));
}

/* x * 2^n for whole n from -252 to 254, rounded once even where the result is subnormal. */
static inline vf32 vf32_scale(vf32 x, vf32 n) {
    const vi32 whole = vi32_from_f32(n);
    const vi32 half = vi32_shr(whole, vi32_set1(1));
    return vf32_mul(vf32_mul(x, vf32_power_of_two(half)), vf32_power_of_two(vi32_sub(whole, half)));
}

/* (exp(r) - 1 - r) / r^2 for |r| <= log(2) / 2. */
static inline vf32 vf32_exp_tail(vf32 r) {
    vf32 p = vf32_set1(1.9875691500e-4f);
    p = vf32_fma(p, r, vf32_set1(1.3981999507e-3f));
    p = vf32_fma(p, r, vf32_set1(8.3334519073e-3f));
    p = vf32_fma(p, r, vf32_set1(4.1665795894e-2f));
    p = vf32_fma(p, r, vf32_set1(1.6666665459e-1f));
    return vf32_fma(p, r, vf32_set1(5.0000001201e-1f));
}

/* x - n log(2), with log(2) in two parts. */
static inline vf32 vf32_exp_rest(vf32 x, vf32 n) {
    const vf32 r = vf32_fma(n, vf32_set1(-0.693359375f), x);
    return vf32_fma(n, vf32_set1(2.12194440e-4f), r);
}

static inline vf32 vf32_exp(vf32 x) {
    const vf32 y = vf32_max(vf32_min(x, vf32_set1(89.0f)), vf32_set1(-104.0f));
    const vf32 n = vf32_round(vf32_mul(y, vf32_set1(1.44269504f)));
    const vf32 r = vf32_exp_rest(y, n);
    const vf32 p = vf32_fma(vf32_mul(r, r), vf32_exp_tail(r), r);
    return vf32_scale(vf32_add(p, vf32_set1(1.0f)), n);
}

static inline vf32 vf32_exp2(vf32 x) {
    const vf32 y = vf32_max(vf32_min(x, vf32_set1(129.0f)), vf32_set1(-151.0f));
    const vf32 n = vf32_round(y);
    const vf32 r = vf32_mul(vf32_sub(y, n), vf32_set1(0.693147181f));
    const vf32 p = vf32_fma(vf32_mul(r, r), vf32_exp_tail(r), r);
    return vf32_scale(vf32_add(p, vf32_set1(1.0f)), n);
}

static inline vf32 vf32_expm1(vf32 x) {
    const vf32 y = vf32_max(vf32_min(x, vf32_set1(89.0f)), vf32_set1(-18.0f));
    const vf32 n = vf32_round(vf32_mul(y, vf32_set1(1.44269504f)));
    const vf32 r = vf32_exp_rest(y, n);
    const vf32 p = vf32_fma(vf32_mul(r, r), vf32_exp_tail(r), r);
    /* half of 2^n: with n = 128 the power itself has no float */
    const vf32 s = vf32_power_of_two(vi32_sub(vi32_from_f32(n), vi32_set1(1)));
    const vf32 half = vf32_fma(s, p, vf32_sub(s, vf32_set1(0.5f)));
    return vf32_select(vf32_eq(x, vf32_set1(0.0f)), x, vf32_add(half, half));
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

/* `y` where x > 0 is finite, else what a logarithm gives there. */
static inline vf32 vf32_log_edges(vf32 x, vf32 y) {
    const vf32 zero = vf32_set1(0.0f);
    const vm32 odd = vm32_not(vm32_and(vf32_gt(x, zero), vf32_lt(x, vf32_set1(INFINITY))));
    const vf32 low = vf32_select(vf32_eq(x, zero), vf32_set1(-INFINITY), vf32_set1(NAN));
    return vf32_select(odd, vf32_select(vf32_gt(x, zero), x, low), y);
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

/* x - n pi / 2 for the nearest whole n, where |x| is below 1e5; `quadrant` is n. */
static inline vf32 vf32_turn_rest(vf32 x, vi32 *quadrant) {
    const vf32 n = vf32_round(vf32_mul(x, vf32_set1(0.636619772f)));
    vf32 r = vf32_fma(n, vf32_set1(-1.57079637e+0f), x);
    r = vf32_fma(n, vf32_set1(4.37113883e-8f), r);
    *quadrant = vi32_from_f32(n);
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

/* Whether bit `bit` of whole numbers is set. */
static inline vm32 vi32_has(vi32 x, int32_t bit) {
    return vi32_ne(vi32_bitand(x, vi32_set1(bit)), vi32_set1(0));
}

/* sin of r plus `quadrant` right angles. */
static inline vf32 vf32_sin_turned(vf32 r, vi32 quadrant) {
    const vf32 y = vf32_select(vi32_has(quadrant, 1), vf32_cos_near(r), vf32_sin_near(r));
    return vf32_select(vi32_has(quadrant, 2), vf32_neg(y), y);
}

//: f32 | sin cos tan
/* For large arguments, whose whole turns need more digits. */
static inline vf32 vf32_$S_far(vf32 x) {
    float lanes[VL32];
    vf32_store(lanes, x);
    for (int i = 0; i < VL32; ++i) {
        lanes[i] = $Sf(lanes[i]);
    }
    return vf32_load(lanes);
}

static inline vf32 vf32_sin(vf32 x) {
    vi32 quadrant;
    const vf32 r = vf32_turn_rest(x, &quadrant);
    if (vf32_turns_much(x)) {
        return vf32_sin_far(x);
    }
    return vf32_sin_turned(r, quadrant);
}

static inline vf32 vf32_cos(vf32 x) {
    vi32 quadrant;
    const vf32 r = vf32_turn_rest(x, &quadrant);
    if (vf32_turns_much(x)) {
        return vf32_cos_far(x);
    }
    return vf32_sin_turned(r, vi32_add(quadrant, vi32_set1(1)));
}

static inline vf32 vf32_tan(vf32 x) {
    vi32 quadrant;
    const vf32 r = vf32_turn_rest(x, &quadrant);
    const vm32 odd = vi32_has(quadrant, 1);
    const vf32 s = vf32_sin_near(r);
    const vf32 c = vf32_cos_near(r);
    if (vf32_turns_much(x)) {
        return vf32_tan_far(x);
    }
    return vf32_div(vf32_select(odd, vf32_neg(c), s), vf32_select(odd, s, c));
}

static inline vf32 vf32_tanh(vf32 x) {
    const vf32 one = vf32_set1(1.0f);
    const vf32 size = vf32_abs(x);
    const vf32 z = vf32_mul(x, x);
    vf32 p = vf32_set1(-5.70498872745e-3f);
    p = vf32_fma(p, z, vf32_set1(2.06390887954e-2f));
    p = vf32_fma(p, z, vf32_set1(-5.37397155531e-2f));
    p = vf32_fma(p, z, vf32_set1(1.33314422036e-1f));
    p = vf32_fma(p, z, vf32_set1(-3.33332819422e-1f));
    const vf32 near_zero = vf32_fma(vf32_mul(p, z), x, x);
    const vf32 e = vf32_exp(vf32_add(size, size));
    const vf32 far_out = vf32_sub(one, vf32_div(vf32_set1(2.0f), vf32_add(e, one)));
    const vf32 whole = vf32_select(vf32_lt(x, vf32_set1(0.0f)), vf32_neg(far_out), far_out);
    return vf32_select(vf32_lt(size, vf32_set1(0.625f)), near_zero, whole);
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
    far_out = vf32_sub(vf32_set1(1.0f), vf32_exp(far_out));
    far_out = vf32_select(vf32_lt(x, vf32_set1(0.0f)), vf32_neg(far_out), far_out);
    vf32 p = vf32_set1(-5.96761703e-4f);
    p = vf32_fma(p, z, vf32_set1(4.99119423e-3f));
    p = vf32_fma(p, z, vf32_set1(-2.67681349e-2f));
    p = vf32_fma(p, z, vf32_set1(1.12819925e-1f));
    p = vf32_fma(p, z, vf32_set1(-3.76125336e-1f));
    p = vf32_fma(p, z, vf32_set1(1.28379166e-1f));
    return vf32_select(vf32_gt(size, vf32_set1(0.927734375f)), far_out, vf32_fma(p, x, x));
}

static inline void vu32_threefry_round(vu32 *a, vu32 *b, int turn) {
    *a = vu32_add(*a, *b);
    *b = vu32_bitxor(vu32_turn(*b, turn), *a);
}

/* Rounds 1 to 4 of each 8, then the injection of two key words. */
static inline void vu32_threefry_odd(vu32 *a, vu32 *b, vu32 key0, vu32 key1) {
    vu32_threefry_round(a, b, 13);
    vu32_threefry_round(a, b, 15);
    vu32_threefry_round(a, b, 26);
    vu32_threefry_round(a, b, 6);
    *a = vu32_add(*a, key0);
    *b = vu32_add(*b, key1);
}

/* Rounds 5 to 8 of each 8, then the injection of two key words. */
static inline void vu32_threefry_even(vu32 *a, vu32 *b, vu32 key0, vu32 key1) {
    vu32_threefry_round(a, b, 17);
    vu32_threefry_round(a, b, 29);
    vu32_threefry_round(a, b, 16);
    vu32_threefry_round(a, b, 24);
    *a = vu32_add(*a, key0);
    *b = vu32_add(*b, key1);
}

/* Threefry-2x32 with 20 rounds: both words of a block per lane. */
static inline void vu32_threefry_words(vu32 key0, vu32 key1, vu32 *a, vu32 *b) {
    const vu32 key2 = vu32_bitxor(vu32_bitxor(key0, key1), vu32_set1(0x1BD11BDAu));
    *a = vu32_add(*a, key0);
    *b = vu32_add(*b, key1);
    vu32_threefry_odd(a, b, key1, vu32_add(key2, vu32_set1(1)));
    vu32_threefry_even(a, b, key2, vu32_add(key0, vu32_set1(2)));
    vu32_threefry_odd(a, b, key0, vu32_add(key1, vu32_set1(3)));
    vu32_threefry_even(a, b, key1, vu32_add(key2, vu32_set1(4)));
    vu32_threefry_odd(a, b, key2, vu32_add(key0, vu32_set1(5)));
}

/* The first word of a Threefry block. */
static inline vu32 vu32_threefry(vu32 key0, vu32 key1, vu32 counter0, vu32 counter1) {
    vu32_threefry_words(key0, key1, &counter0, &counter1);
    return counter0;
}

/* The second word of a Threefry block. */
static inline vu32 vu32_threefry1(vu32 key0, vu32 key1, vu32 counter0, vu32 counter1) {
    vu32_threefry_words(key0, key1, &counter0, &counter1);
    return counter1;
}

#endif
