/* Subnormal numbers (f32 below 1.2e-38, f64 below 2.2e-308) as zero, where the processor has such a mode; nothing elsewhere. */
#ifndef CHARL_FLOAT_MODE_H
#define CHARL_FLOAT_MODE_H

#include <stdint.h>

#if defined(__SSE2__) || defined(_M_X64)

#include <xmmintrin.h>

/* MXCSR: what is subnormal is read and written as zero. */
#define FLUSHES_SUBNORMALS 0x8040u

static inline uint64_t float_mode_get(void) {
    return _mm_getcsr();
}

static inline void float_mode_set(uint64_t mode) {
    _mm_setcsr((unsigned)mode);
}

#elif defined(__aarch64__) && defined(__GNUC__)

/* FPCR.FZ */
#define FLUSHES_SUBNORMALS 0x1000000u

static inline uint64_t float_mode_get(void) {
    uint64_t mode;
    __asm__ volatile("mrs %0, fpcr" : "=r"(mode));
    return mode;
}

static inline void float_mode_set(uint64_t mode) {
    __asm__ volatile("msr fpcr, %0" : : "r"(mode) : "memory");
}

#else

#define FLUSHES_SUBNORMALS 0u

static inline uint64_t float_mode_get(void) {
    return 0;
}

static inline void float_mode_set(uint64_t mode) {
    (void)mode;
}

#endif

/* The statement below on every thread that loops run on. */
#ifdef _OPENMP
#define EVERY_THREAD _Pragma("omp parallel")
#else
#define EVERY_THREAD
#endif

#endif
