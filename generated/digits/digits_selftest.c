/*
 * Self-test of digits: calls every export with inputs made here and compares with what Charl computed in float64.
 * Exit status 0: this machine computes what Charl computed. Needs stdio for its report and nothing else of a system.
 */
#include <math.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include "digits.h"

static int failed_checks;

/* 16 random bits, the same on every machine. */
static uint32_t bits(uint32_t stream, size_t i)
{
    uint32_t x = stream * 0x9e3779b9u + (uint32_t)i;
    x ^= x >> 16;
    x *= 0x7feb352du;
    x ^= x >> 15;
    x *= 0x846ca68bu;
    return (x ^ x >> 16) >> 16;
}

static void fill_f32(float *x, size_t count, uint32_t stream, float low, float scale)
{
    size_t i;
    for (i = 0; i < count; ++i)
        x[i] = low + scale * ((float)bits(stream, i) / 65536);
}

static void fill_i32(int32_t *x, size_t count, uint32_t stream, uint32_t mask)
{
    size_t i;
    for (i = 0; i < count; ++i)
        x[i] = (int32_t)(bits(stream, i) & mask);
}

static void fill_u32(uint32_t *x, size_t count, uint32_t stream, uint32_t mask)
{
    size_t i;
    for (i = 0; i < count; ++i)
        x[i] = (uint32_t)(bits(stream, i) & mask);
}

static int close_to(double have, double want, double tolerance)
{
    if (isnan(want))
        return isnan(have);
    return have == want || fabs(have - want) <= tolerance + 2e-6 * fabs(want);
}

/* Compare `value`, element `i` of `what`, and report the first difference of each tensor. */
static void compare(const char *test, const char *what, size_t i, double have, double want, double tolerance, int *bad)
{
    if (close_to(have, want, tolerance))
        return;
    if (*bad == 0)
        printf("FAILED %s: %s, element %lu is %.9g, not %.6g (tolerance %.3g)\n", test, what, (unsigned long)i, have, want,
               tolerance);
    *bad = 1;
}

static void compare_sum(const char *test, const char *what, double have, double want, double tolerance, int *bad)
{
    if (*bad == 0 && !close_to(have, want, tolerance)) {
        printf("FAILED %s: the sum of %s is %.9g, not %.9g (tolerance %.3g)\n", test, what, have, want, tolerance);
        *bad = 1;
    }
    failed_checks += *bad;
}

/* Compare `count` elements: every one that is a multiple of `stride` with `expected`, all of them by their sum. */
static void check_f32(const char *test, const char *what, const float *x, size_t count, size_t stride,
    const double *expected, double tolerance, double total)
{
    double sum = 0;
    size_t i;
    int bad = 0;
    for (i = 0; i < count; ++i) {
        const double have = (double)x[i];
        sum += have;
        if (i % stride == 0)
            compare(test, what, i, have, expected[i / stride], tolerance, &bad);
    }
    compare_sum(test, what, sum, total, tolerance * (double)count, &bad);
}

/* Compare `count` elements: every one that is a multiple of `stride` with `expected`, all of them by their sum. */
static void check_i32(const char *test, const char *what, const int32_t *x, size_t count, size_t stride,
    const double *expected, double tolerance, double total)
{
    double sum = 0;
    size_t i;
    int bad = 0;
    for (i = 0; i < count; ++i) {
        const double have = (double)x[i];
        sum += have;
        if (i % stride == 0)
            compare(test, what, i, have, expected[i / stride], tolerance, &bad);
    }
    compare_sum(test, what, sum, total, tolerance * (double)count, &bad);
}

/* Compare `count` elements: every one that is a multiple of `stride` with `expected`, all of them by their sum. */
static void check_u32(const char *test, const char *what, const uint32_t *x, size_t count, size_t stride,
    const double *expected, double tolerance, double total)
{
    double sum = 0;
    size_t i;
    int bad = 0;
    for (i = 0; i < count; ++i) {
        const double have = (double)x[i];
        sum += have;
        if (i % stride == 0)
            compare(test, what, i, have, expected[i / stride], tolerance, &bad);
    }
    compare_sum(test, what, sum, total, tolerance * (double)count, &bad);
}

/* Whether a call went well; reports it where not. */
static bool check_status(const char *test, enum digits_status status)
{
    if (status == DIGITS_OK)
        return true;
    printf("FAILED %s: %s\n", test, digits_status_string(status));
    ++failed_checks;
    return false;
}

static const double expected_digits_digits_init_1[32] = {
    0.146976, -0.0474178, 0.180323, -0.123995, -0.0583114, -0.138746, -0.109081, 0.00637042, 0.104162,
    0.138331, 0.0614441, 0.104522, 0.130533, 0.183248, -0.149959, 0.0385951, -0.176133, -0.0855267,
    -0.0544903, 0.0515567, 0.0942992, -0.197112, 0.06294, -0.160854, 0.0881156, 0.12196, -0.00845315,
    0.108673, -0.0421305, -0.127782, -0.131491, -0.00321376
};

static const double expected_digits_digits_init_2[22] = {
    0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0,
    0.0, 0.0
};

static const double expected_digits_digits_init_3[31] = {
    -0.219875, -0.170841, 0.280243, -0.197468, 0.118963, 0.207217, 0.151751, -0.0193917, 0.00377545,
    0.250025, -0.0316757, 0.148316, 0.0987107, -0.247519, 0.106178, -0.244787, -0.106161, -0.22398,
    0.0347092, 0.166717, 0.23417, -0.111424, 0.0267688, 0.163683, 0.255175, -0.0992415, -0.155255,
    -0.00566195, -0.062349, -0.0981579, -0.181277
};

static const double expected_digits_digits_init_4[10] = {
    0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0
};

static const double expected_digits_digits_init_5[2] = {
    508.0, 40784.0
};

static const double expected_digits_digits_init_6[1] = {
    1273.0
};

static void test_digits_digits_init(void)
{
    static struct digits_rng rng;
    static struct digits_digits self;
    static union {
        double alignment;
        unsigned char bytes[64];
    } workspace;
    fill_u32(rng.key, 2, 1u, 65535u);
    fill_u32(&rng.counter, 1, 2u, 65535u);
    if (!check_status("digits_digits_init()",
            digits_digits_init(&rng, &self, workspace.bytes)))
        return;
    check_f32("digits_digits_init()", "self.0.w", self.layer0.w,
        4096, 129, expected_digits_digits_init_1, 4.33e-06, -8.7889096);
    check_f32("digits_digits_init()", "self.0.b", self.layer0.b,
        64, 3, expected_digits_digits_init_2, 1e-07, 0.0);
    check_f32("digits_digits_init()", "self.2.w", self.layer2.w,
        640, 21, expected_digits_digits_init_3, 5.69e-06, -3.01170674);
    check_f32("digits_digits_init()", "self.2.b", self.layer2.b,
        10, 1, expected_digits_digits_init_4, 1e-07, 0.0);
    check_u32("digits_digits_init()", "rng.key", rng.key,
        2, 1, expected_digits_digits_init_5, 0.0, 41292.0);
    check_u32("digits_digits_init()", "rng.counter", &rng.counter,
        1, 1, expected_digits_digits_init_6, 0.0, 1273.0);
}

static const double expected_digits_predict_1[30] = {
    0.108575, 0.15619, 0.125398, 0.0571999, 0.160207, 0.117113, 0.0441464, 0.086739, 0.108382,
    0.0360491, 0.110756, 0.104387, 0.14838, 0.058563, 0.179696, 0.127872, 0.0336384, 0.0887709,
    0.106024, 0.0419125, 0.119633, 0.126669, 0.137327, 0.0579932, 0.150372, 0.112646, 0.0478539,
    0.0976861, 0.110469, 0.0393514
};

static void test_digits_predict(void)
{
    static struct digits_digits net;
    static float x[192];
    static float result[30];
    static union {
        double alignment;
        unsigned char bytes[896];
    } workspace;
    fill_f32(net.layer0.w, 4096, 1u, -0.125f, 0.25f);
    fill_f32(net.layer0.b, 64, 2u, -1.0f, 2.0f);
    fill_f32(net.layer2.w, 640, 3u, -0.125f, 0.25f);
    fill_f32(net.layer2.b, 10, 4u, -1.0f, 2.0f);
    fill_f32(x, 192, 5u, -1.0f, 2.0f);
    if (!check_status("digits_predict(N = 3)",
            digits_predict(3, &net, x, result, workspace.bytes)))
        return;
    check_f32("digits_predict(N = 3)", "result", result,
        30, 1, expected_digits_predict_1, 3.59e-06, 3.0);
}

static const double expected_digits_train_step_1[1] = {
    13.3805
};

static const double expected_digits_train_step_2[32] = {
    0.253748, 0.483304, 0.595954, 0.376317, 0.425644, 0.275386, 0.656975, 0.408635, 0.57767, 0.727785,
    0.634903, 0.401813, 0.4327, 0.564755, 0.587806, 0.363775, 0.490189, 0.434042, 0.383174, 0.67912,
    0.678572, 0.309894, 0.351322, 0.30532, 0.376122, 0.623439, 0.690846, 0.430736, 0.673979, 0.416009,
    0.545011, 0.383708
};

static const double expected_digits_train_step_3[22] = {
    0.259522, 0.272768, 0.309274, 0.282261, 0.591426, 0.263915, 0.666945, 0.723454, 0.310999, 0.371134,
    0.294983, 0.452663, 0.495127, 0.386284, 0.577477, 0.730183, 0.304602, 0.366798, 0.505601, 0.531131,
    0.381454, 0.335536
};

static const double expected_digits_train_step_4[31] = {
    0.280415, 0.737776, 0.712681, 0.64355, 0.54465, 0.700605, 0.676621, 0.707505, 0.432365, 0.337924,
    0.53345, 0.663099, 0.587167, 0.317492, 0.32221, 0.625796, 0.563977, 0.513301, 0.274133, 0.482509,
    0.351868, 0.529376, 0.682217, 0.670093, 0.408676, 0.652467, 0.60048, 0.271244, 0.740334, 0.325128,
    0.404375
};

static const double expected_digits_train_step_5[10] = {
    0.46005, 0.419869, 0.484312, 0.273251, 0.58346, 0.614725, 0.339798, 0.554446, 0.410781, 0.289165
};

static const double expected_digits_train_step_6[32] = {
    0.228094, 0.43369, 0.619005, 0.261543, 0.347215, 0.559306, 0.569105, 0.442967, 0.230616, 0.391743,
    0.414024, 0.520433, 0.262903, 0.393158, 0.492366, 0.472629, 0.630673, 0.253123, 0.40177, 0.378853,
    0.594515, 0.492928, 0.433012, 0.29975, 0.277712, 0.433277, 0.598123, 0.29173, 0.265447, 0.680922,
    0.319046, 0.563205
};

static const double expected_digits_train_step_7[22] = {
    0.3749, 0.613567, 0.616936, 0.433369, 0.423628, 0.458056, 0.656242, 0.252124, 0.346986, 0.235152,
    0.433505, 0.370518, 0.550815, 0.651153, 0.520985, 0.449404, 0.309144, 0.367349, 0.366552, 0.593118,
    0.327949, 0.284984
};

static const double expected_digits_train_step_8[31] = {
    -0.111481, -0.311311, 1.01641, 0.519839, 0.254711, 0.543398, 0.315486, 0.556087, 1.15018, 0.340926,
    -0.220469, -0.450594, 1.47451, 0.327674, 0.633018, 0.617013, 0.599682, 0.229813, 1.53261, 0.307116,
    -0.157212, -1.04011, 1.65973, 0.611938, 0.273278, 0.672954, 0.378101, 0.381212, 1.2388, 0.594656,
    -0.0436991
};

static const double expected_digits_train_step_9[10] = {
    0.362085, 0.222281, 0.541764, 0.313742, 0.477136, 0.511695, 0.613758, 0.499844, 0.482673, 0.472858
};

static const double expected_digits_train_step_10[32] = {
    0.31816, 0.707534, 0.67708, 0.284816, 0.426036, 0.379509, 0.61681, 0.673582, 0.673718, 0.261793,
    0.47201, 0.497404, 0.59528, 0.307379, 0.720125, 0.706843, 0.389491, 0.624573, 0.276571, 0.731689,
    0.625953, 0.448343, 0.304294, 0.597617, 0.46131, 0.4944, 0.490789, 0.314202, 0.459008, 0.736027,
    0.586758, 0.329919
};

static const double expected_digits_train_step_11[22] = {
    0.42164, 0.686466, 0.412278, 0.494936, 0.307974, 0.397012, 0.634626, 0.600083, 0.654577, 0.301223,
    0.560455, 0.613875, 0.730451, 0.269469, 0.519416, 0.633719, 0.621748, 0.475077, 0.588141, 0.646662,
    0.251443, 0.404797
};

static const double expected_digits_train_step_12[31] = {
    0.497698, 0.664258, 0.671511, 0.56882, 0.459394, 0.680761, 0.428404, 0.633887, 0.673932, 0.517144,
    0.541138, 0.347508, 0.704464, 0.431095, 0.662453, 0.512686, 0.492015, 0.570703, 0.535348, 0.382277,
    0.662677, 0.462012, 0.830354, 0.296525, 0.501238, 0.543257, 0.620861, 0.6533, 0.711233, 0.639283,
    0.325519
};

static const double expected_digits_train_step_13[10] = {
    0.351162, 0.437644, 0.515978, 0.705676, 0.588972, 0.315472, 0.471787, 0.603026, 0.63221, 0.341051
};

static const double expected_digits_train_step_14[1] = {
    1.0
};

static const double expected_digits_train_step_15[2] = {
    54736.0, 48602.0
};

static const double expected_digits_train_step_16[1] = {
    54403.0
};

static void test_digits_train_step(void)
{
    static struct digits_digits net;
    static struct digits_adam adam;
    static struct digits_rng rng;
    static float x[192];
    static int32_t y[3];
    static float result[1];
    static union {
        double alignment;
        unsigned char bytes[3520];
    } workspace;
    fill_f32(net.layer0.w, 4096, 1u, 0.25f, 0.5f);
    fill_f32(net.layer0.b, 64, 2u, 0.25f, 0.5f);
    fill_f32(net.layer2.w, 640, 3u, 0.25f, 0.5f);
    fill_f32(net.layer2.b, 10, 4u, 0.25f, 0.5f);
    fill_f32(adam.m.layer0.w, 4096, 5u, 0.25f, 0.5f);
    fill_f32(adam.m.layer0.b, 64, 6u, 0.25f, 0.5f);
    fill_f32(adam.m.layer2.w, 640, 7u, 0.25f, 0.5f);
    fill_f32(adam.m.layer2.b, 10, 8u, 0.25f, 0.5f);
    fill_f32(adam.v.layer0.w, 4096, 9u, 0.25f, 0.5f);
    fill_f32(adam.v.layer0.b, 64, 10u, 0.25f, 0.5f);
    fill_f32(adam.v.layer2.w, 640, 11u, 0.25f, 0.5f);
    fill_f32(adam.v.layer2.b, 10, 12u, 0.25f, 0.5f);
    fill_i32(&adam.t, 1, 13u, 1u);
    fill_u32(rng.key, 2, 14u, 65535u);
    fill_u32(&rng.counter, 1, 15u, 65535u);
    fill_f32(x, 192, 16u, 0.25f, 0.5f);
    fill_i32(y, 3, 17u, 1u);
    if (!check_status("digits_train_step(N = 3)",
            digits_train_step(3, &net, &adam, &rng, x, y, result, workspace.bytes)))
        return;
    check_f32("digits_train_step(N = 3)", "result", result,
        1, 1, expected_digits_train_step_1, 0.00109, 13.3805486);
    check_f32("digits_train_step(N = 3)", "net.0.w", net.layer0.w,
        4096, 129, expected_digits_train_step_2, 1.5e-05, 2031.69139);
    check_f32("digits_train_step(N = 3)", "net.0.b", net.layer0.b,
        64, 3, expected_digits_train_step_3, 1.48e-05, 30.0312895);
    check_f32("digits_train_step(N = 3)", "net.2.w", net.layer2.w,
        640, 21, expected_digits_train_step_4, 1.5e-05, 329.072449);
    check_f32("digits_train_step(N = 3)", "net.2.b", net.layer2.b,
        10, 1, expected_digits_train_step_5, 1.23e-05, 4.42985563);
    check_f32("digits_train_step(N = 3)", "adam.m.0.w", adam.m.layer0.w,
        4096, 129, expected_digits_train_step_6, 1.38e-05, 1842.12178);
    check_f32("digits_train_step(N = 3)", "adam.m.0.b", adam.m.layer0.b,
        64, 3, expected_digits_train_step_7, 1.39e-05, 30.7238567);
    check_f32("digits_train_step(N = 3)", "adam.m.2.w", adam.m.layer2.w,
        640, 21, expected_digits_train_step_8, 0.000236, 286.126597);
    check_f32("digits_train_step(N = 3)", "adam.m.2.b", adam.m.layer2.b,
        10, 1, expected_digits_train_step_9, 1.23e-05, 4.49783695);
    check_f32("digits_train_step(N = 3)", "adam.v.0.w", adam.v.layer0.w,
        4096, 129, expected_digits_train_step_10, 1.5e-05, 2050.7344);
    check_f32("digits_train_step(N = 3)", "adam.v.0.b", adam.v.layer0.b,
        64, 3, expected_digits_train_step_11, 1.46e-05, 32.7380964);
    check_f32("digits_train_step(N = 3)", "adam.v.2.w", adam.v.layer2.w,
        640, 21, expected_digits_train_step_12, 5.43e-05, 342.685516);
    check_f32("digits_train_step(N = 3)", "adam.v.2.b", adam.v.layer2.b,
        10, 1, expected_digits_train_step_13, 1.41e-05, 4.96298005);
    check_i32("digits_train_step(N = 3)", "adam.t", &adam.t,
        1, 1, expected_digits_train_step_14, 0.0, 1.0);
    check_u32("digits_train_step(N = 3)", "rng.key", rng.key,
        2, 1, expected_digits_train_step_15, 0.0, 103338.0);
    check_u32("digits_train_step(N = 3)", "rng.counter", &rng.counter,
        1, 1, expected_digits_train_step_16, 0.0, 54403.0);
}


int main(void)
{
    test_digits_digits_init();
    test_digits_predict();
    test_digits_train_step();
    if (failed_checks == 0)
        printf("digits: 3 exports compute what Charl computed\n");
    return failed_checks == 0 ? 0 : 1;
}
