/* Vectors of 512 bits: AVX-512 F, DQ, VL and BW. */
#ifndef CHARL_SIMD_AVX512_H
#define CHARL_SIMD_AVX512_H

#include "scalar.h"

#include <immintrin.h>

#define VL32 16
#define VL64 8

typedef __m512 vf32;
typedef __m512d vf64;
typedef __m512i vi32;
typedef __m512i vu32;
typedef __m512i vi64;
typedef __m512i vu64;
typedef __mmask16 vm32;
typedef __mmask8 vm64;

//! vhalf
/* f16 or bf16, as many as there are f32 in a vector. */
typedef __m256i vhalf;

//: f32 f64
static inline v$T v$T_set1($C x) {
    return _mm512_set1_$E(x);
}

//: i32:int u32:int i64:long~long u64:long~long
static inline v$T v$T_set1($C x) {
    return _mm512_set1_$E(($S)x);
}

//: f32:ss:ps f64:sd:pd
/* All lanes have what lies at p: read from there each time. Of an ordinary load compilers remember what the next turn of a loop reads
 * again, and then the broadcast takes one of the two ports of the multiply-adds. */
static inline v$T v$T_spread(const $C *p) {
    return _mm512_broadcast$S_$X(_mm256_cast$X256_$X128(_mm256_broadcast_$S(p)));
}

//: f32 f64
/* x, from here on in a register. What two or three multiply-adds share compilers would read from memory for each of them. */
static inline v$T v$T_held(v$T x) {
#if defined(__GNUC__)
    __asm__("" : "+v"(x));
#endif
    return x;
}

//: f32:ps f64:pd i32:si512 u32:si512 i64:si512 u64:si512
static inline v$T v$T_load(const $C *p) {
    return _mm512_loadu_$S(p);
}

//: f32 f64 i32 u32 i64 u64
/* Elements of the mask, zero elsewhere, where nothing is read. */
static inline v$T v$T_load_mask(const $C *p, vm$N m) {
    return _mm512_maskz_loadu_$E(m, p);
}

//: f32:ps f64:pd i32:si512 u32:si512 i64:si512 u64:si512
static inline void v$T_store($C *p, v$T x) {
    _mm512_storeu_$S(p, x);
}

//: f32 f64 i32 u32 i64 u64
static inline void v$T_store_mask($C *p, v$T x, vm$N m) {
    _mm512_mask_storeu_$E(p, m, x);
}

//: i32 u32
/* first + step * lane. */
static inline v$T v$T_ramp($C first, $C step) {
    const __m512i lane = _mm512_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15);
    return _mm512_add_epi32(v$T_set1(first), _mm512_mullo_epi32(lane, v$T_set1(step)));
}

//: i64 u64
/* first + step * lane. */
static inline v$T v$T_ramp($C first, $C step) {
    const __m512i lane = _mm512_setr_epi64(0, 1, 2, 3, 4, 5, 6, 7);
    return _mm512_add_epi64(v$T_set1(first), _mm512_mullo_epi64(lane, v$T_set1(step)));
}

//: f32 f64 i32 u32 i64 u64
static inline v$T v$T_select(vm$N m, v$T a, v$T b) {
    return _mm512_mask_blend_$E(m, b, a);
}

//: f32 f64 | eq:EQ_OQ ne:NEQ_UQ lt:LT_OQ le:LE_OQ gt:GT_OQ ge:GE_OQ
static inline vm$N v$T_$S(v$T a, v$T b) {
    return _mm512_cmp_$E_mask(a, b, _CMP_$X);
}

//: i32 u32 i64 u64 | eq:eq ne:neq lt:lt le:le gt:gt ge:ge
static inline vm$N v$T_$S(v$T a, v$T b) {
    return _mm512_cmp$X_$I_mask(a, b);
}

//: f32 f64 i32 u32 i64 u64 | add:add sub:sub
static inline v$T v$T_$S(v$T a, v$T b) {
    return _mm512_$X_$E(a, b);
}

//: f32 f64 | mul:mul div:div
static inline v$T v$T_$S(v$T a, v$T b) {
    return _mm512_$X_$E(a, b);
}

//: i32 u32 i64 u64 | mul:mullo
static inline v$T v$T_$S(v$T a, v$T b) {
    return _mm512_$X_$E(a, b);
}

//: i32 u32 i64 u64 | min max
static inline v$T v$T_$S(v$T a, v$T b) {
    return _mm512_maskz_$S_$I((vm$N)-1, a, b);
}

//: f32 f64 | min max
/* NaN if either is. */
static inline v$T v$T_$S(v$T a, v$T b) {
    return _mm512_mask_$S_$E(a, v$T_eq(a, a), a, b);
}

//: i32 u32 i64 u64 | bitand:and bitor:or bitxor:xor
static inline v$T v$T_$S(v$T a, v$T b) {
    return _mm512_$X_si512(a, b);
}

//: i32 u32 i64 u64
/* 0 where the count is at least the width. */
static inline v$T v$T_shl(v$T a, v$T b) {
    return _mm512_maskz_sllv_$E((vm$N)-1, a, b);
}

//: u32 u64
/* 0 where the count is at least the width. */
static inline v$T v$T_shr(v$T a, v$T b) {
    return _mm512_maskz_srlv_$E((vm$N)-1, a, b);
}

//: i32:epu32 i64:epu64
/* Copies of the sign enter; 0 where the count is at least the width. */
static inline v$T v$T_shr(v$T a, v$T b) {
    return _mm512_maskz_srav_$E(_mm512_cmplt_$S_mask(b, v$T_set1($N)), a, b);
}

//: i32 i64
static inline v$T v$T_abs(v$T a) {
    return _mm512_maskz_abs_$E((vm$N)-1, a);
}

//: f32 f64
static inline v$T v$T_abs(v$T a) {
    return _mm512_andnot_$E(_mm512_set1_$E(-0.0$F), a);
}

//: f32 f64
static inline v$T v$T_neg(v$T a) {
    return _mm512_xor_$E(_mm512_set1_$E(-0.0$F), a);
}

//: f32 f64 | floor:NEG_INF ceil:POS_INF trunc:ZERO round:NEAREST_INT
static inline v$T v$T_$S(v$T x) {
    return _mm512_maskz_roundscale_$E((vm$N)-1, x, _MM_FROUND_TO_$X | _MM_FROUND_NO_EXC);
}

//: f32 f64
static inline v$T v$T_sqrt(v$T x) {
    return _mm512_maskz_sqrt_$E((vm$N)-1, x);
}

//: f32 f64
static inline v$T v$T_fma(v$T a, v$T b, v$T c) {
    return _mm512_fmadd_$E(a, b, c);
}

//: f32 f64 | least:min most:max
/* The smaller or larger one; `x` where it is NaN. */
static inline v$T v$T_$S(v$T bound, v$T x) {
    return _mm512_maskz_$X_$E((vm$N)-1, bound, x);
}

//: f32 f64
/* The nearest whole number to x, and what x is above it; as x and 0 where x is infinite. */
static inline v$T v$T_nearest(v$T x, v$T *above) {
    *above = _mm512_maskz_reduce_$E((vm$N)-1, x, _MM_FROUND_TO_NEAREST_INT);
    return v$T_sub(x, *above);
}

//: f32 f64
/* x * 2^n for whole n, rounded once even where the result is subnormal. */
static inline v$T v$T_scale(v$T x, v$T n) {
    return _mm512_maskz_scalef_$E((vm$N)-1, x, n);
}

/* The first half of the lanes. */
static inline vf64 vf64_of_low(vf32 x) {
    return _mm512_maskz_cvtps_pd((vm64)-1, _mm512_maskz_extractf32x8_ps((vm64)-1, x, 0));
}

/* The second half of the lanes. */
static inline vf64 vf64_of_high(vf32 x) {
    return _mm512_maskz_cvtps_pd((vm64)-1, _mm512_maskz_extractf32x8_ps((vm64)-1, x, 1));
}

static inline vf32 vf32_of_halves(vf64 low, vf64 high) {
    const __m512 first = _mm512_maskz_broadcast_f32x8((vm32)-1, _mm512_maskz_cvtpd_ps((vm64)-1, low));
    return _mm512_maskz_insertf32x8((vm32)-1, first, _mm512_maskz_cvtpd_ps((vm64)-1, high), 1);
}

//: f32:i32:epi32_ps f32:u32:epu32_ps f64:i64:epi64_pd f64:u64:epu64_pd
static inline v$T v$T_from_$S(v$S x) {
    return _mm512_maskz_cvt$X((vm$N)-1, x);
}

//: i32:f32:ps:2147483648.0f:INT32_MAX i64:f64:pd:9223372036854775808.0:INT64_MAX
/* Truncated and kept in range; NaN gives 0. */
static inline v$T v$T_from_$S(v$S x) {
    const v$T y = _mm512_maskz_cvtt$X_epi$N(v$S_eq(x, x), x);
    return v$T_select(v$S_ge(x, v$S_set1($Y)), v$T_set1($Z), y);
}

//: u32:f32:ps u64:f64:pd
/* Truncated and kept in range; NaN gives 0. */
static inline v$T v$T_from_$S(v$S x) {
    return _mm512_maskz_cvtt$X_epu$N(v$S_gt(x, v$S_set1(0)), x);
}

//: i32:u32 u32:i32 i64:u64 u64:i64
static inline v$T v$T_from_$S(v$S x) {
    return x;
}

//: i32:u32 u32:i32 i64:u64 u64:i64
static inline v$T v$T_of_bits_$S(v$S x) {
    return x;
}

//: i32:f32:ps_si512 u32:f32:ps_si512 i64:f64:pd_si512 u64:f64:pd_si512 f32:i32:si512_ps f32:u32:si512_ps f64:i64:si512_pd f64:u64:si512_pd
static inline v$T v$T_of_bits_$S(v$S x) {
    return _mm512_cast$X(x);
}

//: f32 | add mul max min
static inline float vf32_reduce_$S(vf32 x) {
    x = vf32_$S(x, _mm512_maskz_shuffle_f32x4((vm32)-1, x, x, 0x4E));
    x = vf32_$S(x, _mm512_maskz_shuffle_f32x4((vm32)-1, x, x, 0xB1));
    x = vf32_$S(x, _mm512_maskz_permute_ps((vm32)-1, x, 0x4E));
    x = vf32_$S(x, _mm512_maskz_permute_ps((vm32)-1, x, 0xB1));
    return _mm512_cvtss_f32(x);
}

//: f64 | add mul max min
static inline double vf64_reduce_$S(vf64 x) {
    x = vf64_$S(x, _mm512_maskz_shuffle_f64x2((vm64)-1, x, x, 0x4E));
    x = vf64_$S(x, _mm512_maskz_shuffle_f64x2((vm64)-1, x, x, 0xB1));
    x = vf64_$S(x, _mm512_maskz_permute_pd((vm64)-1, x, 0x55));
    return _mm512_cvtsd_f64(x);
}

//: i32 i64
/* Lanes first <= lane < stop. */
static inline vm$N vm$N_range(ptrdiff_t first, ptrdiff_t stop) {
    const unsigned low = (unsigned)size_max(0, size_min(first, VL$N));
    const unsigned high = (unsigned)size_max(0, size_min(stop, VL$N));
    return (vm$N)(((1u << high) - 1u) & ~((1u << low) - 1u));
}

//: i32 i64
static inline vm$N vm$N_set1(bool x) {
    return (vm$N)(x ? -1 : 0);
}

//: i32 i64
static inline vm$N vm$N_load(const bool *p) {
    unsigned m = 0;
    for (int i = 0; i < VL$N; ++i) {
        m |= (unsigned)p[i] << i;
    }
    return (vm$N)m;
}

//: i32 i64
static inline void vm$N_store(bool *p, vm$N m) {
    for (int i = 0; i < VL$N; ++i) {
        p[i] = (m >> i & 1) != 0;
    }
}

//: i32 i64
static inline vm$N vm$N_and(vm$N a, vm$N b) {
    return (vm$N)(a & b);
}

//: i32 i64
static inline vm$N vm$N_or(vm$N a, vm$N b) {
    return (vm$N)(a | b);
}

//: i32 i64
static inline vm$N vm$N_not(vm$N a) {
    return (vm$N)~a;
}

//: i32 i64
static inline vm$N vm$N_ne(vm$N a, vm$N b) {
    return (vm$N)(a ^ b);
}

//: i32 i64
/* Whether all lanes hold. */
static inline bool vm$N_reduce_and(vm$N m) {
    return m == (vm$N)-1;
}

//: i32 i64
/* Whether any lane holds. */
static inline bool vm$N_reduce_or(vm$N m) {
    return m != 0;
}

/* Rows j, j + 4, j + 8 and j + 12 of four columns, beside one another; no row after `last`. */
static inline vf32 vf32_quarter(const float *from, ptrdiff_t stride, ptrdiff_t j, ptrdiff_t last) {
    vf32 x = _mm512_castps128_ps512(_mm_loadu_ps(from + size_min(j, last) * stride));
    x = _mm512_insertf32x4(x, _mm_loadu_ps(from + size_min(j + 4, last) * stride), 1);
    x = _mm512_insertf32x4(x, _mm_loadu_ps(from + size_min(j + 8, last) * stride), 2);
    return _mm512_insertf32x4(x, _mm_loadu_ps(from + size_min(j + 12, last) * stride), 3);
}

/* Columns of VL32 rows (the last of them repeated) of four elements: to[c * to_stride + r] = from[r * stride + c]. */
static inline void vf32_transpose(float *to, ptrdiff_t to_stride, const float *from, ptrdiff_t stride, ptrdiff_t last) {
    const vf32 a = vf32_quarter(from, stride, 0, last);
    const vf32 b = vf32_quarter(from, stride, 1, last);
    const vf32 c = vf32_quarter(from, stride, 2, last);
    const vf32 d = vf32_quarter(from, stride, 3, last);
    const __m512d ab = _mm512_castps_pd(_mm512_maskz_unpacklo_ps((vm32)-1, a, b));
    const __m512d cd = _mm512_castps_pd(_mm512_maskz_unpacklo_ps((vm32)-1, c, d));
    const __m512d ab2 = _mm512_castps_pd(_mm512_maskz_unpackhi_ps((vm32)-1, a, b));
    const __m512d cd2 = _mm512_castps_pd(_mm512_maskz_unpackhi_ps((vm32)-1, c, d));
    const vm32 active = vm32_range(0, last + 1);
    vf32_store_mask(to, _mm512_castpd_ps(_mm512_maskz_unpacklo_pd((vm64)-1, ab, cd)), active);
    vf32_store_mask(to + to_stride, _mm512_castpd_ps(_mm512_maskz_unpackhi_pd((vm64)-1, ab, cd)), active);
    vf32_store_mask(to + 2 * to_stride, _mm512_castpd_ps(_mm512_maskz_unpacklo_pd((vm64)-1, ab2, cd2)), active);
    vf32_store_mask(to + 3 * to_stride, _mm512_castpd_ps(_mm512_maskz_unpackhi_pd((vm64)-1, ab2, cd2)), active);
}

/* Rows j, j + 2, j + 4 and j + 6 of two columns, beside one another; no row after `last`. */
static inline vf64 vf64_quarter(const double *from, ptrdiff_t stride, ptrdiff_t j, ptrdiff_t last) {
    vf64 x = _mm512_castpd128_pd512(_mm_loadu_pd(from + size_min(j, last) * stride));
    x = _mm512_insertf64x2(x, _mm_loadu_pd(from + size_min(j + 2, last) * stride), 1);
    x = _mm512_insertf64x2(x, _mm_loadu_pd(from + size_min(j + 4, last) * stride), 2);
    return _mm512_insertf64x2(x, _mm_loadu_pd(from + size_min(j + 6, last) * stride), 3);
}

/* Columns of VL64 rows (the last of them repeated) of four elements: to[c * to_stride + r] = from[r * stride + c]. */
static inline void vf64_transpose(double *to, ptrdiff_t to_stride, const double *from, ptrdiff_t stride, ptrdiff_t last) {
    const vm64 active = vm64_range(0, last + 1);
    for (ptrdiff_t c = 0; c < 4; c += 2) {
        const vf64 a = vf64_quarter(from + c, stride, 0, last);
        const vf64 b = vf64_quarter(from + c, stride, 1, last);
        vf64_store_mask(to + c * to_stride, _mm512_maskz_unpacklo_pd((vm64)-1, a, b), active);
        vf64_store_mask(to + (c + 1) * to_stride, _mm512_maskz_unpackhi_pd((vm64)-1, a, b), active);
    }
}

static inline vu32 vu32_turn(vu32 x, int count) {
    return _mm512_maskz_rolv_epi32((vm32)-1, x, _mm512_set1_epi32(count));
}

/* Bit i of the lower eight at bit 2 i. */
static inline vm32 vm32_spread(unsigned m) {
    unsigned x = m & 0xffu;
    x = (x | (x << 4)) & 0x0f0fu;
    x = (x | (x << 2)) & 0x3333u;
    return (vm32)((x | (x << 1)) & 0x5555u);
}

/* p[0], p[stride], p[2 * stride], ...; nothing else is read. Every other element comes from two loads, not from sixteen. */
static inline vf32 vf32_load_strided(const float *p, ptrdiff_t stride) {
    if (stride == 2) {
        const __m512i even = _mm512_set_epi32(31, 29, 27, 25, 23, 21, 19, 17, 14, 12, 10, 8, 6, 4, 2, 0);
        return _mm512_permutex2var_ps(_mm512_loadu_ps(p), even, _mm512_loadu_ps(p + 15));
    }
    if (stride >= -(1 << 26) && stride <= (1 << 26)) {
        const __m512i ramp = _mm512_set_epi32(15, 14, 13, 12, 11, 10, 9, 8, 7, 6, 5, 4, 3, 2, 1, 0);
        return _mm512_i32gather_ps(_mm512_mullo_epi32(ramp, _mm512_set1_epi32((int)stride)), p, 4);
    }
    float lanes[VL32];
    for (int i = 0; i < VL32; ++i) {
        lanes[i] = p[i * stride];
    }
    return vf32_load(lanes);
}

static inline vf32 vf32_load_strided_mask(const float *p, ptrdiff_t stride, vm32 m) {
    if (stride == 2) {
        const __m512i even = _mm512_set_epi32(31, 29, 27, 25, 23, 21, 19, 17, 14, 12, 10, 8, 6, 4, 2, 0);
        const vm32 last = (vm32)(vm32_spread((unsigned)m >> 8) << 1);
        const vf32 low = _mm512_maskz_loadu_ps(vm32_spread((unsigned)m), p);
        const float *const high = last != 0 ? p + 15 : p; /* which may lie behind all that p points into */
        return _mm512_permutex2var_ps(low, even, _mm512_maskz_loadu_ps(last, high));
    }
    if (stride >= -(1 << 26) && stride <= (1 << 26)) {
        const __m512i ramp = _mm512_set_epi32(15, 14, 13, 12, 11, 10, 9, 8, 7, 6, 5, 4, 3, 2, 1, 0);
        const __m512i at = _mm512_mullo_epi32(ramp, _mm512_set1_epi32((int)stride));
        return _mm512_mask_i32gather_ps(_mm512_setzero_ps(), m, at, p, 4);
    }
    float lanes[VL32];
    for (int i = 0; i < VL32; ++i) {
        lanes[i] = ((unsigned)m >> i & 1u) != 0 ? p[i * stride] : 0;
    }
    return vf32_load(lanes);
}

/* p[0], p[stride], p[2 * stride], ... = x; nothing else is written. Every other element takes two stores, not sixteen. */
static inline void vf32_store_strided(float *p, ptrdiff_t stride, vf32 x) {
    if (stride == 2) {
        const __m512i low = _mm512_set_epi32(7, 7, 6, 6, 5, 5, 4, 4, 3, 3, 2, 2, 1, 1, 0, 0);
        const __m512i high = _mm512_set_epi32(15, 15, 14, 14, 13, 13, 12, 12, 11, 11, 10, 10, 9, 9, 8, 8);
        _mm512_mask_storeu_ps(p, 0x5555, _mm512_permutexvar_ps(low, x));
        _mm512_mask_storeu_ps(p + 15, 0xaaaa, _mm512_permutexvar_ps(high, x));
        return;
    }
    if (stride >= -(1 << 26) && stride <= (1 << 26)) {
        const __m512i ramp = _mm512_set_epi32(15, 14, 13, 12, 11, 10, 9, 8, 7, 6, 5, 4, 3, 2, 1, 0);
        const __m512i at = _mm512_mullo_epi32(ramp, _mm512_set1_epi32((int)stride));
        _mm512_i32scatter_ps(p, at, x, 4);
        return;
    }
    float lanes[VL32];
    vf32_store(lanes, x);
    for (int i = 0; i < VL32; ++i) {
        p[i * stride] = lanes[i];
    }
}

static inline void vf32_store_strided_mask(float *p, ptrdiff_t stride, vf32 x, vm32 m) {
    if (stride == 2) {
        const __m512i low = _mm512_set_epi32(7, 7, 6, 6, 5, 5, 4, 4, 3, 3, 2, 2, 1, 1, 0, 0);
        const __m512i high = _mm512_set_epi32(15, 15, 14, 14, 13, 13, 12, 12, 11, 11, 10, 10, 9, 9, 8, 8);
        const vm32 last = (vm32)(vm32_spread((unsigned)m >> 8) << 1);
        _mm512_mask_storeu_ps(p, vm32_spread((unsigned)m), _mm512_permutexvar_ps(low, x));
        _mm512_mask_storeu_ps(last != 0 ? p + 15 : p, last, _mm512_permutexvar_ps(high, x));
        return;
    }
    if (stride >= -(1 << 26) && stride <= (1 << 26)) {
        const __m512i ramp = _mm512_set_epi32(15, 14, 13, 12, 11, 10, 9, 8, 7, 6, 5, 4, 3, 2, 1, 0);
        const __m512i at = _mm512_mullo_epi32(ramp, _mm512_set1_epi32((int)stride));
        _mm512_mask_i32scatter_ps(p, m, at, x, 4);
        return;
    }
    float lanes[VL32];
    bool on[VL32];
    vf32_store(lanes, x);
    vm32_store(on, m);
    for (int i = 0; i < VL32; ++i) {
        if (on[i]) {
            p[i * stride] = lanes[i];
        }
    }
}

/* The low halves of sixteen words. */
static inline vhalf vu32_halves(vu32 words) {
    return _mm512_maskz_cvtepi32_epi16((__mmask16)-1, words);
}

static inline vu32 vu32_of_halves(vhalf halves) {
    return _mm512_cvtepu16_epi32(halves);
}

static inline vhalf vhalf_load(const uint16_t *p) {
    return _mm256_loadu_si256((const __m256i *)(const void *)p);
}

static inline void vhalf_store(uint16_t *p, vhalf x) {
    _mm256_storeu_si256((__m256i *)(void *)p, x);
}

static inline vhalf vhalf_load_mask(const uint16_t *p, vm32 m) {
    return _mm256_maskz_loadu_epi16(m, p);
}

static inline void vhalf_store_mask(uint16_t *p, vhalf x, vm32 m) {
    _mm256_mask_storeu_epi16(p, m, x);
}

/* Sixteen f16 as f32. */
static inline vf32 vf32_of_f16(vhalf halves) {
    return _mm512_maskz_cvtph_ps((__mmask16)-1, halves);
}

/* The nearest f16, ties to even. */
static inline vhalf vf32_to_f16(vf32 x) {
    return _mm512_maskz_cvtps_ph((__mmask16)-1, x, _MM_FROUND_TO_NEAREST_INT);
}

#include "simd_common.h"

#include "simd_half.h"

#include "simd_double.h"

#include "simd_math.h"

#endif
