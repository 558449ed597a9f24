/* Matrices as blocks of 32 x 32, and their product, summed up in float.

   A row of blocks lies block after block, a block row after row. On the right side of a product it lies as
   two tiles of 32 rows and 16 columns, in which two rows lie together, column by column. Tiles are what AMX
   multiplies: 16 rows of 64 bytes.

   Products are of bfloat16. Entries that are floats become two of them each, the nearest and what it lacks,
   and all but the product of both second halves is summed up: that is good to 16 bits. */
#pragma once
#include "vectors.h"

#define BLOCK 32
#define TILE 16
#define CELLS (BLOCK * BLOCK)

/* A cache line, which is a row of a tile: rows that lie across two are read at half the speed. */
#define LINE 64
#define ALIGNED __attribute__((aligned(LINE)))

/* Which halves are multiplied. */
typedef struct {
    int left, right;
} Halves;
#ifdef EXACT
static const Halves PASSES[] = {{0, 0}, {0, 1}, {1, 0}};
#define HALVES 2
#else
static const Halves PASSES[] = {{0, 0}};
#define HALVES 1
#endif
#define FOR_PASSES for (const Halves *pass = PASSES; pass < PASSES + sizeof PASSES / sizeof *PASSES; pass++)

/* Where an entry lies within a row of blocks, unless these are on the right side of a product. */
INLINE size_t at(int row, int column) { return column / BLOCK * CELLS + row * BLOCK + column % BLOCK; }

/* How a matrix of 32 rows lies, in entries: from row to row, and from 32 columns to the next. */
typedef struct {
    size_t row, next;
} Layout;
#define BLOCKS ((Layout){BLOCK, CELLS})
INLINE Layout rows_apart(size_t entries) { return (Layout){entries, BLOCK}; }

/* The halves of 32 columns, block after block. */
INLINE void halve(const entry *x, size_t row, bf16 *to) {
    for (int r = 0; r < BLOCK; r++, x += row, to += BLOCK)
        for (int i = 0; i < BLOCK; i += LANES) {
            vec rest = load_entries(x + i);
            for (int half = 0; half < HALVES; half++) {
                store_rounded(to + half * CELLS + i, rest);
                rest -= load_rounded(to + half * CELLS + i);
            }
        }
}

/* Within a tile, pairs of columns change places with rows. */
INLINE void turn_columns(const bf16 *x, bf16 *to) {
    for (int tile = 0; tile < 2; tile++, x += CELLS / 2, to += CELLS / 2)
        for (int pair = 0; pair < TILE; pair++)
            for (int n = 0; n < TILE; n++) memcpy(to + pair * 32 + 2 * n, x + n * BLOCK + 2 * pair, 4);
}

INLINE void turn_rows(const bf16 *x, bf16 *to) {
    for (int tile = 0; tile < 2; tile++)
        for (int pair = 0; pair < TILE; pair++)
            for (int i = 0; i < TILE; i++)
                for (int odd = 0; odd < 2; odd++)
                    to[tile * CELLS / 2 + pair * 32 + 2 * i + odd] = x[at(2 * pair + odd, tile * TILE + i)];
}

/* A block of the right side, which has the halves of its entries one after the other. */
INLINE void to_right_side(const entry *x, void turn(const bf16 *, bf16 *), entry *to) {
#ifdef EXACT
    bf16 halves[HALVES * CELLS];
    halve(x, BLOCK, halves);
    for (int half = 0; half < HALVES; half++) turn(halves + half * CELLS, (bf16 *)to + half * CELLS);
#else
    turn(x, to);
#endif
}

/* The right side from 32 of its columns, given as rows of the left side. */
INLINE void to_columns(const entry *x, int depth, entry *to) {
    for (int k = 0; k < depth; k += BLOCK, x += CELLS, to += CELLS) to_right_side(x, turn_columns, to);
}

/* The right side from 32 of its rows; its columns, 32 together, are `apart`. */
INLINE void to_rows(const entry *x, int width, entry *to, size_t apart) {
    for (int n = 0; n < width; n += BLOCK, x += CELLS, to += apart) to_right_side(x, turn_rows, to);
}

/* 32 rows as products take them. */
typedef struct {
    const bf16 *x;
    Layout in;
} Left;

/* Room for the left side of one product at a time. */
#ifdef EXACT
#define WIDEST 1024
static _Thread_local entry ROOM[BLOCK * WIDEST] ALIGNED;
#else
#define ROOM NULL
#endif

/* The left side of products, in `room` for as many entries if entries are not what products take. */
INLINE Left left_side(const entry *x, Layout in, int depth, entry *room) {
#ifdef EXACT
    bf16 *to = (bf16 *)room;
    for (int k = 0; k < depth; k += BLOCK)
        halve(x + k / BLOCK * in.next, in.row, to + (size_t)k / BLOCK * HALVES * CELLS);
    return (Left){to, {BLOCK, HALVES * CELLS}};
#else
    (void)depth, (void)room;
    return (Left){x, in};
#endif
}

/* `product`: a block c = a b, or c += a b if `more`, with 32 rows of a and a column of `depth` / 32 blocks of
   b. Between `begin_products` and `end_products`, in each thread. */

#if defined(__AMX_BF16__)
#define PRODUCTS "AMX"
typedef struct {
    uint8_t palette, first_row, unused[14];
    uint16_t bytes[16];
    uint8_t rows[16];
} TileConfig;
static const TileConfig TILES = {
    .palette = 1, .bytes = {64, 64, 64, 64, 64, 64, 64, 64}, .rows = {16, 16, 16, 16, 16, 16, 16, 16}};

#define ROW (BLOCK * sizeof(float))
INLINE void begin_products(void) { _tile_loadconfig(&TILES); }
INLINE void end_products(void) { _tile_release(); }

INLINE void product(Left left, const entry *right, int depth, float *c, int more) {
    if (more) {
        _tile_loadd(0, c, ROW);
        _tile_loadd(1, c + TILE, ROW);
        _tile_loadd(2, c + TILE * BLOCK, ROW);
        _tile_loadd(3, c + TILE * BLOCK + TILE, ROW);
    } else {
        _tile_zero(0);
        _tile_zero(1);
        _tile_zero(2);
        _tile_zero(3);
    }
    size_t row = left.in.row;
    FOR_PASSES {
        const bf16 *a = left.x + pass->left * CELLS, *b = (const bf16 *)right + pass->right * CELLS;
        for (int k = 0; k < depth; k += BLOCK, a += left.in.next, b += HALVES * CELLS) {
            _tile_loadd(4, a, row * sizeof *a);
            _tile_loadd(6, b, LINE);
            _tile_loadd(7, b + CELLS / 2, LINE);
            _tile_loadd(5, a + TILE * row, row * sizeof *a);
            _tile_dpbf16ps(0, 4, 6);
            _tile_dpbf16ps(1, 4, 7);
            _tile_dpbf16ps(2, 5, 6);
            _tile_dpbf16ps(3, 5, 7);
        }
    }
    _tile_stored(0, c, ROW);
    _tile_stored(1, c + TILE, ROW);
    _tile_stored(2, c + TILE * BLOCK, ROW);
    _tile_stored(3, c + TILE * BLOCK + TILE, ROW);
}

#elif defined(__AVX512BF16__)
#define PRODUCTS "AVX-512"
INLINE void begin_products(void) {}
INLINE void end_products(void) {}

INLINE void product(Left left, const entry *right, int depth, float *c, int more) {
    for (int row = 0; row < BLOCK; row += 8) { /* 16 sums, which stay in registers */
        __m512 sum[8][2];
        for (int r = 0; r < 8; r++)
            for (int side = 0; side < 2; side++)
                sum[r][side] = more ? _mm512_loadu_ps(c + at(row + r, side * TILE)) : _mm512_setzero_ps();
        FOR_PASSES
        for (int k = 0; k < depth / BLOCK; k++)
            for (int pair = 0; pair < TILE; pair++) {
                const bf16 *a = left.x + pass->left * CELLS + k * left.in.next + row * left.in.row + 2 * pair;
                const bf16 *b = (const bf16 *)right + pass->right * CELLS + k * HALVES * CELLS + pair * 32;
                __m512bh right0 = (__m512bh)_mm512_loadu_si512(b);
                __m512bh right1 = (__m512bh)_mm512_loadu_si512(b + CELLS / 2);
                for (int r = 0; r < 8; r++) {
                    int two;
                    memcpy(&two, a + r * left.in.row, 4);
                    __m512bh both = (__m512bh)_mm512_set1_epi32(two);
                    sum[r][0] = _mm512_dpbf16_ps(sum[r][0], both, right0);
                    sum[r][1] = _mm512_dpbf16_ps(sum[r][1], both, right1);
                }
            }
        for (int r = 0; r < 8; r++)
            for (int side = 0; side < 2; side++) _mm512_storeu_ps(c + at(row + r, side * TILE), sum[r][side]);
    }
}

#else
#define PRODUCTS "plain"
INLINE void begin_products(void) {}
INLINE void end_products(void) {}

INLINE void product(Left left, const entry *right, int depth, float *c, int more) {
    for (int row = 0; row < BLOCK; row++) {
        float sums[BLOCK];
        for (int n = 0; n < BLOCK; n++) sums[n] = more ? c[at(row, n)] : 0;
        FOR_PASSES
        for (int k = 0; k < depth; k++) {
            float a =
                widen(left.x[pass->left * CELLS + k / BLOCK * left.in.next + row * left.in.row + k % BLOCK]);
            const bf16 *b = (const bf16 *)right + pass->right * CELLS + k / BLOCK * HALVES * CELLS +
                            k % BLOCK / 2 * 32 + k % 2;
            for (int n = 0; n < BLOCK; n++) sums[n] += a * widen(b[n / TILE * CELLS / 2 + n % TILE * 2]);
        }
        for (int n = 0; n < BLOCK; n++) c[at(row, n)] = sums[n];
    }
}
#endif

/* Some blocks beside each other, whose right sides are `apart`. */
INLINE void multiply(Left left, const entry *right, size_t apart, int depth, int width, float *c, int more) {
    for (int n = 0; n < width; n += BLOCK, right += apart, c += CELLS) product(left, right, depth, c, more);
}
