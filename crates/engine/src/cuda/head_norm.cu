// RMS norm of every head of queries and keys. One warp takes a head of a token; values, the last heads of a row, stay.

// The place of a head and of its gains; a head is that of a warp.
struct Head {
    u64 index;
    u64 place;
    u32 gain;
};

__device__ __forceinline__ Head head_of_warp(u32 columns, u32 head_dim, u32 query_heads, u32 heads) {
    Head head;
    head.index = thread_index() / WARP;
    u32 own = (u32)(head.index % heads);
    head.place = head.index / heads * columns + (u64)own * head_dim;
    head.gain = own < query_heads ? 0 : head_dim;
    return head;
}

extern "C" __global__ void head_norm(Values fused_qkv, Values gains, float epsilon, float *statistics, u64 rows, u32 columns,
                                     u32 head_dim, u32 query_heads, u32 heads) {
    Head head = head_of_warp(columns, head_dim, query_heads, heads);
    if (head.index >= rows * heads) return;
    float squares = 0.0f;
    for (u32 i = threadIdx.x % WARP; i < head_dim; i += WARP) {
        float x = load_one(fused_qkv, head.place + i);
        squares += x * x;
    }
    float inverse = 1.0f / sqrtf(warp_sum(squares) / head_dim + epsilon);
    for (u32 i = threadIdx.x % WARP; i < head_dim; i += WARP) {
        float x = load_one(fused_qkv, head.place + i);
        store_one(fused_qkv, head.place + i, x * inverse * load_one(gains, head.gain + i));
    }
    if (statistics && threadIdx.x % WARP == 0) statistics[head.index] = inverse;
}

extern "C" __global__ void head_norm_gradient(Values d_fused_qkv, Values fused_qkv, Values gains, const float *statistics,
                                              u64 rows, u32 columns, u32 head_dim, u32 query_heads, u32 heads) {
    Head head = head_of_warp(columns, head_dim, query_heads, heads);
    if (head.index >= rows * heads) return;
    float inverse = statistics[head.index], along = 0.0f;
    for (u32 i = threadIdx.x % WARP; i < head_dim; i += WARP) {
        along += load_one(d_fused_qkv, head.place + i) * load_one(gains, head.gain + i) * load_one(fused_qkv, head.place + i);
    }
    along = warp_sum(along) * inverse * inverse / head_dim;
    for (u32 i = threadIdx.x % WARP; i < head_dim; i += WARP) {
        float scaled = load_one(d_fused_qkv, head.place + i) * load_one(gains, head.gain + i);
        store_one(d_fused_qkv, head.place + i, (scaled - load_one(fused_qkv, head.place + i) * along) * inverse);
    }
}

// The sums of `per_block` heads at a time for the gradient of the gains: `sums[group][0 queries or 1 keys][channel]`. The
// warps of a block take heads in turn, their lanes 32 channels. A group beyond the last head of keys adds nothing.
extern "C" __global__ void head_norm_gain_sums(Values d_output, Values input, const float *statistics, float *sums, u64 rows,
                                               u32 columns, u32 head_dim, u32 query_heads, u32 heads, u32 per_block) {
    __shared__ float parts[WARP][WARP];
    u32 lane = threadIdx.x % WARP, warp = threadIdx.x / WARP, warps = blockDim.x / WARP;
    u32 channel = blockIdx.y * WARP + lane, kind = blockIdx.z;
    u32 first_head = kind ? query_heads : 0, own = kind ? heads - query_heads : query_heads;
    u64 first = (u64)blockIdx.x * per_block, last = first + per_block < rows * own ? first + per_block : rows * own;
    float sum = 0.0f;
    if (channel < head_dim) {
        for (u64 index = first + warp; index < last; index += warps) {
            u64 row = index / own, head = first_head + index % own;
            u64 place = row * columns + head * head_dim + channel;
            sum += load_one(d_output, place) * load_one(input, place) * statistics[row * heads + head];
        }
    }
    parts[warp][lane] = sum;
    __syncthreads();
    if (warp == 0 && channel < head_dim) {
        float total = 0.0f;
        for (u32 w = 0; w < warps; w++) total += parts[w][lane];
        sums[((u64)blockIdx.x * 2 + kind) * head_dim + channel] = total;
    }
}
