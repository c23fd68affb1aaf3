// Operations on values one by one. SwiGLU, GeGLU and dropout, which look at rows, have a block for each.

template <int W> __device__ void convert_values(Values from_values, Values to, u64 count) {
    for (u64 i = thread_index() * W; i < count; i += thread_count() * W) store<W>(to, i, load<W>(from_values, i));
}

// to = from, from one type to another.
extern "C" __global__ void convert(Values from_values, Values to, u64 count, u32 wide) {
    if (wide) {
        convert_values<4>(from_values, to, count);
    } else {
        convert_values<1>(from_values, to, count);
    }
}

extern "C" __global__ void fill(Values to, u64 count, float value) {
    for (u64 i = thread_index(); i < count; i += thread_count()) store_one(to, i, value);
}

template <int W> __device__ void add_all(Values from_values, Values to, u64 count) {
    for (u64 i = thread_index() * W; i < count; i += thread_count() * W) {
        Pack<W> sum = load<W>(to, i), value = load<W>(from_values, i);
        for (int k = 0; k < W; k++) sum.v[k] += value.v[k];
        store<W>(to, i, sum);
    }
}

// to += from.
extern "C" __global__ void add(Values from_values, Values to, u64 count, u32 wide) {
    if (wide) {
        add_all<4>(from_values, to, count);
    } else {
        add_all<1>(from_values, to, count);
    }
}

// output = factor * input.
extern "C" __global__ void scale(Values input, float factor, Values output, u64 count) {
    for (u64 i = thread_index(); i < count; i += thread_count()) store_one(output, i, factor * load_one(input, i));
}

// output (+)= first * second.
extern "C" __global__ void multiply(Values first, Values second, Values output, u64 count, u32 accumulate) {
    for (u64 i = thread_index(); i < count; i += thread_count()) {
        float product = load_one(first, i) * load_one(second, i);
        store_one(output, i, accumulate ? load_one(output, i) + product : product);
    }
}

// ---- Activations: the function, and its gradient from that of its result.

#define GELU 0
#define EXACT_GELU 1
#define RELU 2
#define TANH 3

__device__ __forceinline__ float activate(u32 kind, float x) {
    const float root = 0.7978846f, cube = 0.044715f, inverse_root2 = 0.70710678f;
    if (kind == GELU) return 0.5f * x * (1.0f + tanhf(root * (x + cube * x * x * x)));
    if (kind == EXACT_GELU) return 0.5f * x * (1.0f + erff(x * inverse_root2));
    if (kind == TANH) return tanhf(x);
    return x > 0.0f ? x : 0.0f;
}

// Of the rectifier and the tangent, `x` is their result.
__device__ __forceinline__ float slope(u32 kind, float x) {
    const float root = 0.7978846f, cube = 0.044715f, inverse_root2 = 0.70710678f, density = 0.3989423f;
    if (kind == GELU) {
        float t = tanhf(root * (x + cube * x * x * x));
        return 0.5f * (1.0f + t) + 0.5f * x * (1.0f - t * t) * (root * (1.0f + 3.0f * cube * x * x));
    }
    if (kind == EXACT_GELU) return 0.5f * (1.0f + erff(x * inverse_root2)) + x * density * expf(-0.5f * x * x);
    if (kind == TANH) return 1.0f - x * x;
    return x > 0.0f ? 1.0f : 0.0f;
}

template <int W> __device__ void activate_all(u32 kind, Values input, Values output, u64 count) {
    for (u64 i = thread_index() * W; i < count; i += thread_count() * W) {
        Pack<W> x = load<W>(input, i);
        for (int k = 0; k < W; k++) x.v[k] = activate(kind, x.v[k]);
        store<W>(output, i, x);
    }
}

extern "C" __global__ void activation(u32 kind, Values input, Values output, u64 count, u32 wide) {
    if (wide) {
        activate_all<4>(kind, input, output, count);
    } else {
        activate_all<1>(kind, input, output, count);
    }
}

template <int W>
__device__ void activate_all_gradient(u32 kind, Values d_output, Values input, Values d_input, u64 count) {
    for (u64 i = thread_index() * W; i < count; i += thread_count() * W) {
        Pack<W> dy = load<W>(d_output, i), x = load<W>(input, i);
        for (int k = 0; k < W; k++) dy.v[k] *= slope(kind, x.v[k]);
        store<W>(d_input, i, dy);
    }
}

extern "C" __global__ void activation_gradient(u32 kind, Values d_output, Values input, Values d_input, u64 count,
                                               u32 wide) {
    if (wide) {
        activate_all_gradient<4>(kind, d_output, input, d_input, count);
    } else {
        activate_all_gradient<1>(kind, d_output, input, d_input, count);
    }
}

// ---- SwiGLU: rows of `2 * width`, gate then up. A block takes a row.

__device__ __forceinline__ float sigmoid(float x) {
    return __fdividef(1.0f, 1.0f + expf(-x));
}

template <int W> __device__ void swiglu_row(Values gate_up, Values output, u32 width) {
    u64 row = blockIdx.x, in = row * 2 * width, out = row * width;
    for (u32 i = threadIdx.x * W; i < width; i += blockDim.x * W) {
        Pack<W> gate = load<W>(gate_up, in + i), up = load<W>(gate_up, in + width + i);
        for (int k = 0; k < W; k++) gate.v[k] = gate.v[k] * sigmoid(gate.v[k]) * up.v[k];
        store<W>(output, out + i, gate);
    }
}

extern "C" __global__ void swiglu(Values gate_up, Values output, u32 width, u32 wide) {
    if (wide) {
        swiglu_row<8>(gate_up, output, width);
    } else {
        swiglu_row<1>(gate_up, output, width);
    }
}

template <int W> __device__ void swiglu_row_gradient(Values d_output, Values gate_up, Values d_gate_up, u32 width) {
    u64 row = blockIdx.x, in = row * 2 * width, out = row * width;
    for (u32 i = threadIdx.x * W; i < width; i += blockDim.x * W) {
        Pack<W> gate = load<W>(gate_up, in + i), up = load<W>(gate_up, in + width + i);
        Pack<W> dy = load<W>(d_output, out + i), d_gate, d_up;
        for (int k = 0; k < W; k++) {
            float g = gate.v[k], s = sigmoid(g);
            d_gate.v[k] = dy.v[k] * up.v[k] * s * (1.0f + g * (1.0f - s));
            d_up.v[k] = dy.v[k] * g * s;
        }
        store<W>(d_gate_up, in + i, d_gate);
        store<W>(d_gate_up, in + width + i, d_up);
    }
}

extern "C" __global__ void swiglu_gradient(Values d_output, Values gate_up, Values d_gate_up, u32 width, u32 wide) {
    if (wide) {
        swiglu_row_gradient<8>(d_output, gate_up, d_gate_up, width);
    } else {
        swiglu_row_gradient<1>(d_output, gate_up, d_gate_up, width);
    }
}

// ---- GeGLU: rows of `2 * width`, up then gate. A block takes a row.

extern "C" __global__ void geglu(Values up_gate, Values output, u32 width) {
    u64 row = blockIdx.x, in = row * 2 * width, out = row * width;
    for (u32 i = threadIdx.x; i < width; i += blockDim.x) {
        store_one(output, out + i, load_one(up_gate, in + i) * activate(GELU, load_one(up_gate, in + width + i)));
    }
}

extern "C" __global__ void geglu_gradient(Values d_output, Values up_gate, Values d_up_gate, u32 width) {
    u64 row = blockIdx.x, in = row * 2 * width, out = row * width;
    for (u32 i = threadIdx.x; i < width; i += blockDim.x) {
        float dy = load_one(d_output, out + i), up = load_one(up_gate, in + i), gate = load_one(up_gate, in + width + i);
        store_one(d_up_gate, in + i, dy * activate(GELU, gate));
        store_one(d_up_gate, in + width + i, dy * up * slope(GELU, gate));
    }
}

// ---- Dropout: output = input * mask (+ residual). A block takes a row.

template <int W>
__device__ void drop_row(Values input, Values residual, DropoutMask mask, Values output, u32 columns) {
    u64 row = blockIdx.x, start = row * columns;
    for (u32 i = threadIdx.x * W; i < columns; i += blockDim.x * W) {
        Pack<W> value = load<W>(input, start + i);
        for (int k = 0; k < W; k++) value.v[k] *= dropout_factor(mask, row, i + k, columns);
        if (residual.data) {
            Pack<W> more = load<W>(residual, start + i);
            for (int k = 0; k < W; k++) value.v[k] += more.v[k];
        }
        store<W>(output, start + i, value);
    }
}

extern "C" __global__ void dropout(Values input, Values residual, DropoutMask mask, Values output, u32 columns,
                                   u32 wide) {
    if (wide) {
        drop_row<4>(input, residual, mask, output, columns);
    } else {
        drop_row<1>(input, residual, mask, output, columns);
    }
}
