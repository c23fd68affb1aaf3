// CUDA's built-in types, with its alignments.
#pragma once

typedef __SIZE_TYPE__ size_t;

#define EMULATED_VECTORS(NAME, TYPE, PAIR_ALIGNMENT, FOUR_ALIGNMENT)                     \
    struct NAME##2 {                                                                     \
        TYPE x, y;                                                                       \
    } __attribute__((aligned(PAIR_ALIGNMENT)));                                          \
    struct NAME##3 {                                                                     \
        TYPE x, y, z;                                                                    \
    };                                                                                   \
    struct NAME##4 {                                                                     \
        TYPE x, y, z, w;                                                                 \
    } __attribute__((aligned(FOUR_ALIGNMENT)));                                          \
    static inline NAME##2 make_##NAME##2(TYPE x, TYPE y) { return {x, y}; }              \
    static inline NAME##3 make_##NAME##3(TYPE x, TYPE y, TYPE z) { return {x, y, z}; }   \
    static inline NAME##4 make_##NAME##4(TYPE x, TYPE y, TYPE z, TYPE w) { return {x, y, z, w}; }

EMULATED_VECTORS(char, signed char, 2, 4)
EMULATED_VECTORS(uchar, unsigned char, 2, 4)
EMULATED_VECTORS(short, short, 4, 8)
EMULATED_VECTORS(ushort, unsigned short, 4, 8)
EMULATED_VECTORS(int, int, 8, 16)
EMULATED_VECTORS(uint, unsigned int, 8, 16)
EMULATED_VECTORS(float, float, 8, 16)
EMULATED_VECTORS(longlong, long long, 16, 16)
EMULATED_VECTORS(ulonglong, unsigned long long, 16, 16)
EMULATED_VECTORS(double, double, 16, 16)

typedef uint3 dim3;
