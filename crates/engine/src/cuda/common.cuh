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
    return (u32)to_bf16(first).bits | ((u32)to_bf16(second).bits << 16);
}

__device__ __forceinline__ float low_bf16(u32 pair) {
    return __uint_as_float(pair << 16);
}

__device__ __forceinline__ float high_bf16(u32 pair) {
    return __uint_as_float(pair & 0xffff0000u);
}

// `W` neighbouring values; `W` is 1 or 4.
template <int W> struct Pack {
    float v[W];
};

template <int W> __device__ __forceinline__ Pack<W> load(Values values, u64 index);
template <int W> __device__ __forceinline__ void store(Values values, u64 index, Pack<W> pack);

template <> __device__ __forceinline__ Pack<1> load<1>(Values values, u64 index) {
    Pack<1> pack;
    pack.v[0] = values.compact ? to_float(((const bf16 *)values.data)[index]) : ((const float *)values.data)[index];
    return pack;
}

template <> __device__ __forceinline__ void store<1>(Values values, u64 index, Pack<1> pack) {
    if (values.compact) {
        ((bf16 *)values.data)[index] = to_bf16(pack.v[0]);
    } else {
        ((float *)values.data)[index] = pack.v[0];
    }
}

// The index is a multiple of four, and so is where the view begins.
template <> __device__ __forceinline__ Pack<4> load<4>(Values values, u64 index) {
    Pack<4> pack;
    if (values.compact) {
        uint2 bits = *(const uint2 *)((const bf16 *)values.data + index);
        pack.v[0] = low_bf16(bits.x);
        pack.v[1] = high_bf16(bits.x);
        pack.v[2] = low_bf16(bits.y);
        pack.v[3] = high_bf16(bits.y);
    } else {
        float4 four = *(const float4 *)((const float *)values.data + index);
        pack.v[0] = four.x;
        pack.v[1] = four.y;
        pack.v[2] = four.z;
        pack.v[3] = four.w;
    }
    return pack;
}

template <> __device__ __forceinline__ void store<4>(Values values, u64 index, Pack<4> pack) {
    if (values.compact) {
        *(uint2 *)((bf16 *)values.data + index) =
            make_uint2(pack_bf16(pack.v[0], pack.v[1]), pack_bf16(pack.v[2], pack.v[3]));
    } else {
        *(float4 *)((float *)values.data + index) = make_float4(pack.v[0], pack.v[1], pack.v[2], pack.v[3]);
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

// Part of the same values, from `offset` on.
__device__ __forceinline__ Values from(Values values, u64 offset) {
    values.data = (u8 *)values.data + offset * (values.compact ? 2 : 4);
    return values;
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
