// The product itself: operands are copied as f32 into panels, and tiles of sums stay in registers.

#include <algorithm>
#include <cstring>
#include <vector>

#include "cublaslt.h"

namespace {

typedef float Lanes __attribute__((vector_size(64)));
constexpr uint64_t LANES = 16, TILE_ROWS = 2 * LANES, TILE_COLUMNS = 6;
// Sums of this many products are added up apart, for accuracy's sake.
constexpr uint64_t DEPTH = 512;

float from_bits(uint32_t bits) {
    float value;
    memcpy(&value, &bits, sizeof value);
    return value;
}

uint32_t to_bits(float value) {
    uint32_t bits;
    memcpy(&bits, &value, sizeof bits);
    return bits;
}

// To the nearest number whose lowest `dropped` bits are zero, ties to even.
float rounded(float value, int dropped) {
    uint32_t bits = to_bits(value);
    if ((bits & 0x7fffffff) > 0x7f800000) return value;
    uint32_t low = bits >> dropped & 1, half = (1u << (dropped - 1)) - 1;
    return from_bits((bits + half + low) >> dropped << dropped);
}

float load(const void *data, int type, int64_t index) {
    if (type == F32) return ((const float *)data)[index];
    return from_bits((uint32_t)((const uint16_t *)data)[index] << 16);
}

void store(void *data, int type, int64_t index, float value) {
    if (type == F32) {
        ((float *)data)[index] = value;
    } else if (value != value) {
        ((uint16_t *)data)[index] = 0x7fc0;
    } else {
        ((uint16_t *)data)[index] = (uint16_t)(to_bits(rounded(value, 16)) >> 16);
    }
}

float as_computed(float value, int compute) {
    return compute == COMPUTE_TF32 ? rounded(value, 13) : compute == COMPUTE_BF16 ? rounded(value, 16) : value;
}

// Panels of `width` rows, each [columns, width]; rows beyond the last one are zero.
std::vector<float> pack(const Operand &from, uint64_t width, int compute) {
    uint64_t panels = (from.rows + width - 1) / width;
    std::vector<float> packed(panels * width * from.columns, 0.0f);
    for (uint64_t row = 0; row < from.rows; ++row) {
        float *to = &packed[row / width * width * from.columns + row % width];
        int64_t index = (int64_t)row * from.row_step;
        for (uint64_t column = 0; column < from.columns; ++column, index += from.column_step) {
            to[column * width] = as_computed(load(from.data, from.type, index), compute);
        }
    }
    return packed;
}

Operand transposed(const Operand &operand) {
    return {operand.data, operand.type, operand.columns, operand.rows, operand.column_step, operand.row_step};
}

struct Tile {
    Lanes sums[TILE_COLUMNS][2];
};

// Sums over `depth` of a panel's rows of A by a panel's columns of B.
void multiply_tile(Tile &tile, const float *a, const float *b, uint64_t depth) {
    Tile sums = {};
    for (uint64_t inner = 0; inner < depth; ++inner, a += TILE_ROWS, b += TILE_COLUMNS) {
        Lanes low, high;
        memcpy(&low, a, sizeof low);
        memcpy(&high, a + LANES, sizeof high);
        for (uint64_t column = 0; column < TILE_COLUMNS; ++column) {
            sums.sums[column][0] += low * b[column];
            sums.sums[column][1] += high * b[column];
        }
    }
    for (uint64_t column = 0; column < TILE_COLUMNS; ++column) {
        tile.sums[column][0] += sums.sums[column][0];
        tile.sums[column][1] += sums.sums[column][1];
    }
}

void store_tile(const Product &product, const Tile &tile, uint64_t first_row, uint64_t first_column) {
    const Operand &c = product.c, &d = product.d;
    for (uint64_t column = 0; column < std::min(TILE_COLUMNS, d.columns - first_column); ++column) {
        for (uint64_t row = 0; row < std::min(TILE_ROWS, d.rows - first_row); ++row) {
            int64_t whole_row = (int64_t)(first_row + row), whole_column = (int64_t)(first_column + column);
            float value = product.alpha * tile.sums[column][row / LANES][row % LANES];
            // Where beta is zero, C is not read.
            if (product.beta != 0.0f) {
                value += product.beta * load(c.data, c.type, whole_row * c.row_step + whole_column * c.column_step);
            }
            if (product.bias) value += load(product.bias, d.type, whole_row);
            store((void *)d.data, d.type, whole_row * d.row_step + whole_column * d.column_step, value);
        }
    }
}

}  // namespace

Operand operand(const Layout &layout, const void *data, bool is_transposed, int batch) {
    size_t size = layout.type == F32 ? 4 : 2;
    const void *start = (const char *)data + (int64_t)size * batch * layout.batch_stride;
    int64_t row_step = layout.row_major ? layout.stride : 1, column_step = layout.row_major ? 1 : layout.stride;
    Operand result = {start, layout.type, layout.rows, layout.columns, row_step, column_step};
    return is_transposed ? transposed(result) : result;
}

void multiply(const Product &product) {
    uint64_t inner = product.a.columns;
    std::vector<float> a = pack(product.a, TILE_ROWS, product.compute);
    std::vector<float> b = pack(transposed(product.b), TILE_COLUMNS, product.compute);
    for (uint64_t row = 0; row < product.d.rows; row += TILE_ROWS) {
        for (uint64_t column = 0; column < product.d.columns; column += TILE_COLUMNS) {
            Tile tile = {};
            for (uint64_t done = 0; done < inner; done += DEPTH) {
                multiply_tile(tile, &a[row * inner + done * TILE_ROWS], &b[column * inner + done * TILE_COLUMNS],
                              std::min(DEPTH, inner - done));
            }
            store_tile(product, tile, row, column);
        }
    }
}
