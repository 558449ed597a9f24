/* The mask decoder of frames that nobody prompted (`edgetam.model.two_way`, `edgetam.model.mask_decoder`);
   sums and norms in float. Tokens are rows of one block; of the image, each thread takes some
   cells, and what tokens see of all of it is put together from what they see of each part. */
#include "decoder.h"
#include "softmax.h"

#define WIDTH 256
#define TOKENS 8
#define HEADS 8
#define LOOK 128            /* width of looks between tokens and image */
#define EACH (LOOK / HEADS) /* of a head: as many as lanes */
#define ASKED (HEADS * TOKENS)
#define HIDDEN 2048
#define MIDDLE 64
#define FINE 32
#define CANDIDATES 3
#define ROUNDS 2
#define MOST_CELLS 128 /* of a part, whatever the number of threads: sums depend on it */
#define FEWEST_PARTS 16
#define EPSILON 1e-5f
#define MAP_EPSILON 1e-6f

/* Tokens look at the image: what they ask for is in its own width, and so is what they see. */
typedef struct {
    Packed query, out;
    const float *keys, *values; /* [heads x 16 x 256], [heads x 256 x 16] */
    Linear norm;
} Look;

typedef struct {
    Packed query, key, value, out;
    Linear norm1, norm3, norm4;
    Look look;
    Packed widen, narrow, image_key, image_value;
    Linear image_query, image_out; /* [heads x 16 x 256] and [128], and [256] */
} Round;

typedef struct {
    Linear layers[3];
} Network;

/* What tokens see of one part of the image. */
typedef struct {
    float sums[ASKED * WIDTH], totals[ASKED], pivots[ASKED];
} ALIGNED Part;

/* Of one object. */
typedef struct {
    float tokens[BLOCK * WIDTH], offset[ASKED], search[FINE];
    entry asked[ASKED * WIDTH], image_keys[ASKED * WIDTH], image_values[ASKED * WIDTH];
} ALIGNED Object;

/* Of one thread. */
typedef struct {
    float sums[BLOCK * WIDTH], other[BLOCK * WIDTH], more[BLOCK * WIDTH], scores[BLOCK * KEYS], plain[WIDTH],
        next[WIDTH];
    entry left[BLOCK * WIDTH], second[BLOCK * WIDTH], weights[BLOCK * KEYS];
    entry keys[MOST_CELLS * WIDTH], values[MOST_CELLS * WIDTH];
    Mixing mixing;
} ALIGNED Workspace;

struct Decoder {
    DecoderShape shape;
    DecoderTables tables;
    Pool *pool;
    Round rounds[ROUNDS];
    Look last;
    Packed up1, up2;
    Linear norm;
    Network scores, presence, pointer, searches[CANDIDATES];
    Workspace *spaces;
    float first[BLOCK * WIDTH]; /* the tokens as they come */
    int cells, part, parts;
    /* of a run */
    DecoderInputs in;
    Decoded out;
    int round, room;
    Object *objects;
    Part *seen;    /* [objects x parts] */
    entry *images; /* [objects x cells x WIDTH] */
};

INLINE void add(const float *a, const float *b, float *to) {
    for (int i = 0; i < BLOCK * WIDTH; i += LANES) store(to + i, load(a + i) + load(b + i));
}

/* 32 rows of floats through a linear map, with its bias. */
static void map_tokens(Workspace *t, const float *x, Packed map, float *to) {
    to_entries(x, map.inputs, t->left);
    project(t->left, map, to);
    for (int i = 0; i < map.outputs; i += LANES)
        for (int r = 0; r < BLOCK; r++) store(to + at(r, i), load(to + at(r, i)) + load(map.bias + i));
}

/* Row r of a norm, over so many columns from one on. */
INLINE void normalise_row(float *x, int r, int from, int width, Linear norm, float epsilon) {
    vec row[WIDTH / LANES];
    layer_norm(x, r, from, width, norm, width, epsilon, row);
    for (int i = 0; i < width / LANES; i++) store(x + at(r, from + LANES * i), row[i]);
}

static void normalise(float *x, Linear norm) {
    for (int r = 0; r < BLOCK; r++) normalise_row(x, r, 0, WIDTH, norm, EPSILON);
}

/* Tokens look at each other: q, k and v, [8 x 256] each, to `to`. */
static void mix_tokens(const float *q, const float *k, const float *v, float *to) {
    for (int head = 0; head < HEADS; head++)
        for (int i = 0; i < TOKENS; i++) {
            int c = head * BLOCK;
            float score[TOKENS], most = -INFINITY, total = 0;
            for (int j = 0; j < TOKENS; j++) {
                score[j] = sum_of(fused(load(q + at(i, c)), load(k + at(j, c)),
                                        load(q + at(i, c + LANES)) * load(k + at(j, c + LANES))));
                most = score[j] > most ? score[j] : most;
            }
            vec low = all(0), high = all(0);
            for (int j = 0; j < TOKENS; j++) {
                float weight = exp2f(score[j] - most);
                total += weight;
                low = fused(all(weight), load(v + at(j, c)), low),
                high = fused(all(weight), load(v + at(j, c + LANES)), high);
            }
            store(to + at(i, c), low * all(1 / total)), store(to + at(i, c + LANES), high * all(1 / total));
        }
}

/* Rows head * 8 + token, [64 x 256], from what each token has for each head, [8 x 128], and [heads x 16 x
 * 256]. */
static void spread(const float *x, const float *table, entry *to) {
    for (int head = 0; head < HEADS; head++)
        for (int i = 0; i < TOKENS; i++) {
            int row = head * TOKENS + i;
            for (int c = 0; c < WIDTH; c += LANES) {
                vec sum = all(0);
                for (int d = 0; d < EACH; d++)
                    sum = fused(all(x[at(i, head * EACH + d)]),
                                load(table + (size_t)(head * EACH + d) * WIDTH + c), sum);
                store_entries(to + row / BLOCK * BLOCK * WIDTH + at(row % BLOCK, c), sum);
            }
        }
}

static void ask(Decoder *e, Workspace *t, Object *o, const Look *look) {
    add(o->tokens, e->first, t->sums);
    map_tokens(t, t->sums, look->query, t->other);
    spread(t->other, look->keys, o->asked);
}

/* The tokens of an object before they look at the image for the first time in a round. */
static void look_at_each_other(Decoder *e, Workspace *t, Object *o, int index) {
    const Round *round = e->rounds + index;
    if (index) add(o->tokens, e->first, t->more);
    else memcpy(t->more, o->tokens, sizeof t->more);
    float *q = t->scores; /* as large as a block of tokens */
    map_tokens(t, t->more, round->query, q);
    map_tokens(t, t->more, round->key, t->sums);
    map_tokens(t, o->tokens, round->value, t->other);
    memset(t->more, 0, sizeof t->more);
    mix_tokens(q, t->sums, t->other, t->more);
    map_tokens(t, t->more, round->out, t->sums);
    if (index) add(o->tokens, t->sums, o->tokens);
    else memcpy(o->tokens, t->sums, sizeof o->tokens);
    normalise(o->tokens, round->norm1);
}

/* What tokens saw of all parts, through the rest of their look. */
static void take_in(Decoder *e, Workspace *t, Object *o, const Look *look, const Part *parts) {
    memset(t->more, 0, sizeof t->more);
    for (int head = 0; head < HEADS; head++)
        for (int i = 0; i < TOKENS; i++) {
            int row = head * TOKENS + i;
            float most = -INFINITY, total = 0;
            for (int p = 0; p < e->parts; p++)
                most = parts[p].pivots[row] > most ? parts[p].pivots[row] : most;
            for (int c = 0; c < WIDTH; c += LANES) store(t->plain + c, all(0));
            for (int p = 0; p < e->parts; p++) {
                float share = exp2f(parts[p].pivots[row] - most);
                total += share * parts[p].totals[row];
                const float *sums = parts[p].sums + row / BLOCK * BLOCK * WIDTH;
                for (int c = 0; c < WIDTH; c += LANES)
                    store(t->plain + c,
                          fused(all(share), load(sums + at(row % BLOCK, c)), load(t->plain + c)));
            }
            vec seen = all(0);
            for (int c = 0; c < WIDTH; c++)
                seen = fused(all(t->plain[c]), load(look->values + ((size_t)head * WIDTH + c) * EACH), seen);
            store(t->more + at(i, head * EACH), seen * all(1 / total));
        }
    map_tokens(t, t->more, look->out, t->sums);
    add(o->tokens, t->sums, o->tokens);
    normalise(o->tokens, look->norm);
}

static void run_network(const Network *n, const float *x, int outputs, float *between, float *to) {
    const float *from = x;
    for (int layer = 0; layer < 3; layer++) {
        int count = layer == 2 ? outputs : WIDTH;
        float *into = layer == 2 ? to : between + layer % 2 * WIDTH;
        for (int r = 0; r < count; r++) {
            const float *row = n->layers[layer].weight + (size_t)r * WIDTH;
            vec sum = all(0);
            for (int c = 0; c < WIDTH; c += LANES) sum = fused(load(row + c), load(from + c), sum);
            float y = sum_of(sum) + n->layers[layer].bias[r];
            into[r] = layer < 2 && y < 0 ? 0 : y;
        }
        from = into;
    }
}

static void token_of(const Object *o, int index, float *to) {
    for (int c = 0; c < WIDTH; c += LANES) store(to + c, load(o->tokens + at(index, c)));
}

/* What the tokens say in the end. */
static void conclude(Decoder *e, Object *o, int object) {
    float token[WIDTH], between[2 * WIDTH], score[1 + CANDIDATES], presence;
    token_of(o, 1, token);
    run_network(&e->scores, token, 1 + CANDIDATES, between, score);
    int best = 0;
    for (int i = 1; i < CANDIDATES; i++)
        if (score[1 + i] > score[1 + best]) best = i;
    e->out.scores[object] = 1 / (1 + expf(-score[1 + best]));
    token_of(o, 0, token);
    run_network(&e->presence, token, 1, between, &presence);
    e->out.presence[object] = presence;
    token_of(o, 3 + best, token);
    run_network(e->searches + best, token, FINE, between, o->search);
    float *pointer = e->out.pointers + (size_t)object * WIDTH;
    run_network(&e->pointer, token, WIDTH, between, pointer);
    if (!(presence > 0)) memcpy(pointer, e->tables.absent, WIDTH * sizeof *pointer);
}

/* An object's tokens between two passes over the image. */
static void think(void *job, int object, int thread) {
    Decoder *e = job;
    Workspace *t = e->spaces + thread;
    Object *o = e->objects + object;
    const Part *parts = e->seen + (size_t)object * e->parts;
    begin_products();
    if (!e->round) memcpy(o->tokens, e->first, sizeof o->tokens);
    else if (e->round <= ROUNDS) {
        const Round *round = e->rounds + e->round - 1;
        take_in(e, t, o, &round->look, parts);
        to_entries(o->tokens, WIDTH, t->second);
        for (int unit = 0; unit < HIDDEN; unit += KEYS)
            hidden_units(t->second, round->widen, round->narrow, unit, KEYS, relu, t->scores, t->weights,
                         t->sums);
        for (int i = 0; i < WIDTH; i += LANES)
            for (int r = 0; r < BLOCK; r++)
                store(o->tokens + at(r, i),
                      load(o->tokens + at(r, i)) + load(t->sums + at(r, i)) + load(round->narrow.bias + i));
        normalise(o->tokens, round->norm3);
        /* what the image will compare itself with, and get */
        add(o->tokens, e->first, t->more);
        map_tokens(t, t->more, round->image_key, t->sums);
        entry *rows = t->keys;
        spread(t->sums, round->image_query.weight, rows);
        for (int half = 0; half < ASKED; half += BLOCK)
            to_columns(rows + half * WIDTH, WIDTH, o->image_keys + half * WIDTH);
        for (int head = 0; head < HEADS; head++)
            for (int i = 0; i < TOKENS; i++)
                o->offset[head * TOKENS + i] =
                    sum_of(load(t->sums + at(i, head * EACH)) * load(round->image_query.bias + head * EACH));
        map_tokens(t, o->tokens, round->image_value, t->sums);
        spread(t->sums, round->image_out.weight, rows);
        for (int half = 0; half < ASKED; half += BLOCK)
            to_rows(rows + half * WIDTH, WIDTH, o->image_values + half * BLOCK, ASKED * BLOCK);
    } else {
        take_in(e, t, o, &e->last, parts);
        conclude(e, o, object);
        end_products();
        return;
    }
    if (e->round < ROUNDS) look_at_each_other(e, t, o, e->round);
    ask(e, t, o, e->round < ROUNDS ? &e->rounds[e->round].look : &e->last);
    end_products();
}

/* The largest of each eight lanes that lie together, or their sum, in each of them. */
INLINE vec of_eights(vec x, int sum) {
#ifdef __AVX512F__
    __m512 y = (__m512)x, z;
    z = _mm512_permute_ps(y, 0xb1), y = sum ? _mm512_add_ps(y, z) : _mm512_max_ps(y, z);
    z = _mm512_permute_ps(y, 0x4e), y = sum ? _mm512_add_ps(y, z) : _mm512_max_ps(y, z);
    z = _mm512_shuffle_f32x4(y, y, 0xb1), y = sum ? _mm512_add_ps(y, z) : _mm512_max_ps(y, z);
    return (vec)y;
#else
    vec y;
    for (int i = 0; i < LANES; i += 8) {
        float value = x[i];
        for (int j = 1; j < 8; j++) value = sum ? value + x[i + j] : x[i + j] > value ? x[i + j] : value;
        for (int j = 0; j < 8; j++) y[i + j] = value;
    }
    return y;
#endif
}

/* 32 cells with their places, to blocks. */
static void place_cells(const Decoder *e, const entry *cells, int first, entry *to) {
    for (int r = 0; r < BLOCK; r++)
        for (int c = 0; c < WIDTH; c += LANES)
            store_entries(to + at(r, c), load_entries(cells + (size_t)r * WIDTH + c) +
                                             load(e->tables.place + (size_t)(first + r) * WIDTH + c));
}

/* 32 cells look at the tokens. */
static void look_back(Decoder *e, Workspace *t, const Object *o, const Round *round, entry *cells,
                      int first) {
    place_cells(e, cells, first, t->left);
    multiply(left_side(t->left, BLOCKS, WIDTH, ROOM), o->image_keys, BLOCK * WIDTH, WIDTH, ASKED, t->scores,
             0);
    for (int i = 0; i < ASKED; i += LANES)
        for (int r = 0; r < BLOCK; r++) {
            vec score = load(t->scores + at(r, i)) + load(o->offset + i);
            vec weight = power_of_two(score - of_eights(score, 0));
            store_entries(t->weights + at(r, i), weight / of_eights(weight, 1));
        }
    multiply(left_side(t->weights, BLOCKS, ASKED, ROOM), o->image_values, BLOCK * ASKED, ASKED, WIDTH,
             t->sums, 0);
    for (int r = 0; r < BLOCK; r++) {
        for (int c = 0; c < WIDTH; c += LANES)
            store(t->sums + at(r, c), load(t->sums + at(r, c)) + load(round->image_out.bias + c) +
                                          load_entries(cells + (size_t)r * WIDTH + c));
        normalise_row(t->sums, r, 0, WIDTH, round->norm4, EPSILON);
        for (int c = 0; c < WIDTH; c += LANES)
            store_entries(cells + (size_t)r * WIDTH + c, load(t->sums + at(r, c)));
    }
}

/* A part of the image: it looks at the tokens of the round before, and is looked at. */
static void meet(void *job, int task, int thread) {
    Decoder *e = job;
    Workspace *t = e->spaces + thread;
    int object = task / e->parts, first = task % e->parts * e->part;
    Object *o = e->objects + object;
    entry *cells = e->images + ((size_t)object * e->cells + first) * WIDTH;
    const float *fused_map = e->in.fused + ((size_t)object * e->cells + first) * WIDTH;
    begin_products();
    for (int row = 0; row < e->part; row += BLOCK) {
        entry *some = cells + (size_t)row * WIDTH;
        if (e->round) look_back(e, t, o, e->rounds + e->round - 1, some, first + row);
        else
            for (int r = 0; r < BLOCK; r++)
                for (int c = 0; c < WIDTH; c += LANES)
                    store_entries(some + (size_t)r * WIDTH + c,
                                  load(fused_map + (size_t)(row + r) * WIDTH + c) +
                                      load(e->tables.dense + c));
        place_cells(e, some, first + row, t->left);
        to_columns(t->left, WIDTH, t->keys + (size_t)row * WIDTH);
        for (int r = 0; r < BLOCK; r++)
            for (int c = 0; c < WIDTH; c += LANES)
                memcpy(t->second + at(r, c), some + (size_t)r * WIDTH + c, LANES * sizeof *some);
        to_rows(t->second, WIDTH, t->values + (size_t)row * BLOCK, (size_t)e->part * BLOCK);
    }
    Part *part = e->seen + (size_t)object * e->parts + task % e->parts;
    Memory memory = {o->asked, t->keys, t->values, WIDTH, e->part, e->part, NULL};
    mix(&t->mixing, &memory, 1, ASKED, WIDTH, part->sums, part->totals);
    memcpy(part->pivots, t->mixing.pivot, sizeof part->pivots);
    end_products();
}

/* 32 cells enlarged twice, and what they have of what is searched for. */
static void draw(void *job, int task, int thread) {
    Decoder *e = job;
    Workspace *t = e->spaces + thread;
    int object = task / (e->cells / BLOCK), first = task % (e->cells / BLOCK) * BLOCK, side = e->shape.grid;
    const Object *o = e->objects + object;
    const entry *cells = e->images + ((size_t)object * e->cells + first) * WIDTH;
    float *mask = e->out.masks + (size_t)object * 16 * e->cells;
    vec low = load(o->search), high = load(o->search + LANES);
    begin_products();
    multiply(left_side(cells, rows_apart(WIDTH), WIDTH, ROOM), e->up1.weight, BLOCK * WIDTH, WIDTH,
             e->up1.outputs, t->sums, 0);
    for (int quarter = 0; quarter < 4; quarter++) {
        for (int r = 0; r < BLOCK; r++) {
            int y = (first + r) / side * 2 + quarter / 2, x = (first + r) % side * 2 + quarter % 2;
            const float *finer = e->in.stride8 + ((size_t)y * 2 * side + x) * MIDDLE;
            for (int c = 0; c < MIDDLE; c += LANES) {
                float *sum = t->sums + at(r, quarter * MIDDLE + c);
                store(sum, load(sum) + load(e->up1.bias + quarter * MIDDLE + c) + load(finer + c));
            }
            normalise_row(t->sums, r, quarter * MIDDLE, MIDDLE, e->norm, MAP_EPSILON);
            for (int c = 0; c < MIDDLE; c += LANES)
                store_entries(t->left + at(r, c), gelu(load(t->sums + at(r, quarter * MIDDLE + c))));
        }
        project(t->left, e->up2, t->other);
        for (int r = 0; r < BLOCK; r++)
            for (int pixel = 0; pixel < 4; pixel++) {
                int y = (first + r) / side * 4 + quarter / 2 * 2 + pixel / 2,
                    x = (first + r) % side * 4 + quarter % 2 * 2 + pixel % 2;
                const float *finest = e->in.stride4 + ((size_t)y * 4 * side + x) * FINE;
                vec a =
                    load(t->other + at(r, pixel * FINE)) + load(e->up2.bias + pixel * FINE) + load(finest);
                vec b = load(t->other + at(r, pixel * FINE + LANES)) +
                        load(e->up2.bias + pixel * FINE + LANES) + load(finest + LANES);
                mask[(size_t)y * 4 * side + x] = sum_of(fused(gelu(a), low, gelu(b) * high));
            }
    }
    end_products();
}

static int grow(Decoder *e, int objects) {
    if (objects <= e->room) return 0;
    free(e->objects), free(e->seen), free(e->images);
    e->objects = allocate(objects * sizeof *e->objects),
    e->seen = allocate((size_t)objects * e->parts * sizeof *e->seen);
    e->images = allocate((size_t)objects * e->cells * WIDTH * sizeof *e->images);
    e->room = e->objects && e->seen && e->images ? objects : 0;
    return !e->room;
}

int decoder_run(Decoder *e, const DecoderInputs *in, Decoded out) {
    e->in = *in, e->out = out;
    if (grow(e, in->objects)) return 1;
    for (e->round = 0; e->round <= ROUNDS; e->round++) {
        share(e->pool, think, e, in->objects);
        share(e->pool, meet, e, e->parts * in->objects);
    }
    share(e->pool, think, e, in->objects);
    share(e->pool, draw, e, e->cells / BLOCK * in->objects);
    return 0;
}

void decoder_free(Decoder *e) {
    if (!e) return;
    for (int i = 0; i < ROUNDS; i++) {
        Round *r = e->rounds + i;
        Packed maps[] = {r->query,    r->key,   r->value,  r->out,       r->look.query,
                         r->look.out, r->widen, r->narrow, r->image_key, r->image_value};
        for (size_t j = 0; j < sizeof maps / sizeof *maps; j++) free(maps[j].weight);
    }
    free(e->last.query.weight), free(e->last.out.weight), free(e->up1.weight), free(e->up2.weight);
    free(e->spaces), free(e->objects), free(e->seen), free(e->images), free(e);
}

static Look take_look(const Linear **maps, int *failed) {
    Look l = {.query = take(maps, LOOK, WIDTH, failed)};
    l.keys = (*maps)++->weight, l.values = (*maps)++->weight;
    l.out = take(maps, WIDTH, LOOK, failed), l.norm = *(*maps)++;
    return l;
}

static Network take_network(const Linear **maps) {
    Network n;
    for (int i = 0; i < 3; i++) n.layers[i] = *(*maps)++;
    return n;
}

Decoder *decoder_new(DecoderShape shape, const DecoderTables *tables, const Linear *maps, Pool *pool) {
    Decoder *e = allocate(sizeof *e);
    if (!e) return NULL;
    memset(e, 0, sizeof *e);
    e->shape = shape, e->tables = *tables, e->pool = pool, e->cells = shape.grid * shape.grid;
    e->part = MOST_CELLS;
    while (e->part > BLOCK && (e->cells % e->part || e->cells / e->part < FEWEST_PARTS)) e->part /= 2;
    e->parts = e->cells / e->part;
    for (int r = 0; r < TOKENS; r++)
        for (int c = 0; c < WIDTH; c++) e->first[at(r, c)] = tables->tokens[r * WIDTH + c];
    int failed = 0;
    for (int i = 0; i < ROUNDS; i++) {
        Round *r = e->rounds + i;
        r->query = take(&maps, WIDTH, WIDTH, &failed), r->key = take(&maps, WIDTH, WIDTH, &failed);
        r->value = take(&maps, WIDTH, WIDTH, &failed), r->out = take(&maps, WIDTH, WIDTH, &failed),
        r->norm1 = *maps++;
        r->look = take_look(&maps, &failed);
        r->widen = take(&maps, HIDDEN, WIDTH, &failed), r->narrow = take(&maps, WIDTH, HIDDEN, &failed),
        r->norm3 = *maps++;
        r->image_key = take(&maps, LOOK, WIDTH, &failed), r->image_value = take(&maps, LOOK, WIDTH, &failed);
        r->image_query = *maps++, r->image_out = *maps++, r->norm4 = *maps++;
    }
    e->last = take_look(&maps, &failed);
    e->up1 = take(&maps, 4 * MIDDLE, WIDTH, &failed), e->norm = *maps++,
    e->up2 = take(&maps, 4 * FINE, MIDDLE, &failed);
    e->scores = take_network(&maps), e->presence = take_network(&maps), e->pointer = take_network(&maps);
    for (int i = 0; i < CANDIDATES; i++) e->searches[i] = take_network(&maps);
    e->spaces = allocate(pool->threads * sizeof *e->spaces);
    if (!failed && e->spaces) return e;
    decoder_free(e);
    return NULL;
}
