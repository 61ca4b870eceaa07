/* What every instruction set makes of its own functions in the same way. */
#ifndef CHARL_SIMD_COMMON_H
#define CHARL_SIMD_COMMON_H

/* to[c * to_stride + r] = from[r * stride + c] for r < rows, c < columns. */
static inline void f32_transpose(float *to, ptrdiff_t to_stride, const float *from, ptrdiff_t stride, ptrdiff_t rows, ptrdiff_t columns) {
    for (ptrdiff_t r = 0; r < rows; r += VL32) {
        const ptrdiff_t stop = size_min(rows, r + VL32);
        const ptrdiff_t whole = columns / 4 * 4;
        ptrdiff_t c = 0;
        if (stop == r + VL32) {
            for (; c < whole; c += 4) {
                vf32_transpose(to + c * to_stride + r, to_stride, from + r * stride + c, stride, VL32 - 1);
            }
        }
        for (; c < whole; c += 4) {
            vf32_transpose(to + c * to_stride + r, to_stride, from + r * stride + c, stride, stop - r - 1);
        }
        for (c = whole; c < columns; ++c) {
            for (ptrdiff_t i = r; i < stop; ++i) {
                to[c * to_stride + i] = from[i * stride + c];
            }
        }
    }
}

static inline void vu32_threefry_round(vu32 *a, vu32 *b, int turn) {
    *a = vu32_add(*a, *b);
    *b = vu32_bitxor(vu32_turn(*b, turn), *a);
}

/* Rounds 1 to 4 of each 8, then the injection of two key words. */
static inline void vu32_threefry_odd(vu32 *a, vu32 *b, vu32 key0, vu32 key1) {
    vu32_threefry_round(a, b, 13);
    vu32_threefry_round(a, b, 15);
    vu32_threefry_round(a, b, 26);
    vu32_threefry_round(a, b, 6);
    *a = vu32_add(*a, key0);
    *b = vu32_add(*b, key1);
}

/* Rounds 5 to 8 of each 8, then the injection of two key words. */
static inline void vu32_threefry_even(vu32 *a, vu32 *b, vu32 key0, vu32 key1) {
    vu32_threefry_round(a, b, 17);
    vu32_threefry_round(a, b, 29);
    vu32_threefry_round(a, b, 16);
    vu32_threefry_round(a, b, 24);
    *a = vu32_add(*a, key0);
    *b = vu32_add(*b, key1);
}

/* Threefry-2x32 with 20 rounds: both words of a block per lane. */
static inline void vu32_threefry_words(vu32 key0, vu32 key1, vu32 *a, vu32 *b) {
    const vu32 key2 = vu32_bitxor(vu32_bitxor(key0, key1), vu32_set1(0x1BD11BDAu));
    *a = vu32_add(*a, key0);
    *b = vu32_add(*b, key1);
    vu32_threefry_odd(a, b, key1, vu32_add(key2, vu32_set1(1)));
    vu32_threefry_even(a, b, key2, vu32_add(key0, vu32_set1(2)));
    vu32_threefry_odd(a, b, key0, vu32_add(key1, vu32_set1(3)));
    vu32_threefry_even(a, b, key1, vu32_add(key2, vu32_set1(4)));
    vu32_threefry_odd(a, b, key2, vu32_add(key0, vu32_set1(5)));
}

/* The first word of a Threefry block. */
static inline vu32 vu32_threefry(vu32 key0, vu32 key1, vu32 counter0, vu32 counter1) {
    vu32_threefry_words(key0, key1, &counter0, &counter1);
    return counter0;
}

/* x * 2^n for whole n, rounded once. What is `small` lies below the normal numbers, where a product takes a hundred cycles:
 * x is added to a power of two whose last place is the smallest number instead. (Adding 0 takes none, and flushes where asked.) */
static inline vf32 vf32_scale_small(vm32 small, vf32 x, vf32 n) {
    if (!vm32_reduce_or(small))
        return vf32_scale(x, n);
    const vf32 zero = vf32_set1(0.0f);
    const vu32 power = vu32_shl(vu32_of_bits_f32(vf32_sub(vf32_set1(12582913.0f), n)), vu32_set1(23));
    const vu32 sum = vu32_of_bits_f32(vf32_add(x, vf32_of_bits_u32(power)));
    const vf32 below = vf32_add(vf32_of_bits_u32(vu32_sub(sum, power)), zero);
    const vf32 normal = vf32_scale(vf32_select(small, zero, x), vf32_select(small, zero, n));
    return vf32_select(small, vf32_select(vf32_gt(n, vf32_set1(-200.0f)), below, zero), normal);
}

#endif
