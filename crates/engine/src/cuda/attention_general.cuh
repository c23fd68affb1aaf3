// Attention in f32 arithmetic, for values of any kind and heads of up to 256 channels.
//
// Scores are computed with a lane for each of 32 keys, mixtures of rows with a lane for each channel. A warp has its own
// queries (of a tile, every eighth), or its own keys.
//
// `Terms` is what scores have beside the products of queries and keys: a number added to each, and the sums of their
// gradients that a block makes for its queries or its keys.

#define WARPS 8
#define THREADS (WARPS * WARP)
#define KEYS WARP

// Nothing but the products.
struct NoTerms {
    // The score of a query of a tile and a key that it sees.
    __device__ __forceinline__ float added_to(float score, const Tile &, u32, u32, u32) const {
        return score;
    }
    // Clears the sums of a block's queries, and of its keys.
    __device__ __forceinline__ void begin_queries(float *, u32) const {}
    __device__ __forceinline__ void begin_keys(float *) const {}
    // Adds the gradients of the scores `[own][32]` of a warp's queries with the keys from `start` on.
    __device__ __forceinline__ void add_by_query(float *, const float *, u32, const Tile &, u32, u32) const {}
    // Adds the gradients of the scores of some queries from `first` on with a block's keys: `[queries][32]`.
    __device__ __forceinline__ void add_by_key(float *, const float *, const Tile &, u32, u32) const {}
    // What the sums add to the gradients of the queries, and of the keys.
    template <int C, int R>
    __device__ __forceinline__ void finish_queries(float (&)[R][C], const float *, float *, float *, const u32 (&)[C],
                                                   const Attention &, const Tile &, u32) const {}
    template <int C, int OWN>
    __device__ __forceinline__ void finish_keys(float (&)[OWN][C], const float *, float *, const u32 (&)[C], const Attention &,
                                                const Tile &, u32, u32) const {}
};

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
template <int C, int R, typename Terms>
__device__ __forceinline__ void forward(Attention attention, Values queries, Values keys, Values values, Values output,
                                        float *logsumexp, DropoutMask mask, Terms terms) {
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
                float score = NEGATIVE_INFINITY;
                if (start + lane < visible(tile, query)) {
                    score = terms.added_to(scores[r] * attention.scale, tile, head, query, start + lane);
                }
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

// A weight as it was mixed, and the gradient of its score, from the score and the gradient of the weight.
struct WeightGradient {
    float weight;
    float d_score;
};

template <typename Terms>
__device__ __forceinline__ WeightGradient weight_gradient(const Attention &attention, const Tile &tile, u32 head, u32 query,
                                                          u32 key, float score, float d_weight, const float *logsumexp,
                                                          const float *along, const WeightDropout &dropout,
                                                          const Terms &terms) {
    WeightGradient gradient;
    gradient.weight = 0.0f;
    gradient.d_score = 0.0f;
    if (query >= tile.queries || key >= visible(tile, query)) return gradient;
    u64 place = (u64)(tile.query + query) * attention.num_heads + head;
    float factor = dropout.probability > 0.0f ? weight_factor(dropout, query, key) : 1.0f;
    float weight = expf(terms.added_to(score * attention.scale, tile, head, query, key) - logsumexp[place]);
    gradient.weight = weight * factor;
    gradient.d_score = weight * (d_weight * factor - along[place]);
    return gradient;
}

// A tile of keys with one head of keys, and all queries that see them.
template <int C, int R, typename Terms>
__device__ __forceinline__ void keys_gradient(Attention attention, Values queries, Values keys, Values values, Values d_output,
                                              Values d_keys, Values d_values, const float *logsumexp, const float *along,
                                              DropoutMask mask, Terms terms) {
    const int OWN = KEYS / WARPS;
    DYNAMIC_SHARED(float4, memory);
    u32 width = padded(attention), head_dim = attention.head_dim;
    float *query_tile = (float *)memory;
    float *d_output_tile = query_tile + R * WARPS * width;
    float *weights = d_output_tile + R * WARPS * width;
    float *d_scores = weights + R * WARPS * KEYS;
    float *key_tile = d_scores + R * WARPS * KEYS;
    float *value_tile = key_tile + KEYS * (width + 1);
    float *term_sums = value_tile + KEYS * (width + 1);
    u32 kv_heads = attention.num_heads / attention.group;
    Tile tile = attention.tiles[blockIdx.x / kv_heads];
    u32 kv_head = blockIdx.x % kv_heads, warp = threadIdx.x / WARP, lane = threadIdx.x % WARP;
    u32 channels[C], count = smaller(KEYS, tile.keys - tile.start);
    own_channels<C>(channels, head_dim);
    KeyRows rows = key_rows(attention, tile, tile.start);
    load_rows(attention, key_tile, width + 1, from(keys, kv_head * head_dim), attention.key_stride, rows, count, KEYS);
    load_rows(attention, value_tile, width + 1, from(values, kv_head * head_dim), attention.value_stride, rows, count, KEYS);

    terms.begin_keys(term_sums);
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
                                                          d_weights[r], logsumexp, along, dropout, terms);
                weights[query * KEYS + lane] = gradient.weight;
                d_scores[query * KEYS + lane] = gradient.d_score;
            }
            __syncthreads();
            terms.add_by_key(term_sums, d_scores, tile, first, some);
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
    terms.finish_keys(d_key, term_sums, key_tile, channels, attention, tile, kv_head, count);
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
template <int C, int R, typename Terms>
__device__ __forceinline__ void queries_gradient(Attention attention, Values queries, Values keys, Values values,
                                                 Values d_output, Values d_queries, const float *logsumexp, const float *along,
                                                 DropoutMask mask, Terms terms) {
    DYNAMIC_SHARED(float4, memory);
    u32 width = padded(attention), head_dim = attention.head_dim;
    float *query_tile = (float *)memory;
    float *d_output_tile = query_tile + R * WARPS * width;
    float *d_scores = d_output_tile + R * WARPS * width + threadIdx.x / WARP * (R * KEYS);
    float *key_tile = d_output_tile + R * WARPS * (width + KEYS);
    float *value_tile = key_tile + KEYS * (width + 1);
    float *term_sums = value_tile + KEYS * (width + 1);
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

    terms.begin_queries(term_sums, R * WARPS);
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
                                                      d_weights[r], logsumexp, along, dropout, terms);
            d_scores[r * KEYS + lane] = gradient.d_score;
        }
        __syncwarp();
        mix_rows<C, R>(sums, d_scores, key_tile, width + 1, channels);
        terms.add_by_query(term_sums, d_scores, R, tile, start, count);
    }
    terms.finish_queries(sums, term_sums, d_scores, key_tile, channels, attention, tile, head);
#pragma unroll
    for (int r = 0; r < R; r++) {
        u32 query = r * WARPS + warp;
        if (query >= tile.queries) continue;
        u64 place = (u64)(tile.query + query) * attention.gradient_stride + head * head_dim;
        store_channels<C>(d_queries, place, sums[r], attention.scale, head_dim);
    }
}
