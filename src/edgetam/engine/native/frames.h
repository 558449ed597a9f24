/* What `edgetam.engine.native.frames` calls, and mirrors with ctypes. All arrays are contiguous. */
#pragma once
#include "pool.h"
#include <stdint.h>

/* One axis of a resize: of each output, the first input that it sees, of how many, and what each counts. */
typedef struct {
    int32_t inputs, outputs, most; /* most: weights that each output has room for */
    const int32_t *first, *count;  /* [outputs] */
    const int32_t *weights;        /* [outputs x most], 22 bits behind the point */
} Axis;

/* RGB bytes [height x width x 3], at least 6 wide, to floats [size x size x 3]: resized as Pillow does,
   across and then down or the other way, bytes in between, and then looked up in [3 x 256]. `between` has
   room for what is between, and `strips` for 48 bytes times the larger of width and size, for each thread. */
void frames_prepare(Pool *, const uint8_t *rgb, Axis across, Axis down, int down_first, const float *table,
                    uint8_t *between, uint8_t *strips, float *out);
