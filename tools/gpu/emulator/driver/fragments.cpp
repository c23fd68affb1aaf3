// The product of a warp's fragments, as PTX lays them out for mma.m16n8k16 with bf16 operands: lane = 4 * group + member.
//   a: register r holds row group + 8 * (r % 2), columns 2 * member + 8 * (r / 2) and the next
//   b: register r holds column group, rows 2 * member + 8 * r and the next
//   d: value v belongs to row group + 8 * (v / 2), column 2 * member + v % 2

#include <cstring>

#include "driver.h"

namespace {

float from_bf16(unsigned bits) {
    unsigned whole = bits << 16;
    float value;
    memcpy(&value, &whole, sizeof value);
    return value;
}

}  // namespace

void multiply_fragments(const EmulatedFragments *const lanes[WARP]) {
    float a[16][16], b[16][8], d[16][8] = {};
    for (unsigned lane = 0; lane < WARP; ++lane) {
        unsigned group = lane / 4, member = lane % 4;
        for (unsigned r = 0; r < 4; ++r) {
            unsigned row = group + 8 * (r % 2), column = 2 * member + 8 * (r / 2), pair = lanes[lane]->a[r];
            a[row][column] = from_bf16(pair & 0xffff);
            a[row][column + 1] = from_bf16(pair >> 16);
        }
        for (unsigned r = 0; r < 2; ++r) {
            unsigned row = 2 * member + 8 * r, pair = lanes[lane]->b[r];
            b[row][group] = from_bf16(pair & 0xffff);
            b[row + 1][group] = from_bf16(pair >> 16);
        }
    }
    for (unsigned row = 0; row < 16; ++row) {
        for (unsigned inner = 0; inner < 16; ++inner) {
            for (unsigned column = 0; column < 8; ++column) d[row][column] += a[row][inner] * b[inner][column];
        }
    }
    for (unsigned lane = 0; lane < WARP; ++lane) {
        unsigned group = lane / 4, member = lane % 4;
        for (unsigned v = 0; v < 4; ++v) lanes[lane]->d[v] += d[group + 8 * (v / 2)][2 * member + v % 2];
    }
}
