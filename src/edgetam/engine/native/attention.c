/* Memory attention (`edgetam.model.memory_attention`); sums and norms in float.

   Blocks of queries go through a whole layer at once: what is between is at most two MB and stays in the
   cache, and the weights of attention never exist but for 32 queries and 256 keys. Threads share the blocks
   and meet once per layer, where keys and values of all blocks are needed. */
#include "attention.h"
#include "softmax.h"

#define WIDTH 256
#define MEMORY 64
#define HIDDEN 2048
#define HALF (WIDTH / 2)
#define POINTER_TOKENS (WIDTH / MEMORY)
#define EPSILON 1e-5f

typedef struct {
    Packed self_query, self_key, self_value, cross_query, cross_key, fold, cross_value, widen, narrow;
    Linear norm1, norm2, norm3;
} Layer;

/* Of one thread. */
typedef struct {
    float x[MOST_ROWS * WIDTH], before[MOST_ROWS * WIDTH], sums[MOST_ROWS * WIDTH], total[MOST_ROWS];
    float block[BLOCK * WIDTH], ahead[MOST_ROWS];
    entry left[MOST_ROWS * WIDTH], folded[MOST_ROWS * MEMORY], half[BLOCK * WIDTH];
    Mixing mixing;
} ALIGNED Scratch;

/* What self-attention reads, [objects x cells x WIDTH] each. */
typedef struct {
    float *x;
    entry *queries, *keys, *values;
} Stage;

/* Memories with or without a place, of all objects. */
typedef struct {
    entry *keys, *values; /* [layers x objects x slots x WIDTH], or the same for all layers; [objects x slots
                            x MEMORY] */
    size_t room;
    int slots; /* a multiple of 32 */
} Keys;

struct Attention {
    AttentionShape shape;
    AttentionTables tables;
    Linear norm;
    Pool *pool;
    Layer *layers;
    Scratch *scratch;
    int cells, rows;
    /* of a run */
    AttentionInputs in;
    float *out;
    int layer;
    Stage stages[2]; /* of this layer and of the next */
    size_t stage_size;
    Keys plain, placed;
};

/* Row r normalised: to blocks, or to floats in a row. */
INLINE void normalise_row(const float *x, int r, Linear norm, entry *half, float *plain) {
    vec row[WIDTH / LANES];
    layer_norm(x, r, 0, WIDTH, norm, WIDTH, EPSILON, row);
    for (int i = 0; i < WIDTH / LANES; i++)
        if (half) store_entries(half + at(r, LANES * i), row[i]);
        else store(plain + LANES * i, row[i]);
}

INLINE void normalise(const float *x, Linear norm, entry *to) {
    for (int r = 0; r < BLOCK; r++) normalise_row(x, r, norm, to, NULL);
}

/* Add the bias to row r, and rotate its halves by those of its cell if it has one. */
INLINE void turn_row(const float *x, int r, const float *bias, Rotary rotary, int cell, entry *to) {
    for (int i = 0; i < HALF; i += LANES) {
        vec a = load(x + at(r, i)) + load(bias + i), b = load(x + at(r, HALF + i)) + load(bias + HALF + i);
        if (cell >= 0) {
            vec cos = load(rotary.cos + (size_t)cell * HALF + i),
                sin = load(rotary.sin + (size_t)cell * HALF + i);
            vec turned = a * cos - b * sin;
            b = b * cos + a * sin, a = turned;
        }
        store_entries(to + at(r, i), a);
        store_entries(to + at(r, HALF + i), b);
    }
}

/* 32 rows times a linear map, turned by cells from `cell` on. */
INLINE void project_turned(Scratch *t, const entry *x, Packed map, Rotary rotary, int cell, entry *to) {
    project(x, map, t->block);
    for (int r = 0; r < BLOCK; r++) turn_row(t->block, r, map.bias, rotary, cell + r, to);
}

/* sums = the feed-forward layers of `left`, without the last bias: hidden units outside, since all of them do
   not stay in the cache. */
static void feed_forward(Scratch *t, const Layer *l, int rows) {
    for (int unit = 0; unit < HIDDEN; unit += KEYS)
        for (int row = 0; row < rows; row += BLOCK)
            hidden_units(t->left + row * WIDTH, l->widen, l->narrow, unit, KEYS, relu, t->mixing.scores,
                         t->mixing.weights, t->sums + (size_t)row * WIDTH);
}

/* Of an object, from a row on. */
static size_t place(const Attention *a, int object, int row) {
    return ((size_t)object * a->cells + row) * WIDTH;
}

/* Keep rows of x for a layer, with their queries, keys and values of its self-attention. */
static void prepare(Attention *a, Scratch *t, Stage stage, const Layer *l, int object, int first) {
    memcpy(stage.x + place(a, object, first), t->x, (size_t)a->rows * WIDTH * sizeof *t->x);
    for (int row = first; row < first + a->rows; row += BLOCK) {
        normalise(t->x + (row - first) * WIDTH, l->norm1, t->half);
        project_turned(t, t->half, l->self_query, a->tables.image, row,
                       stage.queries + place(a, object, row));
        project_turned(t, t->half, l->self_key, a->tables.image, row, t->left);
        to_columns(t->left, WIDTH, stage.keys + place(a, object, row));
        project(t->half, l->self_value, t->block);
        for (int r = 0; r < BLOCK; r++)
            turn_row(t->block, r, l->self_value.bias, a->tables.image, -1, t->left);
        to_rows(t->left, WIDTH, stage.values + place(a, object, 0) + (size_t)row * BLOCK,
                (size_t)a->cells * BLOCK);
    }
}

/* x = image + position, ready for the first layer. */
static void enter(void *job, int task, int thread) {
    Attention *a = job;
    Scratch *t = a->scratch + thread;
    begin_products();
    int first = task * a->rows;
    for (int r = 0; r < a->rows; r++)
        for (int i = 0; i < WIDTH; i += LANES) {
            size_t from = (size_t)(first + r) * WIDTH + i;
            store(t->x + r / BLOCK * BLOCK * WIDTH + at(r % BLOCK, i),
                  load(a->in.image + from) + load(a->tables.position + from));
        }
    prepare(a, t, a->stages[0], a->layers, 0, first);
    end_products();
}

/* before = x + self-attention. */
static void look_around(Attention *a, Scratch *t, Stage stage, int object, int first) {
    const float *x = stage.x + place(a, object, first);
    Memory memory = {.queries = stage.queries + place(a, object, first),
                     .keys = stage.keys + place(a, object, 0),
                     .values = stage.values + place(a, object, 0),
                     .channels = WIDTH,
                     .count = a->cells,
                     .slots = a->cells};
    mix(&t->mixing, &memory, 1, a->rows, WIDTH, t->sums, t->total);
    for (int row = 0; row < a->rows; row += BLOCK)
        for (int r = 0; r < BLOCK; r++) {
            vec share = all(1 / t->total[row + r]);
            for (int i = 0; i < WIDTH; i += LANES) {
                size_t j = row * WIDTH + at(r, i);
                store(t->before + j, fused(load(t->sums + j), share, load(x + j)));
            }
        }
}

/* How many tokens there are. */
static int plain_count(const Attention *a, int object) {
    return a->in.pointers.counts[object] * POINTER_TOKENS + a->in.frames.counts[object] * a->shape.latents;
}
static int placed_count(const Attention *a, int object) {
    return a->in.frames.counts[object] * a->shape.places;
}

/* Keys without a place are the same in each layer but for a linear map, which queries take on instead. */
static void fold_queries(Scratch *t, const Layer *l, int row) {
    project(t->left + row * WIDTH, l->fold, t->block);
    to_entries(t->block, MEMORY, t->folded + row * MEMORY);
    for (int r = 0; r < BLOCK; r++) t->ahead[row + r] = t->block[at(r, MEMORY)];
}

/* x = before + cross-attention to the memories, and then the feed-forward layers. */
static void read_memories(Attention *a, Scratch *t, int object, int first) {
    const Layer *l = a->layers + a->layer;
    for (int row = 0; row < a->rows; row += BLOCK) {
        normalise(t->before + row * WIDTH, l->norm2, t->half);
        project_turned(t, t->half, l->cross_query, a->tables.image_to_memory, first + row,
                       t->left + row * WIDTH);
        fold_queries(t, l, row);
    }
    size_t plain = (size_t)object * a->plain.slots, placed = (size_t)object * a->placed.slots;
    size_t layer = (size_t)a->layer * a->in.objects * a->placed.slots;
    Memory memories[] = {
        {.queries = t->folded,
         .keys = a->plain.keys + plain * MEMORY,
         .values = a->plain.values + plain * MEMORY,
         .channels = MEMORY,
         .count = plain_count(a, object),
         .slots = a->plain.slots,
         .ahead = t->ahead},
        {.queries = t->left,
         .keys = a->placed.keys + (layer + placed) * WIDTH,
         .values = a->placed.values + placed * MEMORY,
         .channels = WIDTH,
         .count = placed_count(a, object),
         .slots = a->placed.slots},
    };
    mix(&t->mixing, memories, 2, a->rows, MEMORY, t->sums, t->total);
    for (int row = 0; row < a->rows; row += BLOCK) {
        for (int r = 0; r < BLOCK; r++) {
            vec share = all(1 / t->total[row + r]);
            for (int i = 0; i < MEMORY; i += LANES)
                store_entries(t->half + at(r, i), load(t->sums + (size_t)row * MEMORY + at(r, i)) * share);
        }
        project(t->half, l->cross_value, t->block);
        for (int r = 0; r < BLOCK; r++)
            for (int i = 0; i < WIDTH; i += LANES) {
                size_t j = at(r, i);
                store(t->x + row * WIDTH + j,
                      load(t->before + row * WIDTH + j) + load(t->block + j) + load(l->cross_value.bias + i));
            }
        normalise(t->x + row * WIDTH, l->norm3, t->left + row * WIDTH);
    }
    feed_forward(t, l, a->rows);
    for (int row = 0; row < a->rows; row += BLOCK)
        for (int r = 0; r < BLOCK; r++)
            for (int i = 0; i < WIDTH; i += LANES) {
                size_t j = row * WIDTH + at(r, i);
                store(t->x + j, load(t->x + j) + load(t->sums + j) + load(l->narrow.bias + i));
            }
}

/* A block of rows through a layer. Objects share the first self-attention: they differ in memories only. */
static void pass(void *job, int task, int thread) {
    Attention *a = job;
    Scratch *t = a->scratch + thread;
    int blocks = a->cells / a->rows, first = task % blocks * a->rows;
    int object = task / blocks, end = a->layer ? object + 1 : a->in.objects;
    begin_products();
    look_around(a, t, a->stages[a->layer % 2], object, first);
    for (; object < end; object++) {
        read_memories(a, t, object, first);
        if (a->layer + 1 < a->shape.layers) {
            prepare(a, t, a->stages[(a->layer + 1) % 2], a->layers + a->layer + 1, object, first);
            continue;
        }
        for (int r = 0; r < a->rows; r++)
            normalise_row(t->x + r / BLOCK * BLOCK * WIDTH, r % BLOCK, a->norm, NULL,
                          a->out + place(a, object, first + r));
    }
    end_products();
}

/* What a key is the sum of; the first is its value too. */
typedef struct {
    const float *value, *when, *where;
} Token;

static Token token_of(const Remembered *from, int object, int index, int tokens, int token,
                      const float *where) {
    size_t i = (size_t)object * from->most + from->which[(size_t)object * from->most + index];
    return (Token){from->values + (i * tokens + token) * MEMORY, from->positions + i * MEMORY, where};
}

static Token plain_token(const Attention *a, int object, int index) {
    static const float nowhere[MEMORY];
    int pointers = a->in.pointers.counts[object] * POINTER_TOKENS, latents = a->shape.latents;
    if (index < pointers)
        return token_of(&a->in.pointers, object, index / POINTER_TOKENS, POINTER_TOKENS,
                        index % POINTER_TOKENS, nowhere);
    index -= pointers;
    return token_of(&a->in.frames, object, index / latents, latents + a->shape.places, index % latents,
                    a->tables.latent);
}

static Token placed_token(const Attention *a, int object, int index) {
    int latents = a->shape.latents, places = a->shape.places, cell = index % places;
    return token_of(&a->in.frames, object, index / places, latents + places, latents + cell,
                    a->tables.grid + (size_t)cell * MEMORY);
}

/* 32 keys and values of an object; zeros beyond its last. */
static void arrange(void *job, int task, int thread) {
    Attention *a = job;
    Scratch *t = a->scratch + thread;
    int plain_blocks = a->plain.slots / BLOCK, blocks = plain_blocks + a->placed.slots / BLOCK;
    int object = task / blocks, placed = task % blocks >= plain_blocks;
    int first = (task % blocks - placed * plain_blocks) * BLOCK;
    int count = placed ? placed_count(a, object) : plain_count(a, object);
    const Keys *to = placed ? &a->placed : &a->plain;
    entry *values = t->half, *keys = t->half + BLOCK * MEMORY;
    begin_products();
    memset(values, 0, 2 * BLOCK * MEMORY * sizeof(entry));
    for (int r = 0; r < BLOCK && first + r < count; r++) {
        Token from = placed ? placed_token(a, object, first + r) : plain_token(a, object, first + r);
        for (int i = 0; i < MEMORY; i += LANES) {
            vec value = load(from.value + i);
            store_entries(values + at(r, i), value);
            store_entries(keys + at(r, i), value + (load(from.when + i) + load(from.where + i)));
        }
    }
    size_t start = (size_t)object * to->slots;
    to_rows(values, MEMORY, to->values + start * MEMORY + (size_t)first * BLOCK, (size_t)to->slots * BLOCK);
    if (!placed) to_columns(keys, MEMORY, to->keys + (start + first) * MEMORY);
    for (int i = 0; placed && i < a->shape.layers; i++) {
        Packed map = a->layers[i].cross_key;
        project(keys, map, t->block);
        for (int r = 0; r < BLOCK; r++)
            turn_row(t->block, r, map.bias, a->tables.memory, (first + r) % a->shape.places, t->left);
        to_columns(t->left, WIDTH,
                   to->keys + ((size_t)i * a->in.objects * to->slots + start + first) * WIDTH);
    }
    end_products();
}

static void free_keys(Keys *k) {
    free(k->keys), free(k->values);
    *k = (Keys){0};
}

/* Room for so many tokens of each object, with so many channels to a key. */
static int grow_keys(Keys *k, int objects, int tokens, size_t channels) {
    k->slots = up(tokens);
    size_t size = (size_t)objects * k->slots;
    if (size <= k->room) return 0;
    free(k->keys), free(k->values);
    k->keys = allocate(size * channels * sizeof *k->keys);
    k->values = allocate(size * MEMORY * sizeof *k->values);
    k->room = k->keys && k->values ? size : 0;
    return !k->room;
}

static void free_stages(Attention *a) {
    for (int i = 0; i < 2; i++) {
        Stage *s = a->stages + i;
        free(s->x), free(s->queries), free(s->keys), free(s->values);
        *s = (Stage){0};
    }
}

static int grow_stages(Attention *a, int objects) {
    size_t size = place(a, objects, 0);
    if (size <= a->stage_size) return 0;
    free_stages(a);
    a->stage_size = size;
    for (int i = 0; i < 2; i++) {
        Stage s = {allocate(size * sizeof *s.x), allocate(size * sizeof *s.queries),
                   allocate(size * sizeof *s.keys), allocate(size * sizeof *s.values)};
        a->stages[i] = s;
        if (!s.x || !s.queries || !s.keys || !s.values) a->stage_size = 0;
    }
    return !a->stage_size;
}

int attention_run(Attention *a, const AttentionInputs *in, float *out) {
    a->in = *in, a->out = out;
    int frames = in->frames.most, pointers = in->pointers.most;
    if (grow_keys(&a->plain, in->objects, pointers * POINTER_TOKENS + frames * a->shape.latents, MEMORY) ||
        grow_keys(&a->placed, in->objects, frames * a->shape.places, (size_t)a->shape.layers * WIDTH) ||
        grow_stages(a, in->objects))
        return 1;
    int blocks = a->cells / a->rows;
    share(a->pool, arrange, a, (a->plain.slots + a->placed.slots) / BLOCK * in->objects);
    share(a->pool, enter, a, blocks);
    for (a->layer = 0; a->layer < a->shape.layers; a->layer++)
        share(a->pool, pass, a, a->layer ? blocks * in->objects : blocks);
    return 0;
}

void attention_free(Attention *a) {
    if (!a) return;
    for (int i = 0; a->layers && i < a->shape.layers; i++) {
        Layer *l = a->layers + i;
        Packed maps[] = {l->self_query, l->self_key,    l->self_value, l->cross_query, l->cross_key,
                         l->fold,       l->cross_value, l->widen,      l->narrow};
        for (size_t j = 0; j < sizeof maps / sizeof *maps; j++) free(maps[j].weight);
    }
    free_stages(a);
    free_keys(&a->plain), free_keys(&a->placed);
    free(a->layers), free(a->scratch), free(a);
}

Attention *attention_new(AttentionShape shape, const AttentionTables *tables, const LayerWeights *weights,
                         Linear norm, Pool *pool) {
    Attention *a = calloc(1, sizeof *a);
    if (!a) return NULL;
    *a = (Attention){.shape = shape, .tables = *tables, .norm = norm, .pool = pool, .cells = shape.cells};
    a->rows = MOST_ROWS; /* fewer where threads could not share them well */
    while (a->rows > BLOCK && (a->cells % a->rows || a->cells / a->rows < 4 * pool->threads)) a->rows /= 2;
    a->layers = calloc(shape.layers, sizeof *a->layers);
    a->scratch = allocate(pool->threads * sizeof *a->scratch);
    int failed = !a->layers || !a->scratch;
    for (int i = 0; !failed && i < shape.layers; i++) {
        LayerWeights from = weights[i];
        Layer *l = a->layers + i;
        struct {
            Packed *to;
            Linear from;
            int outputs, inputs;
        } maps[] = {
            {&l->self_query, from.self_query, WIDTH, WIDTH},
            {&l->self_key, from.self_key, WIDTH, WIDTH},
            {&l->self_value, from.self_value, WIDTH, WIDTH},
            {&l->cross_query, from.cross_query, WIDTH, WIDTH},
            {&l->cross_key, from.cross_key, WIDTH, MEMORY},
            {&l->fold, from.fold, MEMORY + 1, WIDTH},
            {&l->cross_value, from.cross_value, WIDTH, MEMORY},
            {&l->widen, from.widen, HIDDEN, WIDTH},
            {&l->narrow, from.narrow, WIDTH, HIDDEN},
        };
        for (size_t j = 0; j < sizeof maps / sizeof *maps; j++) {
            *maps[j].to = pack(maps[j].from, maps[j].outputs, maps[j].inputs);
            failed |= !maps[j].to->weight;
        }
        l->norm1 = from.norm1, l->norm2 = from.norm2, l->norm3 = from.norm3;
    }
    if (!failed) return a;
    attention_free(a);
    return NULL;
}
