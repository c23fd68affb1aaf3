// Attention in f32 arithmetic by its products alone; rotary positions; the cache.

// ---- Rotary positions and the cache.

// Heads that a thread turns.
#define HEADS_AT_ONCE 4

// `W` channels of a head that turn, of the first of their pairs, and their partners, for one token and some heads.
template <int W, typename V>
__device__ void rotate_channels(V fused_qkv, float position, FullValues frequencies, u64 row, u32 channel, u32 half,
                                u32 head_dim, u32 heads, float direction) {
    // All are read before the first is written: the compiler cannot know that they are apart.
    Pack<W> first[HEADS_AT_ONCE], second[HEADS_AT_ONCE];
    u32 first_head = blockIdx.y * HEADS_AT_ONCE;
#pragma unroll
    for (u32 h = 0; h < HEADS_AT_ONCE; h++) {
        u64 place = row + smaller(first_head + h, heads - 1) * head_dim + channel;
        first[h] = load<W>(fused_qkv, place);
        second[h] = load<W>(fused_qkv, place + half);
    }
    Pack<W> frequency = load<W>(frequencies, channel);
    float sine[W], cosine[W];
    for (int i = 0; i < W; i++) {
        sincosf(position * frequency.v[i], &sine[i], &cosine[i]);
        sine[i] *= direction;
    }
#pragma unroll
    for (u32 h = 0; h < HEADS_AT_ONCE; h++) {
        if (first_head + h >= heads) break;
        Pack<W> turned, partner;
        for (int i = 0; i < W; i++) {
            turned.v[i] = first[h].v[i] * cosine[i] - second[h].v[i] * sine[i];
            partner.v[i] = second[h].v[i] * cosine[i] + first[h].v[i] * sine[i];
        }
        u64 place = row + (first_head + h) * head_dim + channel;
        store<W>(fused_qkv, place, turned);
        store<W>(fused_qkv, place + half, partner);
    }
}

// Turns the first `2 * half` channels of the first `heads` heads of every row; `direction` is 1, or -1 to turn them back.
extern "C" __global__ void rotate(Values fused_qkv, const u32 *positions, FullValues frequencies, u64 rows, u32 columns,
                                  u32 half, u32 head_dim, u32 heads, float direction, u32 wide) {
    u32 at_once = wide ? 4 : 1;
    u64 row = thread_index() / (half / at_once);
    u32 channel = (u32)(thread_index() % (half / at_once)) * at_once;
    if (row >= rows) return;
    float position = (float)positions[row];
    CompactValues compact = {fused_qkv.data};
    FullValues full = {fused_qkv.data};
    if (!wide) {
        rotate_channels<1>(fused_qkv, position, frequencies, row * columns, channel, half, head_dim, heads, direction);
    } else if (fused_qkv.compact) {
        rotate_channels<4>(compact, position, frequencies, row * columns, channel, half, head_dim, heads, direction);
    } else {
        rotate_channels<4>(full, position, frequencies, row * columns, channel, half, head_dim, heads, direction);
    }
}

// Copies rows whose values are `stride` apart to rows without gaps.
extern "C" __global__ void append_to_cache(Values from, u32 stride, Values to, u64 rows, u32 columns, u32 wide) {
    u32 at_once = wide ? 4 : 1;
    u64 index = ((u64)blockIdx.x * blockDim.x + threadIdx.x) * at_once;
    if (index >= rows * columns) return;
    u64 place = index / columns * stride + index % columns;
    if (wide) {
        store<4>(to, index, load<4>(from, place));
    } else {
        store_one(to, index, load_one(from, place));
    }
}

// ---- Backward: for every row and head the product of output and its gradient, by `lanes` neighbouring lanes of a warp.

template <int W>
__device__ __forceinline__ float product_along(Values d_output, Values output, u32 head_dim, u32 lanes) {
    float sum = 0.0f;
    for (u32 channel = threadIdx.x % lanes * W; channel < head_dim; channel += lanes * W) {
        Pack<W> dy = load<W>(d_output, channel), y = load<W>(output, channel);
        for (int k = 0; k < W; k++) sum = fmaf(dy.v[k], y.v[k], sum);
    }
    return sum;
}

extern "C" __global__ void attention_along(Values d_output, u32 d_stride, Values output, u32 stride, float *along, u64 rows,
                                           u32 num_heads, u32 head_dim, u32 lanes, u32 wide) {
    u64 index = thread_index() / lanes;
    bool within = index < rows * num_heads;
    float sum = 0.0f;
    if (within) {
        u64 row = index / num_heads, column = index % num_heads * head_dim;
        Values dy = from(d_output, row * d_stride + column), y = from(output, row * stride + column);
        sum = wide ? product_along<8>(dy, y, head_dim, lanes) : product_along<1>(dy, y, head_dim, lanes);
    }
    for (u32 distance = lanes / 2; distance > 0; distance /= 2) sum += __shfl_xor_sync(ALL_LANES, sum, distance);
    if (within && threadIdx.x % lanes == 0) along[index] = sum;
}

// ---- The kernels, by the most channels that a head may have.

extern "C" __global__ void __launch_bounds__(THREADS)
attention_64(Attention attention, Values queries, Values keys, Values values, Values output, float *logsumexp,
             DropoutMask mask) {
    forward<2, 4>(attention, queries, keys, values, output, logsumexp, mask, NoTerms());
}

extern "C" __global__ void __launch_bounds__(THREADS)
attention_128(Attention attention, Values queries, Values keys, Values values, Values output, float *logsumexp,
              DropoutMask mask) {
    forward<4, 4>(attention, queries, keys, values, output, logsumexp, mask, NoTerms());
}

extern "C" __global__ void __launch_bounds__(THREADS)
attention_256(Attention attention, Values queries, Values keys, Values values, Values output, float *logsumexp,
              DropoutMask mask) {
    forward<8, 1>(attention, queries, keys, values, output, logsumexp, mask, NoTerms());
}

extern "C" __global__ void __launch_bounds__(THREADS)
attention_keys_64(Attention attention, Values queries, Values keys, Values values, Values d_output, Values d_keys,
                  Values d_values, const float *logsumexp, const float *along, DropoutMask mask) {
    keys_gradient<2, 4>(attention, queries, keys, values, d_output, d_keys, d_values, logsumexp, along, mask, NoTerms());
}

extern "C" __global__ void __launch_bounds__(THREADS)
attention_keys_128(Attention attention, Values queries, Values keys, Values values, Values d_output, Values d_keys,
                   Values d_values, const float *logsumexp, const float *along, DropoutMask mask) {
    keys_gradient<4, 4>(attention, queries, keys, values, d_output, d_keys, d_values, logsumexp, along, mask, NoTerms());
}

extern "C" __global__ void __launch_bounds__(THREADS)
attention_keys_256(Attention attention, Values queries, Values keys, Values values, Values d_output, Values d_keys,
                   Values d_values, const float *logsumexp, const float *along, DropoutMask mask) {
    keys_gradient<8, 1>(attention, queries, keys, values, d_output, d_keys, d_values, logsumexp, along, mask, NoTerms());
}

extern "C" __global__ void __launch_bounds__(THREADS)
attention_queries_64(Attention attention, Values queries, Values keys, Values values, Values d_output, Values d_queries,
                     const float *logsumexp, const float *along, DropoutMask mask) {
    queries_gradient<2, 4>(attention, queries, keys, values, d_output, d_queries, logsumexp, along, mask, NoTerms());
}

extern "C" __global__ void __launch_bounds__(THREADS)
attention_queries_128(Attention attention, Values queries, Values keys, Values values, Values d_output, Values d_queries,
                      const float *logsumexp, const float *along, DropoutMask mask) {
    queries_gradient<4, 4>(attention, queries, keys, values, d_output, d_queries, logsumexp, along, mask, NoTerms());
}

extern "C" __global__ void __launch_bounds__(THREADS)
attention_queries_256(Attention attention, Values queries, Values keys, Values values, Values d_output, Values d_queries,
                      const float *logsumexp, const float *along, DropoutMask mask) {
    queries_gradient<8, 1>(attention, queries, keys, values, d_output, d_queries, logsumexp, along, mask, NoTerms());
}
