/* Vectors of f32 from and to half floats, apart from what each instruction set has for it. */
#ifndef CHARL_SIMD_HALF_H
#define CHARL_SIMD_HALF_H

static inline vf32 vf32_of_bf16(vhalf halves) {
    return vf32_of_bits_u32(vu32_shl(vu32_of_halves(halves), vu32_set1(16)));
}

/* The bits of the nearest bf16, ties to even. */
static inline vu32 vf32_bf16_bits(vf32 x) {
    const vu32 word = vu32_of_bits_f32(x);
    const vu32 top = vu32_shr(word, vu32_set1(16));
    const vu32 odd = vu32_bitand(top, vu32_set1(1));
    const vu32 near = vu32_shr(vu32_add(word, vu32_add(odd, vu32_set1(0x7fff))), vu32_set1(16));
    return vu32_select(vf32_ne(x, x), vu32_bitor(top, vu32_set1(0x40)), near);
}

static inline vhalf vf32_to_bf16(vf32 x) {
    return vu32_halves(vf32_bf16_bits(x));
}

static inline vf32 vu32_bf16_value(vu32 bits) {
    return vf32_of_bits_u32(vu32_shl(bits, vu32_set1(16)));
}

static inline vu32 vf32_f16_bits(vf32 x) {
    return vu32_of_halves(vf32_to_f16(x));
}

static inline vf32 vu32_f16_value(vu32 bits) {
    return vf32_of_f16(vu32_halves(bits));
}

/* The nearest value that a bf16 holds, ties to even. */
static inline vf32 vf32_bf16_round(vf32 x) {
    return vu32_bf16_value(vf32_bf16_bits(x));
}

/* The nearest value that an f16 holds, ties to even. */
static inline vf32 vf32_f16_round(vf32 x) {
    return vf32_of_f16(vf32_to_f16(x));
}

//: f16 bf16
static inline vf32 vf32_load_$T(const uint16_t *p) {
    return vf32_of_$T(vhalf_load(p));
}

//: f16 bf16
/* Elements of the mask, zero elsewhere, where nothing is read. */
static inline vf32 vf32_load_$T_mask(const uint16_t *p, vm32 m) {
    return vf32_of_$T(vhalf_load_mask(p, m));
}

//: f16 bf16
static inline void vf32_store_$T(uint16_t *p, vf32 x) {
    vhalf_store(p, vf32_to_$T(x));
}

//: f16 bf16
static inline void vf32_store_$T_mask(uint16_t *p, vf32 x, vm32 m) {
    vhalf_store_mask(p, vf32_to_$T(x), m);
}

//: f16 bf16
static inline vf32 vf32_load_$T_strided(const uint16_t *p, ptrdiff_t stride) {
    uint16_t lanes[VL32];
    for (int i = 0; i < VL32; ++i) {
        lanes[i] = p[i * stride];
    }
    return vf32_load_$T(lanes);
}

//: f16 bf16
static inline vf32 vf32_load_$T_strided_mask(const uint16_t *p, ptrdiff_t stride, vm32 m) {
    uint16_t lanes[VL32];
    bool on[VL32];
    vm32_store(on, m);
    for (int i = 0; i < VL32; ++i) {
        lanes[i] = (uint16_t)(on[i] ? p[i * stride] : 0);
    }
    return vf32_load_$T(lanes);
}

//: f16 bf16
static inline void vf32_store_$T_strided(uint16_t *p, ptrdiff_t stride, vf32 x) {
    uint16_t lanes[VL32];
    vf32_store_$T(lanes, x);
    for (int i = 0; i < VL32; ++i) {
        p[i * stride] = lanes[i];
    }
}

//: f16 bf16
static inline void vf32_store_$T_strided_mask(uint16_t *p, ptrdiff_t stride, vf32 x, vm32 m) {
    uint16_t lanes[VL32];
    bool on[VL32];
    vf32_store_$T(lanes, x);
    vm32_store(on, m);
    for (int i = 0; i < VL32; ++i) {
        if (on[i]) {
            p[i * stride] = lanes[i];
        }
    }
}

//: f16 bf16
/* to[c * to_stride + r] = from[r * stride + c] for r < rows, c < columns: by blocks, which become f32 first. */
static inline void f32_transpose_$T(float *to, ptrdiff_t to_stride, const uint16_t *from, ptrdiff_t stride, ptrdiff_t rows, ptrdiff_t columns) {
    float block[VL32 * 2 * VL32];
    for (ptrdiff_t r = 0; r < rows; r += VL32) {
        const ptrdiff_t height = size_min(rows - r, VL32);
        for (ptrdiff_t c = 0; c < columns; c += 2 * VL32) {
            const ptrdiff_t width = size_min(columns - c, 2 * VL32);
            for (ptrdiff_t i = 0; i < height; ++i) {
                const uint16_t *const row = from + (r + i) * stride + c;
                ptrdiff_t k = 0;
                for (; k + VL32 <= width; k += VL32) {
                    vf32_store(block + 2 * VL32 * i + k, vf32_load_$T(row + k));
                }
                for (; k < width; ++k) {
                    block[2 * VL32 * i + k] = $T_value(row[k]);
                }
            }
            f32_transpose(to + c * to_stride + r, to_stride, block, 2 * VL32, height, width);
        }
    }
}

#endif
