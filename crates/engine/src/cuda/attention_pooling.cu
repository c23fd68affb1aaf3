// Attention pooling: a block takes a sequence. Rows of a sequence are `offsets[s]..offsets[s + 1]`.

// weights = softmax of the scores of a sequence's tokens; output[s] = the sum of weights * states.
extern "C" __global__ void attention_pooling(Values states, Values scores, const u32 *offsets, float *weights, Values output,
                                             u32 columns) {
    u64 first = offsets[blockIdx.x], end = offsets[blockIdx.x + 1];
    float top = NEGATIVE_INFINITY;
    for (u64 row = first + threadIdx.x; row < end; row += blockDim.x) top = fmaxf(top, load_one(scores, row));
    top = block_max(top);
    float sum = 0.0f;
    for (u64 row = first + threadIdx.x; row < end; row += blockDim.x) {
        float weight = expf(load_one(scores, row) - top);
        weights[row] = weight;
        sum += weight;
    }
    float scale = 1.0f / block_sum(sum);
    for (u64 row = first + threadIdx.x; row < end; row += blockDim.x) weights[row] *= scale;
    __syncthreads();
    for (u32 column = threadIdx.x; column < columns; column += blockDim.x) {
        float mean = 0.0f;
        for (u64 row = first; row < end; row++) mean = fmaf(weights[row], load_one(states, row * columns + column), mean);
        store_one(output, (u64)blockIdx.x * columns + column, mean);
    }
}

// d_states[row] = weight * d_output[s]; d_scores[row] = weight * (<d_output[s], states[row]> - the weighted mean of these).
extern "C" __global__ void attention_pooling_gradient(Values d_output, Values states, const float *weights, const u32 *offsets,
                                                      Values d_states, float *d_scores, u32 columns) {
    u64 first = offsets[blockIdx.x], end = offsets[blockIdx.x + 1], own = (u64)blockIdx.x * columns;
    float along = 0.0f;
    for (u64 row = first; row < end; row++) {
        float product = 0.0f;
        for (u32 column = threadIdx.x; column < columns; column += blockDim.x) {
            float dy = load_one(d_output, own + column);
            product = fmaf(dy, load_one(states, row * columns + column), product);
            store_one(d_states, row * columns + column, weights[row] * dy);
        }
        product = block_sum(product);
        along = fmaf(weights[row], product, along);
        if (threadIdx.x == 0) d_scores[row] = product;
    }
    __syncthreads();
    for (u64 row = first + threadIdx.x; row < end; row += blockDim.x) {
        d_scores[row] = weights[row] * (d_scores[row] - along);
    }
}
