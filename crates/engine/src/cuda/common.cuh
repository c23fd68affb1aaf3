// What every kernel file shares. It is put before each file's text, and nothing is included: NVRTC comes without headers.
//
// A kernel runs with blocks of at most 1,024 threads, a multiple of 32. Sums run in a fixed order, so that the same call
// gives the same bits on the same card; there are no atomics on floating-point numbers.

typedef unsigned char u8;
typedef unsigned short u16;
typedef unsigned int u32;
typedef unsigned long long u64;

#ifndef DYNAMIC_SHARED
// Shared memory whose size the launch decides.
#define DYNAMIC_SHARED(type, name) extern __shared__ type name[]
#endif

#define WARP 32
#define ALL_LANES 0xffffffffu
// The target of a row that predicts nothing.
#define NO_TARGET 0xffffffffu
#define NEGATIVE_INFINITY __int_as_float(0xff800000)

// ---- Values: f32, or bf16 where a tensor is compact. Arithmetic is in f32 either way.

struct bf16 {
    u16 bits;
};

// The values of a view: `data` points at its first one.
struct Values {
    void *data;
    u64 compact;
};

__device__ __forceinline__ float to_float(bf16 value) {
    return __uint_as_float((u32)value.bits << 16);
}

// To the nearest, ties to even; what is not a number stays none.
__device__ __forceinline__ bf16 to_bf16(float value) {
    u32 bits = __float_as_uint(value);
    u32 rounded = (bits + 0x7fffu + ((bits >> 16) & 1u)) >> 16;
    bf16 result;
    result.bits = (u16)((bits & 0x7fffffffu) > 0x7f800000u ? (bits >> 16) | 0x40u : rounded);
    return result;
}

// Two values as one register, the first in the lower half.
__device__ __forceinline__ u32 pack_bf16(float first, float second) {
#ifndef EMULATED
    u32 pair;
    asm("cvt.rn.bf16x2.f32 %0, %1, %2;" : "=r"(pair) : "f"(second), "f"(first));
    return pair;
#else
    return (u32)to_bf16(first).bits | ((u32)to_bf16(second).bits << 16);
#endif
}

__device__ __forceinline__ float low_bf16(u32 pair) {
    return __uint_as_float(pair << 16);
}

__device__ __forceinline__ float high_bf16(u32 pair) {
    return __uint_as_float(pair & 0xffff0000u);
}

// Values whose kind the compiler knows: it can begin with all loads of a loop before it needs one, which it does not do
// across the branches of `Values`. What reads or writes them is a template that takes any of the three.
struct CompactValues {
    void *data;
    static constexpr u64 compact = 1;
};

struct FullValues {
    void *data;
    static constexpr u64 compact = 0;
};

// Part of the same values, from `offset` on.
template <typename V> __device__ __forceinline__ V from(V values, u64 offset) {
    values.data = (u8 *)values.data + offset * (values.compact ? 2 : 4);
    return values;
}

// `W` neighbouring values; `W` is 1, 4 or 8.
template <int W> struct Pack {
    float v[W];
};

// The index is a multiple of `W`, and so is where the view begins.
template <int W, typename V> __device__ __forceinline__ Pack<W> load(V values, u64 index) {
    Pack<W> pack;
    if (!values.compact) {
        const float *place = (const float *)values.data + index;
        if constexpr (W == 1) {
            pack.v[0] = *place;
        } else {
            for (int k = 0; k < W; k += 4) {
                float4 four = *(const float4 *)(place + k);
                pack.v[k] = four.x;
                pack.v[k + 1] = four.y;
                pack.v[k + 2] = four.z;
                pack.v[k + 3] = four.w;
            }
        }
        return pack;
    }
    const bf16 *place = (const bf16 *)values.data + index;
    if constexpr (W == 1) {
        pack.v[0] = to_float(*place);
    } else {
        u32 pairs[W / 2];
        if constexpr (W == 4) {
            uint2 bits = *(const uint2 *)place;
            pairs[0] = bits.x, pairs[1] = bits.y;
        } else {
            uint4 bits = *(const uint4 *)place;
            pairs[0] = bits.x, pairs[1] = bits.y, pairs[2] = bits.z, pairs[3] = bits.w;
        }
        for (int k = 0; k < W; k += 2) {
            pack.v[k] = low_bf16(pairs[k / 2]);
            pack.v[k + 1] = high_bf16(pairs[k / 2]);
        }
    }
    return pack;
}

template <int W, typename V> __device__ __forceinline__ void store(V values, u64 index, Pack<W> pack) {
    const float *v = pack.v;
    if (!values.compact) {
        float *place = (float *)values.data + index;
        if constexpr (W == 1) {
            *place = v[0];
        } else {
            for (int k = 0; k < W; k += 4) *(float4 *)(place + k) = make_float4(v[k], v[k + 1], v[k + 2], v[k + 3]);
        }
        return;
    }
    bf16 *place = (bf16 *)values.data + index;
    if constexpr (W == 1) {
        *place = to_bf16(v[0]);
    } else if constexpr (W == 4) {
        *(uint2 *)place = make_uint2(pack_bf16(v[0], v[1]), pack_bf16(v[2], v[3]));
    } else {
        *(uint4 *)place =
            make_uint4(pack_bf16(v[0], v[1]), pack_bf16(v[2], v[3]), pack_bf16(v[4], v[5]), pack_bf16(v[6], v[7]));
    }
}

__device__ __forceinline__ float load_one(Values values, u64 index) {
    return load<1>(values, index).v[0];
}

__device__ __forceinline__ void store_one(Values values, u64 index, float value) {
    Pack<1> pack;
    pack.v[0] = value;
    store<1>(values, index, pack);
}

// ---- Reductions over a warp and over a block. Every thread of the block calls them and gets the result.

template <typename T> __device__ __forceinline__ T warp_sum(T value) {
    for (int distance = WARP / 2; distance > 0; distance /= 2) {
        value += __shfl_xor_sync(ALL_LANES, value, distance);
    }
    return value;
}

__device__ __forceinline__ float warp_max(float value) {
    for (int distance = WARP / 2; distance > 0; distance /= 2) {
        value = fmaxf(value, __shfl_xor_sync(ALL_LANES, value, distance));
    }
    return value;
}

template <typename T> __device__ __forceinline__ T block_sum(T value) {
    __shared__ T parts[WARP];
    __shared__ T total;
    u32 lane = threadIdx.x % WARP, warp = threadIdx.x / WARP, warps = blockDim.x / WARP;
    value = warp_sum(value);
    __syncthreads();
    if (lane == 0) parts[warp] = value;
    __syncthreads();
    if (warp == 0) {
        T sum = warp_sum(lane < warps ? parts[lane] : (T)0);
        if (lane == 0) total = sum;
    }
    __syncthreads();
    return total;
}

__device__ __forceinline__ float block_max(float value) {
    __shared__ float parts[WARP];
    __shared__ float top;
    u32 lane = threadIdx.x % WARP, warp = threadIdx.x / WARP, warps = blockDim.x / WARP;
    value = warp_max(value);
    __syncthreads();
    if (lane == 0) parts[warp] = value;
    __syncthreads();
    if (warp == 0) {
        float largest = warp_max(lane < warps ? parts[lane] : NEGATIVE_INFINITY);
        if (lane == 0) top = largest;
    }
    __syncthreads();
    return top;
}

// ---- Random numbers, as in `rng.rs`.

#define WEYL 0x9E3779B97F4A7C15ull

__device__ __forceinline__ u64 mix(u64 z) {
    z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9ull;
    z = (z ^ (z >> 27)) * 0x94D049BB133111EBull;
    return z ^ (z >> 31);
}

// Uniform in [0, 1).
__device__ __forceinline__ float uniform(u64 key, u64 index) {
    return (float)(mix(key + (index + 1) * WEYL) >> 40) * (1.0f / 16777216.0f);
}

// A dropout mask, as in `tape.rs`; a probability of 0 drops nothing.
struct DropoutMask {
    u64 key;
    u64 first_token;
    float probability;
    // 1 / (1 - probability), as the host computes it.
    float scale;
};

__device__ __forceinline__ float dropout_factor(DropoutMask mask, u64 row, u64 index_in_row, u64 row_length) {
    u64 index = (mask.first_token + row) * row_length + index_in_row;
    return uniform(mask.key, index) < mask.probability ? 0.0f : mask.scale;
}

// ---- Loops over values one by one.

// The number of this thread, and how many there are.
__device__ __forceinline__ u64 thread_index() {
    return (u64)blockIdx.x * blockDim.x + threadIdx.x;
}

__device__ __forceinline__ u64 thread_count() {
    return (u64)gridDim.x * blockDim.x;
}
