// Attention in f32 arithmetic, for values of any kind and heads of up to 256 channels; rotary positions; the cache.
//
// Scores are computed with a lane for each of 32 keys, mixtures of rows with a lane for each channel. A warp has its own
// queries (of a tile, every eighth), or its own keys.

#define WARPS 8
#define THREADS (WARPS * WARP)
#define KEYS WARP

// ---- Rotary positions and the cache.

// Heads that a thread turns.
#define HEADS_AT_ONCE 4

// `W` channels of a head that turn, of the first of their pairs, and their partners, for one token and some heads.
template <int W>
__device__ void rotate_channels(Values fused_qkv, float position, const float *frequencies, u64 row, u32 channel, u32 half,
                                u32 head_dim, u32 heads, float direction) {
    float sine[W], cosine[W];
    for (int i = 0; i < W; i++) {
        sincosf(position * frequencies[channel + i], &sine[i], &cosine[i]);
        sine[i] *= direction;
    }
    u32 first_head = blockIdx.y * HEADS_AT_ONCE;
    for (u32 head = first_head; head < heads && head < first_head + HEADS_AT_ONCE; head++) {
        u64 place = row + head * head_dim + channel;
        Pack<W> first = load<W>(fused_qkv, place), second = load<W>(fused_qkv, place + half);
        Pack<W> turned, partner;
        for (int i = 0; i < W; i++) {
            turned.v[i] = first.v[i] * cosine[i] - second.v[i] * sine[i];
            partner.v[i] = second.v[i] * cosine[i] + first.v[i] * sine[i];
        }
        store<W>(fused_qkv, place, turned);
        store<W>(fused_qkv, place + half, partner);
    }
}

// Turns the first `2 * half` channels of the first `heads` heads of every row; `direction` is 1, or -1 to turn them back.
extern "C" __global__ void rotate(Values fused_qkv, const u32 *positions, const float *frequencies, u64 rows, u32 columns,
                                  u32 half, u32 head_dim, u32 heads, float direction, u32 wide) {
    u32 at_once = wide ? 4 : 1;
    u64 index = (u64)blockIdx.x * blockDim.x + threadIdx.x;
    u64 row = index / (half / at_once);
    u32 channel = (u32)(index % (half / at_once)) * at_once;
    if (row >= rows) return;
    float position = (float)positions[row];
    if (wide) {
        rotate_channels<4>(fused_qkv, position, frequencies, row * columns, channel, half, head_dim, heads, direction);
    } else {
        rotate_channels<1>(fused_qkv, position, frequencies, row * columns, channel, half, head_dim, heads, direction);
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

// ---- What the kernels of attention share.

// Channels in shared memory: a multiple of four.
__device__ __forceinline__ u32 padded(const Attention &attention) {
    return (attention.head_dim + 3) / 4 * 4;
}

template <int W>
__device__ __forceinline__ void load_rows_by(float *to, u32 to_stride, Values from, u64 stride, KeyRows rows, u32 count,
                                             u32 capacity, u32 head_dim, u32 width) {
    u32 packs = width / W;
    for (u32 index = threadIdx.x; index < capacity * packs; index += THREADS) {
        u32 row = index / packs, channel = index % packs * W;
        Pack<W> pack;
        for (int i = 0; i < W; i++) pack.v[i] = 0.0f;
        if (row < count && channel < head_dim) pack = load<W>(from, row_of(rows, row) * stride + channel);
        for (int i = 0; i < W; i++) to[row * to_stride + channel + i] = pack.v[i];
    }
}

// Rows of one head into shared memory, zeros after the last row and the last channel.
__device__ __forceinline__ void load_rows(const Attention &attention, float *to, u32 to_stride, Values from, u64 stride,
                                          KeyRows rows, u32 count, u32 capacity) {
    u32 head_dim = attention.head_dim, width = padded(attention);
    if (attention.wide) {
        load_rows_by<4>(to, to_stride, from, stride, rows, count, capacity, head_dim, width);
    } else {
        load_rows_by<1>(to, to_stride, from, stride, rows, count, capacity, head_dim, width);
    }
}

// Products of this warp's rows with this lane's row of keys.
template <int R>
__device__ __forceinline__ void products(float (&sums)[R], const float *rows, const float *keys, u32 width) {
    const float *key = keys + (threadIdx.x % WARP) * (width + 1);
    const float *own = rows + (threadIdx.x / WARP) * width;
#pragma unroll
    for (int r = 0; r < R; r++) sums[r] = 0.0f;
    for (u32 channel = 0; channel < width; channel += 4) {
        float k0 = key[channel], k1 = key[channel + 1], k2 = key[channel + 2], k3 = key[channel + 3];
#pragma unroll
        for (int r = 0; r < R; r++) {
            float4 q = *(const float4 *)(own + r * WARPS * width + channel);
            sums[r] = fmaf(q.x, k0, fmaf(q.y, k1, fmaf(q.z, k2, fmaf(q.w, k3, sums[r]))));
        }
    }
}

// sums[r][c] += this warp's weights of row r * rows of keys, for channel c * 32 + lane. `weights` is `[R][32]`.
template <int C, int R>
__device__ __forceinline__ void mix_rows(float (&sums)[R][C], const float *weights, const float *rows, u32 stride,
                                         const u32 (&channels)[C]) {
    for (u32 key = 0; key < KEYS; key += 4) {
        float4 weight[R];
#pragma unroll
        for (int r = 0; r < R; r++) weight[r] = *(const float4 *)(weights + r * KEYS + key);
#pragma unroll
        for (int c = 0; c < C; c++) {
            const float *row = rows + key * stride + channels[c];
            float v0 = row[0], v1 = row[stride], v2 = row[2 * stride], v3 = row[3 * stride];
#pragma unroll
            for (int r = 0; r < R; r++) {
                sums[r][c] =
                    fmaf(weight[r].w, v3, fmaf(weight[r].z, v2, fmaf(weight[r].y, v1, fmaf(weight[r].x, v0, sums[r][c]))));
            }
        }
    }
}

// The channels of this lane; past the last one, the last one again, which is not stored.
template <int C> __device__ __forceinline__ void own_channels(u32 (&channels)[C], u32 head_dim) {
#pragma unroll
    for (int c = 0; c < C; c++) channels[c] = smaller(c * WARP + threadIdx.x % WARP, head_dim - 1);
}

template <int C>
__device__ __forceinline__ void store_channels(Values to, u64 place, const float (&sums)[C], float scale, u32 head_dim) {
#pragma unroll
    for (int c = 0; c < C; c++) {
        u32 channel = c * WARP + threadIdx.x % WARP;
        if (channel < head_dim) store_one(to, place + channel, sums[c] * scale);
    }
}

// ---- Forward: a tile of queries with one head.

// `C`: channels per lane; `R`: queries per warp.
template <int C, int R>
__device__ __forceinline__ void forward(Attention attention, Values queries, Values keys, Values values, Values output,
                                        float *logsumexp, DropoutMask mask) {
    DYNAMIC_SHARED(float4, memory);
    u32 width = padded(attention), head_dim = attention.head_dim;
    float *query_tile = (float *)memory;
    float *weights = query_tile + R * WARPS * width + threadIdx.x / WARP * (R * KEYS);
    float *key_tile = query_tile + R * WARPS * (width + KEYS);
    Tile tile = attention.tiles[blockIdx.x / attention.num_heads];
    u32 head = blockIdx.x % attention.num_heads, warp = threadIdx.x / WARP, lane = threadIdx.x % WARP;
    u32 channels[C];
    own_channels<C>(channels, head_dim);
    queries = from(queries, head * head_dim);
    keys = from(keys, head / attention.group * head_dim);
    values = from(values, head / attention.group * head_dim);
    WeightDropout dropout = weight_dropout(mask, tile.query, head, attention.num_heads);

    float sums[R][C], top[R], total[R];
#pragma unroll
    for (int r = 0; r < R; r++) {
        top[r] = NEGATIVE_INFINITY;
        total[r] = 0.0f;
#pragma unroll
        for (int c = 0; c < C; c++) sums[r][c] = 0.0f;
    }
    load_rows(attention, query_tile, width, queries, attention.query_stride, query_rows(tile, 0), tile.queries, R * WARPS);
    for (u32 start = 0; start < tile.keys; start += KEYS) {
        u32 count = smaller(KEYS, tile.keys - start);
        KeyRows rows = key_rows(attention, tile, start);
        __syncthreads();
        load_rows(attention, key_tile, width + 1, keys, attention.key_stride, rows, count, KEYS);
        __syncthreads();
        float scores[R];
        products<R>(scores, query_tile, key_tile, width);
        __syncthreads();
        load_rows(attention, key_tile, width + 1, values, attention.value_stride, rows, count, KEYS);
#pragma unroll
        for (int r = 0; r < R; r++) {
            u32 query = r * WARPS + warp;
            float weight = 0.0f;
            if (query < tile.queries) {
                float score = start + lane < visible(tile, query) ? scores[r] * attention.scale : NEGATIVE_INFINITY;
                float higher = fmaxf(top[r], warp_max(score)), shrink = expf(top[r] - higher);
                weight = expf(score - higher);
                total[r] = total[r] * shrink + warp_sum(weight);
                top[r] = higher;
#pragma unroll
                for (int c = 0; c < C; c++) sums[r][c] *= shrink;
                if (mask.probability > 0.0f) weight *= weight_factor(dropout, query, start + lane);
            }
            weights[r * KEYS + lane] = weight;
        }
        __syncthreads();
        mix_rows<C, R>(sums, weights, key_tile, width + 1, channels);
    }
#pragma unroll
    for (int r = 0; r < R; r++) {
        u32 query = r * WARPS + warp;
        if (query >= tile.queries) continue;
        u64 row = tile.query + query;
        store_channels<C>(output, row * attention.output_stride + head * head_dim, sums[r], 1.0f / total[r], head_dim);
        if (logsumexp && lane == 0) logsumexp[row * attention.num_heads + head] = top[r] + logf(total[r]);
    }
}

// ---- Backward. The weights come from the scores and the logarithms of the sums; `along` is the part of the gradient that
// changes no sum of weights: for every row and head the product of output and its gradient.

extern "C" __global__ void attention_along(Values d_output, u32 d_stride, Values output, u32 stride, float *along, u64 rows,
                                           u32 num_heads, u32 head_dim) {
    u64 index = ((u64)blockIdx.x * blockDim.x + threadIdx.x) / WARP;
    if (index >= rows * num_heads) return;
    u64 row = index / num_heads, column = index % num_heads * head_dim;
    float sum = 0.0f;
    for (u32 channel = threadIdx.x % WARP; channel < head_dim; channel += WARP) {
        sum = fmaf(load_one(d_output, row * d_stride + column + channel), load_one(output, row * stride + column + channel), sum);
    }
    sum = warp_sum(sum);
    if (threadIdx.x % WARP == 0) along[index] = sum;
}

// A weight as it was mixed, and the gradient of its score, from the score and the gradient of the weight.
struct WeightGradient {
    float weight;
    float d_score;
};

__device__ __forceinline__ WeightGradient weight_gradient(const Attention &attention, const Tile &tile, u32 head, u32 query,
                                                          u32 key, float score, float d_weight, const float *logsumexp,
                                                          const float *along, const WeightDropout &dropout) {
    WeightGradient gradient;
    gradient.weight = 0.0f;
    gradient.d_score = 0.0f;
    if (query >= tile.queries || key >= visible(tile, query)) return gradient;
    u64 place = (u64)(tile.query + query) * attention.num_heads + head;
    float factor = dropout.probability > 0.0f ? weight_factor(dropout, query, key) : 1.0f;
    float weight = expf(score * attention.scale - logsumexp[place]);
    gradient.weight = weight * factor;
    gradient.d_score = weight * (d_weight * factor - along[place]);
    return gradient;
}

// A tile of keys with one head of keys, and all queries that see them.
template <int C, int R>
__device__ __forceinline__ void keys_gradient(Attention attention, Values queries, Values keys, Values values, Values d_output,
                                              Values d_keys, Values d_values, const float *logsumexp, const float *along,
                                              DropoutMask mask) {
    const int OWN = KEYS / WARPS;
    DYNAMIC_SHARED(float4, memory);
    u32 width = padded(attention), head_dim = attention.head_dim;
    float *query_tile = (float *)memory;
    float *d_output_tile = query_tile + R * WARPS * width;
    float *weights = d_output_tile + R * WARPS * width;
    float *d_scores = weights + R * WARPS * KEYS;
    float *key_tile = d_scores + R * WARPS * KEYS;
    float *value_tile = key_tile + KEYS * (width + 1);
    u32 kv_heads = attention.num_heads / attention.group;
    Tile tile = attention.tiles[blockIdx.x / kv_heads];
    u32 kv_head = blockIdx.x % kv_heads, warp = threadIdx.x / WARP, lane = threadIdx.x % WARP;
    u32 channels[C], count = smaller(KEYS, tile.keys - tile.start);
    own_channels<C>(channels, head_dim);
    KeyRows rows = key_rows(attention, tile, tile.start);
    load_rows(attention, key_tile, width + 1, from(keys, kv_head * head_dim), attention.key_stride, rows, count, KEYS);
    load_rows(attention, value_tile, width + 1, from(values, kv_head * head_dim), attention.value_stride, rows, count, KEYS);

    float d_key[OWN][C], d_value[OWN][C];
#pragma unroll
    for (int k = 0; k < OWN; k++) {
#pragma unroll
        for (int c = 0; c < C; c++) d_key[k][c] = d_value[k][c] = 0.0f;
    }
    for (u32 head = kv_head * attention.group; head < (kv_head + 1) * attention.group; head++) {
        WeightDropout dropout = weight_dropout(mask, tile.query, head, attention.num_heads);
        for (u32 first = first_that_sees(tile); first < tile.queries; first += R * WARPS) {
            u32 some = smaller(R * WARPS, tile.queries - first);
            KeyRows of_queries = query_rows(tile, first);
            __syncthreads();
            load_rows(attention, query_tile, width, from(queries, head * head_dim), attention.query_stride, of_queries, some,
                      R * WARPS);
            load_rows(attention, d_output_tile, width, from(d_output, head * head_dim), attention.output_stride, of_queries,
                      some, R * WARPS);
            __syncthreads();
            float scores[R], d_weights[R];
            products<R>(scores, query_tile, key_tile, width);
            products<R>(d_weights, d_output_tile, value_tile, width);
#pragma unroll
            for (int r = 0; r < R; r++) {
                u32 query = r * WARPS + warp;
                WeightGradient gradient = weight_gradient(attention, tile, head, first + query, tile.start + lane, scores[r],
                                                          d_weights[r], logsumexp, along, dropout);
                weights[query * KEYS + lane] = gradient.weight;
                d_scores[query * KEYS + lane] = gradient.d_score;
            }
            __syncthreads();
            for (u32 query = 0; query < some; query++) {
                const float *weight = weights + query * KEYS + warp * OWN, *d_score = d_scores + query * KEYS + warp * OWN;
#pragma unroll
                for (int c = 0; c < C; c++) {
                    float d_out = d_output_tile[query * width + channels[c]], own = query_tile[query * width + channels[c]];
#pragma unroll
                    for (int k = 0; k < OWN; k++) {
                        d_value[k][c] = fmaf(weight[k], d_out, d_value[k][c]);
                        d_key[k][c] = fmaf(d_score[k], own, d_key[k][c]);
                    }
                }
            }
        }
    }
#pragma unroll
    for (int k = 0; k < OWN; k++) {
        u32 key = warp * OWN + k;
        if (key >= count) continue;
        u64 place = row_of(rows, key) * attention.gradient_stride + kv_head * head_dim;
        store_channels<C>(d_keys, place, d_key[k], attention.scale, head_dim);
        store_channels<C>(d_values, place, d_value[k], 1.0f, head_dim);
    }
}

// A tile of queries with one head.
template <int C, int R>
__device__ __forceinline__ void queries_gradient(Attention attention, Values queries, Values keys, Values values,
                                                 Values d_output, Values d_queries, const float *logsumexp, const float *along,
                                                 DropoutMask mask) {
    DYNAMIC_SHARED(float4, memory);
    u32 width = padded(attention), head_dim = attention.head_dim;
    float *query_tile = (float *)memory;
    float *d_output_tile = query_tile + R * WARPS * width;
    float *d_scores = d_output_tile + R * WARPS * width + threadIdx.x / WARP * (R * KEYS);
    float *key_tile = d_output_tile + R * WARPS * (width + KEYS);
    float *value_tile = key_tile + KEYS * (width + 1);
    Tile tile = attention.tiles[blockIdx.x / attention.num_heads];
    u32 head = blockIdx.x % attention.num_heads, kv_head = head / attention.group;
    u32 warp = threadIdx.x / WARP, lane = threadIdx.x % WARP;
    u32 channels[C];
    own_channels<C>(channels, head_dim);
    WeightDropout dropout = weight_dropout(mask, tile.query, head, attention.num_heads);
    KeyRows of_queries = query_rows(tile, 0);
    load_rows(attention, query_tile, width, from(queries, head * head_dim), attention.query_stride, of_queries, tile.queries,
              R * WARPS);
    load_rows(attention, d_output_tile, width, from(d_output, head * head_dim), attention.output_stride, of_queries,
              tile.queries, R * WARPS);

    float sums[R][C];
#pragma unroll
    for (int r = 0; r < R; r++) {
#pragma unroll
        for (int c = 0; c < C; c++) sums[r][c] = 0.0f;
    }
    for (u32 start = 0; start < tile.keys; start += KEYS) {
        u32 count = smaller(KEYS, tile.keys - start);
        KeyRows rows = key_rows(attention, tile, start);
        __syncthreads();
        load_rows(attention, key_tile, width + 1, from(keys, kv_head * head_dim), attention.key_stride, rows, count, KEYS);
        load_rows(attention, value_tile, width + 1, from(values, kv_head * head_dim), attention.value_stride, rows, count, KEYS);
        __syncthreads();
        float scores[R], d_weights[R];
        products<R>(scores, query_tile, key_tile, width);
        products<R>(d_weights, d_output_tile, value_tile, width);
#pragma unroll
        for (int r = 0; r < R; r++) {
            WeightGradient gradient = weight_gradient(attention, tile, head, r * WARPS + warp, start + lane, scores[r],
                                                      d_weights[r], logsumexp, along, dropout);
            d_scores[r * KEYS + lane] = gradient.d_score;
        }
        __syncwarp();
        mix_rows<C, R>(sums, d_scores, key_tile, width + 1, channels);
    }
#pragma unroll
    for (int r = 0; r < R; r++) {
        u32 query = r * WARPS + warp;
        if (query >= tile.queries) continue;
        u64 place = (u64)(tile.query + query) * attention.gradient_stride + head * head_dim;
        store_channels<C>(d_queries, place, sums[r], attention.scale, head_dim);
    }
}

// ---- The kernels, by the most channels that a head may have.

extern "C" __global__ void __launch_bounds__(THREADS)
attention_64(Attention attention, Values queries, Values keys, Values values, Values output, float *logsumexp,
             DropoutMask mask) {
    forward<2, 4>(attention, queries, keys, values, output, logsumexp, mask);
}

extern "C" __global__ void __launch_bounds__(THREADS)
attention_128(Attention attention, Values queries, Values keys, Values values, Values output, float *logsumexp,
              DropoutMask mask) {
    forward<4, 4>(attention, queries, keys, values, output, logsumexp, mask);
}

extern "C" __global__ void __launch_bounds__(THREADS)
attention_256(Attention attention, Values queries, Values keys, Values values, Values output, float *logsumexp,
              DropoutMask mask) {
    forward<8, 1>(attention, queries, keys, values, output, logsumexp, mask);
}

extern "C" __global__ void __launch_bounds__(THREADS)
attention_keys_64(Attention attention, Values queries, Values keys, Values values, Values d_output, Values d_keys,
                  Values d_values, const float *logsumexp, const float *along, DropoutMask mask) {
    keys_gradient<2, 4>(attention, queries, keys, values, d_output, d_keys, d_values, logsumexp, along, mask);
}

extern "C" __global__ void __launch_bounds__(THREADS)
attention_keys_128(Attention attention, Values queries, Values keys, Values values, Values d_output, Values d_keys,
                   Values d_values, const float *logsumexp, const float *along, DropoutMask mask) {
    keys_gradient<4, 4>(attention, queries, keys, values, d_output, d_keys, d_values, logsumexp, along, mask);
}

extern "C" __global__ void __launch_bounds__(THREADS)
attention_keys_256(Attention attention, Values queries, Values keys, Values values, Values d_output, Values d_keys,
                   Values d_values, const float *logsumexp, const float *along, DropoutMask mask) {
    keys_gradient<8, 1>(attention, queries, keys, values, d_output, d_keys, d_values, logsumexp, along, mask);
}

extern "C" __global__ void __launch_bounds__(THREADS)
attention_queries_64(Attention attention, Values queries, Values keys, Values values, Values d_output, Values d_queries,
                     const float *logsumexp, const float *along, DropoutMask mask) {
    queries_gradient<2, 4>(attention, queries, keys, values, d_output, d_queries, logsumexp, along, mask);
}

extern "C" __global__ void __launch_bounds__(THREADS)
attention_queries_128(Attention attention, Values queries, Values keys, Values values, Values d_output, Values d_queries,
                      const float *logsumexp, const float *along, DropoutMask mask) {
    queries_gradient<4, 4>(attention, queries, keys, values, d_output, d_queries, logsumexp, along, mask);
}

extern "C" __global__ void __launch_bounds__(THREADS)
attention_queries_256(Attention attention, Values queries, Values keys, Values values, Values d_output, Values d_queries,
                      const float *logsumexp, const float *along, DropoutMask mask) {
    queries_gradient<8, 1>(attention, queries, keys, values, d_output, d_queries, logsumexp, along, mask);
}
