// Embedding.

template <int W> __device__ void embed_row(Values table, u64 id, Values output, u32 columns, u32 add) {
    u64 from_row = id * columns, to_row = (u64)blockIdx.x * columns;
    for (u32 i = threadIdx.x * W; i < columns; i += blockDim.x * W) {
        Pack<W> value = load<W>(table, from_row + i);
        if (add) {
            Pack<W> sum = load<W>(output, to_row + i);
            for (int k = 0; k < W; k++) value.v[k] += sum.v[k];
        }
        store<W>(output, to_row + i, value);
    }
}

// output[i] (+)= table[ids[i]]: a block for each token.
extern "C" __global__ void embed(Values table, const u32 *ids, Values output, u32 columns, u32 add, u32 wide) {
    if (wide) {
        embed_row<4>(table, ids[blockIdx.x], output, columns, add);
    } else {
        embed_row<1>(table, ids[blockIdx.x], output, columns, add);
    }
}

// Warps of a block of `embed_gradient`, which take the rows of its id in turn, and rows that each reads at once.
#define EMBED_WARPS 4
#define ROWS_AT_ONCE 4

template <int W>
__device__ void embed_id(Values d_output, const u32 *rows, u32 first, u32 last, u64 id, Values d_table, u64 columns) {
    __shared__ Pack<W> sums[EMBED_WARPS][WARP];
    u32 lane = threadIdx.x % WARP, warp = threadIdx.x / WARP;
    u64 column = (blockIdx.y * WARP + lane) * W;
    Pack<W> sum = {};
    if (column < columns) {
        for (u32 start = first + warp; start < last; start += ROWS_AT_ONCE * EMBED_WARPS) {
            Pack<W> values[ROWS_AT_ONCE];
#pragma unroll
            for (u32 r = 0; r < ROWS_AT_ONCE; r++) {
                u32 at = start + r * EMBED_WARPS;
                values[r] = load<W>(d_output, rows[at < last ? at : first] * columns + column);
            }
#pragma unroll
            for (u32 r = 0; r < ROWS_AT_ONCE; r++) {
                bool counts = start + r * EMBED_WARPS < last;
                for (int k = 0; k < W; k++) sum.v[k] += counts ? values[r].v[k] : 0.0f;
            }
        }
    }
    sums[warp][lane] = sum;
    __syncthreads();
    if (warp > 0 || column >= columns) return;
    Pack<W> total = load<W>(d_table, id * columns + column);
    for (u32 w = 0; w < EMBED_WARPS; w++) {
        for (int k = 0; k < W; k++) total.v[k] += sums[w][lane].v[k];
    }
    store<W>(d_table, id * columns + column, total);
}

// Block (x, y) takes the id x of those that occur, and as many columns as a warp reads at once. The id's rows are
// `rows[offsets[x]..offsets[x + 1]]`, in the order of the tokens.
extern "C" __global__ void embed_gradient(Values d_output, const u32 *ids, const u32 *offsets, const u32 *rows,
                                          Values d_table, u64 columns, u32 wide) {
    u32 first = offsets[blockIdx.x], last = offsets[blockIdx.x + 1];
    u64 id = ids[blockIdx.x];
    if (wide) {
        embed_id<4>(d_output, rows, first, last, id, d_table, columns);
    } else {
        embed_id<1>(d_output, rows, first, last, id, d_table, columns);
    }
}
