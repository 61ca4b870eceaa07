/* Exact integer and floating-point operations that C's operators leave undefined or do otherwise. */
#ifndef CHARL_SCALAR_H
#define CHARL_SCALAR_H

#include <math.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

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

/* Threefry-2x32 with 20 rounds (Salmon and others 2011): both words. */
static inline void threefry_words(uint32_t key0, uint32_t key1, uint32_t x[2]) {
    static const unsigned char turns[8] = {13, 15, 26, 6, 17, 29, 16, 24};
    const uint32_t keys[3] = {key0, key1, key0 ^ key1 ^ 0x1BD11BDAu};
    x[0] += key0;
    x[1] += key1;
    for (unsigned r = 0; r < 20; ++r) {
        const unsigned turn = turns[r % 8];
        x[0] += x[1];
        x[1] = ((x[1] << turn) | (x[1] >> (32 - turn))) ^ x[0];
        if (r % 4 == 3) {
            const unsigned s = r / 4 + 1;
            x[0] += keys[s % 3];
            x[1] += keys[(s + 1) % 3] + s;
        }
    }
}

/* The first word of a Threefry block. */
static inline uint32_t threefry(uint32_t key0, uint32_t key1, uint32_t counter0, uint32_t counter1) {
    uint32_t x[2] = {counter0, counter1};
    threefry_words(key0, key1, x);
    return x[0];
}

#endif
