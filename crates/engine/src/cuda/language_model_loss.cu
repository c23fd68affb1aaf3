// The language-model loss. One block of threads for each row of logits.

template <int W>
__device__ void row_loss(Values logits, u32 target, u32 vocab, float scale, Values gradient, double *loss) {
    if (target == NO_TARGET) {
        Pack<W> zeros = {};
        if (gradient.data) FOR_ROW(i, vocab) store<W>(gradient, i, zeros);
        if (threadIdx.x == 0) *loss = 0.0;
        return;
    }
    Exponentials exponentials(1.0f);
    FOR_ROW(i, vocab) exponentials.add(load<W>(logits, i));
    double total = exponentials.of_row();
    float top = exponentials.top;
    if (threadIdx.x == 0) *loss = (double)top - (double)load_one(logits, target) + log(total);
    if (!gradient.data) return;
    float factor = scale / (float)total;
    FOR_ROW(i, vocab) {
        Pack<W> values = load<W>(logits, i);
        for (int k = 0; k < W; k++) {
            values.v[k] = expf(values.v[k] - top) * factor - (i + k == target ? scale : 0.0f);
        }
        store<W>(gradient, i, values);
    }
}

// losses[row] = -log softmax(logits[row])[targets[row]], 0 without a target; and its gradient times `scale`, where there is
// memory for it.
extern "C" __global__ void __launch_bounds__(ROW_THREADS)
    language_model_loss(const float *logits, const u32 *targets, u32 vocab, float scale, Values gradient,
                        double *losses, u32 wide) {
    Values row = row_of(logits, vocab), d_row = row_of(gradient, vocab);
    u32 target = targets[blockIdx.x];
    if (wide) {
        row_loss<8>(row, target, vocab, scale, d_row, losses + blockIdx.x);
    } else {
        row_loss<1>(row, target, vocab, scale, d_row, losses + blockIdx.x);
    }
}

template <int W> __device__ double row_logsumexp(Values logits, u32 vocab) {
    Exponentials exponentials(1.0f);
    FOR_ROW(i, vocab) exponentials.add(load<W>(logits, i));
    double total = exponentials.of_row();
    return (double)exponentials.top + log(total);
}

// log_probabilities[i] = log softmax(logits[row])[ids[i]] for each `i` from `starts[row]` to `starts[row + 1]`.
extern "C" __global__ void __launch_bounds__(ROW_THREADS)
    log_probabilities(const float *logits, u32 vocab, const u32 *starts, const u32 *ids, double *log_probabilities,
                      u32 wide) {
    Values row = row_of(logits, vocab);
    double logsumexp = wide ? row_logsumexp<4>(row, vocab) : row_logsumexp<1>(row, vocab);
    for (u32 i = starts[blockIdx.x] + threadIdx.x; i < starts[blockIdx.x + 1]; i += blockDim.x) {
        log_probabilities[i] = (double)load_one(row, ids[i]) - logsumexp;
    }
}
