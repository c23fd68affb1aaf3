// The emulator's libraries by name, as a program that loads them when it runs sees them.
#pragma once

#include <dlfcn.h>

#include <cstdio>
#include <cstdlib>
#include <string>
#include <vector>

inline void *open_library(const char *name) {
    void *library = dlopen(name, RTLD_NOW | RTLD_LOCAL);
    if (!library) {
        fprintf(stderr, "%s\n", dlerror());
        exit(1);
    }
    return library;
}

inline void *driver_library() {
    static void *library = open_library("libcuda.so");
    return library;
}
inline void *compiler_library() {
    static void *library = open_library("libnvrtc.so");
    return library;
}
inline void *products_library() {
    static void *library = open_library("libcublasLt.so");
    return library;
}

template <class... Types> int call_in(void *library, const char *name, Types... values) {
    auto function = (int (*)(Types...))dlsym(library, name);
    if (!function) {
        fprintf(stderr, "no function %s\n", name);
        exit(1);
    }
    return function(values...);
}

template <class... Types> int driver(const char *name, Types... values) {
    return call_in(driver_library(), name, values...);
}
template <class... Types> int nvrtc(const char *name, Types... values) {
    return call_in(compiler_library(), name, values...);
}
template <class... Types> int products(const char *name, Types... values) {
    return call_in(products_library(), name, values...);
}

#define CHECK(condition)                                                       \
    do {                                                                       \
        if (!(condition)) {                                                    \
            fprintf(stderr, "%s:%d: not so: %s\n", __FILE__, __LINE__, #condition); \
            exit(1);                                                           \
        }                                                                      \
    } while (0)

typedef unsigned long long Pointer;

// Memory of the device that holds what a vector holds.
template <class T> struct Buffer {
    Pointer pointer = 0;
    size_t count;

    explicit Buffer(const std::vector<T> &values) : Buffer(values.size()) {
        CHECK(driver("cuMemcpyHtoD_v2", pointer, (const void *)values.data(), count * sizeof(T)) == 0);
    }
    explicit Buffer(size_t count) : count(count) {
        CHECK(driver("cuMemAlloc_v2", &pointer, count * sizeof(T)) == 0);
    }
    ~Buffer() {
        CHECK(driver("cuMemFree_v2", pointer) == 0);
    }
    std::vector<T> read() const {
        std::vector<T> values(count);
        CHECK(driver("cuMemcpyDtoH_v2", (void *)values.data(), pointer, count * sizeof(T)) == 0);
        return values;
    }
};

// The upper half of an f32, rounded to the nearest.
inline unsigned short to_bf16(float value) {
    unsigned bits;
    __builtin_memcpy(&bits, &value, 4);
    return (unsigned short)((bits + 0x7fff + (bits >> 16 & 1)) >> 16);
}
inline float from_bf16(unsigned short bits) {
    unsigned whole = (unsigned)bits << 16;
    float value;
    __builtin_memcpy(&value, &whole, 4);
    return value;
}

// Numbers in [-1, 1), the same in every run.
inline float next_random(unsigned &state) {
    state = state * 1664525u + 1013904223u;
    return (float)(state >> 8) / 8388608.0f - 1.0f;
}
