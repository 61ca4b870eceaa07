/* Vectors of one element, for targets without vector instructions: the same names as the other simd headers. */
#ifndef CHARL_SIMD_SCALAR_H
#define CHARL_SIMD_SCALAR_H

#include "scalar.h"

#define VL32 1
#define VL64 1

typedef float vf32;
typedef double vf64;
typedef int32_t vi32;
typedef uint32_t vu32;
typedef int64_t vi64;
typedef uint64_t vu64;
typedef bool vm32;
typedef bool vm64;

//: f32 f64 i32 u32 i64 u64
static inline v$T v$T_set1($C x) {
    return x;
}

//: f32 f64
static inline v$T v$T_spread(const $C *p) {
    return *p;
}

//: f32 f64
static inline v$T v$T_held(v$T x) {
    return x;
}

//: f32 f64 i32 u32 i64 u64
static inline v$T v$T_load(const $C *p) {
    return *p;
}

//: f32 f64 i32 u32 i64 u64
/* Elements of the mask, zero elsewhere. */
static inline v$T v$T_load_mask(const $C *p, vm$N m) {
    return m ? *p : 0;
}

//: f32 f64 i32 u32 i64 u64
static inline v$T v$T_load_strided(const $C *p, ptrdiff_t stride) {
    (void)stride;
    return *p;
}

//: f32 f64 i32 u32 i64 u64
static inline v$T v$T_load_strided_mask(const $C *p, ptrdiff_t stride, vm$N m) {
    (void)stride;
    return m ? *p : 0;
}

//: f32 f64 i32 u32 i64 u64
static inline void v$T_store($C *p, v$T x) {
    *p = x;
}

//: f32 f64 i32 u32 i64 u64
static inline void v$T_store_mask($C *p, v$T x, vm$N m) {
    if (m) {
        *p = x;
    }
}

//: f32 f64 i32 u32 i64 u64
static inline void v$T_store_strided($C *p, ptrdiff_t stride, v$T x) {
    (void)stride;
    *p = x;
}

//: f32 f64 i32 u32 i64 u64
static inline void v$T_store_strided_mask($C *p, ptrdiff_t stride, v$T x, vm$N m) {
    (void)stride;
    if (m) {
        *p = x;
    }
}

//: i32 u32 i64 u64
/* first + step * lane. */
static inline v$T v$T_ramp($C first, $C step) {
    (void)step;
    return first;
}

//: f32 f64 i32 u32 i64 u64
static inline v$T v$T_select(vm$N m, v$T a, v$T b) {
    return m ? a : b;
}

//: f32 f64 i32 u32 i64 u64 | eq:== ne:!= lt:< le:<= gt:> ge:>=
static inline vm$N v$T_$S(v$T a, v$T b) {
    return a $X b;
}

//: f32 f64 u32 u64 | add:+ sub:- mul:*
static inline v$T v$T_$S(v$T a, v$T b) {
    return a $X b;
}

//: f32 f64 | div:/
static inline v$T v$T_$S(v$T a, v$T b) {
    return a $X b;
}

//: i32 u32 i64 u64 | bitand:& bitor:| bitxor:^
static inline v$T v$T_$S(v$T a, v$T b) {
    return a $X b;
}

//: i32 i64 | add sub mul
static inline v$T v$T_$S(v$T a, v$T b) {
    return $T_$S(a, b);
}

//: i32 u32 i64 u64 | div pow shl shr
static inline v$T v$T_$S(v$T a, v$T b) {
    return $T_$S(a, b);
}

//: f32 f64 i32 u32 i64 u64 | mod min max
static inline v$T v$T_$S(v$T a, v$T b) {
    return $T_$S(a, b);
}

//: f32 f64 | least:min most:max
/* The smaller or larger one; `x` where it is NaN. */
static inline v$T v$T_$S(v$T bound, v$T x) {
    return $T_$X(x, bound);
}

//: i32 i64 | neg abs
static inline v$T v$T_$S(v$T a) {
    return $T_$S(a);
}

//: f32 f64 i32 u32 i64 u64 | sign
static inline v$T v$T_$S(v$T a) {
    return $T_$S(a);
}

//: f32 f64 i32 u32 i64 u64 | exceeds precedes
static inline vm$N v$T_$S(v$T a, v$T b) {
    return $T_$S(a, b);
}

//: f32 f64
static inline v$T v$T_neg(v$T a) {
    return -a;
}

//: u32 u64
static inline v$T v$T_neg(v$T a) {
    return 0u - a;
}

//: u32 u64
static inline v$T v$T_abs(v$T a) {
    return a;
}

//: i32 u32 i64 u64
static inline v$T v$T_bitnot(v$T a) {
    return ~a;
}

//: f32 f64 | abs:fabs round:rint floor:floor ceil:ceil trunc:trunc sqrt:sqrt
static inline v$T v$T_$S(v$T x) {
    return $X$F(x);
}

//: f32 f64 | exp exp2 expm1 log log2 log1p sin cos tan asin acos atan sinh cosh tanh erf
static inline v$T v$T_$S(v$T x) {
    return $S$F(x);
}

//: f32 f64 | pow atan2
static inline v$T v$T_$S(v$T a, v$T b) {
    return $S$F(a, b);
}

//: f32 f64
static inline v$T v$T_rsqrt(v$T x) {
    return 1 / sqrt$F(x);
}

//: f32 f64
/* a * b + c, rounded twice where there is no instruction for it. */
static inline v$T v$T_fma(v$T a, v$T b, v$T c) {
    return a * b + c;
}

//: i32:f32 u32:f32 i64:f64 u64:f64
static inline v$T v$T_from_$S(v$S x) {
    return $T_from_$S(x);
}

//: f32:i32 f32:u32 f64:i64 f64:u64 i32:u32 u32:i32 i64:u64 u64:i64
static inline v$T v$T_from_$S(v$S x) {
    return ($C)x;
}

//: i32:u32 u32:i32 i32:f32 f32:i32 u32:f32 f32:u32 i64:u64 u64:i64 i64:f64 f64:i64 u64:f64 f64:u64
static inline v$T v$T_of_bits_$S(v$S x) {
    return $T_of_bits_$S(x);
}

//: f32 f64 i32 u32 i64 u64 | add mul max min
static inline $C v$T_reduce_$S(v$T x) {
    return x;
}

//: f32 f64 i32 u32 i64 u64 | argmax argmin
static inline int32_t v$T_reduce_$S(v$T best, vi$N place) {
    (void)best;
    return (int32_t)place;
}

static inline vu32 vu32_threefry(vu32 key0, vu32 key1, vu32 counter0, vu32 counter1) {
    return threefry(key0, key1, counter0, counter1);
}

static inline vu32 vu32_threefry1(vu32 key0, vu32 key1, vu32 counter0, vu32 counter1) {
    return threefry1(key0, key1, counter0, counter1);
}

//: i32 i64
/* Lanes first <= lane < stop. */
static inline vm$N vm$N_range(ptrdiff_t first, ptrdiff_t stop) {
    return first <= 0 && 0 < stop;
}

//: i32 i64
static inline vm$N vm$N_set1(bool x) {
    return x;
}

//: i32 i64
static inline vm$N vm$N_load(const bool *p) {
    return *p;
}

//: i32 i64
static inline void vm$N_store(bool *p, vm$N m) {
    *p = m;
}

//: i32 i64
static inline vm$N vm$N_and(vm$N a, vm$N b) {
    return a && b;
}

//: i32 i64
static inline vm$N vm$N_or(vm$N a, vm$N b) {
    return a || b;
}

//: i32 i64
static inline vm$N vm$N_not(vm$N a) {
    return !a;
}

//: i32 i64
static inline vm$N vm$N_eq(vm$N a, vm$N b) {
    return a == b;
}

//: i32 i64
static inline vm$N vm$N_ne(vm$N a, vm$N b) {
    return a != b;
}

//: i32 i64
static inline vm$N vm$N_select(vm$N m, vm$N a, vm$N b) {
    return m ? a : b;
}

//: i32 i64
/* Whether all lanes hold. */
static inline bool vm$N_reduce_and(vm$N m) {
    return m;
}

//: i32 i64
/* Whether any lane holds. */
static inline bool vm$N_reduce_or(vm$N m) {
    return m;
}

//: f32 f64
/* to[c * to_stride + r] = from[r * stride + c] for r < rows, c < columns. */
static inline void $T_transpose($C *to, ptrdiff_t to_stride, const $C *from, ptrdiff_t stride, ptrdiff_t rows, ptrdiff_t columns) {
    for (ptrdiff_t r = 0; r < rows; ++r) {
        for (ptrdiff_t c = 0; c < columns; ++c) {
            to[c * to_stride + r] = from[r * stride + c];
        }
    }
}

//: f16 bf16
static inline vf32 vf32_load_$T(const uint16_t *p) {
    return $T_value(*p);
}

//: f16 bf16
/* Elements of the mask, zero elsewhere. */
static inline vf32 vf32_load_$T_mask(const uint16_t *p, vm32 m) {
    return m ? $T_value(*p) : 0.0f;
}

//: f16 bf16
static inline vf32 vf32_load_$T_strided(const uint16_t *p, ptrdiff_t stride) {
    (void)stride;
    return $T_value(*p);
}

//: f16 bf16
static inline vf32 vf32_load_$T_strided_mask(const uint16_t *p, ptrdiff_t stride, vm32 m) {
    (void)stride;
    return m ? $T_value(*p) : 0.0f;
}

//: f16 bf16
static inline void vf32_store_$T(uint16_t *p, vf32 x) {
    *p = (uint16_t)$T_bits(x);
}

//: f16 bf16
static inline void vf32_store_$T_mask(uint16_t *p, vf32 x, vm32 m) {
    if (m) {
        *p = (uint16_t)$T_bits(x);
    }
}

//: f16 bf16
static inline void vf32_store_$T_strided(uint16_t *p, ptrdiff_t stride, vf32 x) {
    (void)stride;
    *p = (uint16_t)$T_bits(x);
}

//: f16 bf16
static inline void vf32_store_$T_strided_mask(uint16_t *p, ptrdiff_t stride, vf32 x, vm32 m) {
    (void)stride;
    if (m) {
        *p = (uint16_t)$T_bits(x);
    }
}

//: f16 bf16
/* The nearest value that a $T holds, ties to even. */
static inline vf32 vf32_$T_round(vf32 x) {
    return $T_round(x);
}

//: f16 bf16
static inline vu32 vf32_$T_bits(vf32 x) {
    return $T_bits(x);
}

//: f16 bf16
static inline vf32 vu32_$T_value(vu32 bits) {
    return $T_value(bits);
}

//: f16 bf16
/* to[c * to_stride + r] = from[r * stride + c] for r < rows, c < columns. */
static inline void f32_transpose_$T(float *to, ptrdiff_t to_stride, const uint16_t *from, ptrdiff_t stride, ptrdiff_t rows, ptrdiff_t columns) {
    for (ptrdiff_t r = 0; r < rows; ++r) {
        for (ptrdiff_t c = 0; c < columns; ++c) {
            to[c * to_stride + r] = $T_value(from[r * stride + c]);
        }
    }
}

#endif
