// Attention on tensor cores, for bf16 queries, keys and values whose rows begin at multiples of sixteen bytes, and heads of
// up to 128 channels, a multiple of eight. Products are of bf16 values with f32 sums, everything else is f32; weights and
// their gradients are rounded to bf16 for the second product, as in FlashAttention-2 (arXiv 2307.08691).
//
// A warp has 16 queries, or 16 keys in `keys_gradient`, and keeps their sums in registers. `W` is the number of channels,
// rounded up to 32, 64, 96 or 128; channels past the last one are zeros.

#define WARPS 4
#define THREADS (WARPS * WARP)
#define KEYS 64
#define QUERIES 64
// Rows of a warp.
#define ROWS 16
// Queries or keys whose scores a warp of a backward kernel holds at a time.
#define PART 32
#define LOG2_E 1.4426950408889634f
#define LN_2 0.6931471805599453f
#define INFINITE __int_as_float(0x7f800000)

// ---- Instructions. Lane `l` is of group `l / 4` and number `l % 4` in it.
//
// A left operand's fragment is 16 rows by 16 columns, a right operand's 16 by 8, the sums' 16 by 8: a lane has columns
// `2 * number` and the next one of rows `group` and `group + 8`, so that sums become a left operand by packing them.

// sums += left * right.
__device__ __forceinline__ void mma_m16n8k16(float (&sums)[4], const u32 (&left)[4], const u32 *right) {
#ifndef EMULATED
    asm volatile("mma.sync.aligned.m16n8k16.row.col.f32.bf16.bf16.f32 {%0,%1,%2,%3}, {%4,%5,%6,%7}, {%8,%9}, {%0,%1,%2,%3};"
        : "+f"(sums[0]), "+f"(sums[1]), "+f"(sums[2]), "+f"(sums[3])
        : "r"(left[0]), "r"(left[1]), "r"(left[2]), "r"(left[3]), "r"(right[0]), "r"(right[1]));
#else
    emulated_mma_m16n8k16(sums, left, right);
#endif
}

// Four matrices of 8 by 8 from shared memory: lane `8 * m + r` holds where row `r` of matrix `m` begins; a lane gets two
// neighbours of row `group`, or of column `group` when they are read as transposed.
template <bool TRANSPOSED> __device__ __forceinline__ void load_matrices(u32 (&fragment)[4], const bf16 *row) {
#ifndef EMULATED
    u32 address = (u32)__cvta_generic_to_shared(row);
    if (TRANSPOSED) {
        asm volatile("ldmatrix.sync.aligned.m8n8.x4.trans.shared.b16 {%0,%1,%2,%3}, [%4];"
                     : "=r"(fragment[0]), "=r"(fragment[1]), "=r"(fragment[2]), "=r"(fragment[3])
                     : "r"(address)
                     : "memory");
    } else {
        asm volatile("ldmatrix.sync.aligned.m8n8.x4.shared.b16 {%0,%1,%2,%3}, [%4];"
                     : "=r"(fragment[0]), "=r"(fragment[1]), "=r"(fragment[2]), "=r"(fragment[3])
                     : "r"(address)
                     : "memory");
    }
#else
    u32 group = threadIdx.x % WARP / 4, pair = threadIdx.x % 4 * 2;
    for (u32 m = 0; m < 4; m++) {
        u32 first = 8 * m + (TRANSPOSED ? pair : group), second = TRANSPOSED ? first + 1 : first;
        const bf16 *low = (const bf16 *)__shfl_sync(ALL_LANES, (u64)row, first);
        const bf16 *high = (const bf16 *)__shfl_sync(ALL_LANES, (u64)row, second);
        fragment[m] = (u32)low[TRANSPOSED ? group : pair].bits | ((u32)high[TRANSPOSED ? group : pair + 1].bits << 16);
    }
#endif
}

__device__ __forceinline__ float power_of_two(float exponent) {
#ifndef EMULATED
    float power;
    asm("ex2.approx.ftz.f32 %0, %1;" : "=f"(power) : "f"(exponent));
    return power;
#else
    return expf(exponent * LN_2);
#endif
}

// ---- Tiles in shared memory. A row has 16 more bytes than values, which spreads a column over all banks.

template <int W> struct TileShape {
    static const int STRIDE = W + 8;
    // 16-byte pieces of a tile of keys.
    static const int PIECES = KEYS * STRIDE / 8;
};

// Rows of one head into shared memory, zeros after the last row and the last channel.
template <int W, int CAPACITY>
__device__ __forceinline__ void load_tile(bf16 *to, Values from, u32 stride, KeyRows rows, u32 count, u32 head_dim) {
    const int CHUNKS = W / 8;
#pragma unroll
    for (int step = 0; step < CAPACITY * CHUNKS / THREADS; step++) {
        u32 index = step * THREADS + threadIdx.x;
        u32 row = index / CHUNKS, channel = index % CHUNKS * 8;
        uint4 chunk = make_uint4(0, 0, 0, 0);
        if (row < count && channel < head_dim) {
            chunk = *(const uint4 *)((const bf16 *)from.data + row_of(rows, row) * stride + channel);
        }
        *(uint4 *)(to + row * TileShape<W>::STRIDE + channel) = chunk;
    }
}

// A left operand: 16 rows of a tile from `row` on, 16 channels from `channel` on.
template <int W> __device__ __forceinline__ void load_left(u32 (&fragment)[4], const bf16 *tile, u32 row, u32 channel) {
    u32 lane = threadIdx.x % WARP;
    load_matrices<false>(fragment, tile + (row + lane % 16) * TileShape<W>::STRIDE + channel + lane / 16 * 8);
}

// Two right operands, for a product over channels: 16 rows of a tile are 16 columns of the product.
template <int W>
__device__ __forceinline__ void load_over_channels(u32 (&fragments)[4], const bf16 *tile, u32 row, u32 channel) {
    u32 lane = threadIdx.x % WARP;
    u32 place = (row + lane % 8 + lane / 16 * 8) * TileShape<W>::STRIDE + channel + lane / 8 % 2 * 8;
    load_matrices<false>(fragments, tile + place);
}

// Two right operands, for a product over rows: 16 channels of a tile are 16 columns of the product.
template <int W> __device__ __forceinline__ void load_over_rows(u32 (&fragments)[4], const bf16 *tile, u32 row, u32 channel) {
    u32 lane = threadIdx.x % WARP;
    load_matrices<true>(fragments, tile + (row + lane % 16) * TileShape<W>::STRIDE + channel + lane / 16 * 8);
}

template <int N> __device__ __forceinline__ void clear(float (&sums)[N][4]) {
#pragma unroll
    for (int n = 0; n < N; n++) {
        for (int e = 0; e < 4; e++) sums[n][e] = 0.0f;
    }
}

// Adds the product of this warp's weights, with 16 rows of a tile, and those rows.
template <int W>
__device__ __forceinline__ void mix_rows(float (&sums)[W / 8][4], const float (&first)[4], const float (&second)[4],
                                         const bf16 *tile, u32 row) {
    u32 weights[4] = {pack_bf16(first[0], first[1]), pack_bf16(first[2], first[3]), pack_bf16(second[0], second[1]),
                      pack_bf16(second[2], second[3])};
#pragma unroll
    for (int n = 0; n < W / 16; n++) {
        u32 rows[4];
        load_over_rows<W>(rows, tile, row, n * 16);
        mma_m16n8k16(sums[2 * n], weights, rows);
        mma_m16n8k16(sums[2 * n + 1], weights, rows + 2);
    }
}

__device__ __forceinline__ void store_pair(Values to, u64 place, float first, float second) {
    if (to.compact) {
        *(u32 *)((bf16 *)to.data + place) = pack_bf16(first, second);
    } else {
        *(float2 *)((float *)to.data + place) = make_float2(first, second);
    }
}

// One row of sums (`half` 1: the one eight further down), times `scale`.
template <int W>
__device__ __forceinline__ void store_row(Values to, u64 place, const float (&sums)[W / 8][4], int half, float scale,
                                          u32 head_dim) {
    u32 pair = threadIdx.x % 4 * 2;
#pragma unroll
    for (int n = 0; n < W / 8; n++) {
        if (n * 8 < head_dim) store_pair(to, place + n * 8 + pair, sums[n][2 * half] * scale, sums[n][2 * half + 1] * scale);
    }
}

// The sum, or the largest, of what the four lanes of a group have.
__device__ __forceinline__ float group_sum(float value) {
    value += __shfl_xor_sync(ALL_LANES, value, 1);
    return value + __shfl_xor_sync(ALL_LANES, value, 2);
}

__device__ __forceinline__ float group_max(float value) {
    value = fmaxf(value, __shfl_xor_sync(ALL_LANES, value, 1));
    return fmaxf(value, __shfl_xor_sync(ALL_LANES, value, 2));
}

// ---- Forward: a tile of queries with one head.

template <int W>
__device__ __forceinline__ void forward(const Attention &attention, Values queries, Values keys, Values values, Values output,
                                        float *logsumexp, DropoutMask mask) {
    __shared__ uint4 memory[2 * TileShape<W>::PIECES];
    bf16 *key_tile = (bf16 *)memory, *value_tile = key_tile + KEYS * TileShape<W>::STRIDE;
    Tile tile = attention.tiles[blockIdx.x / attention.num_heads];
    u32 head = blockIdx.x % attention.num_heads, head_dim = attention.head_dim;
    u32 lane = threadIdx.x % WARP, pair = lane % 4 * 2, first = threadIdx.x / WARP * ROWS, query = first + lane / 4;
    keys = from(keys, head / attention.group * head_dim);
    values = from(values, head / attention.group * head_dim);
    WeightDropout dropout = weight_dropout(mask, tile.query, head, attention.num_heads);

    u32 query_parts[W / 16][4];
    load_tile<W, QUERIES>(key_tile, from(queries, head * head_dim), attention.query_stride, query_rows(tile, 0), tile.queries,
                          head_dim);
    __syncthreads();
#pragma unroll
    for (int step = 0; step < W / 16; step++) load_left<W>(query_parts[step], key_tile, first, step * 16);

    // Scores are in powers of two, not of e.
    float scale = attention.scale * LOG2_E;
    u32 seen[2] = {visible(tile, query), visible(tile, query + 8)};
    u32 seen_by_all = visible(tile, first), seen_by_any = first < tile.queries ? visible(tile, first + ROWS - 1) : 0;
    float sums[W / 8][4], top[2] = {NEGATIVE_INFINITY, NEGATIVE_INFINITY}, total[2] = {0.0f, 0.0f};
    clear(sums);
    for (u32 start = 0; start < tile.keys; start += KEYS) {
        u32 count = smaller(KEYS, tile.keys - start);
        KeyRows rows = key_rows(attention, tile, start);
        __syncthreads();
        load_tile<W, KEYS>(key_tile, keys, attention.key_stride, rows, count, head_dim);
        load_tile<W, KEYS>(value_tile, values, attention.value_stride, rows, count, head_dim);
        __syncthreads();
        if (start >= seen_by_any) continue;
        u32 blocks = (smaller(KEYS, seen_by_any - start) + 15) / 16;
        float scores[KEYS / 8][4];
        clear(scores);
#pragma unroll
        for (int block = 0; block < KEYS / 16; block++) {
            if (block >= blocks) continue;
#pragma unroll
            for (int step = 0; step < W / 16; step++) {
                u32 parts[4];
                load_over_channels<W>(parts, key_tile, block * 16, step * 16);
                mma_m16n8k16(scores[2 * block], query_parts[step], parts);
                mma_m16n8k16(scores[2 * block + 1], query_parts[step], parts + 2);
            }
        }
        float highest[2] = {top[0], top[1]};
        bool masked = start + KEYS > seen_by_all;
#pragma unroll
        for (int n = 0; n < KEYS / 8; n++) {
#pragma unroll
            for (int e = 0; e < 4; e++) {
                scores[n][e] *= scale;
                if (masked && start + n * 8 + pair + e % 2 >= seen[e / 2]) scores[n][e] = NEGATIVE_INFINITY;
                highest[e / 2] = fmaxf(highest[e / 2], scores[n][e]);
            }
        }
#pragma unroll
        for (int half = 0; half < 2; half++) {
            highest[half] = group_max(highest[half]);
            float shrink = power_of_two(top[half] - highest[half]);
            top[half] = highest[half];
            total[half] *= shrink;
#pragma unroll
            for (int n = 0; n < W / 8; n++) {
                sums[n][2 * half] *= shrink;
                sums[n][2 * half + 1] *= shrink;
            }
        }
#pragma unroll
        for (int n = 0; n < KEYS / 8; n++) {
#pragma unroll
            for (int e = 0; e < 4; e++) {
                scores[n][e] = power_of_two(scores[n][e] - top[e / 2]);
                total[e / 2] += scores[n][e];
            }
        }
        if (mask.probability > 0.0f) {
#pragma unroll
            for (int n = 0; n < KEYS / 8; n++) {
#pragma unroll
                for (int e = 0; e < 4; e++) {
                    scores[n][e] *= weight_factor(dropout, query + e / 2 * 8, start + n * 8 + pair + e % 2);
                }
            }
        }
#pragma unroll
        for (int block = 0; block < KEYS / 16; block++) {
            if (block < blocks) mix_rows<W>(sums, scores[2 * block], scores[2 * block + 1], value_tile, block * 16);
        }
    }
#pragma unroll
    for (int half = 0; half < 2; half++) {
        float sum = group_sum(total[half]);
        if (query + 8 * half >= tile.queries) continue;
        u64 row = tile.query + query + 8 * half;
        store_row<W>(output, row * attention.output_stride + head * head_dim, sums, half, 1.0f / sum, head_dim);
        if (logsumexp && lane % 4 == 0) logsumexp[row * attention.num_heads + head] = top[half] * LN_2 + logf(sum);
    }
}

// ---- Backward. `along` as in `attention.cu`. A row that is none has an infinite sum, which makes all its weights 0.

// A tile of keys with one head of keys, and all queries that see them. Scores are transposed: rows are keys.
template <int W>
__device__ __forceinline__ void keys_gradient(const Attention &attention, Values queries, Values keys, Values values,
                                              Values d_output, Values d_keys, Values d_values, const float *logsumexp,
                                              const float *along, DropoutMask mask) {
    const int STRIDE = TileShape<W>::STRIDE;
    // Wider heads leave no registers for the keys and values.
    const bool KEPT = W <= 64;
    const int AT_ONCE = W <= 64 ? QUERIES : PART;
    DYNAMIC_SHARED(uint4, memory);
    bf16 *key_tile = (bf16 *)memory, *value_tile = key_tile + KEYS * STRIDE;
    bf16 *query_tile = value_tile + KEYS * STRIDE, *d_output_tile = query_tile + AT_ONCE * STRIDE;
    float *row_logsumexp = (float *)(d_output_tile + AT_ONCE * STRIDE), *along_output = row_logsumexp + AT_ONCE;
    u32 kv_heads = attention.num_heads / attention.group, head_dim = attention.head_dim;
    Tile tile = attention.tiles[blockIdx.x / kv_heads];
    u32 kv_head = blockIdx.x % kv_heads, count = smaller(KEYS, tile.keys - tile.start);
    u32 lane = threadIdx.x % WARP, pair = lane % 4 * 2, first_row = threadIdx.x / WARP * ROWS;
    u32 first_key = tile.start + first_row, key = first_key + lane / 4;
    KeyRows rows = key_rows(attention, tile, tile.start);
    load_tile<W, KEYS>(key_tile, from(keys, kv_head * head_dim), attention.key_stride, rows, count, head_dim);
    load_tile<W, KEYS>(value_tile, from(values, kv_head * head_dim), attention.value_stride, rows, count, head_dim);
    __syncthreads();
    u32 key_parts[KEPT ? W / 16 : 1][4], value_parts[KEPT ? W / 16 : 1][4];
    if (KEPT) {
#pragma unroll
        for (int step = 0; step < W / 16; step++) {
            load_left<W>(key_parts[KEPT ? step : 0], key_tile, first_row, step * 16);
            load_left<W>(value_parts[KEPT ? step : 0], value_tile, first_row, step * 16);
        }
    }

    float scale = attention.scale * LOG2_E, d_key[W / 8][4], d_value[W / 8][4];
    clear(d_key);
    clear(d_value);
    for (u32 head = kv_head * attention.group; head < (kv_head + 1) * attention.group; head++) {
        WeightDropout dropout = weight_dropout(mask, tile.query, head, attention.num_heads);
        for (u32 first = first_that_sees(tile); first < tile.queries; first += AT_ONCE) {
            u32 some = smaller(AT_ONCE, tile.queries - first);
            KeyRows of_queries = query_rows(tile, first);
            __syncthreads();
            load_tile<W, AT_ONCE>(query_tile, from(queries, head * head_dim), attention.query_stride, of_queries, some,
                                  head_dim);
            load_tile<W, AT_ONCE>(d_output_tile, from(d_output, head * head_dim), attention.output_stride, of_queries, some,
                                  head_dim);
            if (threadIdx.x < AT_ONCE) {
                bool is_one = threadIdx.x < some;
                u64 place = (u64)(tile.query + first + threadIdx.x) * attention.num_heads + head;
                row_logsumexp[threadIdx.x] = is_one ? logsumexp[place] * LOG2_E : INFINITE;
                along_output[threadIdx.x] = is_one ? along[place] : 0.0f;
            }
            __syncthreads();
            if (first_row >= count) continue;
            for (u32 part = 0; part < some; part += PART) {
                // The queries of this part begin to see the warp's keys, or see all of them.
                if (visible(tile, first + part + PART - 1) <= first_key) continue;
                bool masked = visible(tile, first + part) < first_key + ROWS;
                float weights[PART / 8][4], d_weights[PART / 8][4];
                clear(weights);
                clear(d_weights);
#pragma unroll
                for (int step = 0; step < W / 16; step++) {
                    u32(&own_keys)[4] = key_parts[KEPT ? step : 0];
                    u32(&own_values)[4] = value_parts[KEPT ? step : 0];
                    if (!KEPT) {
                        load_left<W>(own_keys, key_tile, first_row, step * 16);
                        load_left<W>(own_values, value_tile, first_row, step * 16);
                    }
#pragma unroll
                    for (int block = 0; block < PART / 16; block++) {
                        u32 parts[4];
                        load_over_channels<W>(parts, query_tile, part + block * 16, step * 16);
                        mma_m16n8k16(weights[2 * block], own_keys, parts);
                        mma_m16n8k16(weights[2 * block + 1], own_keys, parts + 2);
                        load_over_channels<W>(parts, d_output_tile, part + block * 16, step * 16);
                        mma_m16n8k16(d_weights[2 * block], own_values, parts);
                        mma_m16n8k16(d_weights[2 * block + 1], own_values, parts + 2);
                    }
                }
#pragma unroll
                for (int n = 0; n < PART / 8; n++) {
#pragma unroll
                    for (int e = 0; e < 4; e++) {
                        u32 number = part + n * 8 + pair + e % 2, own_key = key + e / 2 * 8;
                        float weight = power_of_two(weights[n][e] * scale - row_logsumexp[number]), factor = 1.0f;
                        if (masked && own_key >= visible(tile, first + number)) weight = 0.0f;
                        if (mask.probability > 0.0f) factor = weight_factor(dropout, first + number, own_key);
                        d_weights[n][e] = weight * (d_weights[n][e] * factor - along_output[number]);
                        weights[n][e] = weight * factor;
                    }
                }
#pragma unroll
                for (int block = 0; block < PART / 16; block++) {
                    mix_rows<W>(d_value, weights[2 * block], weights[2 * block + 1], d_output_tile, part + block * 16);
                    mix_rows<W>(d_key, d_weights[2 * block], d_weights[2 * block + 1], query_tile, part + block * 16);
                }
            }
        }
    }
#pragma unroll
    for (int half = 0; half < 2; half++) {
        u32 row = first_row + lane / 4 + 8 * half;
        if (row >= count) continue;
        u64 place = row_of(rows, row) * attention.gradient_stride + kv_head * head_dim;
        store_row<W>(d_keys, place, d_key, half, attention.scale, head_dim);
        store_row<W>(d_values, place, d_value, half, 1.0f, head_dim);
    }
}

// A tile of queries with one head.
template <int W>
__device__ __forceinline__ void queries_gradient(const Attention &attention, Values queries, Values keys, Values values,
                                                 Values d_output, Values d_queries, const float *logsumexp, const float *along,
                                                 DropoutMask mask) {
    __shared__ uint4 memory[2 * TileShape<W>::PIECES];
    bf16 *key_tile = (bf16 *)memory, *value_tile = key_tile + KEYS * TileShape<W>::STRIDE;
    Tile tile = attention.tiles[blockIdx.x / attention.num_heads];
    u32 head = blockIdx.x % attention.num_heads, head_dim = attention.head_dim;
    u32 lane = threadIdx.x % WARP, pair = lane % 4 * 2, first = threadIdx.x / WARP * ROWS, query = first + lane / 4;
    keys = from(keys, head / attention.group * head_dim);
    values = from(values, head / attention.group * head_dim);
    WeightDropout dropout = weight_dropout(mask, tile.query, head, attention.num_heads);

    load_tile<W, QUERIES>(key_tile, from(queries, head * head_dim), attention.query_stride, query_rows(tile, 0), tile.queries,
                          head_dim);
    load_tile<W, QUERIES>(value_tile, from(d_output, head * head_dim), attention.output_stride, query_rows(tile, 0),
                          tile.queries, head_dim);
    __syncthreads();
    u32 query_parts[W / 16][4], d_output_parts[W / 16][4];
#pragma unroll
    for (int step = 0; step < W / 16; step++) {
        load_left<W>(query_parts[step], key_tile, first, step * 16);
        load_left<W>(d_output_parts[step], value_tile, first, step * 16);
    }
    float row_logsumexp[2], along_output[2];
#pragma unroll
    for (int half = 0; half < 2; half++) {
        bool is_one = query + 8 * half < tile.queries;
        u64 place = (u64)(tile.query + query + 8 * half) * attention.num_heads + head;
        row_logsumexp[half] = is_one ? logsumexp[place] * LOG2_E : INFINITE;
        along_output[half] = is_one ? along[place] : 0.0f;
    }

    float scale = attention.scale * LOG2_E, sums[W / 8][4];
    u32 seen[2] = {visible(tile, query), visible(tile, query + 8)};
    u32 seen_by_all = visible(tile, first), seen_by_any = first < tile.queries ? visible(tile, first + ROWS - 1) : 0;
    clear(sums);
    for (u32 start = 0; start < tile.keys; start += KEYS) {
        u32 count = smaller(KEYS, tile.keys - start);
        KeyRows rows = key_rows(attention, tile, start);
        __syncthreads();
        load_tile<W, KEYS>(key_tile, keys, attention.key_stride, rows, count, head_dim);
        load_tile<W, KEYS>(value_tile, values, attention.value_stride, rows, count, head_dim);
        __syncthreads();
        for (u32 part = 0; part < KEYS; part += PART) {
            if (start + part >= seen_by_any) continue;
            bool masked = start + part + PART > seen_by_all;
            float weights[PART / 8][4], d_weights[PART / 8][4];
            clear(weights);
            clear(d_weights);
#pragma unroll
            for (int step = 0; step < W / 16; step++) {
#pragma unroll
                for (int block = 0; block < PART / 16; block++) {
                    u32 parts[4];
                    load_over_channels<W>(parts, key_tile, part + block * 16, step * 16);
                    mma_m16n8k16(weights[2 * block], query_parts[step], parts);
                    mma_m16n8k16(weights[2 * block + 1], query_parts[step], parts + 2);
                    load_over_channels<W>(parts, value_tile, part + block * 16, step * 16);
                    mma_m16n8k16(d_weights[2 * block], d_output_parts[step], parts);
                    mma_m16n8k16(d_weights[2 * block + 1], d_output_parts[step], parts + 2);
                }
            }
#pragma unroll
            for (int n = 0; n < PART / 8; n++) {
#pragma unroll
                for (int e = 0; e < 4; e++) {
                    u32 key = start + part + n * 8 + pair + e % 2;
                    float weight = power_of_two(weights[n][e] * scale - row_logsumexp[e / 2]), factor = 1.0f;
                    if (masked && key >= seen[e / 2]) weight = 0.0f;
                    if (mask.probability > 0.0f) factor = weight_factor(dropout, query + e / 2 * 8, key);
                    d_weights[n][e] = weight * (d_weights[n][e] * factor - along_output[e / 2]);
                }
            }
#pragma unroll
            for (int block = 0; block < PART / 16; block++) {
                mix_rows<W>(sums, d_weights[2 * block], d_weights[2 * block + 1], key_tile, part + block * 16);
            }
        }
    }
#pragma unroll
    for (int half = 0; half < 2; half++) {
        if (query + 8 * half >= tile.queries) continue;
        u64 place = (u64)(tile.query + query + 8 * half) * attention.gradient_stride + head * head_dim;
        store_row<W>(d_queries, place, sums, half, attention.scale, head_dim);
    }
}

// ---- The kernels, by the most channels that a head may have. The second bound is how many blocks fit a multiprocessor with
// the registers that they need.

extern "C" __global__ void __launch_bounds__(THREADS, 4)
attention_bf16_32(Attention attention, Values queries, Values keys, Values values, Values output, float *logsumexp,
                  DropoutMask mask) {
    forward<32>(attention, queries, keys, values, output, logsumexp, mask);
}

extern "C" __global__ void __launch_bounds__(THREADS, 3)
attention_bf16_64(Attention attention, Values queries, Values keys, Values values, Values output, float *logsumexp,
                  DropoutMask mask) {
    forward<64>(attention, queries, keys, values, output, logsumexp, mask);
}

extern "C" __global__ void __launch_bounds__(THREADS, 2)
attention_bf16_96(Attention attention, Values queries, Values keys, Values values, Values output, float *logsumexp,
                  DropoutMask mask) {
    forward<96>(attention, queries, keys, values, output, logsumexp, mask);
}

extern "C" __global__ void __launch_bounds__(THREADS, 2)
attention_bf16_128(Attention attention, Values queries, Values keys, Values values, Values output, float *logsumexp,
                   DropoutMask mask) {
    forward<128>(attention, queries, keys, values, output, logsumexp, mask);
}

extern "C" __global__ void __launch_bounds__(THREADS, 3)
attention_bf16_keys_32(Attention attention, Values queries, Values keys, Values values, Values d_output, Values d_keys,
                       Values d_values, const float *logsumexp, const float *along, DropoutMask mask) {
    keys_gradient<32>(attention, queries, keys, values, d_output, d_keys, d_values, logsumexp, along, mask);
}

extern "C" __global__ void __launch_bounds__(THREADS, 3)
attention_bf16_keys_64(Attention attention, Values queries, Values keys, Values values, Values d_output, Values d_keys,
                       Values d_values, const float *logsumexp, const float *along, DropoutMask mask) {
    keys_gradient<64>(attention, queries, keys, values, d_output, d_keys, d_values, logsumexp, along, mask);
}

extern "C" __global__ void __launch_bounds__(THREADS, 2)
attention_bf16_keys_96(Attention attention, Values queries, Values keys, Values values, Values d_output, Values d_keys,
                       Values d_values, const float *logsumexp, const float *along, DropoutMask mask) {
    keys_gradient<96>(attention, queries, keys, values, d_output, d_keys, d_values, logsumexp, along, mask);
}

extern "C" __global__ void __launch_bounds__(THREADS, 2)
attention_bf16_keys_128(Attention attention, Values queries, Values keys, Values values, Values d_output, Values d_keys,
                        Values d_values, const float *logsumexp, const float *along, DropoutMask mask) {
    keys_gradient<128>(attention, queries, keys, values, d_output, d_keys, d_values, logsumexp, along, mask);
}

extern "C" __global__ void __launch_bounds__(THREADS, 4)
attention_bf16_queries_32(Attention attention, Values queries, Values keys, Values values, Values d_output,
                          Values d_queries, const float *logsumexp, const float *along, DropoutMask mask) {
    queries_gradient<32>(attention, queries, keys, values, d_output, d_queries, logsumexp, along, mask);
}

extern "C" __global__ void __launch_bounds__(THREADS, 3)
attention_bf16_queries_64(Attention attention, Values queries, Values keys, Values values, Values d_output,
                          Values d_queries, const float *logsumexp, const float *along, DropoutMask mask) {
    queries_gradient<64>(attention, queries, keys, values, d_output, d_queries, logsumexp, along, mask);
}

extern "C" __global__ void __launch_bounds__(THREADS, 2)
attention_bf16_queries_96(Attention attention, Values queries, Values keys, Values values, Values d_output,
                          Values d_queries, const float *logsumexp, const float *along, DropoutMask mask) {
    queries_gradient<96>(attention, queries, keys, values, d_output, d_queries, logsumexp, along, mask);
}

extern "C" __global__ void __launch_bounds__(THREADS, 2)
attention_bf16_queries_128(Attention attention, Values queries, Values keys, Values values, Values d_output,
                           Values d_queries, const float *logsumexp, const float *along, DropoutMask mask) {
    queries_gradient<128>(attention, queries, keys, values, d_output, d_queries, logsumexp, along, mask);
}
