/* Matrices as blocks of 32 x 32, and their product in bfloat16, summed up in float.

   A row of blocks lies block after block, a block row after row. On the right side of a product it lies as
   two tiles of 32 rows and 16 columns, in which two rows lie together, column by column. Tiles are what AMX
   multiplies: 16 rows of 64 bytes. */
#pragma once
#include "vectors.h"

#define BLOCK 32
#define TILE 16
#define CELLS (BLOCK * BLOCK)

/* A cache line, which is a row of a tile: rows that lie across two are read at half the speed. */
#define LINE 64
#define ALIGNED __attribute__((aligned(LINE)))

/* Where an entry lies within a row of blocks, unless these are on the right side of a product. */
INLINE size_t at(int row, int column) { return column / BLOCK * CELLS + row * BLOCK + column % BLOCK; }

/* The right side from 32 of its columns, given as rows of the left side: within a tile, pairs of columns
   change places with rows. */
INLINE void to_columns(const bf16 *x, int depth, bf16 *to) {
    for (int tile = 0; tile < depth / TILE; tile++, x += 512, to += 512)
        for (int pair = 0; pair < TILE; pair++)
            for (int n = 0; n < TILE; n++) memcpy(to + pair * 32 + 2 * n, x + n * BLOCK + 2 * pair, 4);
}

/* The right side from 32 of its rows; its columns, 32 together, are `apart`. */
INLINE void to_rows(const bf16 *x, int width, bf16 *to, size_t apart) {
    for (int n = 0; n < width; n += BLOCK, x += CELLS, to += apart)
        for (int tile = 0; tile < 2; tile++)
            for (int pair = 0; pair < TILE; pair++)
                for (int i = 0; i < TILE; i++)
                    for (int odd = 0; odd < 2; odd++)
                        to[tile * 512 + pair * 32 + 2 * i + odd] = x[at(2 * pair + odd, tile * TILE + i)];
}

/* How the left side lies, in entries: from row to row, from row 0 to row 16, and from 32 columns to the next.
 */
typedef struct {
    size_t row, lower, next;
} Layout;
#define BLOCKS ((Layout){BLOCK, TILE * BLOCK, CELLS})
INLINE Layout rows_apart(size_t entries) { return (Layout){entries, TILE * entries, BLOCK}; }

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

INLINE void product(const bf16 *a, Layout in, const bf16 *b, int depth, float *c, int more) {
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
    for (int k = 0; k < depth; k += BLOCK, a += in.next, b += CELLS) {
        _tile_loadd(4, a, in.row * sizeof *a);
        _tile_loadd(6, b, 64);
        _tile_loadd(7, b + 512, 64);
        _tile_loadd(5, a + in.lower, in.row * sizeof *a);
        _tile_dpbf16ps(0, 4, 6);
        _tile_dpbf16ps(1, 4, 7);
        _tile_dpbf16ps(2, 5, 6);
        _tile_dpbf16ps(3, 5, 7);
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

INLINE void product(const bf16 *a, Layout in, const bf16 *b, int depth, float *c, int more) {
    for (int row = 0; row < BLOCK; row += 8) { /* 16 sums, which stay in registers */
        __m512 sum[8][2];
        for (int r = 0; r < 8; r++)
            for (int side = 0; side < 2; side++)
                sum[r][side] = more ? _mm512_loadu_ps(c + at(row + r, side * TILE)) : _mm512_setzero_ps();
        for (int k = 0; k < depth / BLOCK; k++)
            for (int pair = 0; pair < TILE; pair++) {
                const bf16 *left = a + k * in.next + row / TILE * in.lower + row % TILE * in.row + 2 * pair;
                const bf16 *right = b + k * CELLS + pair * 32;
                __m512bh right0 = (__m512bh)_mm512_loadu_si512(right);
                __m512bh right1 = (__m512bh)_mm512_loadu_si512(right + 512);
                for (int r = 0; r < 8; r++) {
                    int two;
                    memcpy(&two, left + r * in.row, 4);
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

INLINE void product(const bf16 *a, Layout in, const bf16 *b, int depth, float *c, int more) {
    for (int row = 0; row < BLOCK; row++) {
        float sums[BLOCK];
        for (int n = 0; n < BLOCK; n++) sums[n] = more ? c[at(row, n)] : 0;
        for (int k = 0; k < depth; k++) {
            float left =
                widen(a[k / BLOCK * in.next + row / TILE * in.lower + row % TILE * in.row + k % BLOCK]);
            const bf16 *right = b + k / BLOCK * CELLS + k % BLOCK / 2 * 32 + k % 2;
            for (int n = 0; n < BLOCK; n++) sums[n] += left * widen(right[n / TILE * 512 + n % TILE * 2]);
        }
        for (int n = 0; n < BLOCK; n++) c[at(row, n)] = sums[n];
    }
}
#endif

/* The same of blocks. */
INLINE void multiply(const bf16 *a, const bf16 *b, int depth, float *c, int more) {
    product(a, BLOCKS, b, depth, c, more);
}
