// RMS norm and layer norm. One warp takes a row.

__device__ __forceinline__ u64 row_of_warp() {
    return thread_index() / WARP;
}

template <int W> __device__ float row_sum(Values row, u64 columns) {
    float sum = 0.0f;
    for (u64 i = threadIdx.x % WARP * W; i < columns; i += WARP * W) {
        Pack<W> x = load<W>(row, i);
        for (int k = 0; k < W; k++) sum += x.v[k];
    }
    return warp_sum(sum);
}

template <int W> __device__ float row_squares(Values row, float mean, u64 columns) {
    float sum = 0.0f;
    for (u64 i = threadIdx.x % WARP * W; i < columns; i += WARP * W) {
        Pack<W> x = load<W>(row, i);
        for (int k = 0; k < W; k++) sum += (x.v[k] - mean) * (x.v[k] - mean);
    }
    return warp_sum(sum);
}

// RMS norm where there is no bias, else layer norm.
template <int W>
__device__ void norm_row(Values input, Values gain, Values bias, float epsilon, Values output, float *statistics,
                         u64 row, u64 columns) {
    bool layer = bias.data;
    Values x_row = from(input, row * columns), y_row = from(output, row * columns);
    float mean = layer ? row_sum<W>(x_row, columns) / columns : 0.0f;
    float inverse = 1.0f / sqrtf(row_squares<W>(x_row, mean, columns) / columns + epsilon);
    for (u64 i = threadIdx.x % WARP * W; i < columns; i += WARP * W) {
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

extern "C" __global__ void normalise(Values input, Values gain, Values bias, float epsilon, Values output,
                                     float *statistics, u64 rows, u64 columns, u32 wide) {
    u64 row = row_of_warp();
    if (row >= rows) return;
    if (wide) {
        norm_row<4>(input, gain, bias, epsilon, output, statistics, row, columns);
    } else {
        norm_row<1>(input, gain, bias, epsilon, output, statistics, row, columns);
    }
}

template <int W>
__device__ void norm_row_gradient(Values d_output, Values input, Values gain, const float *statistics, u32 layer,
                                  Values d_input, u32 accumulate, u64 row, u64 columns) {
    Values dy_row = from(d_output, row * columns), x_row = from(input, row * columns);
    Values dx_row = from(d_input, row * columns);
    float mean = layer ? statistics[2 * row] : 0.0f;
    float inverse = statistics[layer ? 2 * row + 1 : row];
    float across = 0.0f, along = 0.0f;
    for (u64 i = threadIdx.x % WARP * W; i < columns; i += WARP * W) {
        Pack<W> dy = load<W>(dy_row, i), x = load<W>(x_row, i), g = load<W>(gain, i);
        for (int k = 0; k < W; k++) {
            across += dy.v[k] * g.v[k];
            along += dy.v[k] * g.v[k] * (x.v[k] - mean);
        }
    }
    across = layer ? warp_sum(across) / columns : 0.0f;
    along = warp_sum(along) * inverse * inverse / columns;
    for (u64 i = threadIdx.x % WARP * W; i < columns; i += WARP * W) {
        Pack<W> dy = load<W>(dy_row, i), x = load<W>(x_row, i), g = load<W>(gain, i);
        for (int k = 0; k < W; k++) {
            x.v[k] = (dy.v[k] * g.v[k] - across - (x.v[k] - mean) * along) * inverse;
        }
        if (accumulate) {
            Pack<W> sum = load<W>(dx_row, i);
            for (int k = 0; k < W; k++) x.v[k] += sum.v[k];
        }
        store<W>(dx_row, i, x);
    }
}

extern "C" __global__ void norm_gradient(Values d_output, Values input, Values gain, const float *statistics,
                                         u32 layer, Values d_input, u32 accumulate, u64 rows, u64 columns, u32 wide) {
    u64 row = row_of_warp();
    if (row >= rows) return;
    if (wide) {
        norm_row_gradient<4>(d_output, input, gain, statistics, layer, d_input, accumulate, row, columns);
    } else {
        norm_row_gradient<1>(d_output, input, gain, statistics, layer, d_input, accumulate, row, columns);
    }
}

// The sums of `per_block` rows at a time for the gradients of gain and bias: `sums[group][column]` for RMS norm,
// `sums[group][0 or 1][column]` for layer norm. The warps of a block take rows in turn, their lanes 32 columns.
extern "C" __global__ void norm_parameter_sums(Values d_output, Values input, const float *statistics, u32 layer,
                                               float *sums, u64 rows, u64 columns, u32 per_block) {
    __shared__ float gains[WARP][WARP];
    __shared__ float biases[WARP][WARP];
    u32 lane = threadIdx.x % WARP, warp = threadIdx.x / WARP, warps = blockDim.x / WARP;
    u64 column = (u64)blockIdx.x * WARP + lane;
    u64 first = (u64)blockIdx.y * per_block, last = first + per_block < rows ? first + per_block : rows;
    float of_gain = 0.0f, of_bias = 0.0f;
    if (column < columns) {
        for (u64 row = first + warp; row < last; row += warps) {
            float dy = load_one(d_output, row * columns + column), x = load_one(input, row * columns + column);
            float mean = layer ? statistics[2 * row] : 0.0f;
            of_gain += dy * (x - mean) * statistics[layer ? 2 * row + 1 : row];
            of_bias += dy;
        }
    }
    gains[warp][lane] = of_gain;
    biases[warp][lane] = of_bias;
    __syncthreads();
    if (warp == 0 && column < columns) {
        float gain = 0.0f, bias = 0.0f;
        for (u32 w = 0; w < warps; w++) {
            gain += gains[w][lane];
            bias += biases[w][lane];
        }
        float *group = sums + (u64)blockIdx.y * (layer ? 2 : 1) * columns;
        group[column] = gain;
        if (layer) group[columns + column] = bias;
    }
}
