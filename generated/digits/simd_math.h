/* Functions of vectors of floats, the same for every instruction set. Errors stand in docs/accuracy.md of the compiler. */
#ifndef CHARL_SIMD_MATH_H
#define CHARL_SIMD_MATH_H

/* The nearest whole number n to x * rate, as 2^23 + 2^22 + 127 + n: its lowest bits are those of n + 127. */
static inline vf32 vf32_whole(vf32 x, float rate) {
    return vf32_fma(x, vf32_set1(rate), vf32_set1(12583039.0f));
}

/* n of what `vf32_whole` gives. */
static inline vf32 vf32_number(vf32 whole) {
    return vf32_sub(whole, vf32_set1(12583039.0f));
}

/* (exp(r) - 1 - r) / r^2 for |r| <= log(2) / 2. */
static inline vf32 vf32_exp_tail(vf32 r) {
    vf32 p = vf32_set1(1.3814540104e-3f);
    p = vf32_fma(p, r, vf32_set1(8.3687451320e-3f));
    p = vf32_fma(p, r, vf32_set1(4.1668390787e-2f));
    p = vf32_fma(p, r, vf32_set1(1.6666520399e-1f));
    return vf32_fma(p, r, vf32_set1(4.9999993432e-1f));
}

/* exp(r) for |r| <= log(2) / 2. */
static inline vf32 vf32_exp_near(vf32 r) {
    const vf32 one = vf32_set1(1.0f);
    return vf32_fma(vf32_fma(vf32_exp_tail(r), r, one), r, one);
}

/* x - n log(2), with log(2) in two parts. */
static inline vf32 vf32_exp_rest(vf32 x, vf32 n) {
    const vf32 r = vf32_fma(n, vf32_set1(-0.693147182f), x);
    return vf32_fma(n, vf32_set1(1.90465421e-9f), r);
}

static inline vf32 vf32_exp(vf32 x) {
    const vm32 small = vf32_lt(x, vf32_set1(-87.33654f));
    const vf32 y = vf32_least(vf32_set1(89.0f), x);
    const vf32 n = vf32_number(vf32_whole(y, 1.44269504f));
    return vf32_scale_small(small, vf32_exp_near(vf32_exp_rest(y, n)), n);
}

#endif
