/* What every instruction set makes of its own functions in the same way. */
#ifndef CHARL_SIMD_COMMON_H
#define CHARL_SIMD_COMMON_H

//: f32 f64
/* to[c * to_stride + r] = from[r * stride + c] for r < rows, c < columns. */
static inline void $T_transpose($C *to, ptrdiff_t to_stride, const $C *from, ptrdiff_t stride, ptrdiff_t rows, ptrdiff_t columns) {
    for (ptrdiff_t r = 0; r < rows; r += VL$N) {
        const ptrdiff_t stop = size_min(rows, r + VL$N);
        const ptrdiff_t whole = columns / 4 * 4;
        ptrdiff_t c = 0;
        if (stop == r + VL$N) {
            for (; c < whole; c += 4) {
                v$T_transpose(to + c * to_stride + r, to_stride, from + r * stride + c, stride, VL$N - 1);
            }
        }
        for (; c < whole; c += 4) {
            v$T_transpose(to + c * to_stride + r, to_stride, from + r * stride + c, stride, stop - r - 1);
        }
        for (c = whole; c < columns; ++c) {
            for (ptrdiff_t i = r; i < stop; ++i) {
                to[c * to_stride + i] = from[i * stride + c];
            }
        }
    }
}

//: f64 i32 u32 i64 u64
static inline v$T v$T_load_strided(const $C *p, ptrdiff_t stride) {
    $C lanes[VL$N];
    for (int i = 0; i < VL$N; ++i) {
        lanes[i] = p[i * stride];
    }
    return v$T_load(lanes);
}

//: f64 i32 u32 i64 u64
static inline v$T v$T_load_strided_mask(const $C *p, ptrdiff_t stride, vm$N m) {
    $C lanes[VL$N];
    bool on[VL$N];
    vm$N_store(on, m);
    for (int i = 0; i < VL$N; ++i) {
        lanes[i] = on[i] ? p[i * stride] : 0;
    }
    return v$T_load(lanes);
}

//: f64 i32 u32 i64 u64
static inline void v$T_store_strided($C *p, ptrdiff_t stride, v$T x) {
    $C lanes[VL$N];
    v$T_store(lanes, x);
    for (int i = 0; i < VL$N; ++i) {
        p[i * stride] = lanes[i];
    }
}

//: f64 i32 u32 i64 u64
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
/* low <= x <= high; NaN stays. */
static inline v$T v$T_clamp(v$T x, $C low, $C high) {
    return v$T_most(v$T_set1(low), v$T_least(v$T_set1(high), x));
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

//: i32 i64
/* Whether bit `bit` of whole numbers is set. */
static inline vm$N vi$N_has(vi$N x, $C bit) {
    return vi$N_ne(vi$N_bitand(x, vi$N_set1(bit)), vi$N_set1(0));
}

//: f32 f64
/* `y` where x > 0 is finite, else what a logarithm gives there. */
static inline v$T v$T_log_edges(v$T x, v$T y) {
    const v$T zero = v$T_set1(0);
    const vm$N odd = vm$N_not(vm$N_and(v$T_gt(x, zero), v$T_lt(x, v$T_set1(($C)INFINITY))));
    const v$T low = v$T_select(v$T_eq(x, zero), v$T_set1(-($C)INFINITY), v$T_set1(($C)NAN));
    return v$T_select(odd, v$T_select(v$T_gt(x, zero), x, low), y);
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

//: f32:u32:12582913:23:200 f64:u64:6755399441055745:52:1200
/* x * 2^n for whole n, rounded once. What is `small` lies below the normal numbers, where a product takes a hundred cycles:
 * x is added to a power of two whose last place is the smallest number instead. (Adding 0 takes none, and flushes where asked.) */
static inline v$T v$T_scale_small(vm$N small, v$T x, v$T n) {
    if (!vm$N_reduce_or(small))
        return v$T_scale(x, n);
    const v$T zero = v$T_set1(0.0$F);
    const v$S power = v$S_shl(v$S_of_bits_$T(v$T_sub(v$T_set1($X.0$F), n)), v$S_set1($Y));
    const v$S sum = v$S_of_bits_$T(v$T_add(x, v$T_of_bits_$S(power)));
    const v$T below = v$T_add(v$T_of_bits_$S(v$S_sub(sum, power)), zero);
    const v$T normal = v$T_scale(v$T_select(small, zero, x), v$T_select(small, zero, n));
    return v$T_select(small, v$T_select(v$T_gt(n, v$T_set1(-$Z.0$F)), below, zero), normal);
}

#endif
