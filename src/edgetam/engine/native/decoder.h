/* What `edgetam.engine.native.decoder` calls, and mirrors with ctypes. All arrays are contiguous. */
#pragma once
#include "linear.h"
#include "pool.h"

typedef struct {
    int32_t grid;
} DecoderShape;

/* Of a frame that nobody prompted: its tokens [8 x 256], what is added to the image [256], its places [grid x
   grid x 256]; and the pointer of what is not there, [256]. */
typedef struct {
    const float *tokens, *dense, *place, *absent;
} DecoderTables;

typedef struct {
    const float *fused, *stride4,
        *stride8; /* [objects x grid x grid x 256], [4 grid x 4 grid x 32], [2 grid x 2 grid x 64] */
    int32_t objects;
} DecoderInputs;

typedef struct {
    float *masks, *scores, *presence,
        *pointers; /* [objects x 4 grid x 4 grid], [objects] twice, [objects x 256] */
} Decoded;

typedef struct Decoder Decoder;

/* Maps and norms in the order in which they are used. For each of two rounds: query, key, value and out of
   the tokens' self-attention, norm; query, keys [128 x 256], values [256 x 128] and out of their look at the
   image, norm; widen, narrow, norm; key, value, queries [128 x 256] with their bias, outs [128 x 256] with
   the bias of all, of the image's look at them, norm. Then the last look, as in a round, and its norm; the
   two enlargements, the norm between them after the first. Then networks of three layers: scores, presence,
   pointer, and what each of three mask tokens looks for. Queries come scaled, of looks so that scores count
   in powers of two. NULL: no memory. */
Decoder *decoder_new(DecoderShape, const DecoderTables *, const Linear *maps, Pool *);
void decoder_free(Decoder *);
/* Not zero: no memory. */
int decoder_run(Decoder *, const DecoderInputs *, Decoded);
