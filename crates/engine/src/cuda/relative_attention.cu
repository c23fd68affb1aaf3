// Attention whose scores have a term of the query and one of the key by the bucket of their distance.
//
// Both terms of all tokens and buckets are products that are made before.

// The terms and, of one of them, the gradient and what it is multiplied by: the head's part of the table of positions.
struct TermValues {
    // `[heads][tokens][buckets]`.
    const float *of_queries;
    // `[heads][buckets][tokens]`.
    const float *of_keys;
    // `[heads][tokens][buckets]`.
    Values d_terms;
    Values positions;
    u64 tokens;
    // Values between rows of the table of positions, and between its heads.
    u32 position_stride;
    u32 position_head;
};

struct DistanceTerms {
    TermValues values;
    Buckets buckets;

    __device__ __forceinline__ float added_to(float score, const Tile &tile, u32 head, u32 query, u32 key) const {
        u32 bucket = buckets.bucket(tile, query, key);
        u64 of_query = ((u64)head * values.tokens + tile.query + query) * buckets.count + bucket;
        u64 of_key = ((u64)head * buckets.count + bucket) * values.tokens + tile.key + key;
        return score + values.of_queries[of_query] + values.of_keys[of_key];
    }

    __device__ __forceinline__ void begin_queries(float *sums, u32 rows) const {
        buckets.clear(sums, rows);
    }

    __device__ __forceinline__ void begin_keys(float *sums) const {
        buckets.clear(sums, KEYS);
    }

    __device__ __forceinline__ void add_by_query(float *sums, const float *d_scores, u32 own, const Tile &tile, u32 start,
                                                 u32 count) const {
        buckets.add_by_query(sums, d_scores, own, tile, start, count);
    }

    __device__ __forceinline__ void add_by_key(float *sums, const float *d_scores, const Tile &tile, u32 first_query,
                                               u32 some) const {
        buckets.add_by_key(sums, d_scores, tile, first_query, some);
    }

    // Some rows of the table of positions of one head: zeros after the last.
    __device__ __forceinline__ u32 load_positions(float *tile, u32 first, const Attention &attention, u32 head) const {
        KeyRows rows;
        rows.table = (const u32 *)0;
        rows.first = first;
        u32 count = smaller(KEYS, buckets.count - first);
        load_rows(attention, tile, padded(attention) + 1, from(values.positions, head * values.position_head),
                  values.position_stride, rows, count, KEYS);
        return count;
    }

    __device__ __forceinline__ void store_sums(const float *sums, u32 rows, u32 first_row, u32 head) const {
        for (u32 index = threadIdx.x; index < rows * buckets.count; index += THREADS) {
            u32 row = index / buckets.count, bucket = index % buckets.count;
            u64 place = ((u64)head * values.tokens + first_row + row) * buckets.count + bucket;
            store_one(values.d_terms, place, sums[row * buckets.stride() + bucket]);
        }
    }

    // gradients[r] += sums of query r * positions. `weights` is this warp's `[R][32]`.
    template <int C, int R>
    __device__ __forceinline__ void finish_queries(float (&gradients)[R][C], const float *sums, float *weights, float *tile,
                                                   const u32 (&channels)[C], const Attention &attention, const Tile &queries,
                                                   u32 head) const {
        u32 warp = threadIdx.x / WARP, lane = threadIdx.x % WARP;
        for (u32 first = 0; first < buckets.count; first += KEYS) {
            __syncthreads();
            u32 count = load_positions(tile, first, attention, head);
#pragma unroll
            for (int r = 0; r < R; r++) {
                weights[r * KEYS + lane] = lane < count ? sums[(r * WARPS + warp) * buckets.stride() + first + lane] : 0.0f;
            }
            __syncthreads();
            mix_rows<C, R>(gradients, weights, tile, padded(attention) + 1, channels);
        }
        store_sums(sums, queries.queries, queries.query, head);
    }

    // gradients[k] += sums of this warp's key k * positions.
    template <int C, int OWN>
    __device__ __forceinline__ void finish_keys(float (&gradients)[OWN][C], const float *sums, float *tile,
                                                const u32 (&channels)[C], const Attention &attention, const Tile &keys,
                                                u32 head, u32 count) const {
        u32 stride = padded(attention) + 1;
        for (u32 first = 0; first < buckets.count; first += KEYS) {
            __syncthreads();
            u32 rows = load_positions(tile, first, attention, head);
            __syncthreads();
            for (u32 bucket = 0; bucket < rows; bucket++) {
#pragma unroll
                for (int c = 0; c < C; c++) {
                    float position = tile[bucket * stride + channels[c]];
#pragma unroll
                    for (int k = 0; k < OWN; k++) {
                        float sum = sums[(threadIdx.x / WARP * OWN + k) * buckets.stride() + first + bucket];
                        gradients[k][c] = fmaf(sum, position, gradients[k][c]);
                    }
                }
            }
        }
        store_sums(sums, count, keys.key + keys.start, head);
    }
};

__device__ __forceinline__ DistanceTerms distance_terms(TermValues values, Buckets buckets) {
    DistanceTerms terms;
    terms.values = values;
    terms.buckets = buckets;
    return terms;
}

// ---- The gradient of the table of positions: from `[heads][2][buckets][head_dim]`, queries before keys.

extern "C" __global__ void place_positions(const float *sums, Values table, u32 count, u32 head_dim, u32 num_heads,
                                           u32 interleaved) {
    u32 bucket = blockIdx.x, columns = num_heads * head_dim;
    for (u32 column = threadIdx.x; column < 2 * columns; column += blockDim.x) {
        u32 kind = column / columns, head = column % columns / head_dim, channel = column % head_dim;
        if (interleaved) {
            head = column / (2 * head_dim);
            kind = column / head_dim % 2;
        }
        u64 place = (((u64)head * 2 + kind) * count + bucket) * head_dim + channel;
        store_one(table, (u64)bucket * 2 * columns + column, sums[place]);
    }
}

// ---- The kernels, by the most channels that a head may have.

extern "C" __global__ void __launch_bounds__(THREADS)
relative_64(Attention attention, Values queries, Values keys, Values values, Values output, float *logsumexp,
            DropoutMask mask, TermValues terms, Buckets buckets) {
    forward<2, 4>(attention, queries, keys, values, output, logsumexp, mask, distance_terms(terms, buckets));
}

extern "C" __global__ void __launch_bounds__(THREADS)
relative_128(Attention attention, Values queries, Values keys, Values values, Values output, float *logsumexp,
             DropoutMask mask, TermValues terms, Buckets buckets) {
    forward<4, 4>(attention, queries, keys, values, output, logsumexp, mask, distance_terms(terms, buckets));
}

extern "C" __global__ void __launch_bounds__(THREADS)
relative_256(Attention attention, Values queries, Values keys, Values values, Values output, float *logsumexp,
             DropoutMask mask, TermValues terms, Buckets buckets) {
    forward<8, 1>(attention, queries, keys, values, output, logsumexp, mask, distance_terms(terms, buckets));
}

extern "C" __global__ void __launch_bounds__(THREADS)
relative_keys_64(Attention attention, Values queries, Values keys, Values values, Values d_output, Values d_keys,
                 Values d_values, const float *logsumexp, const float *along, DropoutMask mask, TermValues terms,
                 Buckets buckets) {
    keys_gradient<2, 4>(attention, queries, keys, values, d_output, d_keys, d_values, logsumexp, along, mask,
                        distance_terms(terms, buckets));
}

extern "C" __global__ void __launch_bounds__(THREADS)
relative_keys_128(Attention attention, Values queries, Values keys, Values values, Values d_output, Values d_keys,
                  Values d_values, const float *logsumexp, const float *along, DropoutMask mask, TermValues terms,
                  Buckets buckets) {
    keys_gradient<4, 4>(attention, queries, keys, values, d_output, d_keys, d_values, logsumexp, along, mask,
                        distance_terms(terms, buckets));
}

extern "C" __global__ void __launch_bounds__(THREADS)
relative_keys_256(Attention attention, Values queries, Values keys, Values values, Values d_output, Values d_keys,
                  Values d_values, const float *logsumexp, const float *along, DropoutMask mask, TermValues terms,
                  Buckets buckets) {
    keys_gradient<8, 1>(attention, queries, keys, values, d_output, d_keys, d_values, logsumexp, along, mask,
                        distance_terms(terms, buckets));
}

extern "C" __global__ void __launch_bounds__(THREADS)
relative_queries_64(Attention attention, Values queries, Values keys, Values values, Values d_output, Values d_queries,
                    const float *logsumexp, const float *along, DropoutMask mask, TermValues terms, Buckets buckets) {
    queries_gradient<2, 4>(attention, queries, keys, values, d_output, d_queries, logsumexp, along, mask,
                           distance_terms(terms, buckets));
}

extern "C" __global__ void __launch_bounds__(THREADS)
relative_queries_128(Attention attention, Values queries, Values keys, Values values, Values d_output, Values d_queries,
                     const float *logsumexp, const float *along, DropoutMask mask, TermValues terms, Buckets buckets) {
    queries_gradient<4, 4>(attention, queries, keys, values, d_output, d_queries, logsumexp, along, mask,
                           distance_terms(terms, buckets));
}

extern "C" __global__ void __launch_bounds__(THREADS)
relative_queries_256(Attention attention, Values queries, Values keys, Values values, Values d_output, Values d_queries,
                     const float *logsumexp, const float *along, DropoutMask mask, TermValues terms, Buckets buckets) {
    queries_gradient<8, 1>(attention, queries, keys, values, d_output, d_queries, logsumexp, along, mask,
                           distance_terms(terms, buckets));
}
