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

template <int W>
__device__ void embed_id(Values d_output, const u32 *rows, u32 first, u32 last, u64 id, Values d_table, u64 columns) {
    for (u64 column = threadIdx.x * W; column < columns; column += blockDim.x * W) {
        Pack<W> sum = load<W>(d_table, id * columns + column);
        for (u32 at = first; at < last; at++) {
            Pack<W> value = load<W>(d_output, rows[at] * columns + column);
            for (int k = 0; k < W; k++) sum.v[k] += value.v[k];
        }
        store<W>(d_table, id * columns + column, sum);
    }
}

// One block for each id that occurs: its rows are `rows[offsets[b]..offsets[b + 1]]`, in the order of the tokens.
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
