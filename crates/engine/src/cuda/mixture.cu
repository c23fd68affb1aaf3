// Mixtures of states: their sum, each times its weight or the softmax of the weights.

// What the host lists of each state.
typedef Values State;

// What multiplies state `index`: every thread finds the same.
__device__ __forceinline__ float share(Values weights, u32 states, u32 by_softmax, u32 index) {
    float weight = load_one(weights, index);
    if (!by_softmax) return weight;
    float top = NEGATIVE_INFINITY, total = 0.0f;
    for (u32 j = 0; j < states; j++) top = fmaxf(top, load_one(weights, j));
    for (u32 j = 0; j < states; j++) total += expf(load_one(weights, j) - top);
    return expf(weight - top) / total;
}

// The most states whose shares a block keeps.
#define MOST_STATES 256

extern "C" __global__ void mixture(const State *list, Values weights, Values output, u64 count, u32 states, u32 by_softmax) {
    __shared__ float shares[MOST_STATES];
    for (u32 j = threadIdx.x; j < states; j += blockDim.x) shares[j] = share(weights, states, by_softmax, j);
    __syncthreads();
    for (u64 i = thread_index(); i < count; i += thread_count()) {
        float sum = 0.0f;
        for (u32 j = 0; j < states; j++) sum = fmaf(shares[j], load_one(list[j], i), sum);
        store_one(output, i, sum);
    }
}

// d_state (+)= the share of state `index` * d_output.
extern "C" __global__ void mixture_state_gradient(Values d_output, Values weights, Values d_state, u64 count, u32 states,
                                                  u32 by_softmax, u32 index, u32 accumulate) {
    float own = share(weights, states, by_softmax, index);
    for (u64 i = thread_index(); i < count; i += thread_count()) {
        float value = own * load_one(d_output, i);
        store_one(d_state, i, accumulate ? load_one(d_state, i) + value : value);
    }
}

// The products of a state and the gradient of the output, of `per_block` values at a time: `sums[group][state]`.
extern "C" __global__ void mixture_products(const State *list, Values d_output, float *sums, u64 count, u32 per_block) {
    u64 first = (u64)blockIdx.x * per_block, end = first + per_block < count ? first + per_block : count;
    Values state = list[blockIdx.y];
    float sum = 0.0f;
    for (u64 i = first + threadIdx.x; i < end; i += blockDim.x) sum = fmaf(load_one(d_output, i), load_one(state, i), sum);
    sum = block_sum(sum);
    if (threadIdx.x == 0) sums[(u64)blockIdx.x * gridDim.y + blockIdx.y] = sum;
}

// d_weights += the gradient of the weights, from that of what multiplies the states: one block.
extern "C" __global__ void mixture_weights_gradient(const float *d_shares, Values weights, Values d_weights, u32 states,
                                                    u32 by_softmax) {
    for (u32 j = threadIdx.x; j < states; j += blockDim.x) {
        float gradient = d_shares[j];
        if (by_softmax) {
            float along = 0.0f;
            for (u32 k = 0; k < states; k++) along = fmaf(share(weights, states, by_softmax, k), d_shares[k], along);
            gradient = share(weights, states, by_softmax, j) * (gradient - along);
        }
        store_one(d_weights, j, load_one(d_weights, j) + gradient);
    }
}
