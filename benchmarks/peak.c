/* The limit that every figure is compared with: independent fused multiply-adds in registers, nothing else.
   Compiled with -DLANES=16, 8 or 4 floats to a vector; ACCUMULATORS chains hide the latency of the units. */

typedef float vector __attribute__((vector_size(4 * LANES)));

enum { ACCUMULATORS = 12 };

/* Runs `rounds` rounds of ACCUMULATORS multiply-adds on LANES floats; 2 * LANES * ACCUMULATORS * rounds operations. */
float fma_rounds(long rounds, float scale, float shift) {
    vector sum[ACCUMULATORS];
    const vector a = {0}, x = a + scale, y = a + shift;
    for (int i = 0; i < ACCUMULATORS; i++) sum[i] = a + (float)i;
    for (long r = 0; r < rounds; r++) {
#pragma GCC unroll 12
        for (int i = 0; i < ACCUMULATORS; i++) sum[i] = sum[i] * x + y;
    }
    float total = 0;
    for (int i = 0; i < ACCUMULATORS; i++)
        for (int l = 0; l < LANES; l++) total += sum[i][l];
    return total;
}
