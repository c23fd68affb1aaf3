// Routers of layers of experts: products of f32 values, and the jitter of what they read.

// logits[row][expert] = <input[row], weight[expert]>: a warp for each row, which takes the experts in turn.
extern "C" __global__ void router(Values input, Values weight, Values logits, u64 rows, u32 columns, u32 experts) {
    u64 row = thread_index() / WARP;
    if (row >= rows) return;
    u32 lane = threadIdx.x % WARP;
    for (u32 expert = 0; expert < experts; expert++) {
        float sum = 0.0f;
        for (u32 column = lane; column < columns; column += WARP) {
            float x = load_one(input, row * columns + column);
            sum = fmaf(x, load_one(weight, (u64)expert * columns + column), sum);
        }
        sum = warp_sum(sum);
        if (lane == 0) store_one(logits, row * experts + expert, sum);
    }
}

// d_input[row] (+)= d_logits[row] * weight: a block for each row.
extern "C" __global__ void router_input_gradient(Values d_logits, Values weight, Values d_input, u32 columns, u32 experts,
                                                 u32 accumulate) {
    u64 row = blockIdx.x;
    for (u32 column = threadIdx.x; column < columns; column += blockDim.x) {
        float sum = accumulate ? load_one(d_input, row * columns + column) : 0.0f;
        for (u32 expert = 0; expert < experts; expert++) {
            float d_logit = load_one(d_logits, row * experts + expert);
            sum = fmaf(d_logit, load_one(weight, (u64)expert * columns + column), sum);
        }
        store_one(d_input, row * columns + column, sum);
    }
}

// The sums over `per_block` rows at a time of the gradient of the weights: `sums[group][expert][column]`. Blocks take 32
// columns, a group and an expert; their warps take rows in turn.
extern "C" __global__ void router_weight_sums(Values d_logits, Values input, float *sums, u64 rows, u32 columns, u32 experts,
                                              u32 per_block) {
    __shared__ float parts[WARP][WARP];
    u32 lane = threadIdx.x % WARP, warp = threadIdx.x / WARP, warps = blockDim.x / WARP, expert = blockIdx.z;
    u32 column = blockIdx.y * WARP + lane;
    u64 first = (u64)blockIdx.x * per_block, last = first + per_block < rows ? first + per_block : rows;
    float sum = 0.0f;
    if (column < columns) {
        for (u64 row = first + warp; row < last; row += warps) {
            sum = fmaf(load_one(d_logits, row * experts + expert), load_one(input, row * columns + column), sum);
        }
    }
    parts[warp][lane] = sum;
    __syncthreads();
    if (warp == 0 && column < columns) {
        float total = 0.0f;
        for (u32 w = 0; w < warps; w++) total += parts[w][lane];
        sums[((u64)blockIdx.x * experts + expert) * columns + column] = total;
    }
}

// output (+)= input * (1 + amount * u) with u uniform in [-1, 1): a block for each row.
extern "C" __global__ void jitter(Values input, DropoutMask mask, Values output, u32 columns, u32 accumulate) {
    u64 row = blockIdx.x;
    for (u32 column = threadIdx.x; column < columns; column += blockDim.x) {
        u64 place = row * columns + column, index = (mask.first_token + row) * columns + column;
        float factor = 1.0f + mask.probability * (2.0f * uniform(mask.key, index) - 1.0f);
        float value = load_one(input, place) * factor;
        store_one(output, place, accumulate ? load_one(output, place) + value : value);
    }
}
