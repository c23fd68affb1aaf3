// What the output layer needs beside its products.

template <int W>
__device__ void gather(Values input, u64 stride, const u32 *rows, u32 columns, Values output) {
    Values row = from(input, rows[blockIdx.x] * stride), gathered = from(output, (u64)blockIdx.x * columns);
    for (u32 i = threadIdx.x * W; i < columns; i += blockDim.x * W) store<W>(gathered, i, load<W>(row, i));
}

// Row `i` of the output is row `rows[i]` of the input, whose rows are `stride` values apart. One block for each.
extern "C" __global__ void gather_rows(Values input, u64 stride, const u32 *rows, u32 columns, Values output,
                                       u32 wide) {
    if (wide) {
        gather<4>(input, stride, rows, columns, output);
    } else {
        gather<1>(input, stride, rows, columns, output);
    }
}

// logits[row] += share * bias. One block for each row.
extern "C" __global__ void add_scaled_bias(float *logits, Values bias, float share, u32 vocab) {
    float *row = logits + (u64)blockIdx.x * vocab;
    for (u32 i = threadIdx.x; i < vocab; i += blockDim.x) row[i] += share * load_one(bias, i);
}

// sums[kind] = the sum of `values[kind][..rows]`. One block for each kind.
extern "C" __global__ void add_up(const double *values, u32 rows, double *sums) {
    const double *of_rows = values + (u64)blockIdx.x * rows;
    double sum = 0.0;
    for (u32 row = threadIdx.x; row < rows; row += blockDim.x) sum += of_rows[row];
    sum = block_sum(sum);
    if (threadIdx.x == 0) sums[blockIdx.x] = sum;
}
