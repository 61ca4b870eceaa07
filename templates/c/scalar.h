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

/* Division rounded down; b > 0. */
static inline ptrdiff_t size_floordiv(ptrdiff_t a, ptrdiff_t b) {
    return a / b - (a % b < 0);
}

/* Remainder in 0..b; b > 0. */
static inline ptrdiff_t size_mod(ptrdiff_t a, ptrdiff_t b) {
    return a % b + (a % b < 0 ? b : 0);
}

//! PARALLEL_FOR
/* Threads for the loop below, where the compiler has OpenMP (-fopenmp). */
#ifdef _OPENMP
#define PARALLEL_FOR _Pragma("omp parallel for schedule(static)")
#else
#define PARALLEL_FOR
#endif

//! PARALLEL_FOR_IF
/* The same where `pays` holds. */
#ifdef _OPENMP
#define PARALLEL_TEXT(text) _Pragma(#text)
#define PARALLEL_FOR_IF(pays) PARALLEL_TEXT(omp parallel for schedule(static) if (pays))
#else
#define PARALLEL_FOR_IF(pays)
#endif

//! PARALLEL_TURNS
/* The same for so many turns, shared by no more threads than `most`, the first ones, where `pays` holds. */
#ifdef _OPENMP
#include <omp.h>
#define PARALLEL_WORDS(text) _Pragma(#text)
#define PARALLEL_PARTS(part, pays) PARALLEL_WORDS(omp parallel for schedule(static, part) if (pays))
#define PARALLEL_TURNS(turns, most, pays) PARALLEL_PARTS(size_ceildiv(turns, size_min(most, omp_get_max_threads())), pays)
#else
#define PARALLEL_TURNS(turns, most, pays)
#endif

/* The number of the thread that runs this, from 0 on. */
static inline ptrdiff_t thread_number(void) {
#ifdef _OPENMP
    return omp_get_thread_num();
#else
    return 0;
#endif
}

//! EACH_THREAD_FOR
/* All turns of the loop below on every thread, which takes its part of each DIVIDED_FOR in it, always the same. */
#ifdef _OPENMP
#define EACH_THREAD_FOR _Pragma("omp parallel")
#else
#define EACH_THREAD_FOR
#endif

//! EACH_THREAD_FOR_IF
/* The same where `pays` holds. */
#ifdef _OPENMP
#define THREADS_TEXT(text) _Pragma(#text)
#define EACH_THREAD_FOR_IF(pays) THREADS_TEXT(omp parallel if (pays))
#else
#define EACH_THREAD_FOR_IF(pays)
#endif

//! DIVIDED_FOR
#ifdef _OPENMP
#define DIVIDED_FOR _Pragma("omp for schedule(static) nowait")
#else
#define DIVIDED_FOR
#endif

//: f32 f64 i32 u32 i64 u64
/* The first cache line in `space`, which has one more than is needed. */
static inline $C *$T_aligned($C *space) {
    return space + (ptrdiff_t)((-(uintptr_t)space % 64) / sizeof *space);
}

//: f16 bf16 f32 f64 i8 i16 i32 i64 u8 u16 u32 u64
/* Where element `i` of `x` would be, for a vector whose lanes outside of `x` take no part. A number makes it: pointer arithmetic
   must not leave an array. */
static inline $C *$T_near(const $C *x, ptrdiff_t i) {
    return ($C *)((uintptr_t)x + (uintptr_t)i * sizeof *x);
}

//: f16 bf16 f32 f64 i8 i16 i32 i64 u8 u16 u32 u64 | prefetch:2:soon prefetch_now:3:at~once,~in~the~nearest~cache
/* Ask for the cache line with element `i` of `x`, which is needed $Y; it may lie outside of the array. */
static inline void $T_$S(const $C *x, ptrdiff_t i) {
#if defined(__GNUC__)
    __builtin_prefetch($T_near(x, i), 0, $X);
#else
    (void)x;
    (void)i;
#endif
}

//: i8 i16 i32 i64 u8 u16
/* Addition that wraps around. */
static inline $C $T_add($C a, $C b) {
    return ($C)(($W)a + ($W)b);
}

//: i8 i16 i32 i64 u8 u16
/* Subtraction that wraps around. */
static inline $C $T_sub($C a, $C b) {
    return ($C)(($W)a - ($W)b);
}

//: i8 i16 i32 i64 u8 u16
/* Multiplication that wraps around. */
static inline $C $T_mul($C a, $C b) {
    return ($C)(($W)a * ($W)b);
}

//: i8 i16 i32 i64 u8 u16
/* The negative, wrapping around. */
static inline $C $T_neg($C a) {
    return ($C)(0u - ($W)a);
}

//: i8 i16 i32 i64
/* The absolute value; the lowest number stays. */
static inline $C $T_abs($C a) {
    return a < 0 ? $T_neg(a) : a;
}

//: i8 i16 i32 i64
/* -1, 0 or 1. */
static inline $C $T_sign($C a) {
    return ($C)((a > 0) - (a < 0));
}

//: u8 u16 u32 u64
/* 0 or 1. */
static inline $C $T_sign($C a) {
    return ($C)(a > 0);
}

//: i8 i16 i32 i64
/* Division rounded down; 0 for a zero divisor. */
static inline $C $T_div($C a, $C b) {
    if (b == 0) {
        return 0;
    }
    if (b == -1) {
        return $T_neg(a);
    }
    return ($C)(a / b - ((a % b != 0) && ((a < 0) != (b < 0))));
}

//: u8 u16 u32 u64
/* Division; 0 for a zero divisor. */
static inline $C $T_div($C a, $C b) {
    return ($C)(b == 0 ? 0 : a / b);
}

//: i8 i16 i32 i64
/* Remainder with the sign of the divisor; 0 for a zero divisor. */
static inline $C $T_mod($C a, $C b) {
    if (b == 0 || b == -1) {
        return 0;
    }
    const $C r = ($C)(a % b);
    return ($C)(r != 0 && (r < 0) != (b < 0) ? r + b : r);
}

//: u8 u16 u32 u64
/* Remainder; 0 for a zero divisor. */
static inline $C $T_mod($C a, $C b) {
    return ($C)(b == 0 ? 0 : a % b);
}

//: i8 i16 i32 i64
/* Power that wraps around; a negative exponent gives the reciprocal rounded towards zero (0 for 0). */
static inline $C $T_pow($C a, $C b) {
    if (b < 0) {
        return ($C)(a == 1 ? 1 : (a == -1 ? (b % 2 == 0 ? 1 : -1) : 0));
    }
    $W base = ($W)a;
    $W result = 1;
    for ($C n = b; n > 0; n = ($C)(n / 2)) {
        if (n % 2 == 1) {
            result *= base;
        }
        base *= base;
    }
    return ($C)result;
}

//: u8 u16 u32 u64
/* Power that wraps around. */
static inline $C $T_pow($C a, $C b) {
    $W base = a;
    $W result = 1;
    for ($C n = b; n > 0; n = ($C)(n / 2)) {
        if (n % 2 == 1) {
            result *= base;
        }
        base *= base;
    }
    return ($C)result;
}

//: i8 i16 i32 i64 u8 u16 u32 u64
static inline $C $T_min($C a, $C b) {
    return a < b ? a : b;
}

//: i8 i16 i32 i64 u8 u16 u32 u64
static inline $C $T_max($C a, $C b) {
    return a > b ? a : b;
}

//: i8 i16 u8 u16
static inline $C $T_bitand($C a, $C b) {
    return ($C)(a & b);
}

//: i8 i16 u8 u16
static inline $C $T_bitor($C a, $C b) {
    return ($C)(a | b);
}

//: i8 i16 u8 u16
static inline $C $T_bitxor($C a, $C b) {
    return ($C)(a ^ b);
}

//: i8 i16 u8 u16
static inline $C $T_bitnot($C a) {
    return ($C)~a;
}

//: i8 i16 i32 i64
/* a << b; 0 where b is negative or at least the width. */
static inline $C $T_shl($C a, $C b) {
    return ($C)(b < 0 || b >= $N ? 0u : ($W)a << b);
}

//: u8 u16 u32 u64
/* a << b; 0 where b is at least the width. */
static inline $C $T_shl($C a, $C b) {
    return ($C)(b >= $N ? 0u : ($W)a << b);
}

//: i8 i16 i32 i64
/* a >> b with copies of the sign; 0 where b is negative or at least the width. */
static inline $C $T_shr($C a, $C b) {
    if (b < 0 || b >= $N) {
        return 0;
    }
    return ($C)(a < 0 ? ~(~a >> b) : a >> b);
}

//: u8 u16 u32 u64
/* a >> b; 0 where b is at least the width. */
static inline $C $T_shr($C a, $C b) {
    return ($C)(b >= $N ? 0u : ($W)a >> b);
}

//: i8 i16 i32 i64 u8 u16 u32 u64
/* Whether a replaces b as the largest so far. */
static inline bool $T_exceeds($C a, $C b) {
    return a > b;
}

//: i8 i16 i32 i64 u8 u16 u32 u64
/* Whether a replaces b as the smallest so far. */
static inline bool $T_precedes($C a, $C b) {
    return a < b;
}

static inline bool bool_exceeds(bool a, bool b) {
    return a && !b;
}

static inline bool bool_precedes(bool a, bool b) {
    return !a && b;
}

//: f32 f64
/* -1, 0 or 1 with the sign of zero kept; NaN stays. */
static inline $C $T_sign($C a) {
    return a > 0 ? 1 : (a < 0 ? -1 : a);
}

//: f32 f64
/* The smaller one; NaN if either is. */
static inline $C $T_min($C a, $C b) {
    return a < b || a != a ? a : b;
}

//: f32 f64
/* The larger one; NaN if either is. */
static inline $C $T_max($C a, $C b) {
    return a > b || a != a ? a : b;
}

//: f32 f64
/* Remainder with the sign of the divisor. */
static inline $C $T_mod($C a, $C b) {
    return a - floor$F(a / b) * b;
}

//: f32 f64
/* Whether a replaces b as the largest so far: NaN counts as the largest. */
static inline bool $T_exceeds($C a, $C b) {
    return a > b || (a != a && b == b);
}

//: f32 f64
/* Whether a replaces b as the smallest so far: NaN counts as the smallest. */
static inline bool $T_precedes($C a, $C b) {
    return a < b || (a != a && b == b);
}

//: i8 i16 i32 i64 u8 u16 u32 u64
/* Truncated and kept in range; NaN gives 0. */
static inline $C $T_from_f32(float x) {
    if (x >= $HIGHf) {
        return $MAX;
    }
    if (x > $LOWf) {
        return ($C)x;
    }
    return x == x ? $MIN : 0;
}

//: i8 i16 i32 i64 u8 u16 u32 u64
/* Truncated and kept in range; NaN gives 0. */
static inline $C $T_from_f64(double x) {
    if (x >= $HIGH) {
        return $MAX;
    }
    if (x > $LOW) {
        return ($C)x;
    }
    return x == x ? $MIN : 0;
}

//: i8:u8 u8:i8 i16:u16 u16:i16 i32:u32 u32:i32 i32:f32 f32:i32 u32:f32 f32:u32 i64:u64 u64:i64 i64:f64 f64:i64 u64:f64 f64:u64
/* The same bits as another type. */
static inline $C $T_of_bits_$S($D x) {
    $C y;
    memcpy(&y, &x, sizeof y);
    return y;
}

/* x cut off, its last bit set where something was: from there it rounds to a half float as if once. */
static inline float f32_odd(double x) {
    const float near = (float)x;
    const uint32_t word = u32_of_bits_f32(near);
    if ((double)near == x || x != x) {
        return near;
    }
    return f32_of_bits_u32((word - (fabs((double)near) > fabs(x) ? 1u : 0u)) | 1u);
}

/* The value of an f16: the digits move to their place, and the exponent is made that of f32. */
static inline float f16_value(uint32_t bits) {
#ifdef __F16C__
    return _cvtsh_ss((unsigned short)bits);
#else
    const uint32_t sign = (bits & 0x8000u) << 16;
    const uint32_t rest = (bits & 0x7fffu) << 13;
    if (rest >= 0x0f800000u) {
        return f32_of_bits_u32(sign | 0x70000000u | rest);
    }
    if (rest < 0x00800000u) {
        return f32_of_bits_u32(sign | u32_of_bits_f32((float)(rest >> 13) * 5.9604645e-8f));
    }
    return f32_of_bits_u32(sign | (rest + 0x38000000u));
#endif
}

/* The bits of the nearest f16, ties to even. */
static inline uint32_t f16_bits(float x) {
#ifdef __F16C__
    return (uint32_t)_mm_cvtsi128_si32(_mm_cvtps_ph(_mm_set_ss(x), _MM_FROUND_TO_NEAREST_INT));
#else
    const uint32_t word = u32_of_bits_f32(x);
    const uint32_t sign = (word >> 16) & 0x8000u;
    const uint32_t size = word & 0x7fffffffu;
    if (size > 0x7f800000u) {
        return sign | 0x7e00u | ((size >> 13) & 0x3ffu);
    }
    if (size >= 0x477ff000u) {
        return sign | 0x7c00u;
    }
    if (size < 0x38800000u) { /* less than the least normal number: the sum rounds to multiples of 2^-24 */
        return sign | (u32_of_bits_f32(f32_of_bits_u32(size) + 0.5f) - 0x3f000000u);
    }
    return sign | ((size + 0xfffu + ((size >> 13) & 1u) - 0x38000000u) >> 13);
#endif
}

/* The value of a bf16. */
static inline float bf16_value(uint32_t bits) {
    return f32_of_bits_u32(bits << 16);
}

/* The bits of the nearest bf16, ties to even. */
static inline uint32_t bf16_bits(float x) {
    const uint32_t word = u32_of_bits_f32(x);
    if ((word & 0x7fffffffu) > 0x7f800000u) {
        return (word >> 16) | 0x40u;
    }
    return (word + 0x7fffu + ((word >> 16) & 1u)) >> 16;
}

//: f16 bf16
/* The nearest value that a $T holds, ties to even. */
static inline float $T_round(float x) {
    return $T_value($T_bits(x));
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

/* The second word of a Threefry block. */
static inline uint32_t threefry1(uint32_t key0, uint32_t key1, uint32_t counter0, uint32_t counter1) {
    uint32_t x[2] = {counter0, counter1};
    threefry_words(key0, key1, x);
    return x[1];
}

#endif
