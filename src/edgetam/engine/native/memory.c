/* The memory encoder and the 2D Spatial Perceiver (`edgetam.model.memory_encoder`,
   `edgetam.model.mask_downsampler`, `edgetam.model.perceiver`); sums and norms in float; one object at a
   time.

   Masks are as the inference form has them: the sixteen pixels within a logit are channels. */
#include "memory.h"
#include "softmax.h"

#define WIDTH 256
#define MEMORY 64
#define HIDDEN 1024
#define LATENT_HIDDEN 256
#define PIXELS 16 /* within a logit */
#define LAYERS 2
#define REACH 3 /* of the fuser's convolutions to each side */
#define SPAN (2 * REACH + 1)
#define BESIDE 8 /* outputs of these at once */
#define BAND 8   /* rows of logits at once */
#define SCALE 20.0f
#define OFFSET -10.0f
#define MAP_EPSILON 1e-6f
#define EPSILON 1e-5f

typedef struct {
    Linear taps, norm; /* [49 x 256] */
    Packed widen, narrow;
} Mixer;

typedef struct {
    Linear norm;
    Packed widen, narrow;
} FeedForward;

typedef struct {
    Linear norm_cells, norm_latents, norm_self;
    Packed query, key_value, out, self_query, self_key_value, self_out;
    FeedForward after, last;
} LatentLayer;

/* A map with a row and a column of zeros before it, and zeros after it that products read. */
typedef struct {
    int side, width;
    entry *pixels;
} Framed;

/* Of one thread. */
typedef struct {
    float sums[BLOCK * WIDTH], other[BLOCK * WIDTH], scores[BLOCK * KEYS], total[BLOCK];
    entry left[BLOCK * WIDTH], second[BLOCK * WIDTH], weights[BLOCK * KEYS], rows[BLOCK * 9 * MEMORY];
    Mixing mixing;
    entry *band;
} ALIGNED Workspace;

struct MemoryEncoder {
    MemoryShape shape;
    MemoryTables tables;
    Pool *pool;
    const float *enlarge;
    Packed mask[4], mask_last, image_map, out;
    Linear norms[4], last_norm;
    Mixer mixers[2];
    LatentLayer layers[LAYERS];
    Workspace *spaces;
    int threads;     /* as many as there are workspaces: the pool may be gone at the end */
    Framed maps[3];  /* of the mask, after each convolution but the last */
    entry *fused[2]; /* [cells x 256] */
    entry *keys[LAYERS], *values[LAYERS]; /* of all cells, for global latents */
    float *cells[LAYERS];                 /* [cells x 128]: keys and values, for window latents */
    float *latents;                       /* [latents + windows x windows, in blocks of 32] */
    entry *self_queries, *self_keys, *self_values;
    /* of a run */
    const float *image, *logits;
    float *tokens;
    int hard, level, layer;
};

static size_t framed_row(Framed m) { return (size_t)(m.side + 1) * m.width; }
static entry *framed_at(Framed m, int y, int x) {
    return m.pixels + (y + 1) * framed_row(m) + (size_t)(x + 1) * m.width;
}

/* Of rows whose channels have a mean of zero and were divided by the square root of their number. */
INLINE vec length_scale(vec squares) { return all(1 / sqrtf(sum_of(squares) + MAP_EPSILON)); }

/* The sum of each four lanes that lie together, in each of them. */
INLINE vec sum_fours(vec x) {
#ifdef __AVX512F__
    __m512 y = _mm512_add_ps((__m512)x, _mm512_permute_ps((__m512)x, 0xb1));
    return (vec)_mm512_add_ps(y, _mm512_permute_ps(y, 0x4e));
#else
    vec y;
    for (int i = 0; i < LANES; i++) {
        int four = i / 4 * 4;
        y[i] = (x[four] + x[four + 1]) + (x[four + 2] + x[four + 3]);
    }
    return y;
#endif
}

/* 32 outputs of a strided convolution, rows of its inputs one after the other; short ones in one product. */
INLINE void convolve(const entry *from, size_t line, size_t step, int lines, Packed map, float *to) {
    int depth = map.inputs / lines, once = depth == BLOCK ? map.inputs : depth;
    size_t apart = (size_t)BLOCK * map.inputs;
    for (int done = 0; done < map.inputs; done += once, from += line) {
        Layout in = {step, depth == BLOCK ? line : BLOCK};
        multiply(left_side(from, in, once, ROOM), map.weight + (size_t)done * BLOCK, apart, once, map.outputs,
                 to, done > 0);
    }
}

/* Logits to masks at full resolution, and their first convolution. */
static void first_mask(void *job, int task, int thread) {
    MemoryEncoder *e = job;
    Workspace *t = e->spaces + thread;
    Framed to = e->maps[0], from = {.side = to.side, .width = PIXELS, .pixels = t->band};
    int side = to.side, first = task * BAND, last = first + BAND < side ? first + BAND : side;
    begin_products();
    for (int y = first - 1; y < last;
         y++) { /* into a band of which row 0 is first - 1, the row before it unused */
        entry *row = framed_at(from, y - first, 0);
        if (y < 0) {
            memset(row, 0, framed_row(from) * sizeof *row);
            continue;
        }
        for (int x = 0; x < side; x++) {
            vec logit = all(0);
            for (int i = 0; i < 9; i++) { /* at the rim, what is there is there twice */
                int yy = y + i / 3 - 1, xx = x + i % 3 - 1;
                yy = yy < 0 ? 0 : yy == side ? side - 1 : yy, xx = xx < 0 ? 0 : xx == side ? side - 1 : xx;
                logit = fused(all(e->logits[(size_t)yy * side + xx]), load(e->enlarge + i * PIXELS), logit);
            }
            vec share;
            if (e->hard)
                for (int i = 0; i < LANES; i++) share[i] = logit[i] > 0;
            else share = all(1) / (all(1) + power_of_two(logit * all(-1.44269504f)));
            store_entries(row + (size_t)x * PIXELS, fused(share, all(SCALE), all(OFFSET)));
        }
    }
    for (int y = first; y < last; y++)
        for (int x = 0; x < side; x += BLOCK) {
            convolve(framed_at(from, y - first - 1, x - 1), framed_row(from), PIXELS, 2, e->mask[0], t->sums);
            for (int r = 0; r < BLOCK; r++) {
                vec value = load(t->sums + at(r, 0)) + load(e->mask[0].bias),
                    square = sum_fours(value * value), scale;
                for (int i = 0; i < LANES; i++) scale[i] = 1 / sqrtf(square[i] + MAP_EPSILON);
                value = fused(value * scale, load(e->norms[0].weight), load(e->norms[0].bias));
                store_entries(framed_at(to, y, x + r), gelu(value));
            }
        }
    end_products();
}

/* 32 outputs of a convolution of the mask, normed and through GELU: to rows that are `apart`, or to blocks.
 */
INLINE void norm_mask(Workspace *t, Packed map, Linear norm, int width, entry *to, size_t apart) {
    for (int r = 0; r < BLOCK; r++) {
        vec row[WIDTH / LANES], squares = all(0);
        for (int i = 0; i < width; i += LANES) {
            vec value = row[i / LANES] = load(t->sums + at(r, i)) + load(map.bias + i);
            squares = fused(value, value, squares);
        }
        vec scale = length_scale(squares);
        for (int i = 0; i < width; i += LANES) {
            vec value = fused(row[i / LANES] * scale, load(norm.weight + i), load(norm.bias + i));
            store_entries(to + (apart ? r * apart + i : at(r, i)), gelu(value));
        }
    }
}

/* The second convolution, at the same size, or the third, to half of it: a row of outputs. */
static void next_mask(void *job, int task, int thread) {
    MemoryEncoder *e = job;
    Workspace *t = e->spaces + thread;
    Framed from = e->maps[e->level - 1], to = e->maps[e->level];
    int stride = from.side / to.side, lines = stride == 1 ? 2 : 3;
    begin_products();
    for (int x = 0; x < to.side; x += BLOCK) {
        convolve(framed_at(from, task * stride - 1, x * stride - 1), framed_row(from),
                 (size_t)stride * from.width, lines, e->mask[e->level], t->sums);
        norm_mask(t, e->mask[e->level], e->norms[e->level], to.width, framed_at(to, task, x), to.width);
    }
    end_products();
}

/* The last convolutions of the mask, and the image, to one map: 32 cells, which may be several rows. */
static void join(void *job, int task, int thread) {
    MemoryEncoder *e = job;
    Workspace *t = e->spaces + thread;
    Framed from = e->maps[2];
    int side = e->shape.grid, first = task * BLOCK;
    int depth = e->mask[3].inputs / 3;
    begin_products();
    if (side % BLOCK == 0)
        convolve(framed_at(from, first / side * 2 - 1, first % side * 2 - 1), framed_row(from),
                 (size_t)2 * from.width, 3, e->mask[3], t->sums);
    else { /* 32 cells are of several rows */
        for (int r = 0; r < BLOCK; r++)
            for (int line = 0; line < 3; line++) {
                int y = (first + r) / side, x = (first + r) % side;
                memcpy(t->rows + (size_t)(r * 3 + line) * depth, framed_at(from, 2 * y - 1 + line, 2 * x - 1),
                       depth * sizeof *t->rows);
            }
        convolve(t->rows, depth, (size_t)3 * depth, 3, e->mask[3], t->sums);
    }
    norm_mask(t, e->mask[3], e->norms[3], WIDTH, t->left, 0);
    for (int r = 0; r < BLOCK; r++)
        for (int i = 0; i < WIDTH; i += LANES)
            store_entries(t->second + at(r, i), load(e->image + (size_t)(first + r) * WIDTH + i));
    multiply(left_side(t->left, BLOCKS, WIDTH, ROOM), e->mask_last.weight, BLOCK * WIDTH, WIDTH, WIDTH,
             t->sums, 0);
    multiply(left_side(t->second, BLOCKS, WIDTH, ROOM), e->image_map.weight, BLOCK * WIDTH, WIDTH, WIDTH,
             t->sums, 1);
    for (int i = 0; i < WIDTH; i += LANES) {
        vec bias = load(e->mask_last.bias + i) + load(e->image_map.bias + i);
        for (int r = 0; r < BLOCK; r++)
            store_entries(e->fused[0] + (size_t)(first + r) * WIDTH + i, load(t->sums + at(r, i)) + bias);
    }
    end_products();
}

/* 7 x 7 of each channel: some outputs beside each other, as rows `first` and on of a row of blocks of floats.
 */
INLINE void look_around(const entry *map, int side, Linear taps, int row, int column, int count, float *to,
                        int first) {
    for (int c = 0; c < WIDTH; c += LANES) {
        vec sum[BESIDE];
        for (int i = 0; i < BESIDE; i++) sum[i] = load(taps.bias + c);
        for (int y = 0; y < SPAN; y++) {
            int line = row + y - REACH;
            if (line < 0 || line >= side) continue;
            const entry *pixels = map + (size_t)line * side * WIDTH + c;
            vec weight[SPAN];
            for (int i = 0; i < SPAN; i++) weight[i] = load(taps.weight + (y * SPAN + i) * WIDTH + c);
#pragma GCC unroll 14
            for (int x = 0; x < BESIDE + SPAN - 1; x++) {
                int from = column + x - REACH;
                if (from < 0 || from >= side) continue;
                vec pixel = load_entries(pixels + (size_t)from * WIDTH);
#pragma GCC unroll 8
                for (int i = 0; i < BESIDE; i++)
                    if (x - i >= 0 && x - i < SPAN) sum[i] = fused(pixel, weight[x - i], sum[i]);
            }
        }
        for (int i = 0; i < count; i++) store(to + at(first + i, c), sum[i]);
    }
}

/* Row r of a layer norm: channels divided by the square root of their number already, or not. */
INLINE void normalise_row(const float *x, int r, int width, Linear norm, int divided, float epsilon,
                          entry *to) {
    vec row[WIDTH / LANES];
    layer_norm(x, r, 0, width, norm, divided ? 1 : width, epsilon, row);
    for (int i = 0; i < width / LANES; i++) store_entries(to + at(r, LANES * i), row[i]);
}

/* Row r of a latent layer's keys and values, [., 128], with a place in both: keys to left, values to second.
 */
INLINE void place_row(const float *x, int r, const float *position, Workspace *t) {
    for (int i = 0; i < MEMORY; i += LANES) {
        vec where = position ? load(position + i) : all(0);
        store_entries(t->left + at(r, i), load(x + at(r, i)) + where);
        store_entries(t->second + at(r, i), load(x + at(r, MEMORY + i)) + where);
    }
}

/* 32 cells in memory's width: what latents of each layer read of them. */
static void offer(MemoryEncoder *e, Workspace *t, const float *cells, int first) {
    int count = e->shape.grid * e->shape.grid;
    for (int i = 0; i < LAYERS; i++) {
        const LatentLayer *l = e->layers + i;
        for (int r = 0; r < BLOCK; r++) normalise_row(cells, r, MEMORY, l->norm_cells, 0, EPSILON, t->left);
        project(t->left, l->key_value, t->sums);
        for (int r = 0; r < BLOCK; r++) {
            for (int c = 0; c < 2 * MEMORY; c += LANES)
                store(e->cells[i] + (size_t)(first + r) * 2 * MEMORY + c, load(t->sums + at(r, c)));
            place_row(t->sums, r, e->tables.position + (size_t)(first + r) * MEMORY, t);
        }
        to_columns(t->left, MEMORY, e->keys[i] + (size_t)first * MEMORY);
        to_rows(t->second, MEMORY, e->values[i] + (size_t)first * BLOCK, (size_t)count * BLOCK);
    }
}

/* A block of the fuser; after the last, memory in its own width. */
static void mix_map(void *job, int task, int thread) {
    MemoryEncoder *e = job;
    Workspace *t = e->spaces + thread;
    const Mixer *m = e->mixers + e->level;
    int side = e->shape.grid, first = task * BLOCK;
    const entry *from = e->fused[e->level];
    begin_products();
    for (int r = 0; r < BLOCK; r += BESIDE)
        look_around(from, side, m->taps, (first + r) / side, (first + r) % side, BESIDE, t->sums, r);
    for (int r = 0; r < BLOCK; r++) normalise_row(t->sums, r, WIDTH, m->norm, 1, MAP_EPSILON, t->left);
    for (int unit = 0; unit < HIDDEN; unit += KEYS)
        hidden_units(t->left, m->widen, m->narrow, unit, KEYS, gelu, t->scores, t->weights, t->sums);
    for (int i = 0; i < WIDTH; i += LANES) {
        vec bias = load(m->narrow.bias + i);
        for (int r = 0; r < BLOCK; r++) {
            size_t cell = (size_t)(first + r) * WIDTH + i;
            vec x = load(t->sums + at(r, i)) + bias + load_entries(from + cell);
            store_entries(e->level ? t->left + at(r, i) : e->fused[1] + cell, x);
        }
    }
    if (e->level) {
        project(t->left, e->out, t->other);
        for (int i = 0; i < MEMORY; i += LANES) {
            vec bias = load(e->out.bias + i);
            for (int r = 0; r < BLOCK; r++) store(t->other + at(r, i), load(t->other + at(r, i)) + bias);
        }
        offer(e, t, t->other, first);
    }
    end_products();
}

/* x += y for 32 rows of memory's width. */
INLINE void add_to(float *x, const float *y) {
    for (int i = 0; i < BLOCK * MEMORY; i += LANES) store(x + i, load(x + i) + load(y + i));
}

INLINE void normalise(const float *x, Linear norm, entry *to) {
    for (int r = 0; r < BLOCK; r++) normalise_row(x, r, MEMORY, norm, 0, EPSILON, to);
}

static void feed_forward(Workspace *t, FeedForward f, float *x) {
    normalise(x, f.norm, t->left);
    hidden_units(t->left, f.widen, f.narrow, 0, LATENT_HIDDEN, gelu, t->scores, t->weights, t->sums);
    add_to(x, t->sums);
}

/* What 32 global latents take from a memory. */
static void read_memory(Workspace *t, Memory memory, Packed out, float *x) {
    mix(&t->mixing, &memory, 1, BLOCK, MEMORY, t->sums, t->total);
    for (int r = 0; r < BLOCK; r++) {
        vec share = all(1 / t->total[r]);
        for (int i = 0; i < MEMORY; i += LANES)
            store_entries(t->left + at(r, i), load(t->sums + at(r, i)) * share);
    }
    project(t->left, out, t->sums);
    add_to(x, t->sums);
}

/* What each of 32 window latents takes from its own cells, into `left`. */
static void read_windows(MemoryEncoder *e, Workspace *t, const float *queries, int first) {
    int side = e->shape.grid, windows = e->shape.windows, span = side / windows;
    for (int r = 0; r < BLOCK; r++) {
        int y = (first + r) / windows * span, x = (first + r) % windows * span;
        vec query[MEMORY / LANES], sum[MEMORY / LANES];
        for (int i = 0; i < MEMORY / LANES; i++) query[i] = load(queries + at(r, i * LANES)), sum[i] = all(0);
        float most = -INFINITY, total = 0;
        for (int round = 0; round < 2; round++) /* the largest score, and then the sum */
            for (int cell = 0; cell < span * span; cell++) {
                const float *key =
                    e->cells[e->layer] + ((size_t)(y + cell / span) * side + x + cell % span) * 2 * MEMORY;
                vec score = all(0);
                for (int i = 0; i < MEMORY / LANES; i++)
                    score = fused(query[i], load(key + i * LANES), score);
                float s = sum_of(score);
                if (!round) {
                    most = s > most ? s : most;
                    continue;
                }
                float weight = exp2f(s - most);
                total += weight;
                for (int i = 0; i < MEMORY / LANES; i++)
                    sum[i] = fused(all(weight), load(key + MEMORY + i * LANES), sum[i]);
            }
        for (int i = 0; i < MEMORY / LANES; i++)
            store_entries(t->left + at(r, i * LANES), sum[i] * all(1 / total));
    }
}

/* Latents end as tokens. */
static void hand_over(MemoryEncoder *e, const float *x, int first) {
    for (int r = 0; r < BLOCK; r++) {
        vec row[MEMORY / LANES];
        layer_norm(x, r, 0, MEMORY, e->last_norm, MEMORY, EPSILON, row);
        for (int i = 0; i < MEMORY / LANES; i++)
            store(e->tokens + (size_t)(first + r) * MEMORY + i * LANES, row[i]);
    }
}

/* 32 latents: global ones read each other for the layer before, if there is one; then all read the map. */
static void read_map(void *job, int task, int thread) {
    MemoryEncoder *e = job;
    Workspace *t = e->spaces + thread;
    int first = task * BLOCK, global = first < e->shape.latents, cells = e->shape.grid * e->shape.grid;
    float *x = e->latents + (size_t)first * MEMORY;
    begin_products();
    if (!e->layer)
        for (int r = 0; r < BLOCK; r++) {
            const float *from =
                global ? e->tables.latents + (size_t)(first + r) * MEMORY
                       : e->tables.window_latents + (size_t)(first + r - e->shape.latents) * MEMORY;
            for (int i = 0; i < MEMORY; i += LANES) store(x + at(r, i), load(from + i));
        }
    else if (global) {
        const LatentLayer *before = e->layers + e->layer - 1;
        const entry *queries =
            e->self_queries + ((size_t)(e->layer - 1) % 2 * e->shape.latents + first) * MEMORY;
        Memory others = {queries,          e->self_keys, e->self_values, MEMORY, e->shape.latents,
                         e->shape.latents, NULL};
        read_memory(t, others, before->self_out, x);
        feed_forward(t, before->last, x);
    }
    if (e->layer == LAYERS) {
        hand_over(e, x, first);
        end_products();
        return;
    }
    const LatentLayer *l = e->layers + e->layer;
    normalise(x, l->norm_latents, t->second);
    project(t->second, l->query, t->other);
    if (global) {
        to_entries(t->other, MEMORY, t->second);
        Memory map = {t->second, e->keys[e->layer], e->values[e->layer], MEMORY, cells, cells, NULL};
        read_memory(t, map, l->out, x);
    } else {
        read_windows(e, t, t->other, first - e->shape.latents);
        project(t->left, l->out, t->sums);
        add_to(x, t->sums);
    }
    feed_forward(t, l->after, x);
    if (!global) { /* as published, a window latent is alone: it reads its own value */
        normalise(x, l->norm_self, t->left);
        project(t->left, l->self_key_value, t->sums);
        to_entries(t->sums + at(0, MEMORY), MEMORY, t->left);
        project(t->left, l->self_out, t->sums);
        add_to(x, t->sums);
        feed_forward(t, l->last, x);
    }
    end_products();
}

/* What 32 global latents show each other. */
static void show(void *job, int task, int thread) {
    MemoryEncoder *e = job;
    Workspace *t = e->spaces + thread;
    const LatentLayer *l = e->layers + e->layer;
    int first = task * BLOCK;
    begin_products();
    normalise(e->latents + (size_t)first * MEMORY, l->norm_self, t->left);
    project(t->left, l->self_query, t->sums);
    to_entries(t->sums, MEMORY, e->self_queries + ((size_t)e->layer % 2 * e->shape.latents + first) * MEMORY);
    project(t->left, l->self_key_value, t->other);
    for (int r = 0; r < BLOCK; r++) place_row(t->other, r, NULL, t);
    to_columns(t->left, MEMORY, e->self_keys + (size_t)first * MEMORY);
    to_rows(t->second, MEMORY, e->self_values + (size_t)first * BLOCK, (size_t)e->shape.latents * BLOCK);
    end_products();
}

void memory_run(MemoryEncoder *e, const float *image, const float *logits, int hard, float *tokens) {
    int blocks = e->shape.grid * e->shape.grid / BLOCK, windows = e->shape.windows * e->shape.windows;
    e->image = image, e->logits = logits, e->hard = hard, e->tokens = tokens;
    share(e->pool, first_mask, e, (e->maps[0].side + BAND - 1) / BAND);
    for (e->level = 1; e->level < 3; e->level++) share(e->pool, next_mask, e, e->maps[e->level].side);
    share(e->pool, join, e, blocks);
    for (e->level = 0; e->level < 2; e->level++) share(e->pool, mix_map, e, blocks);
    for (e->layer = 0; e->layer <= LAYERS; e->layer++) {
        share(e->pool, read_map, e, (e->shape.latents + windows) / BLOCK);
        if (e->layer < LAYERS) share(e->pool, show, e, e->shape.latents / BLOCK);
    }
}

void memory_free(MemoryEncoder *e) {
    if (!e) return;
    for (int i = 0; i < 4; i++) free(e->mask[i].weight);
    for (int i = 0; i < 3; i++) free(e->maps[i].pixels);
    for (int i = 0; i < 2; i++)
        free(e->fused[i]), free(e->mixers[i].widen.weight), free(e->mixers[i].narrow.weight);
    for (int i = 0; i < LAYERS; i++) {
        LatentLayer *l = e->layers + i;
        Packed maps[] = {l->query,    l->key_value,   l->out,          l->self_query, l->self_key_value,
                         l->self_out, l->after.widen, l->after.narrow, l->last.widen, l->last.narrow};
        for (size_t j = 0; j < sizeof maps / sizeof *maps; j++) free(maps[j].weight);
        free(e->keys[i]), free(e->values[i]), free(e->cells[i]);
    }
    for (int i = 0; e->spaces && i < e->threads; i++) free(e->spaces[i].band);
    free(e->mask_last.weight), free(e->image_map.weight), free(e->out.weight), free(e->spaces),
        free(e->latents);
    free(e->self_queries), free(e->self_keys), free(e->self_values), free(e);
}

static FeedForward take_feed_forward(const Linear **maps, int *failed) {
    FeedForward f = {.norm = *(*maps)++};
    f.widen = take(maps, LATENT_HIDDEN, MEMORY, failed);
    f.narrow = take(maps, MEMORY, LATENT_HIDDEN, failed);
    return f;
}

MemoryEncoder *memory_new(MemoryShape shape, const MemoryTables *tables, const Linear *maps, Pool *pool) {
    MemoryEncoder *e = calloc(1, sizeof *e);
    if (!e) return NULL;
    e->shape = shape, e->tables = *tables, e->pool = pool, e->threads = pool->threads;
    int failed = 0, g = shape.grid, sides[] = {4 * g, 4 * g, 2 * g};
    size_t cells = (size_t)g * g, latents = shape.latents + shape.windows * shape.windows;
    int inputs[] = {2 * 2 * PIXELS, 2 * 2 * PIXELS, 3 * up(3 * PIXELS), 3 * 3 * MEMORY},
        outputs[] = {PIXELS, PIXELS, MEMORY, WIDTH};
    e->enlarge = (maps++)->weight;
    for (int i = 0; i < 4; i++)
        e->mask[i] = take(&maps, outputs[i], inputs[i], &failed), e->norms[i] = *maps++;
    e->mask_last = take(&maps, WIDTH, WIDTH, &failed);
    e->image_map = take(&maps, WIDTH, WIDTH, &failed);
    for (int i = 0; i < 2; i++) {
        Mixer *m = e->mixers + i;
        m->taps = *maps++, m->norm = *maps++;
        m->widen = take(&maps, HIDDEN, WIDTH, &failed), m->narrow = take(&maps, WIDTH, HIDDEN, &failed);
    }
    e->out = take(&maps, MEMORY, WIDTH, &failed);
    for (int i = 0; i < LAYERS; i++) {
        LatentLayer *l = e->layers + i;
        l->norm_cells = *maps++, l->norm_latents = *maps++;
        l->query = take(&maps, MEMORY, MEMORY, &failed),
        l->key_value = take(&maps, 2 * MEMORY, MEMORY, &failed);
        l->out = take(&maps, MEMORY, MEMORY, &failed), l->after = take_feed_forward(&maps, &failed);
        l->norm_self = *maps++;
        l->self_query = take(&maps, MEMORY, MEMORY, &failed),
        l->self_key_value = take(&maps, 2 * MEMORY, MEMORY, &failed);
        l->self_out = take(&maps, MEMORY, MEMORY, &failed), l->last = take_feed_forward(&maps, &failed);
        failed |= !(e->keys[i] = clear(cells * MEMORY * sizeof(entry))) |
                  !(e->values[i] = clear(cells * MEMORY * sizeof(entry)));
        failed |= !(e->cells[i] = clear(cells * 2 * MEMORY * sizeof(float)));
    }
    e->last_norm = *maps;
    for (int i = 0; i < 3; i++) {
        e->maps[i] = (Framed){.side = sides[i], .width = outputs[i]};
        e->maps[i].pixels = clear(((sides[i] + 1) * framed_row(e->maps[i]) + BLOCK) * sizeof(entry));
        failed |= !e->maps[i].pixels;
    }
    for (int i = 0; i < 2; i++) failed |= !(e->fused[i] = clear(cells * WIDTH * sizeof(entry)));
    failed |= !(e->latents = clear(latents * MEMORY * sizeof(float)));
    size_t selves = (size_t)(shape.latents ? shape.latents : BLOCK) * MEMORY * sizeof(entry);
    failed |= !(e->self_queries = clear(2 * selves)) | !(e->self_keys = clear(selves)) |
              !(e->self_values = clear(selves));
    failed |= !(e->spaces = clear(pool->threads * sizeof *e->spaces));
    size_t band = (BAND + 2) * framed_row(e->maps[0]) + BLOCK;
    for (int i = 0; e->spaces && i < pool->threads; i++)
        failed |= !(e->spaces[i].band = clear(band * sizeof(entry)));
    if (!failed) return e;
    memory_free(e);
    return NULL;
}
