// Layers of experts: what is around their products.

// A token that no expert takes.
#define DROPPED 0xffffffffu

// output[token] = gates[token] * outputs[places[token]] (+ residual[token]): a block for each token.
extern "C" __global__ void combine_experts(Values outputs, const u32 *places, const float *gates, Values residual,
                                           Values output, u32 columns) {
    u64 token = blockIdx.x;
    u32 place = places[token];
    float gate = gates[token];
    for (u32 column = threadIdx.x; column < columns; column += blockDim.x) {
        float sum = residual.data ? load_one(residual, token * columns + column) : 0.0f;
        if (place != DROPPED) sum = fmaf(gate, load_one(outputs, (u64)place * columns + column), sum);
        store_one(output, token * columns + column, sum);
    }
}

// d_outputs[place] = gates[token] * d_output[token] and d_gates[place] = <d_output[token], outputs[place]> for the token
// `order[place]`: a block for each place.
extern "C" __global__ void combine_experts_gradient(Values d_output, Values outputs, const u32 *order, const float *gates,
                                                    Values d_outputs, float *d_gates, u32 columns) {
    u64 place = blockIdx.x, token = order[place];
    float gate = gates[token], sum = 0.0f;
    for (u32 column = threadIdx.x; column < columns; column += blockDim.x) {
        float dy = load_one(d_output, token * columns + column);
        sum = fmaf(dy, load_one(outputs, place * columns + column), sum);
        store_one(d_outputs, place * columns + column, gate * dy);
    }
    sum = block_sum(sum);
    if (threadIdx.x == 0) d_gates[place] = sum;
}
