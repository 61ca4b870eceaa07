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

static inline vf32 vf32_set1(float x) {
    return _mm256_set1_ps(x);
}

static inline vi32 vi32_set1(int32_t x) {
    return _mm256_set1_epi32((int)x);
}

static inline vu32 vu32_set1(uint32_t x) {
    return _mm256_set1_epi32((int)x);
}

/* x, from here on in a register. What two or three multiply-adds share compilers would read from memory for each of them. */
static inline vf32 vf32_held(vf32 x) {
#if defined(__GNUC__)
    __asm__("" : "+x"(x));
#endif
    return x;
}

static inline vf32 vf32_load(const float *p) {
    return _mm256_loadu_ps(p);
}

/* Elements of the mask, zero elsewhere, where nothing is read. */
static inline vf32 vf32_load_mask(const float *p, vm32 m) {
    return _mm256_maskload_ps((const float *)(const void *)p, m);
}

static inline void vf32_store(float *p, vf32 x) {
    _mm256_storeu_ps(p, x);
}

static inline void vf32_store_mask(float *p, vf32 x, vm32 m) {
    _mm256_maskstore_ps((float *)(void *)p, m, x);
}

/* first + step * lane. */
static inline vi32 vi32_ramp(int32_t first, int32_t step) {
    const __m256i lane = _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7);
    return _mm256_add_epi32(vi32_set1(first), _mm256_mullo_epi32(lane, vi32_set1(step)));
}

/* first + step * lane. */
static inline vu32 vu32_ramp(uint32_t first, uint32_t step) {
    const __m256i lane = _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7);
    return _mm256_add_epi32(vu32_set1(first), _mm256_mullo_epi32(lane, vu32_set1(step)));
}

static inline vf32 vf32_select(vm32 m, vf32 a, vf32 b) {
    return _mm256_blendv_ps(b, a, _mm256_castsi256_ps(m));
}

static inline vm32 vf32_lt(vf32 a, vf32 b) {
    return _mm256_castps_si256(_mm256_cmp_ps(a, b, _CMP_LT_OQ));
}

static inline vm32 vf32_gt(vf32 a, vf32 b) {
    return _mm256_castps_si256(_mm256_cmp_ps(a, b, _CMP_GT_OQ));
}

static inline vm32 vi32_eq(vi32 a, vi32 b) {
    return _mm256_cmpeq_epi32(a, b);
}

static inline vm32 vi32_gt(vi32 a, vi32 b) {
    return _mm256_cmpgt_epi32(a, b);
}

static inline vf32 vf32_add(vf32 a, vf32 b) {
    return _mm256_add_ps(a, b);
}

static inline vu32 vu32_add(vu32 a, vu32 b) {
    return _mm256_add_epi32(a, b);
}

static inline vf32 vf32_sub(vf32 a, vf32 b) {
    return _mm256_sub_ps(a, b);
}

static inline vu32 vu32_sub(vu32 a, vu32 b) {
    return _mm256_sub_epi32(a, b);
}

static inline vf32 vf32_mul(vf32 a, vf32 b) {
    return _mm256_mul_ps(a, b);
}

static inline vf32 vf32_div(vf32 a, vf32 b) {
    return _mm256_div_ps(a, b);
}

/* NaN if either is. */
static inline vf32 vf32_max(vf32 a, vf32 b) {
    return _mm256_blendv_ps(_mm256_max_ps(a, b), a, _mm256_cmp_ps(a, a, _CMP_UNORD_Q));
}

static inline vu32 vu32_bitxor(vu32 a, vu32 b) {
    return _mm256_xor_si256(a, b);
}

/* 0 where the count is at least the width. */
static inline vu32 vu32_shl(vu32 a, vu32 b) {
    return _mm256_sllv_epi32(a, b);
}

/* 0 where the count is at least the width. */
static inline vu32 vu32_shr(vu32 a, vu32 b) {
    return _mm256_srlv_epi32(a, b);
}

static inline vf32 vf32_abs(vf32 a) {
    return _mm256_andnot_ps(_mm256_set1_ps(-0.0f), a);
}

static inline vf32 vf32_floor(vf32 x) {
    return _mm256_round_ps(x, _MM_FROUND_TO_NEG_INF | _MM_FROUND_NO_EXC);
}

static inline vf32 vf32_sqrt(vf32 x) {
    return _mm256_sqrt_ps(x);
}

static inline vf32 vf32_fma(vf32 a, vf32 b, vf32 c) {
    return _mm256_fmadd_ps(a, b, c);
}

/* The smaller or larger one; `x` where it is NaN. */
static inline vf32 vf32_least(vf32 bound, vf32 x) {
    return _mm256_min_ps(bound, x);
}

/* The smaller or larger one; `x` where it is NaN. */
static inline vf32 vf32_most(vf32 bound, vf32 x) {
    return _mm256_max_ps(bound, x);
}

/* x * 2^n for whole n of less than twice the range of powers, rounded once even where the result is subnormal. */
static inline vf32 vf32_scale(vf32 x, vf32 n) {
    const vf32 start = vf32_set1(12583039.0f);
    const vf32 half = vf32_floor(vf32_mul(n, vf32_set1(0.5f)));
    const vf32 rest = vf32_sub(n, half);
    const __m256i first = _mm256_slli_epi32(_mm256_castps_si256(vf32_add(half, start)), 23);
    const __m256i second = _mm256_slli_epi32(_mm256_castps_si256(vf32_add(rest, start)), 23);
    return vf32_mul(vf32_mul(x, _mm256_castsi256_ps(first)), _mm256_castsi256_ps(second));
}

/* Both halves are exact, so the sum rounds once. */
static inline vf32 vf32_from_u32(vu32 x) {
    const __m256 high = _mm256_cvtepi32_ps(_mm256_srli_epi32(x, 16));
    const __m256 low = _mm256_cvtepi32_ps(_mm256_and_si256(x, _mm256_set1_epi32(0xffff)));
    return _mm256_fmadd_ps(high, _mm256_set1_ps(65536.0f), low);
}

static inline vu32 vu32_of_bits_f32(vf32 x) {
    return _mm256_castps_si256(x);
}

static inline vf32 vf32_of_bits_u32(vu32 x) {
    return _mm256_castsi256_ps(x);
}

static inline float vf32_reduce_add(vf32 x) {
    x = vf32_add(x, _mm256_permute2f128_ps(x, x, 1));
    x = vf32_add(x, _mm256_permute_ps(x, 0x4E));
    x = vf32_add(x, _mm256_permute_ps(x, 0xB1));
    return _mm_cvtss_f32(_mm256_castps256_ps128(x));
}

static inline float vf32_reduce_max(vf32 x) {
    x = vf32_max(x, _mm256_permute2f128_ps(x, x, 1));
    x = vf32_max(x, _mm256_permute_ps(x, 0x4E));
    x = vf32_max(x, _mm256_permute_ps(x, 0xB1));
    return _mm_cvtss_f32(_mm256_castps256_ps128(x));
}

/* Lanes first <= lane < stop. */
static inline vm32 vm32_range(ptrdiff_t first, ptrdiff_t stop) {
    const vi32 lane = vi32_ramp(0, 1);
    const vi32 low = vi32_set1((int32_t)size_max(0, size_min(first, VL32)));
    const vi32 high = vi32_set1((int32_t)size_max(0, size_min(stop, VL32)));
    return _mm256_andnot_si256(vi32_gt(low, lane), vi32_gt(high, lane));
}

/* Whether any lane holds. */
static inline bool vm32_reduce_or(vm32 m) {
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

static inline vu32 vu32_turn(vu32 x, int count) {
    const __m256i n = _mm256_set1_epi32(count);
    return _mm256_or_si256(_mm256_sllv_epi32(x, n), _mm256_srlv_epi32(x, _mm256_sub_epi32(_mm256_set1_epi32(32), n)));
}

#include "simd_common.h"

#include "simd_math.h"

#endif
