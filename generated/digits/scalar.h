/* Exact integer and floating-point operations that C's operators leave undefined or do otherwise. */
#ifndef CHARL_SCALAR_H
#define CHARL_SCALAR_H

#include <math.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#ifdef __F16C__
#include <immintrin.h>
#endif

#if defined(__cplusplus) && !defined(restrict)
#define restrict __restrict
#endif

static inline ptrdiff_t size_min(ptrdiff_t a, ptrdiff_t b) {
    return a < b ? a : b;
}

static inline ptrdiff_t size_max(ptrdiff_t a, ptrdiff_t b) {
    return a > b ? a : b;
}

/* Division rounded up; b > 0. */
static inline ptrdiff_t size_ceildiv(ptrdiff_t a, ptrdiff_t b) {
    return a / b + (a % b > 0);
}

/* Threads for the loop below, where the compiler has OpenMP (-fopenmp). */
#ifdef _OPENMP
#define PARALLEL_FOR _Pragma("omp parallel for schedule(static)")
#else
#define PARALLEL_FOR
#endif

/* The same where `pays` holds. */
#ifdef _OPENMP
#define PARALLEL_TEXT(text) _Pragma(#text)
#define PARALLEL_FOR_IF(pays) PARALLEL_TEXT(omp parallel for schedule(static) if (pays))
#else
#define PARALLEL_FOR_IF(pays)
#endif

/* The first cache line in `space`, which has one more than is needed. */
static inline float *f32_aligned(float *space) {
    return space + (ptrdiff_t)((-(uintptr_t)space % 64) / sizeof *space);
}

/* Addition that wraps around. */
static inline int32_t i32_add(int32_t a, int32_t b) {
    return (int32_t)((uint32_t)a + (uint32_t)b);
}

static inline int32_t i32_min(int32_t a, int32_t b) {
    return a < b ? a : b;
}

static inline int32_t i32_max(int32_t a, int32_t b) {
    return a > b ? a : b;
}

/* a >> b; 0 where b is at least the width. */
static inline uint32_t u32_shr(uint32_t a, uint32_t b) {
    return (uint32_t)(b >= 32 ? 0u : (uint32_t)a >> b);
}

/* The larger one; NaN if either is. */
static inline float f32_max(float a, float b) {
    return a > b || a != a ? a : b;
}

/* Four rounds of Threefry-2x32, each with its turn, then the injection of two key words. */
static inline void threefry_rounds(uint32_t x[2], const unsigned char turns[4], uint32_t key0, uint32_t key1) {
    for (int r = 0; r < 4; ++r) {
        x[0] += x[1];
        x[1] = ((x[1] << turns[r]) | (x[1] >> (32 - turns[r]))) ^ x[0];
    }
    x[0] += key0;
    x[1] += key1;
}

/* Threefry-2x32 with 20 rounds (Salmon and others 2011): both words. */
static inline void threefry_words(uint32_t key0, uint32_t key1, uint32_t x[2]) {
    static const unsigned char odd[4] = {13, 15, 26, 6};
    static const unsigned char even[4] = {17, 29, 16, 24};
    const uint32_t key2 = key0 ^ key1 ^ 0x1BD11BDAu;
    x[0] += key0;
    x[1] += key1;
    threefry_rounds(x, odd, key1, key2 + 1u);
    threefry_rounds(x, even, key2, key0 + 2u);
    threefry_rounds(x, odd, key0, key1 + 3u);
    threefry_rounds(x, even, key1, key2 + 4u);
    threefry_rounds(x, odd, key2, key0 + 5u);
}

/* The first word of a Threefry block. */
static inline uint32_t threefry(uint32_t key0, uint32_t key1, uint32_t counter0, uint32_t counter1) {
    uint32_t x[2] = {counter0, counter1};
    threefry_words(key0, key1, x);
    return x[0];
}

#endif
