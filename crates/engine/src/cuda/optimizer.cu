// Updates of parameters, averages and norms, over flat vectors in f32.

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
    u32 cautious;
};

struct LambConstants {
    float scale;
    float root_scale;
    float epsilon;
    float decay;
    float beta1;
    float beta2;
    float new_share1;
    float new_share2;
    float gradient_scale;
    u32 cautious;
};

struct LionConstants {
    float rate;
    float decay;
    float beta1;
    float beta2;
    float new_share1;
    float new_share2;
    float gradient_scale;
    u32 cautious;
};

struct UpdateConstants {
    float rate;
    float decay;
    u32 cautious;
};

__device__ __forceinline__ void update(float &value, float gradient, float &m, float &v, const AdamwConstants &c) {
    gradient *= c.gradient_scale;
    m = c.beta1 * m + c.new_share1 * gradient;
    v = c.beta2 * v + c.new_share2 * gradient * gradient;
    float step = c.rate * m / (sqrtf(v) * c.root_scale + c.epsilon);
    bool decays = !c.cautious || step * value >= 0.0f;
    value = (value * (decays ? c.decay_before : 1.0f) - step) * (decays ? c.decay_after : 1.0f);
}

template <int W>
__device__ void update_all(FullValues values, FullValues gradients, FullValues first, FullValues second,
                           CompactValues copy, u64 count, const AdamwConstants &c) {
    for (u64 i = thread_index() * W; i < count; i += thread_count() * W) {
        Pack<W> value = load<W>(values, i), gradient = load<W>(gradients, i);
        Pack<W> m = load<W>(first, i), v = load<W>(second, i);
        for (int k = 0; k < W; k++) update(value.v[k], gradient.v[k], m.v[k], v.v[k], c);
        store<W>(values, i, value);
        store<W>(first, i, m);
        store<W>(second, i, v);
        if (copy.data) store<W>(copy, i, value);
    }
}

// All of `values`, `first` and `second` from where the pointers stand; and the bf16 copy of the values, where there is one.
extern "C" __global__ void adamw(FullValues values, FullValues gradients, FullValues first, FullValues second,
                                 CompactValues copy, u64 count, AdamwConstants c, u32 wide) {
    if (wide) {
        update_all<4>(values, gradients, first, second, copy, count, c);
    } else {
        update_all<1>(values, gradients, first, second, copy, count, c);
    }
}

// As `adamw`, by the sign of an average.
extern "C" __global__ void lion(float *values, const float *gradients, float *momentum, u64 count, LionConstants c) {
    for (u64 i = thread_index(); i < count; i += thread_count()) {
        float gradient = gradients[i] * c.gradient_scale, m = momentum[i], value = values[i];
        float mixed = c.beta1 * m + c.new_share1 * gradient;
        float step = (mixed > 0.0f ? 1.0f : 0.0f) - (mixed < 0.0f ? 1.0f : 0.0f);
        momentum[i] = c.beta2 * m + c.new_share2 * gradient;
        bool decays = !c.cautious || step * value >= 0.0f;
        values[i] = value * (decays ? c.decay : 1.0f) - c.rate * step;
    }
}

// Adam's direction and the decay, written to `output`.
extern "C" __global__ void lamb_direction(const float *values, const float *gradients, float *first, float *second,
                                          Values output, u64 count, LambConstants c) {
    for (u64 i = thread_index(); i < count; i += thread_count()) {
        float gradient = gradients[i] * c.gradient_scale, value = values[i];
        float m = c.beta1 * first[i] + c.new_share1 * gradient;
        float v = c.beta2 * second[i] + c.new_share2 * gradient * gradient;
        first[i] = m;
        second[i] = v;
        float step = c.scale * m / (sqrtf(v) * c.root_scale + c.epsilon);
        bool decays = !c.cautious || step * value >= 0.0f;
        store_one(output, i, step + (decays ? c.decay * value : 0.0f));
    }
}

// Applies `update`. `squares` holds the sums of squares of the values and of the update, whose roots' ratio multiplies
// the rate where neither is 0; null where nothing does.
extern "C" __global__ void apply_update(float *values, Values update, u64 count, UpdateConstants c,
                                        const double *squares) {
    float rate = c.rate;
    if (squares && squares[0] > 0.0 && squares[1] > 0.0) rate = (float)(c.rate * (sqrt(squares[0]) / sqrt(squares[1])));
    for (u64 i = thread_index(); i < count; i += thread_count()) {
        float value = values[i], step = load_one(update, i);
        bool decays = !c.cautious || step * value >= 0.0f;
        values[i] = value * (decays ? c.decay : 1.0f) - rate * step;
    }
}

template <int W> __device__ double squares_of(Values values, u64 first, u64 last) {
    double sum = 0.0;
    for (u64 i = first + threadIdx.x * W; i < last; i += blockDim.x * W) {
        Pack<W> pack = load<W>(values, i);
        for (int k = 0; k < W; k++) sum += (double)pack.v[k] * (double)pack.v[k];
    }
    return sum;
}

// Block `b` adds the squares of the values from `b * per_block` on.
extern "C" __global__ void squares(Values values, u64 count, u64 per_block, double *sums, u32 wide) {
    u64 first = blockIdx.x * per_block, last = first + per_block < count ? first + per_block : count;
    double sum = block_sum(wide ? squares_of<8>(values, first, last) : squares_of<1>(values, first, last));
    if (threadIdx.x == 0) sums[blockIdx.x] = sum;
}

// Block `b` adds the squares of the products from `b * per_block` on.
extern "C" __global__ void squared_products(const float *values, const float *gradients, u64 count, u64 per_block,
                                            double *sums) {
    u64 first = blockIdx.x * per_block, last = first + per_block < count ? first + per_block : count;
    double sum = 0.0;
    for (u64 i = first + threadIdx.x; i < last; i += blockDim.x) {
        double product = (double)values[i] * (double)gradients[i];
        sum += product * product;
    }
    sum = block_sum(sum);
    if (threadIdx.x == 0) sums[blockIdx.x] = sum;
}

// `values += scale * gradients`, where `adaptive` each summand times the square of its value.
extern "C" __global__ void climb(float *values, const float *gradients, float scale, u32 adaptive, u64 count) {
    for (u64 i = thread_index(); i < count; i += thread_count()) {
        float value = values[i];
        values[i] = value + scale * gradients[i] * (adaptive ? value * value : 1.0f);
    }
}

// `to += share * (from - to)`.
extern "C" __global__ void blend(const float *from, float share, float *to, u64 count) {
    for (u64 i = thread_index(); i < count; i += thread_count()) to[i] += share * (from[i] - to[i]);
}

// The sum of all sums, by one block.
extern "C" __global__ void sum_doubles(const double *sums, u64 count, double *total) {
    double sum = 0.0;
    for (u64 i = threadIdx.x; i < count; i += blockDim.x) sum += sums[i];
    sum = block_sum(sum);
    if (threadIdx.x == 0) total[0] = sum;
}
