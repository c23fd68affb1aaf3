// What products need beside cuBLASLt: a bias where it cannot be part of the product, and its gradient.

// output[row] += bias.
extern "C" __global__ void add_bias(Values bias, Values output, u64 rows, u64 columns) {
    for (u64 i = thread_index(); i < rows * columns; i += thread_count()) {
        store_one(output, i, load_one(output, i) + load_one(bias, i % columns));
    }
}

// Sums of `per_block` rows at a time: block (x, y) adds the rows of its y in the columns of its x, `sums[y][column]`.
// Threads of a block are 32 columns wide; the warps take rows in turn and meet in shared memory.
extern "C" __global__ void column_sums(Values input, float *sums, u64 rows, u64 columns, u32 per_block) {
    __shared__ float parts[WARP][WARP];
    u32 lane = threadIdx.x % WARP, warp = threadIdx.x / WARP, warps = blockDim.x / WARP;
    u64 column = (u64)blockIdx.y * WARP + lane;
    u64 first = (u64)blockIdx.x * per_block, last = first + per_block < rows ? first + per_block : rows;
    float sum = 0.0f;
    if (column < columns) {
        for (u64 row = first + warp; row < last; row += warps) sum += load_one(input, row * columns + column);
    }
    parts[warp][lane] = sum;
    __syncthreads();
    if (warp == 0 && column < columns) {
        float total = 0.0f;
        for (u32 w = 0; w < warps; w++) total += parts[w][lane];
        sums[blockIdx.x * columns + column] = total;
    }
}

// output[column] (+)= the sum of `count` rows of `sums`. The warps of a block take rows in turn, their lanes 32 columns.
extern "C" __global__ void add_rows(const float *sums, u64 count, u64 columns, Values output, u32 accumulate) {
    __shared__ float parts[WARP][WARP];
    u32 lane = threadIdx.x % WARP, warp = threadIdx.x / WARP, warps = blockDim.x / WARP;
    u64 column = (u64)blockIdx.x * WARP + lane;
    float sum = 0.0f;
    if (column < columns) {
        for (u64 row = warp; row < count; row += warps) sum += sums[row * columns + column];
    }
    parts[warp][lane] = sum;
    __syncthreads();
    if (warp == 0 && column < columns) {
        float total = accumulate ? load_one(output, column) : 0.0f;
        for (u32 w = 0; w < warps; w++) total += parts[w][lane];
        store_one(output, column, total);
    }
}
