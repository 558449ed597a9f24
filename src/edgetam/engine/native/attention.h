/* What `edgetam.engine.native.attention` calls, and mirrors with ctypes. All arrays are contiguous. */
#pragma once
#include "linear.h"
#include "pool.h"

/* Queries come scaled, so that scores count in powers of two. Values of self-attention have been through the
   output projection, and those of cross-attention go through both at the end. */
typedef struct {
    Linear norm1, self_query, self_key, self_value, norm2, cross_query, cross_key, cross_value, norm3, widen,
        narrow;
} LayerWeights;

typedef struct {
    const float *cos, *sin; /* [cells x 128] */
} Rotary;

typedef struct {
    const float *position; /* [cells x 256] */
    Rotary image, image_to_memory, memory;
} AttentionTables;

typedef struct {
    int32_t cells, layers; /* cells: of the image, a multiple of 32 */
} AttentionShape;

typedef struct {
    const float *image; /* [cells x 256] */
    int32_t objects, most_keys;
    const int32_t *keys;             /* [objects]: so many of most_keys are there */
    const int32_t *cells;            /* [objects x most_keys]: of the memory's grid, or -1 */
    const float *values, *positions; /* [objects x most_keys x 64] */
} AttentionInputs;

typedef struct Attention Attention;

/* Tables, norms and biases are not copied. NULL: no memory. */
Attention *attention_new(AttentionShape, const AttentionTables *, const LayerWeights *, Linear norm, Pool *);
void attention_free(Attention *);
/* To out, [objects x cells x 256]. Not zero: no memory. */
int attention_run(Attention *, const AttentionInputs *, float *out);
