// Several teachers as one: the mixture of their distributions. One block of threads for each row of logits.

// `temperature * ln(e^(a / temperature) + e^(b / temperature))`.
__device__ __forceinline__ float log_add(float a, float b, float temperature, float inverse_temperature) {
    return fmaxf(a, b) + temperature * log1pf(expf(-fabsf(a - b) * inverse_temperature));
}

template <int W>
__device__ void weigh(Values logits, u32 vocab, float weight, float log_weight, float temperature, Values mixed,
                      u32 first, double *entropy) {
    float inverse = 1.0f / temperature;
    Softmax softmax = softmax_of<W>(logits, vocab, inverse);
    float negative_entropy = 0.0f;
    FOR_ROW(i, vocab) {
        Pack<W> values = load<W>(logits, i);
        for (int k = 0; k < W; k++) {
            float log_p = softmax.log_probability(values.v[k]);
            negative_entropy += expf(log_p) * log_p;
            values.v[k] = (log_p + log_weight) * temperature;
        }
        if (!first) {
            Pack<W> before = load<W>(mixed, i);
            for (int k = 0; k < W; k++) values.v[k] = log_add(before.v[k], values.v[k], temperature, inverse);
        }
        store<W>(mixed, i, values);
    }
    if (!entropy) return;
    double sum = (double)weight * block_sum((double)negative_entropy);
    if (threadIdx.x == 0) *entropy = first ? sum : *entropy + sum;
}

// Logits become `temperature * ln(weight * softmax(logits / temperature))`; the first teacher's begin the mixture, in the
// same place or another, those of later ones are mixed in. With `entropies`, `weight * sum p ln p` of each row begins or
// joins a sum. `log_weight` is the weight's logarithm, which the host keeps finite.
extern "C" __global__ void __launch_bounds__(ROW_THREADS)
    mix_teacher(const float *logits, u32 vocab, float weight, float log_weight, float temperature, float *mixed,
                u32 first, double *entropies, u32 wide) {
    Values row = row_of(logits, vocab), mixed_row = row_of(mixed, vocab);
    double *entropy = entropies ? entropies + blockIdx.x : entropies;
    if (wide) {
        weigh<4>(row, vocab, weight, log_weight, temperature, mixed_row, first, entropy);
    } else {
        weigh<1>(row, vocab, weight, log_weight, temperature, mixed_row, first, entropy);
    }
}
