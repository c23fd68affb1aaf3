// Drawing tokens from a softened distribution by systematic resampling. One block of threads for each row of logits.
//
// Cumulative probabilities are whole numbers, so that they do not depend on the order in which they are added up: 2^60 is
// a probability of one, which is finer than double precision.

__device__ __forceinline__ u64 whole(float probability) {
    const float one = 1152921504606846976.0f;
    // What is not a number counts as nothing.
    return probability > 0.0f ? (u64)(fminf(probability, 2.0f) * one) : 0;
}

// The sum of the values of the threads before this one; `total` becomes that of all.
__device__ __forceinline__ u64 sum_before(u64 value, u64 &total) {
    __shared__ u64 of_warps[WARP];
    u32 lane = threadIdx.x % WARP, warp = threadIdx.x / WARP, warps = blockDim.x / WARP;
    u64 sum = value;
    for (u32 distance = 1; distance < WARP; distance *= 2) {
        u64 before = __shfl_up_sync(ALL_LANES, sum, distance);
        if (lane >= distance) sum += before;
    }
    if (lane == WARP - 1) of_warps[warp] = sum;
    __syncthreads();
    u64 of_earlier = 0;
    total = 0;
    for (u32 w = 0; w < warps; w++) {
        if (w == warp) of_earlier = total;
        total += of_warps[w];
    }
    __syncthreads();
    return of_earlier + sum - value;
}

// Where a row's draws are: draw `k` at cumulative probability `(uniform + k) * spacing`.
struct Draws {
    double uniform;
    double spacing;
    u64 total;
    u32 count;

    // How many are below a cumulative probability. Below the total all are, whatever rounding does.
    __device__ __forceinline__ u32 below(u64 cumulative) const {
        if (cumulative == 0) return 0;
        if (cumulative == total) return count;
        double place = (double)cumulative, guess = place / spacing - uniform;
        u32 draws = guess <= 0.0 ? 0 : guess >= (double)count ? count : (u32)guess;
        while (draws > 0 && (uniform + (double)(draws - 1)) * spacing >= place) draws--;
        while (draws < count && (uniform + (double)draws) * spacing < place) draws++;
        return draws;
    }
};

template <int W>
__device__ void draw_row(Values logits, u32 vocab, float temperature, float uniform, u32 count, u32 *ids,
                         const double *given_entropy, float *entropy) {
    Softmax softmax = softmax_of<W>(logits, vocab, 1.0f / temperature);
    float negative_entropy = 0.0f;
    u64 sum = 0;
    FOR_ROW(i, vocab) {
        Pack<W> values = load<W>(logits, i);
        for (int k = 0; k < W; k++) {
            float log_p = softmax.log_probability(values.v[k]), p = expf(log_p);
            negative_entropy += p * log_p;
            sum += whole(p);
        }
    }
    double of_row = block_sum((double)negative_entropy);
    if (threadIdx.x == 0) *entropy = (float)(given_entropy ? *given_entropy : of_row);

    Draws draws;
    draws.total = block_sum(sum);
    draws.uniform = (double)uniform;
    draws.spacing = (double)draws.total / (double)count;
    draws.count = count;
    if (draws.total == 0) {
        for (u32 draw = threadIdx.x; draw < count; draw += blockDim.x) ids[draw] = 0;
        return;
    }
    u64 before_tile = 0;
    for (u32 start = 0; start < vocab; start += blockDim.x * W) {
        u32 first = start + threadIdx.x * W;
        u64 probabilities[W] = {};
        u64 own = 0;
        if (first < vocab) {
            Pack<W> values = load<W>(logits, first);
            for (int k = 0; k < W; k++) {
                probabilities[k] = whole(expf(softmax.log_probability(values.v[k])));
                own += probabilities[k];
            }
        }
        u64 of_tile;
        u64 cumulative = before_tile + sum_before(own, of_tile);
        before_tile += of_tile;
        u32 draw = draws.below(cumulative), end = draws.below(cumulative + own);
        for (int k = 0; k < W && draw < end; k++) {
            cumulative += probabilities[k];
            for (u32 below = draws.below(cumulative); draw < below; draw++) ids[draw] = first + k;
        }
    }
}

// ids[row] = `count` draws in ascending order; entropies[row] = `sum p ln p`, or what is given.
extern "C" __global__ void __launch_bounds__(ROW_THREADS)
    sample_rows(const float *logits, u32 vocab, float temperature, const float *uniforms, u32 count, u32 *ids,
                const double *given_entropies, float *entropies, u32 wide) {
    Values row = row_of(logits, vocab);
    u32 *of_row = ids + (u64)blockIdx.x * count;
    const double *given = given_entropies ? given_entropies + blockIdx.x : given_entropies;
    float *entropy = entropies + blockIdx.x;
    if (wide) {
        draw_row<4>(row, vocab, temperature, uniforms[blockIdx.x], count, of_row, given, entropy);
    } else {
        draw_row<1>(row, vocab, temperature, uniforms[blockIdx.x], count, of_row, given, entropy);
    }
}
