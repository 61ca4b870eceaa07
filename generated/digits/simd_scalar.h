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

static inline vf32 vf32_set1(float x) {
    return x;
}

static inline vi32 vi32_set1(int32_t x) {
    return x;
}

static inline vu32 vu32_set1(uint32_t x) {
    return x;
}

static inline vf32 vf32_held(vf32 x) {
    return x;
}

static inline vf32 vf32_load(const float *p) {
    return *p;
}

/* Elements of the mask, zero elsewhere. */
static inline vf32 vf32_load_mask(const float *p, vm32 m) {
    return m ? *p : 0;
}

static inline void vf32_store(float *p, vf32 x) {
    *p = x;
}

static inline void vf32_store_mask(float *p, vf32 x, vm32 m) {
    if (m) {
        *p = x;
    }
}

/* first + step * lane. */
static inline vi32 vi32_ramp(int32_t first, int32_t step) {
    (void)step;
    return first;
}

/* first + step * lane. */
static inline vu32 vu32_ramp(uint32_t first, uint32_t step) {
    (void)step;
    return first;
}

static inline vf32 vf32_select(vm32 m, vf32 a, vf32 b) {
    return m ? a : b;
}

static inline vm32 vi32_eq(vi32 a, vi32 b) {
    return a == b;
}

static inline vm32 vf32_lt(vf32 a, vf32 b) {
    return a < b;
}

static inline vm32 vf32_gt(vf32 a, vf32 b) {
    return a > b;
}

static inline vf32 vf32_add(vf32 a, vf32 b) {
    return a + b;
}

static inline vf32 vf32_sub(vf32 a, vf32 b) {
    return a - b;
}

static inline vf32 vf32_mul(vf32 a, vf32 b) {
    return a * b;
}

static inline vf32 vf32_div(vf32 a, vf32 b) {
    return a / b;
}

static inline vu32 vu32_shr(vu32 a, vu32 b) {
    return u32_shr(a, b);
}

static inline vf32 vf32_max(vf32 a, vf32 b) {
    return f32_max(a, b);
}

/* The smaller or larger one; `x` where it is NaN. */
static inline vf32 vf32_most(vf32 bound, vf32 x) {
    return f32_max(x, bound);
}

static inline vf32 vf32_abs(vf32 x) {
    return fabsf(x);
}

static inline vf32 vf32_sqrt(vf32 x) {
    return sqrtf(x);
}

static inline vf32 vf32_exp(vf32 x) {
    return expf(x);
}

/* a * b + c, rounded twice where there is no instruction for it. */
static inline vf32 vf32_fma(vf32 a, vf32 b, vf32 c) {
    return a * b + c;
}

static inline vf32 vf32_from_u32(vu32 x) {
    return (float)x;
}

static inline float vf32_reduce_add(vf32 x) {
    return x;
}

static inline float vf32_reduce_max(vf32 x) {
    return x;
}

static inline vu32 vu32_threefry(vu32 key0, vu32 key1, vu32 counter0, vu32 counter1) {
    return threefry(key0, key1, counter0, counter1);
}

/* Lanes first <= lane < stop. */
static inline vm32 vm32_range(ptrdiff_t first, ptrdiff_t stop) {
    return first <= 0 && 0 < stop;
}

/* to[c * to_stride + r] = from[r * stride + c] for r < rows, c < columns. */
static inline void f32_transpose(float *to, ptrdiff_t to_stride, const float *from, ptrdiff_t stride, ptrdiff_t rows, ptrdiff_t columns) {
    for (ptrdiff_t r = 0; r < rows; ++r) {
        for (ptrdiff_t c = 0; c < columns; ++c) {
            to[c * to_stride + r] = from[r * stride + c];
        }
    }
}

#endif
