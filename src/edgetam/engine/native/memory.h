/* What `edgetam.engine.native.memory` calls, and mirrors with ctypes. All arrays are contiguous. */
#pragma once
#include "linear.h"
#include "pool.h"

typedef struct {
    int32_t grid, latents, windows; /* side of the map; global latents, a multiple of 32; windows to a side */
} MemoryShape;

/* What each latent is at first, [latents x 64] and [windows x windows x 64], and where each cell lies, [grid
 * x grid x 64]. */
typedef struct {
    const float *latents, *window_latents, *position;
} MemoryTables;

typedef struct MemoryEncoder MemoryEncoder;

/* Maps and norms in the order in which they are used. Enlarging, [9 x 16]; four convolutions of the mask,
   [outputs x rows x padded], rows of their inputs padded to a multiple of 32, each with its norm; the last of
   the mask; the projection of the image; two blocks of taps [49 x 256], norm, widen, narrow; the projection
   to memory. Then for each of two layers of latents: norms of cells and latents, query, key and value, out,
   norm, widen, narrow, and for themselves norm, query, key and value, out, norm, widen, narrow; and the last
   norm. Queries come scaled, so that scores count in powers of two. Norms and biases are not copied. NULL: no
   memory. */
MemoryEncoder *memory_new(MemoryShape, const MemoryTables *, const Linear *maps, Pool *);
void memory_free(MemoryEncoder *);
/* From an image [grid x grid x 256] and logits [4 grid x 4 grid] to tokens [(latents + windows x windows) x
   64]. Masks are probabilities, or hard. */
void memory_run(MemoryEncoder *, const float *image, const float *logits, int hard, float *tokens);
