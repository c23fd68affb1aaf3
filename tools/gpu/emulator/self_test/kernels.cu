// Small kernels for self_test.cpp, put after common.cuh as the program's own are.

extern "C" __global__ void __launch_bounds__(256) add(float *out, const float *a, const float *b, u64 count) {
    u64 index = (u64)blockIdx.x * blockDim.x + threadIdx.x;
    if (index < count) out[index] = a[index] + b[index];
}

// Out of memory's bounds where count is larger than what there is.
extern "C" __global__ void fill(float *out, u64 count, float value) {
    for (u64 index = threadIdx.x; index < count; index += blockDim.x) out[index] = value;
}

extern "C" __global__ void read_one(float *out, const float *values, u64 index) {
    out[0] = values[index];
}

// Sum, largest and sum in double precision of each block's own numbers: block b, thread t has 1 + b + t / 2.
extern "C" __global__ void reductions(float *sums, float *largest, double *sums_of_squares) {
    float value = 1.0f + (float)blockIdx.x + 0.5f * (float)threadIdx.x;
    float sum = block_sum(value), top = block_max(value);
    double squares = block_sum((double)value * value);
    if (threadIdx.x == 0) {
        sums[blockIdx.x] = sum;
        largest[blockIdx.x] = top;
        sums_of_squares[blockIdx.x] = squares;
    }
}

// Eight values a thread: what each kind of shuffle and vote gives.
extern "C" __global__ void shuffles(int *out) {
    int lane = (int)(threadIdx.x % WARP), value = 100 * (int)(threadIdx.x / WARP) + lane;
    int *mine = out + threadIdx.x * 8;
    mine[0] = __shfl_sync(ALL_LANES, value, 5);
    mine[1] = __shfl_xor_sync(ALL_LANES, value, 3);
    mine[2] = __shfl_down_sync(ALL_LANES, value, 4);
    mine[3] = __shfl_up_sync(ALL_LANES, value, 4);
    mine[4] = (int)(__shfl_sync(ALL_LANES, (u64)value << 32, 31) >> 32);
    mine[5] = __shfl_xor_sync(ALL_LANES, value, 8, 8);
    // Even and odd lanes apart, each with masks of their own.
    u32 half = lane % 2 ? 0xaaaaaaaau : 0x55555555u;
    mine[6] = __shfl_xor_sync(half, value, 2) + (int)__ballot_sync(half, lane < 4);
    mine[7] = __any_sync(ALL_LANES, lane == 9) + 2 * __all_sync(ALL_LANES, lane == 9);
}

// Reverses each block's numbers through dynamic shared memory.
extern "C" __global__ void reverse(float *values) {
    DYNAMIC_SHARED(float, scratch);
    float *mine = values + (u64)blockIdx.x * blockDim.x;
    scratch[threadIdx.x] = mine[threadIdx.x];
    __syncthreads();
    mine[threadIdx.x] = scratch[blockDim.x - 1 - threadIdx.x];
}

// One warp: d [16, 8] = c + a [16, 16] * b [16, 8], all row-major.
extern "C" __global__ void multiply(float *d, const bf16 *a, const bf16 *b, const float *c) {
    u32 group = threadIdx.x / 4, member = threadIdx.x % 4;
    u32 left[4], right[2];
    float sums[4];
    for (u32 r = 0; r < 4; ++r) {
        const bf16 *from = a + (group + 8 * (r % 2)) * 16 + 2 * member + 8 * (r / 2);
        left[r] = (u32)from[0].bits | (u32)from[1].bits << 16;
    }
    for (u32 r = 0; r < 2; ++r) {
        const bf16 *from = b + (2 * member + 8 * r) * 8 + group;
        right[r] = (u32)from[0].bits | (u32)from[8].bits << 16;
    }
    for (u32 v = 0; v < 4; ++v) sums[v] = c[(group + 8 * (v / 2)) * 8 + 2 * member + v % 2];
    emulated_mma_m16n8k16(sums, left, right);
    for (u32 v = 0; v < 4; ++v) d[(group + 8 * (v / 2)) * 8 + 2 * member + v % 2] = sums[v];
}

// f32 or bf16 in, the other out, four at a time.
extern "C" __global__ void copy_wide(Values out, Values in, u64 count) {
    u64 index = 4 * ((u64)blockIdx.x * blockDim.x + threadIdx.x);
    if (index < count) store<4>(out, index, load<4>(in, index));
}

// ---- Kernels with a fault each.

extern "C" __global__ void never_met() {
    if (threadIdx.x != 7) __syncthreads();
}

extern "C" __global__ void lane_missing(float *out) {
    if (threadIdx.x != 3) out[threadIdx.x] = warp_sum(1.0f);
}

extern "C" __global__ void beyond_array(float *out, u32 index) {
    __shared__ float parts[32];
    parts[threadIdx.x % 32] = 1.0f;
    out[0] = parts[index];
}

extern "C" __global__ void unaligned(float *out) {
    float4 four = *(const float4 *)(out + 1);
    out[0] = four.x;
}

// Shared memory that was never written.
extern "C" __global__ void unwritten(float *out) {
    __shared__ float once[4];
    DYNAMIC_SHARED(float, scratch);
    out[threadIdx.x] = threadIdx.x < 4 ? once[threadIdx.x] : scratch[threadIdx.x - 4];
}

// Right only if threads run from the first to the last.
extern "C" __global__ void needs_order(float *out) {
    __shared__ float first;
    if (threadIdx.x == 0) first = 1.0f;
    out[threadIdx.x] = first;
}
