// What the files of the emulated cuBLASLt share.
#pragma once

#include <cstddef>
#include <cstdint>

#define API extern "C" __attribute__((visibility("default")))

enum cublasStatus_t : int {
    CUBLAS_STATUS_SUCCESS = 0,
    CUBLAS_STATUS_NOT_INITIALIZED = 1,
    CUBLAS_STATUS_INVALID_VALUE = 7,
    CUBLAS_STATUS_NOT_SUPPORTED = 15,
};

// By cudaDataType_t's numbers.
enum Type : int { F32 = 0, BF16 = 14 };

// By cublasComputeType_t's numbers: sums in f32, of operands as they are or rounded to fewer bits.
enum Compute : int { COMPUTE_F32 = 68, COMPUTE_F32_PEDANTIC = 69, COMPUTE_BF16 = 75, COMPUTE_TF32 = 77 };

struct Layout {
    int type;
    int row_major = 0;
    uint64_t rows, columns;
    int64_t stride;
    int batch_count = 1;
    int64_t batch_stride = 0;
};

struct Descriptor {
    int compute, scale_type;
    int pointer_mode = 0;
    int transposed_a = 0, transposed_b = 0;
    int epilogue = 1;
    const void *bias = nullptr;
    // -1: the output's.
    int bias_type = -1;
    int64_t bias_batch_stride = 0;
};

struct Preference {
    uint64_t workspace_bytes = 0;
    // Of A, B, C and D.
    uint32_t alignments[4] = {256, 256, 256, 256};
};

// What the search promised: in place of cublasLtMatmulAlgo_t.
struct Algorithm {
    uint64_t magic;
    uint64_t workspace_bytes;
    uint32_t alignments[4];
    uint64_t unused[4];
};
static_assert(sizeof(Algorithm) == 64, "as large as cuBLASLt's");
constexpr uint64_t ALGORITHM_MAGIC = 0x6d7574616c756d65;

constexpr int EPILOGUE_NONE = 1, EPILOGUE_BIAS = 4;

// A matrix as an operand, `element(row, column) = data[row * row_step + column * column_step]`.
struct Operand {
    const void *data;
    int type;
    uint64_t rows, columns;
    int64_t row_step, column_step;
};

Operand operand(const Layout &layout, const void *data, bool transposed, int batch);

// d = alpha * a * b + beta * c, and `bias[row]` on every column where there is a bias; c and d have d's layout and may be
// the same memory.
struct Product {
    Operand a, b, c, d;
    float alpha, beta;
    const void *bias;
    int compute;
};

void multiply(const Product &product);
