/* Vectors of the widest instruction set that the compiler may use. */
#ifndef CHARL_SIMD_H
#define CHARL_SIMD_H

#if defined(__AVX512F__) && defined(__AVX512DQ__) && defined(__AVX512VL__) && defined(__AVX512BW__)
#include "simd_avx512.h"
#elif defined(__AVX2__) && defined(__FMA__)
#include "simd_avx2.h"
#else
#include "simd_scalar.h"
#endif

#endif
