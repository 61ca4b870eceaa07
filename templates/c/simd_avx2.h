/* Vectors of 256 bits: AVX2 and FMA. A mask has all bits of a lane set or none. */
#ifndef CHARL_SIMD_AVX2_H
#define CHARL_SIMD_AVX2_H

#include "scalar.h"

#include <immintrin.h>

#define VL32 8
#define VL64 4

typedef __m256 vf32;
typedef __m256d vf64;
typedef __m256i vi32;
typedef __m256i vu32;
typedef __m256i vi64;
typedef __m256i vu64;
typedef __m256i vm32;
typedef __m256i vm64;

//! vhalf
/* f16 or bf16, as many as there are f32 in a vector. */
typedef __m128i vhalf;

//: f32 f64
static inline v$T v$T_set1($C x) {
    return _mm256_set1_$E(x);
}

//: i32:epi32:int u32:epi32:int i64:epi64x:long~long u64:epi64x:long~long
static inline v$T v$T_set1($C x) {
    return _mm256_set1_$S(($X)x);
}

//: f32:ss f64:sd
/* All lanes have what lies at p: read from there each time. */
static inline v$T v$T_spread(const $C *p) {
    return _mm256_broadcast_$S(p);
}

//: f32 f64
/* x, from here on in a register. What two or three multiply-adds share compilers would read from memory for each of them. */
static inline v$T v$T_held(v$T x) {
#if defined(__GNUC__)
    __asm__("" : "+x"(x));
#endif
    return x;
}

//: f32 f64
static inline v$T v$T_load(const $C *p) {
    return _mm256_loadu_$E(p);
}

//: i32 u32 i64 u64
static inline v$T v$T_load(const $C *p) {
    return _mm256_loadu_si256((const __m256i *)(const void *)p);
}

//: f32:float f64:double i32:int u32:int i64:long~long u64:long~long
/* Elements of the mask, zero elsewhere, where nothing is read. */
static inline v$T v$T_load_mask(const $C *p, vm$N m) {
    return _mm256_maskload_$E((const $S *)(const void *)p, m);
}

//: f32 f64
static inline void v$T_store($C *p, v$T x) {
    _mm256_storeu_$E(p, x);
}

//: i32 u32 i64 u64
static inline void v$T_store($C *p, v$T x) {
    _mm256_storeu_si256((__m256i *)(void *)p, x);
}

//: f32:float f64:double i32:int u32:int i64:long~long u64:long~long
static inline void v$T_store_mask($C *p, v$T x, vm$N m) {
    _mm256_maskstore_$E(($S *)(void *)p, m, x);
}

//: i32 u32
/* first + step * lane. */
static inline v$T v$T_ramp($C first, $C step) {
    const __m256i lane = _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7);
    return _mm256_add_epi32(v$T_set1(first), _mm256_mullo_epi32(lane, v$T_set1(step)));
}

//: i64 u64
static inline v$T v$T_mul(v$T a, v$T b) {
    const __m256i ab = _mm256_mul_epu32(a, _mm256_srli_epi64(b, 32));
    const __m256i ba = _mm256_mul_epu32(b, _mm256_srli_epi64(a, 32));
    return _mm256_add_epi64(_mm256_mul_epu32(a, b), _mm256_slli_epi64(_mm256_add_epi64(ab, ba), 32));
}

//: i64 u64
/* first + step * lane. */
static inline v$T v$T_ramp($C first, $C step) {
    return _mm256_add_epi64(v$T_set1(first), v$T_mul(_mm256_setr_epi64x(0, 1, 2, 3), v$T_set1(step)));
}

//: f32:ps f64:pd
static inline v$T v$T_select(vm$N m, v$T a, v$T b) {
    return _mm256_blendv_$S(b, a, _mm256_castsi256_$S(m));
}

//: i32 u32 i64 u64
static inline v$T v$T_select(vm$N m, v$T a, v$T b) {
    return _mm256_blendv_epi8(b, a, m);
}

//: i32 i64
static inline vm$N vm$N_not(vm$N a) {
    return _mm256_xor_si256(a, _mm256_set1_epi32(-1));
}

//: i32 i64 | and or
static inline vm$N vm$N_$S(vm$N a, vm$N b) {
    return _mm256_$S_si256(a, b);
}

//: i32 i64
static inline vm$N vm$N_ne(vm$N a, vm$N b) {
    return _mm256_xor_si256(a, b);
}

//: f32 f64 | eq:EQ_OQ ne:NEQ_UQ lt:LT_OQ le:LE_OQ gt:GT_OQ ge:GE_OQ
static inline vm$N v$T_$S(v$T a, v$T b) {
    return _mm256_cast$E_si256(_mm256_cmp_$E(a, b, _CMP_$X));
}

//: i32 u32 i64 u64
static inline vm$N v$T_eq(v$T a, v$T b) {
    return _mm256_cmpeq_$E(a, b);
}

//: i32 i64
static inline vm$N v$T_gt(v$T a, v$T b) {
    return _mm256_cmpgt_$E(a, b);
}

//: u32:0x80000000u u64:UINT64_C(0x8000000000000000)
static inline vm$N v$T_gt(v$T a, v$T b) {
    const __m256i top = v$T_set1($S);
    return _mm256_cmpgt_$E(_mm256_xor_si256(a, top), _mm256_xor_si256(b, top));
}

//: i32 u32 i64 u64
static inline vm$N v$T_ne(v$T a, v$T b) {
    return vm$N_not(v$T_eq(a, b));
}

//: i32 u32 i64 u64
static inline vm$N v$T_lt(v$T a, v$T b) {
    return v$T_gt(b, a);
}

//: i32 u32 i64 u64
static inline vm$N v$T_le(v$T a, v$T b) {
    return vm$N_not(v$T_gt(a, b));
}

//: i32 u32 i64 u64
static inline vm$N v$T_ge(v$T a, v$T b) {
    return vm$N_not(v$T_gt(b, a));
}

//: f32 f64 i32 u32 i64 u64 | add sub
static inline v$T v$T_$S(v$T a, v$T b) {
    return _mm256_$S_$E(a, b);
}

//: f32 f64 | mul div
static inline v$T v$T_$S(v$T a, v$T b) {
    return _mm256_$S_$E(a, b);
}

//: i32 u32
static inline v$T v$T_mul(v$T a, v$T b) {
    return _mm256_mullo_epi32(a, b);
}

//: i32 u32 | min max
static inline v$T v$T_$S(v$T a, v$T b) {
    return _mm256_$S_$I(a, b);
}

//: i64 u64
static inline v$T v$T_min(v$T a, v$T b) {
    return v$T_select(v$T_gt(a, b), b, a);
}

//: i64 u64
static inline v$T v$T_max(v$T a, v$T b) {
    return v$T_select(v$T_gt(a, b), a, b);
}

//: f32 f64 | min max
/* NaN if either is. */
static inline v$T v$T_$S(v$T a, v$T b) {
    return _mm256_blendv_$E(_mm256_$S_$E(a, b), a, _mm256_cmp_$E(a, a, _CMP_UNORD_Q));
}

//: i32 u32 i64 u64 | bitand:and bitor:or bitxor:xor
static inline v$T v$T_$S(v$T a, v$T b) {
    return _mm256_$X_si256(a, b);
}

//: i32 u32 i64 u64
/* 0 where the count is at least the width. */
static inline v$T v$T_shl(v$T a, v$T b) {
    return _mm256_sllv_$E(a, b);
}

//: u32 u64
/* 0 where the count is at least the width. */
static inline v$T v$T_shr(v$T a, v$T b) {
    return _mm256_srlv_$E(a, b);
}

//: i32 i64
/* Copies of the sign enter; 0 where the count is at least the width. */
static inline v$T v$T_shr(v$T a, v$T b) {
    const __m256i zero = _mm256_setzero_si256();
    const __m256i sign = _mm256_cmpgt_$E(zero, a);
    const __m256i moved = _mm256_xor_si256(_mm256_srlv_$E(_mm256_xor_si256(a, sign), b), sign);
    const __m256i small = _mm256_cmpeq_$E(_mm256_andnot_si256(v$T_set1($N - 1), b), zero);
    return _mm256_and_si256(moved, small);
}

//: i32 i64
static inline v$T v$T_abs(v$T a) {
    const __m256i sign = _mm256_cmpgt_$E(_mm256_setzero_si256(), a);
    return _mm256_sub_$E(_mm256_xor_si256(a, sign), sign);
}

//: f32 f64
static inline v$T v$T_abs(v$T a) {
    return _mm256_andnot_$E(_mm256_set1_$E(-0.0$F), a);
}

//: f32 f64
static inline v$T v$T_neg(v$T a) {
    return _mm256_xor_$E(_mm256_set1_$E(-0.0$F), a);
}

//: f32 f64 | floor:NEG_INF ceil:POS_INF trunc:ZERO round:NEAREST_INT
static inline v$T v$T_$S(v$T x) {
    return _mm256_round_$E(x, _MM_FROUND_TO_$X | _MM_FROUND_NO_EXC);
}

//: f32 f64
static inline v$T v$T_sqrt(v$T x) {
    return _mm256_sqrt_$E(x);
}

//: f32 f64
static inline v$T v$T_fma(v$T a, v$T b, v$T c) {
    return _mm256_fmadd_$E(a, b, c);
}

//: f32 f64 | least:min most:max
/* The smaller or larger one; `x` where it is NaN. */
static inline v$T v$T_$S(v$T bound, v$T x) {
    return _mm256_$X_$E(bound, x);
}

//: f32:129 f64:1025
/* The nearest whole number to x, or to the first whose power of two is infinite, and what x is above it. */
static inline v$T v$T_nearest(v$T x, v$T *above) {
    const v$T y = v$T_least(v$T_set1($S.0$F), x);
    const v$T n = v$T_round(y);
    *above = v$T_sub(y, n);
    return n;
}

//: f32:23:12583039:epi32:ps_si256 f64:52:6755399441056767:epi64:pd_si256
/* x * 2^n for whole n of less than twice the range of powers, rounded once even where the result is subnormal. */
static inline v$T v$T_scale(v$T x, v$T n) {
    const v$T start = v$T_set1($X.0$F);
    const v$T half = v$T_floor(v$T_mul(n, v$T_set1(0.5$F)));
    const v$T rest = v$T_sub(n, half);
    const __m256i first = _mm256_slli_$Y(_mm256_cast$Z(v$T_add(half, start)), $S);
    const __m256i second = _mm256_slli_$Y(_mm256_cast$Z(v$T_add(rest, start)), $S);
    return v$T_mul(v$T_mul(x, _mm256_castsi256_$E(first)), _mm256_castsi256_$E(second));
}

/* The first half of the lanes. */
static inline vf64 vf64_of_low(vf32 x) {
    return _mm256_cvtps_pd(_mm256_castps256_ps128(x));
}

/* The second half of the lanes. */
static inline vf64 vf64_of_high(vf32 x) {
    return _mm256_cvtps_pd(_mm256_extractf128_ps(x, 1));
}

static inline vf32 vf32_of_halves(vf64 low, vf64 high) {
    return _mm256_insertf128_ps(_mm256_castps128_ps256(_mm256_cvtpd_ps(low)), _mm256_cvtpd_ps(high), 1);
}

static inline vf32 vf32_from_i32(vi32 x) {
    return _mm256_cvtepi32_ps(x);
}

/* Both halves are exact, so the sum rounds once. */
static inline vf32 vf32_from_u32(vu32 x) {
    const __m256 high = _mm256_cvtepi32_ps(_mm256_srli_epi32(x, 16));
    const __m256 low = _mm256_cvtepi32_ps(_mm256_and_si256(x, _mm256_set1_epi32(0xffff)));
    return _mm256_fmadd_ps(high, _mm256_set1_ps(65536.0f), low);
}

/* Truncated and kept in range; NaN gives 0. */
static inline vi32 vi32_from_f32(vf32 x) {
    const __m256i y = _mm256_and_si256(_mm256_cvttps_epi32(x), vf32_eq(x, x));
    return vi32_select(vf32_ge(x, vf32_set1(2147483648.0f)), vi32_set1(INT32_MAX), y);
}

/* Truncated and kept in range; NaN gives 0. */
static inline vu32 vu32_from_f32(vf32 x) {
    const __m256 half = _mm256_set1_ps(2147483648.0f);
    const __m256 positive = _mm256_max_ps(x, _mm256_setzero_ps());
    const __m256i upper = _mm256_xor_si256(_mm256_cvttps_epi32(_mm256_sub_ps(positive, half)), vu32_set1(0x80000000u));
    const __m256i y = vi32_select(vf32_ge(x, half), upper, _mm256_cvttps_epi32(positive));
    return _mm256_or_si256(y, vf32_ge(x, _mm256_set1_ps(4294967296.0f)));
}

//: f64:i64 f64:u64
static inline v$T v$T_from_$S(v$S x) {
    $D from[VL64];
    $C to[VL64];
    v$S_store(from, x);
    for (int i = 0; i < VL64; ++i) {
        to[i] = ($C)from[i];
    }
    return v$T_load(to);
}

//: i64:f64 u64:f64
/* Truncated and kept in range; NaN gives 0. */
static inline v$T v$T_from_$S(v$S x) {
    $D from[VL64];
    $C to[VL64];
    v$S_store(from, x);
    for (int i = 0; i < VL64; ++i) {
        to[i] = $T_from_$S(from[i]);
    }
    return v$T_load(to);
}

//: i32:u32 u32:i32 i64:u64 u64:i64
static inline v$T v$T_from_$S(v$S x) {
    return x;
}

//: i32:u32 u32:i32 i64:u64 u64:i64
static inline v$T v$T_of_bits_$S(v$S x) {
    return x;
}

//: i32:f32:ps_si256 u32:f32:ps_si256 i64:f64:pd_si256 u64:f64:pd_si256 f32:i32:si256_ps f32:u32:si256_ps f64:i64:si256_pd f64:u64:si256_pd
static inline v$T v$T_of_bits_$S(v$S x) {
    return _mm256_cast$X(x);
}

//: f32 | add mul max min
static inline float vf32_reduce_$S(vf32 x) {
    x = vf32_$S(x, _mm256_permute2f128_ps(x, x, 1));
    x = vf32_$S(x, _mm256_permute_ps(x, 0x4E));
    x = vf32_$S(x, _mm256_permute_ps(x, 0xB1));
    return _mm_cvtss_f32(_mm256_castps256_ps128(x));
}

//: f64 | add mul max min
static inline double vf64_reduce_$S(vf64 x) {
    x = vf64_$S(x, _mm256_permute2f128_pd(x, x, 1));
    x = vf64_$S(x, _mm256_permute_pd(x, 0x5));
    return _mm_cvtsd_f64(_mm256_castpd256_pd128(x));
}

//: i32 i64
/* Lanes first <= lane < stop. */
static inline vm$N vm$N_range(ptrdiff_t first, ptrdiff_t stop) {
    const vi$N lane = vi$N_ramp(0, 1);
    const vi$N low = vi$N_set1(($C)size_max(0, size_min(first, VL$N)));
    const vi$N high = vi$N_set1(($C)size_max(0, size_min(stop, VL$N)));
    return _mm256_andnot_si256(vi$N_gt(low, lane), vi$N_gt(high, lane));
}

//: i32 i64
static inline vm$N vm$N_set1(bool x) {
    return _mm256_set1_epi32(x ? -1 : 0);
}

//: i32 i64
static inline vm$N vm$N_load(const bool *p) {
    $C lanes[VL$N];
    for (int i = 0; i < VL$N; ++i) {
        lanes[i] = p[i] ? -1 : 0;
    }
    return vi$N_load(lanes);
}

//: i32 i64
static inline void vm$N_store(bool *p, vm$N m) {
    $C lanes[VL$N];
    vi$N_store(lanes, m);
    for (int i = 0; i < VL$N; ++i) {
        p[i] = lanes[i] != 0;
    }
}

//: i32 i64
/* Whether all lanes hold. */
static inline bool vm$N_reduce_and(vm$N m) {
    return _mm256_movemask_epi8(m) == -1;
}

//: i32 i64
/* Whether any lane holds. */
static inline bool vm$N_reduce_or(vm$N m) {
    return _mm256_movemask_epi8(m) != 0;
}

/* Rows j and j + 4 of four columns, beside one another; no row after `last`. */
static inline vf32 vf32_half(const float *from, ptrdiff_t stride, ptrdiff_t j, ptrdiff_t last) {
    const vf32 x = _mm256_castps128_ps256(_mm_loadu_ps(from + size_min(j, last) * stride));
    return _mm256_insertf128_ps(x, _mm_loadu_ps(from + size_min(j + 4, last) * stride), 1);
}

/* Columns of VL32 rows (the last of them repeated) of four elements: to[c * to_stride + r] = from[r * stride + c]. */
static inline void vf32_transpose(float *to, ptrdiff_t to_stride, const float *from, ptrdiff_t stride, ptrdiff_t last) {
    const vf32 a = vf32_half(from, stride, 0, last);
    const vf32 b = vf32_half(from, stride, 1, last);
    const vf32 c = vf32_half(from, stride, 2, last);
    const vf32 d = vf32_half(from, stride, 3, last);
    const __m256d ab = _mm256_castps_pd(_mm256_unpacklo_ps(a, b));
    const __m256d cd = _mm256_castps_pd(_mm256_unpacklo_ps(c, d));
    const __m256d ab2 = _mm256_castps_pd(_mm256_unpackhi_ps(a, b));
    const __m256d cd2 = _mm256_castps_pd(_mm256_unpackhi_ps(c, d));
    const vm32 active = vm32_range(0, last + 1);
    vf32_store_mask(to, _mm256_castpd_ps(_mm256_unpacklo_pd(ab, cd)), active);
    vf32_store_mask(to + to_stride, _mm256_castpd_ps(_mm256_unpackhi_pd(ab, cd)), active);
    vf32_store_mask(to + 2 * to_stride, _mm256_castpd_ps(_mm256_unpacklo_pd(ab2, cd2)), active);
    vf32_store_mask(to + 3 * to_stride, _mm256_castpd_ps(_mm256_unpackhi_pd(ab2, cd2)), active);
}

/* Rows j and j + 2 of two columns, beside one another; no row after `last`. */
static inline vf64 vf64_half(const double *from, ptrdiff_t stride, ptrdiff_t j, ptrdiff_t last) {
    const vf64 x = _mm256_castpd128_pd256(_mm_loadu_pd(from + size_min(j, last) * stride));
    return _mm256_insertf128_pd(x, _mm_loadu_pd(from + size_min(j + 2, last) * stride), 1);
}

/* Columns of VL64 rows (the last of them repeated) of four elements: to[c * to_stride + r] = from[r * stride + c]. */
static inline void vf64_transpose(double *to, ptrdiff_t to_stride, const double *from, ptrdiff_t stride, ptrdiff_t last) {
    const vm64 active = vm64_range(0, last + 1);
    for (ptrdiff_t c = 0; c < 4; c += 2) {
        const vf64 a = vf64_half(from + c, stride, 0, last);
        const vf64 b = vf64_half(from + c, stride, 1, last);
        vf64_store_mask(to + c * to_stride, _mm256_unpacklo_pd(a, b), active);
        vf64_store_mask(to + (c + 1) * to_stride, _mm256_unpackhi_pd(a, b), active);
    }
}

static inline vu32 vu32_turn(vu32 x, int count) {
    const __m256i n = _mm256_set1_epi32(count);
    return _mm256_or_si256(_mm256_sllv_epi32(x, n), _mm256_srlv_epi32(x, _mm256_sub_epi32(_mm256_set1_epi32(32), n)));
}

/* p[0], p[stride], p[2 * stride], ...; nothing else is read. Every other element comes from two loads, not from eight. */
static inline vf32 vf32_load_strided(const float *p, ptrdiff_t stride) {
    if (stride == 2) {
        const __m256 low = _mm256_permutevar8x32_ps(_mm256_loadu_ps(p), _mm256_set_epi32(6, 4, 2, 0, 6, 4, 2, 0));
        const __m256 high = _mm256_permutevar8x32_ps(_mm256_loadu_ps(p + 7), _mm256_set_epi32(7, 5, 3, 1, 7, 5, 3, 1));
        return _mm256_blend_ps(low, high, 0xf0);
    }
    float lanes[VL32];
    for (int i = 0; i < VL32; ++i) {
        lanes[i] = p[i * stride];
    }
    return vf32_load(lanes);
}

static inline vf32 vf32_load_strided_mask(const float *p, ptrdiff_t stride, vm32 m) {
    float lanes[VL32];
    bool on[VL32];
    vm32_store(on, m);
    for (int i = 0; i < VL32; ++i) {
        lanes[i] = on[i] ? p[i * stride] : 0;
    }
    return vf32_load(lanes);
}

static inline void vf32_store_strided(float *p, ptrdiff_t stride, vf32 x) {
    float lanes[VL32];
    vf32_store(lanes, x);
    for (int i = 0; i < VL32; ++i) {
        p[i * stride] = lanes[i];
    }
}

static inline void vf32_store_strided_mask(float *p, ptrdiff_t stride, vf32 x, vm32 m) {
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

/* The low halves of eight words. */
static inline vhalf vu32_halves(vu32 words) {
    const __m256i low = _mm256_and_si256(words, _mm256_set1_epi32(0xffff));
    return _mm256_castsi256_si128(_mm256_permute4x64_epi64(_mm256_packus_epi32(low, low), 0x08));
}

static inline vu32 vu32_of_halves(vhalf halves) {
    return _mm256_cvtepu16_epi32(halves);
}

static inline vhalf vhalf_load(const uint16_t *p) {
    return _mm_loadu_si128((const __m128i *)(const void *)p);
}

static inline void vhalf_store(uint16_t *p, vhalf x) {
    _mm_storeu_si128((__m128i *)(void *)p, x);
}

static inline vhalf vhalf_load_mask(const uint16_t *p, vm32 m) {
    uint16_t lanes[VL32];
    bool on[VL32];
    vm32_store(on, m);
    for (int i = 0; i < VL32; ++i) {
        lanes[i] = (uint16_t)(on[i] ? p[i] : 0);
    }
    return vhalf_load(lanes);
}

static inline void vhalf_store_mask(uint16_t *p, vhalf x, vm32 m) {
    uint16_t lanes[VL32];
    bool on[VL32];
    vhalf_store(lanes, x);
    vm32_store(on, m);
    for (int i = 0; i < VL32; ++i) {
        if (on[i]) {
            p[i] = lanes[i];
        }
    }
}

/* Eight f16 as f32. */
static inline vf32 vf32_of_f16(vhalf halves) {
#ifdef __F16C__
    return _mm256_cvtph_ps(halves);
#else
    uint16_t bits[8];
    float lanes[8];
    _mm_storeu_si128((__m128i *)(void *)bits, halves);
    for (int i = 0; i < 8; ++i) {
        lanes[i] = f16_value(bits[i]);
    }
    return _mm256_loadu_ps(lanes);
#endif
}

/* The nearest f16, ties to even. */
static inline vhalf vf32_to_f16(vf32 x) {
#ifdef __F16C__
    return _mm256_cvtps_ph(x, _MM_FROUND_TO_NEAREST_INT);
#else
    uint16_t bits[8];
    float lanes[8];
    _mm256_storeu_ps(lanes, x);
    for (int i = 0; i < 8; ++i) {
        bits[i] = (uint16_t)f16_bits(lanes[i]);
    }
    return _mm_loadu_si128((const __m128i *)(const void *)bits);
#endif
}

#include "simd_common.h"

#include "simd_half.h"

#include "simd_double.h"

#include "simd_math.h"

#endif
