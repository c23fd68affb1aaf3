// Updates of whole matrices: momentum, norms, and what Newton-Schulz iterations need beside products.

struct MomentumConstants {
    float momentum;
    float new_share;
    float gradient_scale;
};

// Nesterov's momentum: the average of gradients, and the average once more with the new gradient.
extern "C" __global__ void nesterov(Values gradients, Values average, Values output, u64 count, MomentumConstants c) {
    for (u64 i = thread_index(); i < count; i += thread_count()) {
        float fresh = c.new_share * (load_one(gradients, i) * c.gradient_scale);
        float mean = c.momentum * load_one(average, i) + fresh;
        store_one(average, i, mean);
        store_one(output, i, c.momentum * mean + fresh);
    }
}

// Divides by `factor` times the root of `squares`, or by `smallest`.
extern "C" __global__ void divide_by_norm(Values matrix, u64 count, const double *squares, float factor,
                                          float smallest) {
    double norm = (double)factor * sqrt(squares[0]);
    float inverse = (float)(1.0 / (norm > (double)smallest ? norm : (double)smallest));
    for (u64 i = thread_index(); i < count; i += thread_count()) {
        store_one(matrix, i, load_one(matrix, i) * inverse);
    }
}

// output += b * gram, and a on the diagonal of the square matrix.
extern "C" __global__ void add_polynomial(Values gram, Values output, u64 size, float a, float b) {
    for (u64 i = thread_index(); i < size * size; i += thread_count()) {
        float value = load_one(output, i) + b * load_one(gram, i);
        store_one(output, i, i / size == i % size ? value + a : value);
    }
}

// The sum of squares of a row, by a block each.
extern "C" __global__ void row_squares(Values matrix, u64 columns, double *sums) {
    u64 row = blockIdx.x;
    double sum = 0.0;
    for (u64 i = threadIdx.x; i < columns; i += blockDim.x) {
        double value = load_one(matrix, row * columns + i);
        sum += value * value;
    }
    sum = block_sum(sum);
    if (threadIdx.x == 0) sums[row] = sum;
}

// Follows the rows' mean squares and finds the factor of each row, by one block. With the factors the matrix has the
// norm that it has without.
extern "C" __global__ void row_factors(const double *sums, Values moments, u64 rows, u64 columns, double beta2,
                                       double epsilon, float *factors) {
    double before = 0.0, after = 0.0;
    for (u64 row = threadIdx.x; row < rows; row += blockDim.x) {
        double moment = beta2 * (double)load_one(moments, row) + (1.0 - beta2) * sums[row] / (double)columns;
        double factor = 1.0 / (sqrt(moment) + epsilon);
        before += sums[row];
        after += sums[row] * factor * factor;
    }
    before = block_sum(before);
    after = block_sum(after);
    double whole = sqrt(before) / (sqrt(after) + epsilon);
    for (u64 row = threadIdx.x; row < rows; row += blockDim.x) {
        double moment = beta2 * (double)load_one(moments, row) + (1.0 - beta2) * sums[row] / (double)columns;
        store_one(moments, row, (float)moment);
        factors[row] = (float)(whole / (sqrt(moment) + epsilon));
    }
}

// Multiplies each row by its factor, by a block each.
extern "C" __global__ void scale_rows(Values matrix, u64 columns, const float *factors) {
    u64 row = blockIdx.x;
    float factor = factors[row];
    for (u64 i = threadIdx.x; i < columns; i += blockDim.x) {
        store_one(matrix, row * columns + i, load_one(matrix, row * columns + i) * factor);
    }
}
