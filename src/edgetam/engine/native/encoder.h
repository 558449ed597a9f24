/* What `edgetam.engine.native.encoder` calls, and mirrors with ctypes. All arrays are contiguous. */
#pragma once
#include "blocks.h"
#include "linear.h"
#include "pool.h"

#define STAGES 4

/* A RepViT and its neck. Widths are multiples of 16. */
typedef struct {
    int32_t size, widths[STAGES], depths[STAGES];
} EncoderShape;

typedef struct {
    float *stride4, *stride8, *stride16; /* channels last: 32, 64 and 256 of them */
} Features;

typedef struct Encoder Encoder;

/* Maps in the order in which they are used: the two of the stem; those of each stage (of a downsampling:
   taps, widen, narrow, taps, change, widen, narrow; of a block: taps, squeeze and excite in every other,
   widen, narrow); those of the neck. Taps are [9 x channels], the others [outputs x inputs], of the stem
   [outputs x 3 x padded]: rows of 3 x inputs, padded to a multiple of 32. Biases are not copied, and are
   padded to a multiple of 16. NULL: no memory. */
Encoder *encoder_new(EncoderShape, const Linear *maps, Pool *);
void encoder_free(Encoder *);
/* From [size x size x 3]. */
void encoder_run(Encoder *, const float *image, Features);
