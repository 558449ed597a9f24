/* Resizing video frames: the same bytes as Pillow's, sixteen at a time. */
#include "frames.h"
#include "vectors.h"

#define RGB 3
#define POINT 22
#define BAND 8

typedef int32_t whole __attribute__((vector_size(4 * LANES)));

/* From bytes to bytes, or to floats by the table at the end. */
typedef struct {
    const uint8_t *in;
    Axis axis;
    int rows;     /* that are squeezed */
    size_t width; /* bytes of a row that stay side by side */
    const float *table;
    uint8_t *strips, *bytes;
    float *out;
} Job;

INLINE whole widened(const uint8_t *from) {
#ifdef __AVX512F__
    return (whole)_mm512_cvtepu8_epi32(_mm_loadu_si128((const __m128i *)from));
#else
    whole x;
    for (int i = 0; i < LANES; i++) x[i] = from[i];
    return x;
#endif
}

INLINE void store_bytes(uint8_t *to, whole x) {
#ifdef __AVX512F__
    __m512i shifted = _mm512_max_epi32(_mm512_srai_epi32((__m512i)x, POINT), _mm512_setzero_si512());
    _mm_storeu_si128((__m128i *)to, _mm512_cvtusepi32_epi8(shifted));
#else
    for (int i = 0; i < LANES; i++) {
        int32_t byte = x[i] >> POINT;
        to[i] = byte < 0 ? 0 : byte > 255 ? 255 : byte;
    }
#endif
}

INLINE void give(const Job *j, size_t at, int channel, uint8_t byte) {
    if (j->out) j->out[at] = j->table[channel * 256 + byte];
    else j->bytes[at] = byte;
}

/* Sixteen rows across: their bytes lie side by side, column by column, meanwhile. */
static void squeeze_rows(void *job, int task, int thread) {
    const Job *j = job;
    Axis axis = j->axis;
    int row = task * LANES, rows = j->rows - row < LANES ? j->rows - row : LANES;
    size_t in = (size_t)axis.inputs * RGB, out = (size_t)axis.outputs * RGB, most = in > out ? in : out;
    uint8_t *side_by_side = j->strips + (size_t)thread * most * LANES, bytes[LANES];
    for (int r = 0; r < rows; r++)
        for (size_t i = 0; i < in; i++) side_by_side[i * LANES + r] = j->in[(row + r) * in + i];
    for (int x = 0; x < axis.outputs; x++)
        for (int c = 0; c < RGB; c++) {
            whole sum = (whole){} + (1 << (POINT - 1));
            for (int k = 0; k < axis.count[x]; k++)
                sum += widened(side_by_side + ((size_t)(axis.first[x] + k) * RGB + c) * LANES) *
                       axis.weights[(size_t)x * axis.most + k];
            store_bytes(bytes, sum);
            for (int r = 0; r < rows; r++) give(j, (row + r) * out + (size_t)x * RGB + c, c, bytes[r]);
        }
}

/* Some rows of outputs; the last sixteen bytes of a row may be some of those before again. */
static void squeeze_columns(void *job, int task, int thread) {
    (void)thread;
    const Job *j = job;
    Axis axis = j->axis;
    uint8_t bytes[LANES];
    for (int y = task * BAND; y < (task + 1) * BAND && y < axis.outputs; y++)
        for (size_t step = 0; step < j->width; step += LANES) {
            size_t i = step + LANES <= j->width ? step : j->width - LANES;
            whole sum = (whole){} + (1 << (POINT - 1));
            for (int k = 0; k < axis.count[y]; k++)
                sum += widened(j->in + (axis.first[y] + k) * j->width + i) *
                       axis.weights[(size_t)y * axis.most + k];
            store_bytes(bytes, sum);
            int channel = i % RGB;
            for (int n = 0; n < LANES; n++) {
                give(j, y * j->width + i + n, channel, bytes[n]);
                channel = channel == RGB - 1 ? 0 : channel + 1;
            }
        }
}

static void squeeze_across(Pool *pool, Job job) {
    share(pool, squeeze_rows, &job, (job.rows + LANES - 1) / LANES);
}
static void squeeze_down(Pool *pool, Job job) {
    share(pool, squeeze_columns, &job, (job.axis.outputs + BAND - 1) / BAND);
}

void frames_prepare(Pool *pool, const uint8_t *rgb, Axis across, Axis down, int down_first,
                    const float *table, uint8_t *between, uint8_t *strips, float *out) {
    Job rows = {.axis = across, .rows = down.inputs, .table = table, .strips = strips};
    Job columns = {.axis = down, .width = (size_t)across.outputs * RGB, .table = table};
    if (down_first) {
        rows.rows = down.outputs, columns.width = (size_t)across.inputs * RGB;
        columns.in = rgb, columns.bytes = between;
        rows.in = between, rows.out = out;
        squeeze_down(pool, columns);
        squeeze_across(pool, rows);
    } else {
        rows.in = rgb, rows.bytes = between;
        columns.in = between, columns.out = out;
        squeeze_across(pool, rows);
        squeeze_down(pool, columns);
    }
}
