/* Attention: softmax(queries keys) values, in bfloat16, sums in float. */
#pragma once
#include "linear.h"

#define KEYS 256 /* at once */
#define MOST_ROWS 256
#define OVERFLOW 1e30f

/* Of one thread. */
typedef struct {
    float scores[BLOCK * KEYS], pivot[MOST_ROWS];
    bf16 weights[BLOCK * KEYS];
} Mixing;

/* Keys as columns of the right side, and values as its rows; of `slots`, a multiple of 32, the first `count`
 * are there. */
typedef struct {
    const bf16 *keys, *values;
    int count, slots;
} Memory;

/* Weights of row r, 2^(score - pivot), and their sum. */
INLINE float weigh_row(const float *scores, int r, int width, float pivot, bf16 *weights) {
    vec sum = all(0), low = all(pivot);
    for (int n = 0; n < width; n += BLOCK) {
        const float *score = scores + at(r, n);
        vec a = power_of_two(load(score) - low), b = power_of_two(load(score + LANES) - low);
        sum += a + b;
        store_pair(weights + at(r, n), a, b);
    }
    return sum_of(sum);
}

INLINE float largest_in_row(const float *scores, int r, int width) {
    vec most = load(scores + at(r, 0));
    for (int n = LANES; n < width; n += LANES) most = larger(most, load(scores + at(r, n)));
    return largest_of(most);
}

/* What 32 queries and some keys have in common; nothing with those from `count` on. */
INLINE void score(const bf16 *queries, const bf16 *keys, int channels, int width, int count, float *scores) {
    for (int n = 0; n < width; n += BLOCK)
        multiply(queries, keys + (size_t)n * channels, channels, scores + n * BLOCK, 0);
    for (int n = count; n < width; n++)
        for (int r = 0; r < BLOCK; r++) scores[at(r, n)] = -INFINITY;
}

/* Scores count in powers of two. Weights are relative to a pivot, the largest score of the first keys: floats
   take those of later keys, however large. Where they do not, the largest of all is found first. */
INLINE void find_pivots(Mixing *t, const bf16 *queries, int rows, int channels, Memory m) {
    for (int r = 0; r < rows; r++) t->pivot[r] = -INFINITY;
    for (int key = 0; key < m.count; key += KEYS) {
        int left = m.count - key < KEYS ? m.count - key : KEYS;
        for (int row = 0; row < rows; row += BLOCK) {
            score(queries + row * channels, m.keys + (size_t)key * channels, channels, up(left), left,
                  t->scores);
            for (int r = 0; r < BLOCK; r++) {
                float most = largest_in_row(t->scores, r, up(left)), *pivot = t->pivot + row + r;
                *pivot = most > *pivot ? most : *pivot;
            }
        }
    }
}

INLINE void weigh(Mixing *t, const bf16 *queries, int rows, int channels, Memory m, int depth, float *sums,
                  float *totals, int known_pivots) {
    for (int key = 0; key < m.count; key += KEYS) {
        int left = m.count - key < KEYS ? m.count - key : KEYS, width = up(left);
        for (int row = 0; row < rows; row += BLOCK) {
            score(queries + row * channels, m.keys + (size_t)key * channels, channels, width, left,
                  t->scores);
            for (int r = 0; r < BLOCK; r++) {
                float *pivot = t->pivot + row + r, *total = totals + row + r;
                if (!key && !known_pivots) *pivot = largest_in_row(t->scores, r, width);
                float sum = weigh_row(t->scores, r, width, *pivot, t->weights);
                *total = key ? *total + sum : sum;
            }
            for (int n = 0; n < depth; n += BLOCK)
                multiply(t->weights, m.values + (size_t)n * m.slots + (size_t)key * BLOCK, width,
                         sums + (size_t)row * depth + n * BLOCK, key > 0);
        }
    }
}

/* sums [rows x depth] = values weighted, and the totals of the weights, by which they are not divided yet. At
   most 256 rows. */
INLINE void mix(Mixing *t, const bf16 *queries, int rows, int channels, Memory m, int depth, float *sums,
                float *totals) {
    if (!m.count) { /* nothing to read: nothing is added */
        memset(sums, 0, (size_t)rows * depth * sizeof *sums);
        for (int r = 0; r < rows; r++) totals[r] = 1;
        return;
    }
    weigh(t, queries, rows, channels, m, depth, sums, totals, 0);
    for (int r = 0; r < rows; r++)
        if (!(totals[r] < OVERFLOW)) {
            find_pivots(t, queries, rows, channels, m);
            weigh(t, queries, rows, channels, m, depth, sums, totals, 1);
            return;
        }
}
