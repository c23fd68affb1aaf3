// Tests of the emulated cuBLASLt against plain sums.

#include "host.h"

#include <chrono>
#include <cmath>

namespace {

constexpr int F32 = 0, BF16 = 14;

struct Shape {
    unsigned long long rows, columns;
    long long stride;
    bool row_major;
};

struct Case {
    int operands, output;
    bool transposed_a, transposed_b, row_major_output, bias;
    float alpha, beta;
    int batches = 1;
};

void *create_layout(int type, const Shape &shape, int batches) {
    void *layout = nullptr;
    CHECK(products("cublasLtMatrixLayoutCreate", &layout, type, shape.rows, shape.columns, shape.stride) == 0);
    int order = shape.row_major;
    long long step = shape.stride * (long long)(shape.row_major ? shape.rows : shape.columns);
    CHECK(products("cublasLtMatrixLayoutSetAttribute", layout, 1, (void *)&order, sizeof order) == 0);
    CHECK(products("cublasLtMatrixLayoutSetAttribute", layout, 5, (void *)&batches, sizeof batches) == 0);
    CHECK(products("cublasLtMatrixLayoutSetAttribute", layout, 6, (void *)&step, sizeof step) == 0);
    return layout;
}

// A matrix on the device with gaps between its lines, and its values as the device has them.
struct Matrix {
    int type;
    Shape shape;
    std::vector<float> values;
    Pointer pointer = 0;

    Matrix(int type, const Shape &shape, int batches, unsigned &state) : type(type), shape(shape) {
        values.resize(batches * lines() * shape.stride);
        for (float &value : values) value = next_random(state);
        if (type == BF16) {
            std::vector<unsigned short> bits;
            for (float &value : values) bits.push_back(to_bf16(value)), value = from_bf16(bits.back());
            fill(bits.data(), bits.size() * 2);
        } else {
            fill(values.data(), values.size() * 4);
        }
    }
    ~Matrix() {
        driver("cuMemFree_v2", pointer);
    }
    unsigned long long lines() const {
        return shape.row_major ? shape.rows : shape.columns;
    }
    void fill(const void *from, size_t bytes) {
        CHECK(driver("cuMemAlloc_v2", &pointer, bytes) == 0);
        CHECK(driver("cuMemcpyHtoD_v2", pointer, from, bytes) == 0);
    }
    size_t place(size_t row, size_t column, int batch) const {
        size_t in_batch = shape.row_major ? row * shape.stride + column : column * shape.stride + row;
        return batch * lines() * shape.stride + in_batch;
    }
    float at(size_t row, size_t column, bool transposed, int batch) const {
        return transposed ? values[place(column, row, batch)] : values[place(row, column, batch)];
    }
    std::vector<float> read() const {
        std::vector<float> result(values.size());
        if (type == F32) {
            CHECK(driver("cuMemcpyDtoH_v2", (void *)result.data(), pointer, result.size() * 4) == 0);
            return result;
        }
        std::vector<unsigned short> bits(values.size());
        CHECK(driver("cuMemcpyDtoH_v2", (void *)bits.data(), pointer, bits.size() * 2) == 0);
        for (size_t index = 0; index < bits.size(); ++index) result[index] = from_bf16(bits[index]);
        return result;
    }
};

// The descriptors of one product.
struct Prepared {
    void *handle = nullptr, *how = nullptr, *preference = nullptr;
    unsigned long long algorithm[16] = {};
    int status = 0;

    Prepared(const Case &test, Pointer bias, void *a, void *b, void *d) {
        CHECK(products("cublasLtCreate", &handle) == 0);
        CHECK(products("cublasLtMatmulDescCreate", &how, 68, F32) == 0);
        int transposed_a = test.transposed_a, transposed_b = test.transposed_b, epilogue = 4, bias_type = test.output;
        products("cublasLtMatmulDescSetAttribute", how, 3, (void *)&transposed_a, sizeof(int));
        products("cublasLtMatmulDescSetAttribute", how, 4, (void *)&transposed_b, sizeof(int));
        if (test.bias) {
            products("cublasLtMatmulDescSetAttribute", how, 7, (void *)&epilogue, sizeof(int));
            products("cublasLtMatmulDescSetAttribute", how, 8, (void *)&bias, sizeof bias);
            products("cublasLtMatmulDescSetAttribute", how, 26, (void *)&bias_type, sizeof(int));
        }
        CHECK(products("cublasLtMatmulPreferenceCreate", &preference) == 0);
        unsigned alignment = 16;
        for (int attribute : {5, 6, 7, 8}) {
            CHECK(products("cublasLtMatmulPreferenceSetAttribute", preference, attribute, (void *)&alignment, (size_t)4) == 0);
        }
        int count = 0;
        status = products("cublasLtMatmulAlgoGetHeuristic", handle, how, a, b, d, d, preference, 1, (void *)algorithm, &count);
        CHECK((count == 1) == (status == 0));
    }
    ~Prepared() {
        products("cublasLtMatmulPreferenceDestroy", preference);
        products("cublasLtMatmulDescDestroy", how);
        products("cublasLtDestroy", handle);
    }
    int run(const Case &test, Pointer a, void *a_layout, Pointer b, void *b_layout, Pointer d, void *d_layout) {
        return products("cublasLtMatmul", handle, how, &test.alpha, (void *)a, a_layout, (void *)b, b_layout, &test.beta,
                        (void *)d, d_layout, (void *)d, d_layout, (void *)algorithm, (void *)nullptr, (size_t)0,
                        (void *)nullptr);
    }
};

void test_case(const Case &test, size_t m, size_t n, size_t k) {
    unsigned state = (unsigned)(m * 131 + n * 17 + k);
    auto shape = [](bool transposed, size_t rows, size_t columns, bool row_major) {
        if (transposed) std::swap(rows, columns);
        return Shape{rows, columns, (long long)(row_major ? columns : rows) + 3, row_major};
    };
    Matrix a(test.operands, shape(test.transposed_a, m, k, false), test.batches, state);
    Matrix b(test.operands, shape(test.transposed_b, k, n, false), test.batches, state);
    Matrix d(test.output, shape(false, m, n, test.row_major_output), test.batches, state);
    Matrix bias(test.output, {m, 1, (long long)m, false}, 1, state);
    void *a_layout = create_layout(a.type, a.shape, test.batches), *b_layout = create_layout(b.type, b.shape, test.batches);
    void *d_layout = create_layout(d.type, d.shape, test.batches);
    Prepared prepared(test, bias.pointer, a_layout, b_layout, d_layout);
    CHECK(prepared.status == 0);
    CHECK(prepared.run(test, a.pointer, a_layout, b.pointer, b_layout, d.pointer, d_layout) == 0);
    auto got = d.read();
    auto expected = d.values;
    for (int batch = 0; batch < test.batches; ++batch) {
        for (size_t row = 0; row < m; ++row) {
            for (size_t column = 0; column < n; ++column) {
                double sum = 0;
                for (size_t inner = 0; inner < k; ++inner) {
                    sum += (double)a.at(row, inner, test.transposed_a, batch) * b.at(inner, column, test.transposed_b, batch);
                }
                sum = test.alpha * sum + (test.bias ? bias.values[row] : 0.0f);
                float &value = expected[d.place(row, column, batch)];
                value = (float)(sum + (test.beta == 0.0f ? 0.0 : (double)test.beta * value));
            }
        }
    }
    // What is between the lines stays.
    for (size_t index = 0; index < got.size(); ++index) {
        double tolerance = test.output == BF16 ? std::fabs(expected[index]) / 256 + 1e-6 : 1e-5 * std::sqrt((double)k);
        CHECK(std::fabs(got[index] - expected[index]) <= tolerance);
    }
    for (void *layout : {a_layout, b_layout, d_layout}) products("cublasLtMatrixLayoutDestroy", layout);
}

void test_refusals() {
    unsigned state = 5;
    Shape shape = {4, 4, 4, false}, other = {5, 4, 5, false};
    Matrix matrix(F32, {8, 8, 8, false}, 1, state);
    void *f32 = create_layout(F32, shape, 1), *bf16 = create_layout(BF16, shape, 1), *larger = create_layout(F32, other, 1);
    Case plain = {F32, F32, false, false, false, false, 1, 0};
    CHECK(Prepared(plain, 0, f32, f32, bf16).status == 15);
    CHECK(Prepared(plain, 0, f32, bf16, f32).status == 15);
    CHECK(Prepared(plain, 0, f32, larger, f32).status == 7);
    Prepared prepared(plain, 0, f32, f32, f32);
    CHECK(prepared.status == 0);
    CHECK(prepared.run(plain, matrix.pointer, f32, matrix.pointer, f32, matrix.pointer + 128, f32) == 0);
    // Chosen for multiples of 16.
    CHECK(prepared.run(plain, matrix.pointer + 4, f32, matrix.pointer, f32, matrix.pointer + 128, f32) == 7);
    Case with_bias = {F32, F32, false, false, false, true, 1, 0};
    Prepared unaligned(with_bias, matrix.pointer + 4, f32, f32, f32);
    CHECK(unaligned.run(with_bias, matrix.pointer, f32, matrix.pointer, f32, matrix.pointer + 128, f32) == 7);
    for (void *layout : {f32, bf16, larger}) products("cublasLtMatrixLayoutDestroy", layout);
}

void report_speed() {
    unsigned state = 9;
    const size_t m = 768, n = 512, k = 768;
    Matrix a(F32, {m, k, (long long)m, false}, 1, state), b(F32, {k, n, (long long)k, false}, 1, state);
    Matrix d(F32, {m, n, (long long)m, false}, 1, state);
    void *a_layout = create_layout(F32, a.shape, 1), *b_layout = create_layout(F32, b.shape, 1);
    void *d_layout = create_layout(F32, d.shape, 1);
    Case plain = {F32, F32, false, false, false, false, 1, 0};
    Prepared prepared(plain, 0, a_layout, b_layout, d_layout);
    auto start = std::chrono::steady_clock::now();
    CHECK(prepared.run(plain, a.pointer, a_layout, b.pointer, b_layout, d.pointer, d_layout) == 0);
    double seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
    printf("a product of %zu x %zu x %zu: %.1f GFLOP/s\n", m, n, k, 2e-9 * m * n * k / seconds);
    for (void *layout : {a_layout, b_layout, d_layout}) products("cublasLtMatrixLayoutDestroy", layout);
}

}  // namespace

void test_products() {
    for (auto [operands, output] : {std::pair{F32, F32}, {BF16, F32}, {BF16, BF16}}) {
        for (int bits = 0; bits < 16; ++bits) {
            bool bias = bits & 8;
            Case test = {operands, output, bool(bits & 1), bool(bits & 2), bool(bits & 4), bias, bias ? 0.5f : 1.0f,
                         bias ? 2.0f : 0.0f, 1 + (bits == 5)};
            test_case(test, 37, 13, 29);
            test_case(test, 64, 1, 1100);
            test_case(test, 1, 6, 1);
        }
    }
    test_refusals();
    report_speed();
}
