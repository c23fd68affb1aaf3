// CUDA's functions of numbers. Approximate ones are computed exactly here.
#pragma once

// As `T name(T)` in single and double precision: the name with and without f, and CUDA's overload for float.
#define EMULATED_FUNCTION(name)                                                         \
    static inline float name##f(float x) { return __builtin_##name##f(x); }             \
    static inline float name(float x) { return __builtin_##name##f(x); }                \
    static inline double name(double x) { return __builtin_##name(x); }
#define EMULATED_FUNCTION_OF_TWO(name)                                                  \
    static inline float name##f(float x, float y) { return __builtin_##name##f(x, y); } \
    static inline float name(float x, float y) { return __builtin_##name##f(x, y); }    \
    static inline double name(double x, double y) { return __builtin_##name(x, y); }

EMULATED_FUNCTION(exp)
EMULATED_FUNCTION(exp2)
EMULATED_FUNCTION(expm1)
EMULATED_FUNCTION(log)
EMULATED_FUNCTION(log2)
EMULATED_FUNCTION(log10)
EMULATED_FUNCTION(log1p)
EMULATED_FUNCTION(sqrt)
EMULATED_FUNCTION(sin)
EMULATED_FUNCTION(cos)
EMULATED_FUNCTION(tan)
EMULATED_FUNCTION(tanh)
EMULATED_FUNCTION(erf)
EMULATED_FUNCTION(erfc)
EMULATED_FUNCTION(fabs)
EMULATED_FUNCTION(floor)
EMULATED_FUNCTION(ceil)
EMULATED_FUNCTION(trunc)
EMULATED_FUNCTION(round)
EMULATED_FUNCTION(rint)
EMULATED_FUNCTION_OF_TWO(pow)
EMULATED_FUNCTION_OF_TWO(fmod)
EMULATED_FUNCTION_OF_TWO(fmin)
EMULATED_FUNCTION_OF_TWO(fmax)
EMULATED_FUNCTION_OF_TWO(copysign)

static inline float fmaf(float x, float y, float z) { return __builtin_fmaf(x, y, z); }
static inline float fma(float x, float y, float z) { return __builtin_fmaf(x, y, z); }
static inline double fma(double x, double y, double z) { return __builtin_fma(x, y, z); }
static inline float rsqrtf(float x) { return 1.0f / __builtin_sqrtf(x); }
static inline double rsqrt(double x) { return 1.0 / __builtin_sqrt(x); }
static inline void sincosf(float x, float *sine, float *cosine) {
    *sine = __builtin_sinf(x);
    *cosine = __builtin_cosf(x);
}
static inline void sincos(double x, double *sine, double *cosine) {
    *sine = __builtin_sin(x);
    *cosine = __builtin_cos(x);
}

#define isnan(x) __builtin_isnan(x)
#define isinf(x) __builtin_isinf(x)
#define isfinite(x) __builtin_isfinite(x)

// Intrinsics that trade accuracy for speed.
static inline float __expf(float x) { return expf(x); }
static inline float __exp10f(float x) { return powf(10.0f, x); }
static inline float __logf(float x) { return logf(x); }
static inline float __log2f(float x) { return log2f(x); }
static inline float __sinf(float x) { return sinf(x); }
static inline float __cosf(float x) { return cosf(x); }
static inline float __powf(float x, float y) { return powf(x, y); }
static inline float __fdividef(float x, float y) { return x / y; }
static inline float __saturatef(float x) { return x > 0.0f ? (x < 1.0f ? x : 1.0f) : 0.0f; }

// Intrinsics that are never contracted.
static inline float __fadd_rn(float x, float y) { return x + y; }
static inline float __fsub_rn(float x, float y) { return x - y; }
static inline float __fmul_rn(float x, float y) { return x * y; }
static inline float __fdiv_rn(float x, float y) { return x / y; }
static inline float __fsqrt_rn(float x) { return sqrtf(x); }
static inline float __frcp_rn(float x) { return 1.0f / x; }
static inline float __fmaf_rn(float x, float y, float z) { return fmaf(x, y, z); }

#define EMULATED_ORDER(TYPE)                                            \
    static inline TYPE min(TYPE a, TYPE b) { return a < b ? a : b; }    \
    static inline TYPE max(TYPE a, TYPE b) { return a > b ? a : b; }
EMULATED_ORDER(int)
EMULATED_ORDER(unsigned)
EMULATED_ORDER(long)
EMULATED_ORDER(unsigned long)
EMULATED_ORDER(long long)
EMULATED_ORDER(unsigned long long)
static inline float min(float a, float b) { return fminf(a, b); }
static inline float max(float a, float b) { return fmaxf(a, b); }
static inline double min(double a, double b) { return fmin(a, b); }
static inline double max(double a, double b) { return fmax(a, b); }
static inline int abs(int x) { return x < 0 ? -x : x; }
static inline float abs(float x) { return fabsf(x); }
static inline double abs(double x) { return fabs(x); }

// ---- Bits.

template <class To, class From> static inline To emulated_bits(From from) {
    static_assert(sizeof(To) == sizeof(From), "the same size");
    To to;
    __builtin_memcpy(&to, &from, sizeof to);
    return to;
}
static inline unsigned __float_as_uint(float x) { return emulated_bits<unsigned>(x); }
static inline int __float_as_int(float x) { return emulated_bits<int>(x); }
static inline float __uint_as_float(unsigned x) { return emulated_bits<float>(x); }
static inline float __int_as_float(int x) { return emulated_bits<float>(x); }
static inline long long __double_as_longlong(double x) { return emulated_bits<long long>(x); }
static inline double __longlong_as_double(long long x) { return emulated_bits<double>(x); }

static inline int __popc(unsigned x) { return __builtin_popcount(x); }
static inline int __popcll(unsigned long long x) { return __builtin_popcountll(x); }
static inline int __clz(int x) { return x ? __builtin_clz((unsigned)x) : 32; }
static inline int __clzll(long long x) { return x ? __builtin_clzll((unsigned long long)x) : 64; }
static inline int __ffs(int x) { return __builtin_ffs(x); }
static inline int __ffsll(long long x) { return __builtin_ffsll(x); }
static inline unsigned __umulhi(unsigned x, unsigned y) { return (unsigned)((unsigned long long)x * y >> 32); }
static inline unsigned long long __umul64hi(unsigned long long x, unsigned long long y) {
    return (unsigned long long)((unsigned __int128)x * y >> 64);
}

// ---- Memory. One thread runs at a time, so these need no care.

template <class T> static inline T __ldg(const T *address) { return *address; }
static inline void __threadfence() {}
static inline void __threadfence_block() {}

#define EMULATED_ATOMIC(name, expression)                                            \
    template <class T> static inline T name(T *address, __typeof__(*address) value) { \
        static_assert((T)0.5 == (T)0, "integers only");                              \
        T old = *address;                                                            \
        *address = expression;                                                       \
        return old;                                                                  \
    }
EMULATED_ATOMIC(atomicAdd, old + value)
EMULATED_ATOMIC(atomicMax, old > value ? old : value)
EMULATED_ATOMIC(atomicMin, old < value ? old : value)
EMULATED_ATOMIC(atomicOr, old | value)
EMULATED_ATOMIC(atomicAnd, old & value)
EMULATED_ATOMIC(atomicExch, value)
