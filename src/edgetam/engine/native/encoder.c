/* The image encoder (`edgetam.model.repvit`, `edgetam.model.image_encoder`); sums in float.

   Maps lie with their channels last. 32 pixels at a time go through all that is between two looks at
   neighbours, which is a few KB; threads take some of these at once and meet after each map. */
#include "encoder.h"

#define RGB 3
#define TAPS 9
#define UNITS 192 /* hidden ones at once: divides those of the published widths */
#define BAND 4    /* rows of the stem at once */
#define COARSE 256
#define PIECES 16 /* for each thread, where there are so many */
#define MOST_BLOCKS 4

/* A 3 x 3 convolution of each channel on its own. */
typedef struct {
    const float *weight, *bias; /* [9 x channels], [channels] */
} Taps;

typedef struct {
    Taps taps;
    Linear squeeze, excite; /* [squeezed x channels] both; weights are NULL where there is no gate */
    int squeezed;
    Packed widen, narrow;
} Block;

typedef struct {
    Taps taps;
    Packed change, widen, narrow;
} Downsampling;

typedef struct {
    int width, depth, side;
    entry *maps[2]; /* [side x side x width]; the first is the newer */
    Block before;   /* at the end of the stage before, as the next two */
    Downsampling down;
    Block *blocks;
} Stage;

/* Of one thread. */
typedef struct {
    float scores[BLOCK * UNITS] ALIGNED, *sums, *changed;
    entry weights[BLOCK * UNITS] ALIGNED, *left, *second, *band, *lines;
} Workspace;

struct Encoder {
    EncoderShape shape;
    Pool *pool;
    Packed stem[2];
    Stage stages[STAGES];
    Packed neck[4];
    Workspace *spaces;
    int threads;         /* as many as there are workspaces: the pool may be gone at the end */
    float *means, *gate; /* [pixels / 32 x channels], sums of so many pixels; [channels] */
    /* of the pass at hand */
    const float *image;
    int level, each;
    const Block *block;
    float *out;
};

/* Outputs (row, column) to (row, column + count - 1) of a map; as rows `first` and on of a row of blocks, or
   of a map. Adds their sum to `total` if there is one. */
INLINE void convolve(const entry *map, int side, int width, Taps taps, int stride, int row, int column,
                     int count, entry *to, int first, int blocked, float *total) {
    for (int c = 0; c < width; c += LANES) {
        const entry *lines[3];
        vec weight[TAPS], seen[3][3], bias = load(taps.bias + c), sum = all(0);
        for (int i = 0; i < TAPS; i++) weight[i] = load(taps.weight + i * width + c);
        for (int y = 0; y < 3; y++) {
            int line = row * stride + y - 1;
            lines[y] = line < 0 || line >= side ? NULL : map + (size_t)line * side * width + c;
            for (int i = 0; i < 3; i++) seen[y][i] = all(0);
        }
        /* the window of the first output but for the columns that the first step brings */
        for (int x = column * stride - 1, i = stride; i < 3; i++, x++)
            for (int y = 0; y < 3; y++)
                if (lines[y] && x >= 0) seen[y][i] = load_entries(lines[y] + (size_t)x * width);
        for (int n = 0; n < count; n++) {
            int right = (column + n) * stride + 1;
            for (int step = stride - 1; step >= 0; step--)
                for (int y = 0; y < 3; y++) {
                    int x = right - step;
                    seen[y][0] = seen[y][1], seen[y][1] = seen[y][2];
                    seen[y][2] = lines[y] && x < side ? load_entries(lines[y] + (size_t)x * width) : all(0);
                }
            vec y = bias;
            for (int i = 0; i < TAPS; i++) y = fused(seen[i / 3][i % 3], weight[i], y);
            sum += y;
            store_entries(blocked ? to + at(first + n, c) : to + (size_t)(first + n) * width + c, y);
        }
        if (total) store(total + c, load(total + c) + sum);
    }
}

/* 32 pixels from `pixel` on of a map's convolution, whose outputs have so many to a row. */
INLINE void convolve_block(const entry *map, int side, int width, Taps taps, int stride, int pixel, entry *to,
                           int blocked, float *total) {
    int across = side / stride;
    for (int r = 0; r < BLOCK;) {
        int row = (pixel + r) / across, column = (pixel + r) % across;
        int count = across - column < BLOCK - r ? across - column : BLOCK - r;
        convolve(map, side, width, taps, stride, row, column, count, to, blocked ? r : pixel + r, blocked,
                 total);
        r += count;
    }
}

/* Columns beyond a width that is no multiple of 32: weights there are zero, which does not help against what
   is no number. */
INLINE void clear_rest(entry *x, int width) {
    if (width % BLOCK)
        for (int r = 0; r < BLOCK; r++) memset(x + at(r, width), 0, LANES * sizeof *x);
}

/* sums = the hidden layer between two maps of 32 pixels, without the last bias. */
static void mix_channels(Workspace *t, const entry *x, Packed widen, Packed narrow) {
    for (int unit = 0; unit < widen.outputs; unit += UNITS) {
        int count = widen.outputs - unit < UNITS ? widen.outputs - unit : UNITS;
        hidden_units(x, widen, narrow, unit, count, gelu, t->scores, t->weights, t->sums);
    }
}

/* What lies between rows of the stem: a row with a pixel of zeros before it, and zeros after it that products
 * read. */
static size_t line_of(int size) { return (size_t)(size + 1) * RGB + BLOCK; }
static size_t band_of(EncoderShape shape) {
    return (size_t)(shape.size / 2 + 1) * (shape.widths[0] / 2) + BLOCK;
}

/* Two strided convolutions: some rows of the first into a band, with a pixel of zeros before each. */
static void begin_map(void *job, int task, int thread) {
    Encoder *e = job;
    Workspace *t = e->spaces + thread;
    int size = e->shape.size, middle = size / 2, width = e->shape.widths[0], inner = width / 2;
    size_t line_length = line_of(size), band_length = band_of(e->shape);
    int deeper = e->stem[1].inputs / 3;
    begin_products();
    int first = task * BAND, last = first + BAND < size / 4 ? first + BAND : size / 4;
    for (int y = 2 * first - 1; y <= 2 * last - 1; y++) {
        entry *to = t->band + (size_t)(y - 2 * first + 1) * band_length;
        memset(to, 0, (y < 0 ? band_length : (size_t)inner) * sizeof *to);
        if (y < 0) continue;
        for (int line = 0; line < 3; line++) {
            entry *pixels = t->lines + line * line_length;
            int from = 2 * y - 1 + line;
            memset(pixels, 0, (from < 0 ? line_length : (size_t)RGB) * sizeof *pixels);
            for (int i = 0; from >= 0 && i < size * RGB; i += LANES)
                store_entries(pixels + RGB + i, load(e->image + (size_t)from * size * RGB + i));
        }
        for (int x = 0; x < middle; x += BLOCK) {
            Layout pixels = {2 * RGB, line_length}; /* a row of taps is less than 32 */
            int depth = e->stem[0].inputs;
            multiply(left_side(t->lines + 2 * x * RGB, pixels, depth, ROOM), e->stem[0].weight,
                     (size_t)BLOCK * depth, depth, e->stem[0].outputs, t->sums, 0);
            /* what is beyond the channels there are is written over by the next pixel */
            for (int r = 0; r < BLOCK; r++)
                for (int n = 0; n < inner; n += LANES)
                    store_entries(to + (size_t)(1 + x + r) * inner + n,
                                  gelu(load(t->sums + at(r, n)) + load(e->stem[0].bias + n)));
        }
    }
    int side = size / 4;
    for (int y = first; y < last; y++)
        for (int x = 0; x < side; x += BLOCK) {
            for (int line = 0; line < 3; line++) {
                const entry *pixels =
                    t->band + (size_t)(2 * (y - first) + line) * band_length + 2 * x * inner;
                multiply(left_side(pixels, rows_apart(2 * inner), deeper, ROOM),
                         e->stem[1].weight + line * deeper * BLOCK, (size_t)BLOCK * e->stem[1].inputs, deeper,
                         e->stem[1].outputs, t->sums, line > 0);
            }
            for (int r = 0; r < BLOCK; r++)
                for (int n = 0; n < width; n += LANES)
                    store_entries(e->stages[0].maps[0] + ((size_t)y * side + x + r) * width + n,
                                  load(t->sums + at(r, n)) + load(e->stem[1].bias + n));
        }
    end_products();
}

/* The first half of a block with a gate: its convolution, and the sum of each channel over 32 pixels. */
static void look(void *job, int task, int thread) {
    (void)thread;
    Encoder *e = job;
    const Stage *s = e->stages + e->level;
    for (int i = task * e->each; i < (task + 1) * e->each; i++) {
        float *total = e->means + (size_t)i * s->width;
        memset(total, 0, s->width * sizeof *total);
        convolve_block(s->maps[0], s->side, s->width, e->block->taps, 1, i * BLOCK, s->maps[1], 0, total);
    }
}

/* The rest of it, or all of a block without a gate. */
static void mix_block(void *job, int task, int thread) {
    Encoder *e = job;
    Workspace *t = e->spaces + thread;
    const Stage *s = e->stages + e->level;
    const Block *b = e->block;
    begin_products();
    for (int i = task * e->each; i < (task + 1) * e->each; i++) {
        entry *to = s->maps[1] + (size_t)i * BLOCK * s->width;
        if (b->excite.weight)
            for (int c = 0; c < s->width; c += LANES) {
                vec gate = load(e->gate + c);
                for (int r = 0; r < BLOCK; r++)
                    store_entries(t->left + at(r, c), load_entries(to + (size_t)r * s->width + c) * gate);
            }
        else convolve_block(s->maps[0], s->side, s->width, b->taps, 1, i * BLOCK, t->left, 1, NULL);
        clear_rest(t->left, s->width);
        mix_channels(t, t->left, b->widen, b->narrow);
        for (int c = 0; c < s->width; c += LANES) {
            vec bias = load(b->narrow.bias + c);
            for (int r = 0; r < BLOCK; r++)
                store_entries(to + (size_t)r * s->width + c,
                              load(t->sums + at(r, c)) + bias + load_entries(t->left + at(r, c)));
        }
    }
    end_products();
}

/* From the map of the stage before to that of this. */
static void shrink(void *job, int task, int thread) {
    Encoder *e = job;
    Workspace *t = e->spaces + thread;
    const Stage *s = e->stages + e->level, *before = s - 1;
    const Downsampling *d = &s->down;
    begin_products();
    for (int i = task * e->each; i < (task + 1) * e->each; i++) {
        convolve_block(before->maps[0], before->side, before->width, d->taps, 2, i * BLOCK, t->left, 1, NULL);
        clear_rest(t->left, before->width);
        project(t->left, d->change, t->changed);
        for (int c = 0; c < s->width; c += LANES) {
            vec bias = load(d->change.bias + c);
            for (int r = 0; r < BLOCK; r++) {
                vec x = load(t->changed + at(r, c)) + bias;
                store(t->changed + at(r, c), x);
                store_entries(t->second + at(r, c), x);
            }
        }
        clear_rest(t->second, s->width);
        mix_channels(t, t->second, d->widen, d->narrow);
        entry *to = s->maps[0] + (size_t)i * BLOCK * s->width;
        for (int c = 0; c < s->width; c += LANES) {
            vec bias = load(d->narrow.bias + c);
            for (int r = 0; r < BLOCK; r++)
                store_entries(to + (size_t)r * s->width + c,
                              load(t->sums + at(r, c)) + bias + load(t->changed + at(r, c)));
        }
    }
    end_products();
}

/* A map to the channels that others read; the last to twice its side, on top of what is there. */
static void give(void *job, int task, int thread) {
    Encoder *e = job;
    Workspace *t = e->spaces + thread;
    const Stage *s = e->stages + e->level;
    Packed map = e->neck[e->level];
    begin_products();
    for (int i = task * e->each; i < (task + 1) * e->each; i++) {
        multiply(left_side(s->maps[0] + (size_t)i * BLOCK * s->width, rows_apart(s->width), map.inputs, ROOM),
                 map.weight, (size_t)BLOCK * map.inputs, map.inputs, map.outputs, t->sums, 0);
        for (int r = 0; r < BLOCK; r++) {
            int pixel = i * BLOCK + r, x = pixel % s->side, y = pixel / s->side;
            for (int n = 0; n < map.outputs; n += LANES) {
                vec value = load(t->sums + at(r, n)) + load(map.bias + n);
                if (e->level < STAGES - 1) {
                    store(e->out + (size_t)pixel * map.outputs + n, value);
                    continue;
                }
                for (int i = 0; i < 4; i++) {
                    float *to =
                        e->out + ((size_t)(2 * y + i / 2) * 2 * s->side + 2 * x + i % 2) * map.outputs + n;
                    store(to, load(to) + value);
                }
            }
        }
    }
    end_products();
}

/* Share the pixels of a map, 32 at once, some of these together. */
static void share_map(Encoder *e, Task run) {
    int blocks = e->stages[e->level].side * e->stages[e->level].side / BLOCK;
    e->each = MOST_BLOCKS;
    while (e->each > 1 && (blocks % e->each || blocks / e->each < PIECES * e->pool->threads)) e->each /= 2;
    share(e->pool, run, e, blocks / e->each);
}

/* The gate of each channel from its mean. */
static void find_gate(Encoder *e) {
    const Stage *s = e->stages + e->level;
    const Block *b = e->block;
    float *mean = e->means, hidden[b->squeezed];
    int pixels = s->side * s->side;
    for (int c = 0; c < s->width; c += LANES) {
        vec sum = all(0);
        for (int i = 0; i < pixels / BLOCK; i++) sum += load(e->means + (size_t)i * s->width + c);
        store(mean + c, sum / all(pixels));
    }
    for (int j = 0; j < b->squeezed; j++) {
        vec sum = all(0);
        for (int c = 0; c < s->width; c += LANES)
            sum = fused(load(b->squeeze.weight + (size_t)j * s->width + c), load(mean + c), sum);
        float x = sum_of(sum) + b->squeeze.bias[j];
        hidden[j] = x > 0 ? x : 0;
    }
    for (int c = 0; c < s->width; c += LANES) {
        vec sum = load(b->excite.bias + c);
        for (int j = 0; j < b->squeezed; j++)
            sum = fused(load(b->excite.weight + (size_t)j * s->width + c), all(hidden[j]), sum);
        for (int i = 0; i < LANES; i++) sum[i] = 1 / (1 + expf(-sum[i]));
        store(e->gate + c, sum);
    }
}

static void run_block(Encoder *e, int level, const Block *block) {
    Stage *s = e->stages + level;
    e->level = level, e->block = block;
    if (block->excite.weight) {
        share_map(e, look);
        find_gate(e);
    }
    share_map(e, mix_block);
    entry *newer = s->maps[1];
    s->maps[1] = s->maps[0], s->maps[0] = newer;
}

void encoder_run(Encoder *e, const float *image, Features out) {
    float *outs[STAGES] = {out.stride4, out.stride8, out.stride16, out.stride16};
    e->image = image;
    share(e->pool, begin_map, e, (e->shape.size / 4 + BAND - 1) / BAND);
    for (int level = 0; level < STAGES; level++) {
        Stage *s = e->stages + level;
        if (level) {
            run_block(e, level - 1, &s->before);
            e->level = level;
            share_map(e, shrink);
        }
        for (int i = 0; i < s->depth; i++) run_block(e, level, s->blocks + i);
        e->level = level, e->out = outs[level];
        share_map(e, give);
    }
}

static void free_block(Block *b) { free(b->widen.weight), free(b->narrow.weight); }

void encoder_free(Encoder *e) {
    if (!e) return;
    for (int i = 0; i < STAGES; i++) {
        Stage *s = e->stages + i;
        for (int j = 0; s->blocks && j < s->depth; j++) free_block(s->blocks + j);
        free_block(&s->before);
        free(s->down.change.weight), free(s->down.widen.weight), free(s->down.narrow.weight);
        free(s->blocks), free(s->maps[0]), free(s->maps[1]), free(e->neck[i].weight);
    }
    for (int i = 0; e->spaces && i < e->threads; i++) {
        Workspace *t = e->spaces + i;
        free(t->sums), free(t->changed), free(t->left), free(t->second), free(t->band), free(t->lines);
    }
    free(e->stem[0].weight), free(e->stem[1].weight), free(e->spaces), free(e->means), free(e->gate), free(e);
}

static Block make_block(const Linear **maps, int width, int gated, int *failed) {
    Block b = {.taps = {(*maps)->weight, (*maps)->bias}};
    *maps += 1;
    if (gated) {
        b.squeezed = width / 4 + 4 < 16 ? 8 : (width / 4 + 4) / 8 * 8;
        b.squeeze = (*maps)[0], b.excite = (*maps)[1];
        *maps += 2;
    }
    b.widen = pack((*maps)[0], 2 * width, width), b.narrow = pack((*maps)[1], width, 2 * width);
    *maps += 2;
    *failed |= !b.widen.weight || !b.narrow.weight;
    return b;
}

static Downsampling make_downsampling(const Linear **maps, int from, int to, int *failed) {
    const Linear *m = *maps;
    *maps += 4;
    Downsampling d = {
        {m[0].weight, m[0].bias}, pack(m[1], to, from), pack(m[2], 2 * to, to), pack(m[3], to, 2 * to)};
    *failed |= !d.change.weight || !d.widen.weight || !d.narrow.weight;
    return d;
}

Encoder *encoder_new(EncoderShape shape, const Linear *maps, Pool *pool) {
    Encoder *e = calloc(1, sizeof *e);
    if (!e) return NULL;
    e->shape = shape, e->pool = pool, e->threads = pool->threads;
    int failed = 0, widest = 0, inner = shape.widths[0] / 2;
    size_t pixels = (size_t)(shape.size / 4) * (shape.size / 4), most = 0;
    e->stem[0] = pack(maps[0], inner, 3 * up(3 * RGB)),
    e->stem[1] = pack(maps[1], shape.widths[0], 3 * up(3 * inner));
    failed |= !e->stem[0].weight || !e->stem[1].weight;
    maps += 2;
    for (int i = 0; i < STAGES; i++, pixels /= 4) {
        Stage *s = e->stages + i;
        s->width = shape.widths[i], s->depth = shape.depths[i], s->side = shape.size >> (i + 2);
        if (i) {
            s->before = make_block(&maps, shape.widths[i - 1], 0, &failed);
            s->down = make_downsampling(&maps, shape.widths[i - 1], s->width, &failed);
        }
        s->blocks = calloc(s->depth + 1, sizeof *s->blocks);
        for (int j = 0; s->blocks && j < s->depth; j++)
            s->blocks[j] = make_block(&maps, s->width, j % 2 == 0, &failed);
        for (int j = 0; j < 2; j++)
            failed |= !(s->maps[j] = clear((pixels * s->width + BLOCK) * sizeof(entry)));
        failed |= !s->blocks;
        widest = s->width > widest ? s->width : widest;
        most = pixels / BLOCK * s->width > most ? pixels / BLOCK * s->width : most;
    }
    int outputs[STAGES] = {32, 64, COARSE, COARSE};
    for (int i = 0; i < STAGES; i++) {
        e->neck[i] = pack(maps[i], outputs[i], shape.widths[i]);
        failed |= !e->neck[i].weight;
    }
    e->means = clear(most * sizeof(float)), e->gate = clear(widest * sizeof(float));
    e->spaces = clear(pool->threads * sizeof *e->spaces);
    failed |= !e->means || !e->gate || !e->spaces;
    size_t row = (size_t)BLOCK * up(widest > COARSE ? widest : COARSE);
    for (int i = 0; e->spaces && i < pool->threads; i++) {
        Workspace *t = e->spaces + i;
        t->sums = clear(row * sizeof(float)), t->changed = clear(row * sizeof(float));
        t->left = clear(row * sizeof(entry)), t->second = clear(row * sizeof(entry));
        t->lines = clear(3 * line_of(shape.size) * sizeof(entry)),
        t->band = clear((2 * BAND + 1) * band_of(shape) * sizeof(entry));
        failed |= !t->sums || !t->changed || !t->left || !t->second || !t->lines || !t->band;
    }
    if (!failed) return e;
    encoder_free(e);
    return NULL;
}
