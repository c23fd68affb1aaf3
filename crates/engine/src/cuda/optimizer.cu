// AdamW and the gradient norm, over flat vectors in f32.

struct AdamwConstants {
    float rate;
    float root_scale;
    float epsilon;
    float decay_before;
    float decay_after;
    float beta1;
    float beta2;
    float new_share1;
    float new_share2;
    float gradient_scale;
};

__device__ __forceinline__ void update(float &value, float gradient, float &m, float &v, const AdamwConstants &c) {
    gradient *= c.gradient_scale;
    m = c.beta1 * m + c.new_share1 * gradient;
    v = c.beta2 * v + c.new_share2 * gradient * gradient;
    value = (value * c.decay_before - c.rate * m / (sqrtf(v) * c.root_scale + c.epsilon)) * c.decay_after;
}

// All of `values`, `first` and `second` from where the pointers stand.
extern "C" __global__ void adamw(float *values, const float *gradients, float *first, float *second, u64 count,
                                 AdamwConstants c) {
    for (u64 i = thread_index(); i < count; i += thread_count()) {
        float value = values[i], m = first[i], v = second[i];
        update(value, gradients[i], m, v, c);
        values[i] = value;
        first[i] = m;
        second[i] = v;
    }
}

// Block `b` adds the squares of the values from `b * per_block` on.
extern "C" __global__ void squares(const float *values, u64 count, u64 per_block, double *sums) {
    u64 first = blockIdx.x * per_block, last = first + per_block < count ? first + per_block : count;
    double sum = 0.0;
    for (u64 i = first + threadIdx.x; i < last; i += blockDim.x) sum += (double)values[i] * (double)values[i];
    sum = block_sum(sum);
    if (threadIdx.x == 0) sums[blockIdx.x] = sum;
}

// The sum of all sums, by one block.
extern "C" __global__ void sum_doubles(const double *sums, u64 count, double *total) {
    double sum = 0.0;
    for (u64 i = threadIdx.x; i < count; i += blockDim.x) sum += sums[i];
    sum = block_sum(sum);
    if (threadIdx.x == 0) total[0] = sum;
}
