/* Attention: softmax(queries keys) values; sums in float. */
#pragma once
#include "linear.h"

#define KEYS 256 /* at once */
#define MOST_ROWS 512
#define MOST_CHANNELS 256
#define OVERFLOW 1e30f

/* Of one thread. */
typedef struct {
    float scores[BLOCK * KEYS], pivot[MOST_ROWS];
    entry weights[BLOCK * KEYS];
#ifdef EXACT
    entry room[MOST_ROWS * MOST_CHANNELS];
#endif
    Left queries[MOST_ROWS / BLOCK];
} ALIGNED Mixing;

/* Keys as columns of the right side, and values as its rows; of `slots`, a multiple of 32, the first `count`
   are there. What asks for them has as many channels as they have. */
typedef struct {
    const entry *queries, *keys, *values;
    int channels, count, slots;
    const float *ahead; /* of each query, added to its scores; NULL: nothing */
} Memory;

/* Weights of row r, 2^(score - pivot), and their sum. */
INLINE float weigh_row(const float *scores, int r, int width, float pivot, entry *weights) {
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

/* Take on what asks for a memory. */
INLINE void take_queries(Mixing *t, const Memory *m, int rows) {
    entry *room = NULL;
#ifdef EXACT
    room = t->room;
#endif
    for (int row = 0; row < rows; row += BLOCK)
        t->queries[row / BLOCK] = left_side(m->queries + row * m->channels, BLOCKS, m->channels,
                                            room ? room + row * m->channels : room);
}

/* What 32 queries and some keys have in common, without what is added; nothing with keys that are not there.
 */
INLINE void score(Mixing *t, const Memory *m, int row, int key, int count) {
    multiply(t->queries[row / BLOCK], m->keys + (size_t)key * m->channels, (size_t)BLOCK * m->channels,
             m->channels, up(count), t->scores, 0);
    for (int n = count; n < up(count); n++)
        for (int r = 0; r < BLOCK; r++) t->scores[at(r, n)] = -INFINITY;
}

INLINE float ahead(const Memory *m, int row) { return m->ahead ? m->ahead[row] : 0; }

/* Scores count in powers of two. Weights are relative to a pivot, the largest score of the first keys: floats
   take those of later keys, however large. Where they do not, the largest of all is found first. */
INLINE void find_pivots(Mixing *t, const Memory *memories, int count, int rows) {
    for (int r = 0; r < rows; r++) t->pivot[r] = -INFINITY;
    for (const Memory *m = memories; m < memories + count; m++) {
        take_queries(t, m, rows);
        for (int key = 0; key < m->count; key += KEYS) {
            int left = m->count - key < KEYS ? m->count - key : KEYS;
            for (int row = 0; row < rows; row += BLOCK) {
                score(t, m, row, key, left);
                for (int r = 0; r < BLOCK; r++) {
                    float most = largest_in_row(t->scores, r, up(left)) + ahead(m, row + r);
                    float *pivot = t->pivot + row + r;
                    *pivot = most > *pivot ? most : *pivot;
                }
            }
        }
    }
}

INLINE void weigh(Mixing *t, const Memory *memories, int count, int rows, int depth, float *sums,
                  float *totals, int known_pivots) {
    int begun = 0;
    for (const Memory *m = memories; m < memories + count; m++) {
        take_queries(t, m, rows);
        for (int key = 0; key < m->count; key += KEYS, begun = 1) {
            int left = m->count - key < KEYS ? m->count - key : KEYS, width = up(left);
            for (int row = 0; row < rows; row += BLOCK) {
                score(t, m, row, key, left);
                for (int r = 0; r < BLOCK; r++) {
                    float *pivot = t->pivot + row + r, *total = totals + row + r, more = ahead(m, row + r);
                    if (!begun && !known_pivots) *pivot = largest_in_row(t->scores, r, width) + more;
                    float sum = weigh_row(t->scores, r, width, *pivot - more, t->weights);
                    *total = begun ? *total + sum : sum;
                }
                multiply(left_side(t->weights, BLOCKS, width, ROOM), m->values + (size_t)key * BLOCK,
                         (size_t)BLOCK * m->slots, width, depth, sums + (size_t)row * depth, begun);
            }
        }
    }
}

/* sums [rows x depth] = values of some memories weighted, and the totals of the weights, by which they are
   not divided yet. At most MOST_ROWS of them. */
INLINE void mix(Mixing *t, const Memory *memories, int count, int rows, int depth, float *sums,
                float *totals) {
    int keys = 0;
    for (int i = 0; i < count; i++) keys += memories[i].count;
    if (!keys) { /* nothing to read: nothing is added */
        memset(sums, 0, (size_t)rows * depth * sizeof *sums);
        for (int r = 0; r < rows; r++) totals[r] = 1;
        return;
    }
    weigh(t, memories, count, rows, depth, sums, totals, 0);
    for (int r = 0; r < rows; r++)
        if (!(totals[r] < OVERFLOW)) {
            find_pivots(t, memories, count, rows);
            weigh(t, memories, count, rows, depth, sums, totals, 1);
            return;
        }
}
