// What the kernels of attention share.
//
// A block works on one tile: some queries of one sequence with one head, or some keys of one sequence with one head of keys
// and all query heads that it serves.

// Queries of a sequence and the keys they see, as the host lists them (`attention/plan.rs`).
struct Tile {
    // The row of the first query, and how many there are.
    u32 query;
    u32 queries;
    // The row of the sequence's first key; where its rows begin in the table when they are listed there.
    u32 key;
    // How many keys the last query sees.
    u32 keys;
    // How many the first query sees; each next one sees one more, up to all.
    u32 visible;
    // The first key of a tile of keys, counted from the sequence's first.
    u32 start;
    // 1 when the rows of the keys are listed in the table.
    u32 gathered;
    u32 unused;
};

// What all blocks of a call share.
struct Attention {
    const Tile *tiles;
    // The table of keys' rows.
    const u32 *rows;
    // How many values are between rows: of queries, keys, values, the output (or its gradient), and the gradient.
    u32 query_stride;
    u32 key_stride;
    u32 value_stride;
    u32 output_stride;
    u32 gradient_stride;
    // Heads of queries, and how many of them share a head of keys.
    u32 num_heads;
    u32 group;
    u32 head_dim;
    // Whether four values may be read at a time.
    u32 wide;
    float scale;
};

__device__ __forceinline__ u32 smaller(u32 a, u32 b) {
    return a < b ? a : b;
}

// How many keys query `index` of a tile sees.
__device__ __forceinline__ u32 visible(const Tile &tile, u32 index) {
    return smaller(tile.visible + index, tile.keys);
}

// The first query that sees the first key of a tile of keys.
__device__ __forceinline__ u32 first_that_sees(const Tile &tile) {
    return tile.start < tile.visible ? 0 : tile.start - tile.visible + 1;
}

// The rows of a tile's keys from `start` on: a table of them, or the first of consecutive ones.
struct KeyRows {
    const u32 *table;
    u32 first;
};

__device__ __forceinline__ KeyRows key_rows(const Attention &attention, const Tile &tile, u32 start) {
    KeyRows rows;
    rows.table = tile.gathered ? attention.rows : (const u32 *)0;
    rows.first = tile.key + start;
    return rows;
}

__device__ __forceinline__ KeyRows query_rows(const Tile &tile, u32 start) {
    KeyRows rows;
    rows.table = (const u32 *)0;
    rows.first = tile.query + start;
    return rows;
}

__device__ __forceinline__ u64 row_of(KeyRows rows, u32 index) {
    return rows.table ? rows.table[rows.first + index] : rows.first + index;
}

// The dropout of one head's weights. Masks are addressed by token, head and key, as on the CPU: index
// `token * heads * 2^20 + head * 2^20 + key`.
struct WeightDropout {
    u64 start;
    u64 per_query;
    float probability;
    float scale;
};

__device__ __forceinline__ WeightDropout weight_dropout(DropoutMask mask, u32 first_query, u32 head, u32 num_heads) {
    WeightDropout dropout;
    u64 row_length = (u64)num_heads << 20;
    u64 index = (mask.first_token + first_query) * row_length + ((u64)head << 20);
    dropout.start = mask.key + (index + 1) * WEYL;
    dropout.per_query = row_length * WEYL;
    dropout.probability = mask.probability;
    dropout.scale = mask.scale;
    return dropout;
}

// Of the weight of a query, counted from the first, with a key, counted from the sequence's first.
__device__ __forceinline__ float weight_factor(const WeightDropout &dropout, u32 query, u32 key) {
    u64 bits = mix(dropout.start + query * dropout.per_query + key * WEYL);
    return (float)(bits >> 40) * (1.0f / 16777216.0f) < dropout.probability ? 0.0f : dropout.scale;
}
