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

static inline vf32 vf32_set1(float x) {
    return _mm512_set1_ps(x);
}

static inline vi32 vi32_set1(int32_t x) {
    return _mm512_set1_epi32((int)x);
}

static inline vu32 vu32_set1(uint32_t x) {
    return _mm512_set1_epi32((int)x);
}

/* x, from here on in a register. What two or three multiply-adds share compilers would read from memory for each of them. */
static inline vf32 vf32_held(vf32 x) {
#if defined(__GNUC__)
    __asm__("" : "+v"(x));
#endif
    return x;
}

static inline vf32 vf32_load(const float *p) {
    return _mm512_loadu_ps(p);
}

/* Elements of the mask, zero elsewhere, where nothing is read. */
static inline vf32 vf32_load_mask(const float *p, vm32 m) {
    return _mm512_maskz_loadu_ps(m, p);
}

static inline void vf32_store(float *p, vf32 x) {
    _mm512_storeu_ps(p, x);
}

static inline void vf32_store_mask(float *p, vf32 x, vm32 m) {
    _mm512_mask_storeu_ps(p, m, x);
}

/* first + step * lane. */
static inline vi32 vi32_ramp(int32_t first, int32_t step) {
    const __m512i lane = _mm512_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15);
    return _mm512_add_epi32(vi32_set1(first), _mm512_mullo_epi32(lane, vi32_set1(step)));
}

/* first + step * lane. */
static inline vu32 vu32_ramp(uint32_t first, uint32_t step) {
    const __m512i lane = _mm512_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15);
    return _mm512_add_epi32(vu32_set1(first), _mm512_mullo_epi32(lane, vu32_set1(step)));
}

static inline vf32 vf32_select(vm32 m, vf32 a, vf32 b) {
    return _mm512_mask_blend_ps(m, b, a);
}

static inline vm32 vf32_eq(vf32 a, vf32 b) {
    return _mm512_cmp_ps_mask(a, b, _CMP_EQ_OQ);
}

static inline vm32 vf32_lt(vf32 a, vf32 b) {
    return _mm512_cmp_ps_mask(a, b, _CMP_LT_OQ);
}

static inline vm32 vf32_gt(vf32 a, vf32 b) {
    return _mm512_cmp_ps_mask(a, b, _CMP_GT_OQ);
}

static inline vm32 vi32_eq(vi32 a, vi32 b) {
    return _mm512_cmpeq_epi32_mask(a, b);
}

static inline vf32 vf32_add(vf32 a, vf32 b) {
    return _mm512_add_ps(a, b);
}

static inline vu32 vu32_add(vu32 a, vu32 b) {
    return _mm512_add_epi32(a, b);
}

static inline vf32 vf32_sub(vf32 a, vf32 b) {
    return _mm512_sub_ps(a, b);
}

static inline vu32 vu32_sub(vu32 a, vu32 b) {
    return _mm512_sub_epi32(a, b);
}

static inline vf32 vf32_mul(vf32 a, vf32 b) {
    return _mm512_mul_ps(a, b);
}

static inline vf32 vf32_div(vf32 a, vf32 b) {
    return _mm512_div_ps(a, b);
}

/* NaN if either is. */
static inline vf32 vf32_max(vf32 a, vf32 b) {
    return _mm512_mask_max_ps(a, vf32_eq(a, a), a, b);
}

static inline vu32 vu32_bitxor(vu32 a, vu32 b) {
    return _mm512_xor_si512(a, b);
}

/* 0 where the count is at least the width. */
static inline vu32 vu32_shl(vu32 a, vu32 b) {
    return _mm512_maskz_sllv_epi32((vm32)-1, a, b);
}

/* 0 where the count is at least the width. */
static inline vu32 vu32_shr(vu32 a, vu32 b) {
    return _mm512_maskz_srlv_epi32((vm32)-1, a, b);
}

static inline vf32 vf32_abs(vf32 a) {
    return _mm512_andnot_ps(_mm512_set1_ps(-0.0f), a);
}

static inline vf32 vf32_sqrt(vf32 x) {
    return _mm512_maskz_sqrt_ps((vm32)-1, x);
}

static inline vf32 vf32_fma(vf32 a, vf32 b, vf32 c) {
    return _mm512_fmadd_ps(a, b, c);
}

/* The smaller or larger one; `x` where it is NaN. */
static inline vf32 vf32_least(vf32 bound, vf32 x) {
    return _mm512_maskz_min_ps((vm32)-1, bound, x);
}

/* The smaller or larger one; `x` where it is NaN. */
static inline vf32 vf32_most(vf32 bound, vf32 x) {
    return _mm512_maskz_max_ps((vm32)-1, bound, x);
}

/* x * 2^n for whole n, rounded once even where the result is subnormal. */
static inline vf32 vf32_scale(vf32 x, vf32 n) {
    return _mm512_maskz_scalef_ps((vm32)-1, x, n);
}

static inline vf32 vf32_from_u32(vu32 x) {
    return _mm512_maskz_cvtepu32_ps((vm32)-1, x);
}

static inline vu32 vu32_of_bits_f32(vf32 x) {
    return _mm512_castps_si512(x);
}

static inline vf32 vf32_of_bits_u32(vu32 x) {
    return _mm512_castsi512_ps(x);
}

static inline float vf32_reduce_add(vf32 x) {
    x = vf32_add(x, _mm512_maskz_shuffle_f32x4((vm32)-1, x, x, 0x4E));
    x = vf32_add(x, _mm512_maskz_shuffle_f32x4((vm32)-1, x, x, 0xB1));
    x = vf32_add(x, _mm512_maskz_permute_ps((vm32)-1, x, 0x4E));
    x = vf32_add(x, _mm512_maskz_permute_ps((vm32)-1, x, 0xB1));
    return _mm512_cvtss_f32(x);
}

static inline float vf32_reduce_max(vf32 x) {
    x = vf32_max(x, _mm512_maskz_shuffle_f32x4((vm32)-1, x, x, 0x4E));
    x = vf32_max(x, _mm512_maskz_shuffle_f32x4((vm32)-1, x, x, 0xB1));
    x = vf32_max(x, _mm512_maskz_permute_ps((vm32)-1, x, 0x4E));
    x = vf32_max(x, _mm512_maskz_permute_ps((vm32)-1, x, 0xB1));
    return _mm512_cvtss_f32(x);
}

/* Lanes first <= lane < stop. */
static inline vm32 vm32_range(ptrdiff_t first, ptrdiff_t stop) {
    const unsigned low = (unsigned)size_max(0, size_min(first, VL32));
    const unsigned high = (unsigned)size_max(0, size_min(stop, VL32));
    return (vm32)(((1u << high) - 1u) & ~((1u << low) - 1u));
}

/* Whether any lane holds. */
static inline bool vm32_reduce_or(vm32 m) {
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

static inline vu32 vu32_turn(vu32 x, int count) {
    return _mm512_maskz_rolv_epi32((vm32)-1, x, _mm512_set1_epi32(count));
}

#include "simd_common.h"

#include "simd_math.h"

#endif
