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

static inline vi32 vi32_select(vm32 m, vi32 a, vi32 b) {
    return _mm256_blendv_epi8(b, a, m);
}

static inline vm32 vf32_eq(vf32 a, vf32 b) {
    return _mm256_castps_si256(_mm256_cmp_ps(a, b, _CMP_EQ_OQ));
}

static inline vm32 vf32_lt(vf32 a, vf32 b) {
    return _mm256_castps_si256(_mm256_cmp_ps(a, b, _CMP_LT_OQ));
}

static inline vm32 vf32_ge(vf32 a, vf32 b) {
    return _mm256_castps_si256(_mm256_cmp_ps(a, b, _CMP_GE_OQ));
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

static inline vi32 vi32_add(vi32 a, vi32 b) {
    return _mm256_add_epi32(a, b);
}

static inline vu32 vu32_add(vu32 a, vu32 b) {
    return _mm256_add_epi32(a, b);
}

static inline vf32 vf32_sub(vf32 a, vf32 b) {
    return _mm256_sub_ps(a, b);
}

static inline vi32 vi32_sub(vi32 a, vi32 b) {
    return _mm256_sub_epi32(a, b);
}

static inline vf32 vf32_mul(vf32 a, vf32 b) {
    return _mm256_mul_ps(a, b);
}

static inline vf32 vf32_div(vf32 a, vf32 b) {
    return _mm256_div_ps(a, b);
}

/* NaN if either is. */
static inline vf32 vf32_min(vf32 a, vf32 b) {
    return _mm256_blendv_ps(_mm256_min_ps(a, b), a, _mm256_cmp_ps(a, a, _CMP_UNORD_Q));
}

/* NaN if either is. */
static inline vf32 vf32_max(vf32 a, vf32 b) {
    return _mm256_blendv_ps(_mm256_max_ps(a, b), a, _mm256_cmp_ps(a, a, _CMP_UNORD_Q));
}

static inline vu32 vu32_bitxor(vu32 a, vu32 b) {
    return _mm256_xor_si256(a, b);
}

/* 0 where the count is at least the width. */
static inline vi32 vi32_shl(vi32 a, vi32 b) {
    return _mm256_sllv_epi32(a, b);
}

/* 0 where the count is at least the width. */
static inline vu32 vu32_shr(vu32 a, vu32 b) {
    return _mm256_srlv_epi32(a, b);
}

/* Copies of the sign enter; 0 where the count is at least the width. */
static inline vi32 vi32_shr(vi32 a, vi32 b) {
    const __m256i zero = _mm256_setzero_si256();
    const __m256i sign = _mm256_cmpgt_epi32(zero, a);
    const __m256i moved = _mm256_xor_si256(_mm256_srlv_epi32(_mm256_xor_si256(a, sign), b), sign);
    const __m256i small = _mm256_cmpeq_epi32(_mm256_andnot_si256(vi32_set1(32 - 1), b), zero);
    return _mm256_and_si256(moved, small);
}

static inline vf32 vf32_round(vf32 x) {
    return _mm256_round_ps(x, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC);
}

static inline vf32 vf32_sqrt(vf32 x) {
    return _mm256_sqrt_ps(x);
}

static inline vf32 vf32_fma(vf32 a, vf32 b, vf32 c) {
    return _mm256_fmadd_ps(a, b, c);
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

static inline vf32 vf32_of_bits_i32(vi32 x) {
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

static inline vu32 vu32_turn(vu32 x, int count) {
    const __m256i n = _mm256_set1_epi32(count);
    return _mm256_or_si256(_mm256_sllv_epi32(x, n), _mm256_srlv_epi32(x, _mm256_sub_epi32(_mm256_set1_epi32(32), n)));
}

#include "simd_math.h"

#endif
