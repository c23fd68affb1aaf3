// Attention whose scores have a bias by the bucket of their distance.

struct BiasTerms {
    // `[buckets, heads]`.
    Values bias;
    Buckets buckets;
    // Of every tile of queries the sums of the bias's gradient: `[tiles][buckets][heads]`.
    float *tile_sums;
    u32 num_heads;

    __device__ __forceinline__ float added_to(float score, const Tile &tile, u32 head, u32 query, u32 key) const {
        return score + load_one(bias, (u64)buckets.bucket(tile, query, key) * num_heads + head);
    }

    __device__ __forceinline__ void begin_queries(float *sums, u32 rows) const {
        buckets.clear(sums, rows);
    }

    __device__ __forceinline__ void begin_keys(float *) const {}

    __device__ __forceinline__ void add_by_query(float *sums, const float *d_scores, u32 own, const Tile &tile, u32 start,
                                                 u32 count) const {
        buckets.add_by_query(sums, d_scores, own, tile, start, count);
    }

    __device__ __forceinline__ void add_by_key(float *, const float *, const Tile &, u32, u32) const {}

    template <int C, int R>
    __device__ __forceinline__ void finish_queries(float (&)[R][C], const float *sums, float *, float *, const u32 (&)[C],
                                                   const Attention &, const Tile &queries, u32 head) const {
        __syncthreads();
        u64 tile = blockIdx.x / num_heads;
        for (u32 bucket = threadIdx.x; bucket < buckets.count; bucket += THREADS) {
            float sum = 0.0f;
            for (u32 query = 0; query < queries.queries; query++) sum += sums[query * buckets.stride() + bucket];
            tile_sums[(tile * buckets.count + bucket) * num_heads + head] = sum;
        }
    }

    template <int C, int OWN>
    __device__ __forceinline__ void finish_keys(float (&)[OWN][C], const float *, float *, const u32 (&)[C], const Attention &,
                                                const Tile &, u32, u32) const {}
};

// ---- The kernels, by the most channels that a head may have.

extern "C" __global__ void __launch_bounds__(THREADS)
biased_64(Attention attention, Values queries, Values keys, Values values, Values output, float *logsumexp, DropoutMask mask,
          BiasTerms terms) {
    forward<2, 4>(attention, queries, keys, values, output, logsumexp, mask, terms);
}

extern "C" __global__ void __launch_bounds__(THREADS)
biased_128(Attention attention, Values queries, Values keys, Values values, Values output, float *logsumexp, DropoutMask mask,
           BiasTerms terms) {
    forward<4, 4>(attention, queries, keys, values, output, logsumexp, mask, terms);
}

extern "C" __global__ void __launch_bounds__(THREADS)
biased_256(Attention attention, Values queries, Values keys, Values values, Values output, float *logsumexp, DropoutMask mask,
           BiasTerms terms) {
    forward<8, 1>(attention, queries, keys, values, output, logsumexp, mask, terms);
}

extern "C" __global__ void __launch_bounds__(THREADS)
biased_keys_64(Attention attention, Values queries, Values keys, Values values, Values d_output, Values d_keys,
               Values d_values, const float *logsumexp, const float *along, DropoutMask mask, BiasTerms terms) {
    keys_gradient<2, 4>(attention, queries, keys, values, d_output, d_keys, d_values, logsumexp, along, mask, terms);
}

extern "C" __global__ void __launch_bounds__(THREADS)
biased_keys_128(Attention attention, Values queries, Values keys, Values values, Values d_output, Values d_keys,
                Values d_values, const float *logsumexp, const float *along, DropoutMask mask, BiasTerms terms) {
    keys_gradient<4, 4>(attention, queries, keys, values, d_output, d_keys, d_values, logsumexp, along, mask, terms);
}

extern "C" __global__ void __launch_bounds__(THREADS)
biased_keys_256(Attention attention, Values queries, Values keys, Values values, Values d_output, Values d_keys,
                Values d_values, const float *logsumexp, const float *along, DropoutMask mask, BiasTerms terms) {
    keys_gradient<8, 1>(attention, queries, keys, values, d_output, d_keys, d_values, logsumexp, along, mask, terms);
}

extern "C" __global__ void __launch_bounds__(THREADS)
biased_queries_64(Attention attention, Values queries, Values keys, Values values, Values d_output, Values d_queries,
                  const float *logsumexp, const float *along, DropoutMask mask, BiasTerms terms) {
    queries_gradient<2, 4>(attention, queries, keys, values, d_output, d_queries, logsumexp, along, mask, terms);
}

extern "C" __global__ void __launch_bounds__(THREADS)
biased_queries_128(Attention attention, Values queries, Values keys, Values values, Values d_output, Values d_queries,
                   const float *logsumexp, const float *along, DropoutMask mask, BiasTerms terms) {
    queries_gradient<4, 4>(attention, queries, keys, values, d_output, d_queries, logsumexp, along, mask, terms);
}

extern "C" __global__ void __launch_bounds__(THREADS)
biased_queries_256(Attention attention, Values queries, Values keys, Values values, Values d_output, Values d_queries,
                   const float *logsumexp, const float *along, DropoutMask mask, BiasTerms terms) {
    queries_gradient<8, 1>(attention, queries, keys, values, d_output, d_queries, logsumexp, along, mask, terms);
}
