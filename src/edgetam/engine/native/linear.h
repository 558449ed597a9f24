/* Linear maps as the right sides of products. */
#pragma once
#include "blocks.h"
#include <stdlib.h>
#include <sys/mman.h>

#define LARGE ((size_t)512 << 10)
#define LARGE_PAGE ((size_t)2 << 20)

typedef struct {
    const float *weight, *bias; /* [outputs x inputs], [outputs]; of norms as many of both */
} Linear;

typedef struct {
    entry *weight;
    const float *bias;
    int inputs, outputs; /* multiples of 32: more than there are have weights of zero */
} Packed;

/* What is large lies in large pages, where the system has them: finding small ones takes a tenth of the time.
 */
INLINE void *allocate(size_t bytes) {
    size_t unit = bytes < LARGE ? LINE : LARGE_PAGE;
    bytes = (bytes + unit - 1) / unit * unit;
    void *p = aligned_alloc(unit, bytes);
#ifdef MADV_HUGEPAGE
    if (p && unit == LARGE_PAGE) madvise(p, bytes, MADV_HUGEPAGE);
#endif
    return p;
}

INLINE int up(int count) { return (count + BLOCK - 1) / BLOCK * BLOCK; }

/* Its weight is NULL where there is no memory. */
INLINE Packed pack(Linear from, int outputs, int inputs) {
    Packed to = {NULL, from.bias, up(inputs), up(outputs)};
    size_t row = (size_t)BLOCK * to.inputs;
    entry *rows = allocate(row * sizeof *rows);
    if (rows) to.weight = allocate((size_t)to.outputs * to.inputs * sizeof *to.weight);
    for (int n = 0; to.weight && n < outputs; n += BLOCK) {
        memset(rows, 0, row * sizeof *rows);
        for (int r = 0; r < BLOCK && n + r < outputs; r++)
            for (int i = 0; i < inputs; i++)
                rows[at(r, i)] = to_entry(from.weight[(size_t)(n + r) * inputs + i]);
        to_columns(rows, to.inputs, to.weight + (size_t)n * to.inputs);
    }
    free(rows);
    return to;
}

/* 32 rows of floats as entries. */
INLINE void to_entries(const float *x, int width, entry *to) {
    for (int r = 0; r < BLOCK; r++)
        for (int i = 0; i < width; i += BLOCK)
            store_pair(to + at(r, i), load(x + at(r, i)), load(x + at(r, i + LANES)));
}

/* 32 rows times a linear map, without its bias. */
INLINE void project(const entry *x, Packed map, float *to) {
    Left left = left_side(x, BLOCKS, map.inputs, ROOM);
    multiply(left, map.weight, (size_t)BLOCK * map.inputs, map.inputs, map.outputs, to, 0);
}

/* The next of some maps, packed; `failed` is set where there is no memory. */
INLINE Packed take(const Linear **maps, int outputs, int inputs, int *failed) {
    Packed p = pack(*(*maps)++, outputs, inputs);
    *failed |= !p.weight;
    return p;
}

/* Zeros. */
INLINE void *clear(size_t bytes) {
    void *p = allocate(bytes);
    return p ? memset(p, 0, bytes) : p;
}

/* A layer norm of so many columns of row r, from one on; squares are divided by `count`, the number of
   columns unless these were divided by the root of it before. */
INLINE void layer_norm(const float *x, int r, int from, int width, Linear norm, int count, float epsilon,
                       vec *row) {
    vec sum = all(0), squares = all(0);
    for (int i = 0; i < width / LANES; i++) sum += row[i] = load(x + at(r, from + LANES * i));
    vec mean = all(sum_of(sum) / width);
    for (int i = 0; i < width / LANES; i++) row[i] -= mean, squares = fused(row[i], row[i], squares);
    vec scale = all(1 / sqrtf(sum_of(squares) / count + epsilon));
    for (int i = 0; i < width / LANES; i++)
        row[i] = fused(row[i] * scale, load(norm.weight + LANES * i), load(norm.bias + LANES * i));
}

typedef vec (*Activation)(vec);

/* Some hidden units between two linear maps of 32 rows: sums (+)= narrow(f(widen(x))), without the last bias.
 */
INLINE void hidden_units(const entry *x, Packed widen, Packed narrow, int unit, int count, Activation f,
                         float *scores, entry *weights, float *sums) {
    multiply(left_side(x, BLOCKS, widen.inputs, ROOM), widen.weight + (size_t)unit * widen.inputs,
             (size_t)BLOCK * widen.inputs, widen.inputs, count, scores, 0);
    for (int n = 0; n < count; n += BLOCK) {
        vec bias[] = {load(widen.bias + unit + n), load(widen.bias + unit + n + LANES)};
        for (int r = 0; r < BLOCK; r++) {
            const float *score = scores + at(r, n);
            store_pair(weights + at(r, n), f(load(score) + bias[0]), f(load(score + LANES) + bias[1]));
        }
    }
    multiply(left_side(weights, BLOCKS, count, ROOM), narrow.weight + (size_t)unit * BLOCK,
             (size_t)BLOCK * narrow.inputs, count, narrow.outputs, sums, unit > 0);
}
