// The buckets of distances, and the sums of gradients by bucket. A query's keys of one bucket are neighbours, so that a sum
// is of neighbouring gradients of scores, in the order of the keys, or of the queries.

// Key minus query of the first key of a bucket, and of the one behind the last.
struct Range {
    int first;
    int end;
};

struct Buckets {
    // Of the distance query minus key, `longest` later.
    const u32 *of;
    const Range *ranges;
    u32 count;
    u32 longest;

    __device__ __forceinline__ u32 bucket(const Tile &tile, u32 query, u32 key) const {
        return of[(int)(tile.query - tile.key + query) - (int)key + (int)longest];
    }

    // A row of sums has an odd number of values, so that neighbouring rows are in other banks.
    __device__ __forceinline__ u32 stride() const {
        return count | 1;
    }

    __device__ __forceinline__ void clear(float *sums, u32 rows) const {
        for (u32 index = threadIdx.x; index < rows * stride(); index += THREADS) sums[index] = 0.0f;
    }

    // A lane takes every 32nd bucket.
    __device__ __forceinline__ void add_by_query(float *sums, const float *d_scores, u32 own, const Tile &tile, u32 start,
                                                 u32 some) const {
        u32 warp = threadIdx.x / WARP;
        for (u32 bucket = threadIdx.x % WARP; bucket < count; bucket += WARP) {
            Range range = ranges[bucket];
            for (u32 r = 0; r < own; r++) {
                int query = (int)(tile.query - tile.key + r * WARPS + warp) - (int)start;
                int first = max(query + range.first, 0), end = min(query + range.end, (int)some);
                float sum = 0.0f;
                for (int key = first; key < end; key++) sum += d_scores[r * KEYS + key];
                sums[(r * WARPS + warp) * stride() + bucket] += sum;
            }
        }
    }

    // A lane has its key, a warp every eighth bucket.
    __device__ __forceinline__ void add_by_key(float *sums, const float *d_scores, const Tile &tile, u32 first_query,
                                               u32 some) const {
        u32 lane = threadIdx.x % WARP;
        int key = (int)(tile.start + lane) - (int)(tile.query - tile.key + first_query);
        for (u32 bucket = threadIdx.x / WARP; bucket < count; bucket += WARPS) {
            Range range = ranges[bucket];
            int first = max(key - range.end + 1, 0), end = min(key - range.first + 1, (int)some);
            float sum = 0.0f;
            for (int query = first; query < end; query++) sum += d_scores[query * KEYS + lane];
            sums[lane * stride() + bucket] += sum;
        }
    }
};
