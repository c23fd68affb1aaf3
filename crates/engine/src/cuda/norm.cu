// RMS norm and layer norm. One warp takes a row.

__device__ __forceinline__ u64 row_of_warp() {
    return thread_index() / WARP;
}

// Packs of a row that a lane reads before it needs the first, so that it waits for memory once.
#define PACKS 2

// Threads of a block of `norm_gradient`.
#define NORM_THREADS 512

// They are `WARP * W` values apart.
template <int W> struct Packs {
    Pack<W> of[PACKS];
};

// A lane's next packs of a row, from `start` on; zeros past its end. There is no branch between the loads.
template <int W, typename V> __device__ __forceinline__ Packs<W> load_packs(V row, u32 start, u32 columns) {
    Packs<W> packs;
#pragma unroll
    for (int p = 0; p < PACKS; p++) {
        u32 i = start + p * WARP * W;
        packs.of[p] = load<W>(row, i < columns ? i : 0);
        for (int k = 0; k < W; k++) packs.of[p].v[k] = i < columns ? packs.of[p].v[k] : 0.0f;
    }
    return packs;
}

#define FOR_PACKS(start, columns) for (u32 start = threadIdx.x % WARP * W; start < columns; start += PACKS * WARP * W)

template <int W, typename V> __device__ float row_sum(V row, u32 columns) {
    float sum = 0.0f;
    FOR_PACKS(start, columns) {
        Packs<W> x = load_packs<W>(row, start, columns);
        for (int p = 0; p < PACKS; p++) {
            for (int k = 0; k < W; k++) sum += x.of[p].v[k];
        }
    }
    return warp_sum(sum);
}

template <int W, typename V> __device__ float row_squares(V row, float mean, u32 columns) {
    float sum = 0.0f;
    FOR_PACKS(start, columns) {
        Packs<W> x = load_packs<W>(row, start, columns);
        for (int p = 0; p < PACKS; p++) {
            if (start + p * WARP * W >= columns) continue;
            for (int k = 0; k < W; k++) sum += (x.of[p].v[k] - mean) * (x.of[p].v[k] - mean);
        }
    }
    return warp_sum(sum);
}

// RMS norm where there is no bias, else layer norm.
template <int W, typename V>
__device__ void norm_row(V input, FullValues gain, FullValues bias, float epsilon, Values output, float *statistics,
                         u64 row, u32 columns) {
    bool layer = bias.data;
    V x_row = from(input, row * columns);
    Values y_row = from(output, row * columns);
    float mean = layer ? row_sum<W>(x_row, columns) / columns : 0.0f;
    float inverse = 1.0f / sqrtf(row_squares<W>(x_row, mean, columns) / columns + epsilon);
    for (u32 i = threadIdx.x % WARP * W; i < columns; i += WARP * W) {
        Pack<W> x = load<W>(x_row, i), g = load<W>(gain, i);
        for (int k = 0; k < W; k++) x.v[k] = (x.v[k] - mean) * inverse * g.v[k];
        if (layer) {
            Pack<W> b = load<W>(bias, i);
            for (int k = 0; k < W; k++) x.v[k] += b.v[k];
        }
        store<W>(y_row, i, x);
    }
    if (statistics && threadIdx.x % WARP == 0) {
        if (layer) statistics[2 * row] = mean;
        statistics[layer ? 2 * row + 1 : row] = inverse;
    }
}

template <typename V>
__device__ void norm_row_of(V input, FullValues gain, FullValues bias, float epsilon, Values output, float *statistics,
                            u64 row, u32 columns, u32 wide) {
    if (wide) {
        norm_row<8>(input, gain, bias, epsilon, output, statistics, row, columns);
    } else {
        norm_row<1>(input, gain, bias, epsilon, output, statistics, row, columns);
    }
}

extern "C" __global__ void normalise(Values input, FullValues gain, FullValues bias, float epsilon, Values output,
                                     float *statistics, u64 rows, u32 columns, u32 wide) {
    u64 row = row_of_warp();
    if (row >= rows) return;
    if (input.compact) {
        norm_row_of(CompactValues{input.data}, gain, bias, epsilon, output, statistics, row, columns, wide);
    } else {
        norm_row_of(FullValues{input.data}, gain, bias, epsilon, output, statistics, row, columns, wide);
    }
}

// The backward of a norm, for as many rows as a block has warps.
struct NormBlock {
    FullValues gain;
    const float *statistics;
    u32 layer;
    // The bf16 copy of the gradient of the input, where there is memory for one.
    CompactValues copy;
    u32 accumulate;
    // One row for each block for RMS norm, two for layer norm.
    float *sums;
    u64 rows;
    u32 columns;
    u32 wide;

    __device__ __forceinline__ float mean(u64 row) const {
        return layer ? statistics[2 * row] : 0.0f;
    }

    __device__ __forceinline__ float inverse(u64 row) const {
        return statistics[layer ? 2 * row + 1 : row];
    }

    // A row's gradient of the input. One warp takes it.
    template <int W, typename Y, typename X>
    __device__ __forceinline__ void input_row(Y d_output, X input, X d_input, u64 row) const {
        Y dy_row = from(d_output, row * columns);
        X x_row = from(input, row * columns), dx_row = from(d_input, row * columns);
        CompactValues copied_row = from(copy, row * columns);
        float mean_of_row = mean(row), inverse_of_row = inverse(row);
        float across = 0.0f, along = 0.0f;
        FOR_PACKS(start, columns) {
            Packs<W> dy = load_packs<W>(dy_row, start, columns), x = load_packs<W>(x_row, start, columns);
            Packs<W> g = load_packs<W>(gain, start, columns);
            for (int p = 0; p < PACKS; p++) {
                for (int k = 0; k < W; k++) {
                    float scaled = dy.of[p].v[k] * g.of[p].v[k];
                    across += scaled;
                    along += scaled * (x.of[p].v[k] - mean_of_row);
                }
            }
        }
        across = layer ? warp_sum(across) / columns : 0.0f;
        along = warp_sum(along) * inverse_of_row * inverse_of_row / columns;
        FOR_PACKS(start, columns) {
            Packs<W> dx = {};
            if (accumulate) dx = load_packs<W>(dx_row, start, columns);
#pragma unroll
            for (int p = 0; p < PACKS; p++) {
                u32 i = start + p * WARP * W;
                if (i >= columns) continue;
                Pack<W> dy = load<W>(dy_row, i), x = load<W>(x_row, i), g = load<W>(gain, i);
                for (int k = 0; k < W; k++) {
                    float scaled = dy.v[k] * g.v[k];
                    dx.of[p].v[k] += (scaled - across - (x.v[k] - mean_of_row) * along) * inverse_of_row;
                }
                store<W>(dx_row, i, dx.of[p]);
                if (copy.data) store<W>(copied_row, i, dx.of[p]);
            }
        }
    }

    // The sums of the block's rows for the gradients of gain and bias. A thread adds the rows of its columns, which the block
    // has just read.
    template <int W, typename Y, typename X> __device__ __forceinline__ void parameter_sums(Y d_output, X input) const {
        u64 warps = blockDim.x / WARP, first = blockIdx.x * warps, last = first + warps < rows ? first + warps : rows;
        float *of_block = sums + (u64)blockIdx.x * (layer ? 2 : 1) * columns;
        for (u32 column = threadIdx.x * W; column < columns; column += blockDim.x * W) {
            Pack<W> of_gain = {}, of_bias = {};
#pragma unroll 4
            for (u64 row = first; row < last; row++) {
                Pack<W> dy = load<W>(d_output, row * columns + column), x = load<W>(input, row * columns + column);
                float mean_of_row = mean(row), inverse_of_row = inverse(row);
                for (int k = 0; k < W; k++) {
                    of_gain.v[k] += dy.v[k] * (x.v[k] - mean_of_row) * inverse_of_row;
                    of_bias.v[k] += dy.v[k];
                }
            }
            for (int k = 0; k < W; k++) of_block[column + k] = of_gain.v[k];
            if (!layer) continue;
            for (int k = 0; k < W; k++) of_block[columns + column + k] = of_bias.v[k];
        }
    }

    template <typename Y, typename X> __device__ __forceinline__ void gradients(Y d_output, X input, X d_input) const {
        u64 row = row_of_warp();
        if (wide) {
            if (row < rows) input_row<8>(d_output, input, d_input, row);
            parameter_sums<4>(d_output, input);
        } else {
            if (row < rows) input_row<1>(d_output, input, d_input, row);
            parameter_sums<1>(d_output, input);
        }
    }
};

extern "C" __global__ void __launch_bounds__(NORM_THREADS, 2)
norm_gradient(Values d_output, Values input, FullValues gain, const float *statistics, u32 layer, Values d_input,
              CompactValues copy, u32 accumulate, float *sums, u64 rows, u32 columns, u32 wide) {
    NormBlock block = {gain, statistics, layer, copy, accumulate, sums, rows, columns, wide};
    // The kinds of training in bf16 and in f32, and all others.
    bool of_full = !input.compact && !d_input.compact;
    if (of_full && d_output.compact) {
        block.gradients(CompactValues{d_output.data}, FullValues{input.data}, FullValues{d_input.data});
    } else if (of_full) {
        block.gradients(FullValues{d_output.data}, FullValues{input.data}, FullValues{d_input.data});
    } else {
        block.gradients(d_output, input, d_input);
    }
}
