/* Vectors of f32 from and to memory that holds half floats, apart from what each instruction set has for it. */
#ifndef CHARL_SIMD_HALF_H
#define CHARL_SIMD_HALF_H

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
