/* What `edgetam.engine.native.attention` calls, and mirrors with ctypes. All arrays are contiguous. */
#pragma once
#include "linear.h"
#include "pool.h"

/* Queries come scaled, so that scores count in powers of two. Values of self-attention have been through the
   output projection, and those of cross-attention go through both at the end. `fold` turns queries into what
   asks memories without a place: the weight of `cross_key` transposed, and its bias as one more output. */
typedef struct {
    Linear norm1, self_query, self_key, self_value, norm2, cross_query, cross_key, fold, cross_value, norm3,
        widen, narrow;
} LayerWeights;

typedef struct {
    const float *cos, *sin; /* [cells x 128] */
} Rotary;

typedef struct {
    const float *position;      /* [cells x 256] */
    const float *latent, *grid; /* [64], [memory's cells x 64]: of tokens without and with a place */
    Rotary image, image_to_memory, memory;
} AttentionTables;

typedef struct {
    int32_t cells, layers; /* cells: of the image, a multiple of 32 */
    int32_t latents,
        places; /* tokens of a frame's memory: those without a place, and after them the others */
} AttentionShape;

/* What objects remember, some of it each; `which` has those that are there at first. */
typedef struct {
    int32_t most;                  /* of any object */
    const int32_t *counts, *which; /* [objects], [objects x most] */
    const float *values,
        *positions; /* [objects x most x tokens x 64]; [objects x most x 64], of all tokens */
} Remembered;

typedef struct {
    const float *image; /* [cells x 256] */
    int32_t objects;
    Remembered frames, pointers; /* pointers are four tokens */
} AttentionInputs;

typedef struct Attention Attention;

/* Tables, norms and biases are not copied. NULL: no memory. */
Attention *attention_new(AttentionShape, const AttentionTables *, const LayerWeights *, Linear norm, Pool *);
void attention_free(Attention *);
/* To out, [objects x cells x 256]. Not zero: no memory. */
int attention_run(Attention *, const AttentionInputs *, float *out);
