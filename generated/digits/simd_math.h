/* Functions of vectors, the same for every instruction set. Where nothing better is known, lane by lane.
   Errors of the float functions are within 2 units in the last place (tan: 4). */
#ifndef CHARL_SIMD_MATH_H
#define CHARL_SIMD_MATH_H

/* 2^n for whole n from -126 to 127. */
static inline vf32 vf32_power_of_two(vi32 n) {
    return vf32_of_bits_i32(vi32_shl(vi32_add(n, vi32_set1(127)), vi32_set1(23)));
}

/* x * 2^n for whole n from -252 to 254, rounded once even where the result is subnormal. */
static inline vf32 vf32_scale(vf32 x, vf32 n) {
    const vi32 whole = vi32_from_f32(n);
    const vi32 half = vi32_shr(whole, vi32_set1(1));
    return vf32_mul(vf32_mul(x, vf32_power_of_two(half)), vf32_power_of_two(vi32_sub(whole, half)));
}

/* (exp(r) - 1 - r) / r^2 for |r| <= log(2) / 2. */
static inline vf32 vf32_exp_tail(vf32 r) {
    vf32 p = vf32_set1(1.9875691500e-4f);
    p = vf32_fma(p, r, vf32_set1(1.3981999507e-3f));
    p = vf32_fma(p, r, vf32_set1(8.3334519073e-3f));
    p = vf32_fma(p, r, vf32_set1(4.1665795894e-2f));
    p = vf32_fma(p, r, vf32_set1(1.6666665459e-1f));
    return vf32_fma(p, r, vf32_set1(5.0000001201e-1f));
}

/* x - n log(2), with log(2) in two parts. */
static inline vf32 vf32_exp_rest(vf32 x, vf32 n) {
    const vf32 r = vf32_fma(n, vf32_set1(-0.693359375f), x);
    return vf32_fma(n, vf32_set1(2.12194440e-4f), r);
}

static inline vf32 vf32_exp(vf32 x) {
    const vf32 y = vf32_max(vf32_min(x, vf32_set1(89.0f)), vf32_set1(-104.0f));
    const vf32 n = vf32_round(vf32_mul(y, vf32_set1(1.44269504f)));
    const vf32 r = vf32_exp_rest(y, n);
    const vf32 p = vf32_fma(vf32_mul(r, r), vf32_exp_tail(r), r);
    return vf32_scale(vf32_add(p, vf32_set1(1.0f)), n);
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

#endif
