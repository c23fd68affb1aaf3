// What the losses share. A row of logits in f32 belongs to one block of threads; each thread takes `W` neighbours at a time.

// The most threads that a row gets.
#define ROW_THREADS 512

#define FOR_ROW(index, count) for (u32 index = threadIdx.x * W; index < count; index += blockDim.x * W)

// The block's row of `[rows, columns]`.
__device__ __forceinline__ Values row_of(const float *matrix, u32 columns) {
    Values row;
    row.data = (void *)(matrix + (u64)blockIdx.x * columns);
    row.compact = 0;
    return row;
}

// The block's row of `[rows, columns]`; no values stay none.
__device__ __forceinline__ Values row_of(Values matrix, u32 columns) {
    return matrix.data ? from(matrix, (u64)blockIdx.x * columns) : matrix;
}

// Sum of `e^((logit - top) * inverse_temperature)`, where `top` is the largest logit, in one pass: the sum so far shrinks
// when a larger logit comes.
struct Exponentials {
    float inverse_temperature;
    float top;
    float sum;

    __device__ __forceinline__ explicit Exponentials(float inverse_temperature)
        : inverse_temperature(inverse_temperature), top(-3.402823466e38f), sum(0.0f) {}

    template <int W> __device__ __forceinline__ void add(Pack<W> logits) {
        float largest = top;
        for (int k = 0; k < W; k++) largest = fmaxf(largest, logits.v[k]);
        if (largest > top) {
            sum *= expf((top - largest) * inverse_temperature);
            top = largest;
        }
        for (int k = 0; k < W; k++) sum += expf((logits.v[k] - top) * inverse_temperature);
    }

    // The sum over all threads; `top` becomes that of the row.
    __device__ __forceinline__ double of_row() {
        float of_thread = top;
        top = block_max(of_thread);
        return block_sum((double)(sum * expf((of_thread - top) * inverse_temperature)));
    }
};

// A row's softmax at a temperature, as what turns a logit into the logarithm of its probability. No probability is ever
// lost to underflow that way.
struct Softmax {
    float top;
    float inverse_temperature;
    float logsumexp;

    __device__ __forceinline__ float log_probability(float logit) const {
        // One operation, so that every kernel gets the same bits.
        return fmaf(logit - top, inverse_temperature, -logsumexp);
    }
};

template <int W> __device__ __forceinline__ Softmax softmax_of(Values logits, u32 vocab, float inverse_temperature) {
    Exponentials exponentials(inverse_temperature);
    FOR_ROW(i, vocab) exponentials.add(load<W>(logits, i));
    Softmax softmax;
    softmax.logsumexp = (float)log(exponentials.of_row());
    softmax.top = exponentials.top;
    softmax.inverse_temperature = inverse_temperature;
    return softmax;
}
