// What the threads of a block or a warp do together.
#pragma once

#include "language.h"

static inline void __syncthreads() {
    emulated_runtime->barrier();
}

static inline unsigned emulated_lane() {
    const uint3 &index = emulated_runtime->thread->index, &size = emulated_runtime->block_size;
    return (index.x + size.x * (index.y + size.y * index.z)) % EMULATED_WARP;
}

static inline void __syncwarp(unsigned mask = 0xffffffffu) {
    emulated_runtime->warp(EMULATED_SYNC, mask, 0, 0);
}

static inline unsigned __ballot_sync(unsigned mask, int predicate) {
    return (unsigned)emulated_runtime->warp(EMULATED_BALLOT, mask, predicate != 0, 0);
}

static inline int __any_sync(unsigned mask, int predicate) {
    return __ballot_sync(mask, predicate) != 0;
}

static inline int __all_sync(unsigned mask, int predicate) {
    return __ballot_sync(mask, predicate) == mask;
}

template <class T> static inline T emulated_shuffle(unsigned mask, T value, unsigned source) {
    static_assert(sizeof(T) == 4 || sizeof(T) == 8, "a shuffle moves 4 or 8 bytes");
    unsigned long long bits = 0;
    __builtin_memcpy(&bits, &value, sizeof value);
    bits = emulated_runtime->warp(EMULATED_SHUFFLE, mask, bits, source);
    __builtin_memcpy(&value, &bits, sizeof value);
    return value;
}

// A warp may be cut into segments of `width` lanes, a power of two. Who asks beyond its segment gets its own value.

template <class T> static inline T __shfl_sync(unsigned mask, T value, int source, int width = EMULATED_WARP) {
    unsigned first = emulated_lane() & ~(unsigned)(width - 1);
    return emulated_shuffle(mask, value, first + ((unsigned)source & (unsigned)(width - 1)));
}

template <class T> static inline T __shfl_xor_sync(unsigned mask, T value, int distance, int width = EMULATED_WARP) {
    unsigned lane = emulated_lane(), source = lane ^ (unsigned)distance;
    bool outside = source >= EMULATED_WARP || source > (lane | (unsigned)(width - 1));
    return emulated_shuffle(mask, value, outside ? lane : source);
}

template <class T>
static inline T __shfl_down_sync(unsigned mask, T value, unsigned distance, int width = EMULATED_WARP) {
    unsigned lane = emulated_lane();
    bool outside = lane % (unsigned)width + distance >= (unsigned)width;
    return emulated_shuffle(mask, value, outside ? lane : lane + distance);
}

template <class T>
static inline T __shfl_up_sync(unsigned mask, T value, unsigned distance, int width = EMULATED_WARP) {
    unsigned lane = emulated_lane();
    bool outside = lane % (unsigned)width < distance;
    return emulated_shuffle(mask, value, outside ? lane : lane - distance);
}

// d += a * b, as PTX's mma.sync.aligned.m16n8k16.row.col.f32.bf16.bf16.f32, whose fragments these are.
static inline void emulated_mma_m16n8k16(float *d, const unsigned *a, const unsigned *b) {
    EmulatedFragments fragments = {d, a, b};
    emulated_runtime->warp(EMULATED_PRODUCT, 0xffffffffu, (unsigned long long)&fragments, 0);
}
