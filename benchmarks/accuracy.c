/* Errors of the SIMD functions in units in the last place. `accuracy.py` puts the functions and the calls of `measure_*`
   around this file: a table of functions over arrays, with the same function of the C library in a wider type. */
#include <math.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { COUNT = 4096 };

static uint64_t state = 88172645463325252u;

static uint64_t random_bits(void) {
    state ^= state << 13;
    state ^= state >> 7;
    state ^= state << 17;
    return state;
}

/* The distance of `found` from `exact` in units of the last place of a float; infinite where a special value is wrong. */
static double float_error(float found, double exact) {
    const float rounded = (float)exact;
    const float size = fmaxf(fabsf(rounded), 1.17549435e-38f);
    if (isnan(exact) || isnan(found))
        return isnan(exact) && isnan(found) ? 0 : INFINITY;
    if (isinf(rounded) || isinf(found)) /* next to the largest float either is right */
        return rounded == found || (!isinf(exact) && fabs(exact) > 3.4028e38) ? 0 : INFINITY;
    return fabs(found - exact) / ldexp(1, ilogbf(size) - 23);
}

static double double_error(double found, long double exact) {
    const double rounded = (double)exact;
    const double size = fmax(fabs(rounded), 2.2250738585072014e-308);
    if (isnan(rounded) || isnan(found))
        return isnan(rounded) && isnan(found) ? 0 : INFINITY;
    if (isinf(rounded) || isinf(found))
        return rounded == found || (!isinf(exact) && fabsl(exact) > 1.797e308L) ? 0 : INFINITY;
    return (double)(fabsl(found - exact) / ldexpl(1, ilogb(size) - 52));
}

static void report(const char *name, const char *type, double worst, double at, double second) {
    printf("%s %s %.3f %.9g %.9g\n", name, type, worst, at, second);
    fflush(stdout);
}

/* Every `stride`th float of all 2^32. */
static void measure_f32(
    const char *name, void (*f)(float *, const float *), double (*exact)(double), uint64_t stride) {
    static float x[COUNT], y[COUNT];
    double worst = 0;
    float at = 0;
    for (uint64_t bits = 0; bits < (uint64_t)1 << 32;) {
        int n = 0;
        for (; n < COUNT && bits < (uint64_t)1 << 32; ++n, bits += stride) {
            const uint32_t word = (uint32_t)bits;
            memcpy(&x[n], &word, sizeof word);
        }
        f(y, x);
        for (int i = 0; i < n; ++i) {
            const double error = float_error(y[i], exact(x[i]));
            if (error > worst) {
                worst = error;
                at = x[i];
            }
        }
    }
    report(name, "f32", worst, at, 0);
}

/* An operand of one of four kinds: any bits, moderate, near 1, special. */
static double operand(int kind) {
    static const double special[] = {0.0, -0.0, 1, -1, INFINITY, -INFINITY, NAN, 0.5, 2, -2, 3, -3};
    const uint64_t bits = random_bits();
    const double unit = (double)(int64_t)bits / 9223372036854775808.0;
    double x;
    if (kind == 0)
        memcpy(&x, &bits, sizeof x);
    else
        x = kind == 1 ? unit * 720 : kind == 2 ? (bits % 3 ? unit * 2 : 1 + unit / 2) : special[bits % 12];
    return isnan(x) ? (double)NAN : x; /* quiet */
}

static float small_operand(int kind) {
    const uint32_t bits = (uint32_t)(random_bits() >> 32);
    float x;
    if (kind == 0)
        memcpy(&x, &bits, sizeof x);
    else
        x = (float)operand(kind) / (kind == 1 ? 20 : 1);
    return x;
}

static void measure_two_f32(
    const char *name, void (*f)(float *, const float *, const float *), double (*exact)(double, double), int rounds) {
    static float a[COUNT], b[COUNT], y[COUNT];
    double worst = 0;
    float at = 0, second = 0;
    for (int round = 0; round < rounds; ++round) {
        for (int i = 0; i < COUNT; ++i) {
            a[i] = small_operand(round / 4 % 4);
            b[i] = round % 8 == 3 ? floorf(small_operand(1)) : small_operand(round % 4);
        }
        f(y, a, b);
        for (int i = 0; i < COUNT; ++i) {
            const double error = float_error(y[i], exact(a[i], b[i]));
            if (error > worst) {
                worst = error;
                at = a[i];
                second = b[i];
            }
        }
    }
    report(name, "f32", worst, at, second);
}

static void measure_f64(const char *name, void (*f)(double *, const double *), long double (*exact)(long double), int rounds) {
    static double x[COUNT], y[COUNT];
    double worst = 0, at = 0;
    for (int round = 0; round < rounds; ++round) {
        for (int i = 0; i < COUNT; ++i)
            x[i] = operand(round % 4);
        f(y, x);
        for (int i = 0; i < COUNT; ++i) {
            const double error = double_error(y[i], exact(x[i]));
            if (error > worst) {
                worst = error;
                at = x[i];
            }
        }
    }
    report(name, "f64", worst, at, 0);
}

static void measure_two_f64(
    const char *name, void (*f)(double *, const double *, const double *),
    long double (*exact)(long double, long double), int rounds) {
    static double a[COUNT], b[COUNT], y[COUNT];
    double worst = 0, at = 0, second = 0;
    for (int round = 0; round < rounds; ++round) {
        for (int i = 0; i < COUNT; ++i) {
            a[i] = operand(round / 4 % 4);
            b[i] = operand(round % 4);
        }
        f(y, a, b);
        for (int i = 0; i < COUNT; ++i) {
            const double error = double_error(y[i], exact(a[i], b[i]));
            if (error > worst) {
                worst = error;
                at = a[i];
                second = b[i];
            }
        }
    }
    report(name, "f64", worst, at, second);
}
