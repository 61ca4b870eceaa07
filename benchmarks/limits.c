/*
 * Limits of the machine: fused multiply-adds in registers, and reading memory of a size that one level of the caches holds.
 * Compiled once for each instruction set with -DLANES=16, 8 or 4 floats to a vector; with -fopenmp every thread does the work.
 */
#include <stddef.h>

typedef float vector __attribute__((vector_size(4 * LANES)));

enum { CHAINS = 12 }; /* hide the latency of two units */

static float fma_chain(long rounds, float scale, float shift)
{
    vector sum[CHAINS];
    const vector zero = {0};
    const vector x = zero + scale;
    const vector y = zero + shift;
    float total = 0;
    for (int i = 0; i < CHAINS; i++)
        sum[i] = zero + (float)i;
    for (long r = 0; r < rounds; r++) {
#pragma GCC unroll 12
        for (int i = 0; i < CHAINS; i++)
            sum[i] = sum[i] * x + y;
    }
    for (int i = 0; i < CHAINS; i++)
        for (int l = 0; l < LANES; l++)
            total += sum[i][l];
    return total;
}

/* `rounds` rounds of CHAINS multiply-adds of LANES floats on every thread: 2 * CHAINS * LANES * rounds operations each. */
float fma_rounds(long rounds, float scale, float shift)
{
    float total = 0;
#pragma omp parallel reduction(+ : total)
    total += fma_chain(rounds, scale, shift);
    return total;
}

static float read_often(const float *data, size_t count, long times)
{
    const vector zero = {0};
    vector sum[8];
    float total = 0;
    for (int i = 0; i < 8; i++)
        sum[i] = zero;
    for (long t = 0; t < times; t++) {
        for (size_t at = 0; at + 8 * LANES <= count; at += 8 * LANES) {
#pragma GCC unroll 8
            for (int i = 0; i < 8; i++)
                sum[i] += *(const vector *)(data + at + (size_t)i * LANES);
        }
        __asm__ volatile("" ::: "memory");
    }
    for (int i = 0; i < 8; i++)
        for (int l = 0; l < LANES; l++)
            total += sum[i][l];
    return total;
}

static float update_often(float *data, size_t count, long times)
{
    const vector zero = {0};
    const vector shift = zero + 1;
    for (long t = 0; t < times; t++) {
        for (size_t at = 0; at + 8 * LANES <= count; at += 8 * LANES) {
#pragma GCC unroll 8
            for (int i = 0; i < 8; i++)
                *(vector *)(data + at + (size_t)i * LANES) += shift;
        }
        __asm__ volatile("" ::: "memory");
    }
    return data[0];
}

/* As below, but adds 1 to every float: as much is written as is read. */
float update_shared(float *data, size_t count, size_t parts, long times)
{
    float total = 0;
#pragma omp parallel for reduction(+ : total) schedule(static)
    for (size_t part = 0; part < parts; part++)
        total += update_often(data + part * (count / parts), count / parts, times);
    return total;
}

/* Reads `count` floats, aligned to 64 bytes, `times` times; the threads share them in `parts` equal ones of a multiple of 512 bytes. */
float read_shared(const float *data, size_t count, size_t parts, long times)
{
    float total = 0;
#pragma omp parallel for reduction(+ : total) schedule(static)
    for (size_t part = 0; part < parts; part++)
        total += read_often(data + part * (count / parts), count / parts, times);
    return total;
}
