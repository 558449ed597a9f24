/* Sixteen floats at a time, and bfloat16: with AVX-512 where the compiler may use it, else in plain C. */
#pragma once
#include <math.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#if defined(__x86_64__)
#include <immintrin.h>
#endif

#define INLINE static inline __attribute__((always_inline))
#define LANES 16

typedef uint16_t bf16;
typedef float vec __attribute__((vector_size(4 * LANES)));

INLINE vec load(const float *from) {
    vec x;
    memcpy(&x, from, sizeof x);
    return x;
}
INLINE void store(float *to, vec x) { memcpy(to, &x, sizeof x); }
INLINE vec all(float x) { return (vec){} + x; }

/* To the nearest, and to even where two are as near. */
INLINE bf16 round_one(float x) {
    uint32_t bits;
    memcpy(&bits, &x, sizeof bits);
    if (x != x) return (bits >> 16) | 64; /* still no number */
    return (bits + 0x7fff + (bits >> 16 & 1)) >> 16;
}

INLINE float widen(bf16 x) {
    uint32_t bits = (uint32_t)x << 16;
    float wide;
    memcpy(&wide, &bits, sizeof wide);
    return wide;
}

#ifdef __AVX512F__
INLINE vec larger(vec a, vec b) { return (vec)_mm512_max_ps((__m512)a, (__m512)b); }
INLINE vec smaller(vec a, vec b) { return (vec)_mm512_min_ps((__m512)a, (__m512)b); }
INLINE vec fused(vec a, vec b, vec c) { return (vec)_mm512_fmadd_ps((__m512)a, (__m512)b, (__m512)c); }
INLINE float sum_of(vec x) { return _mm512_reduce_add_ps((__m512)x); }
INLINE float largest_of(vec x) { return _mm512_reduce_max_ps((__m512)x); }
#else
INLINE vec larger(vec a, vec b) {
    for (int i = 0; i < LANES; i++) a[i] = a[i] > b[i] ? a[i] : b[i];
    return a;
}
INLINE vec smaller(vec a, vec b) {
    for (int i = 0; i < LANES; i++) a[i] = a[i] < b[i] ? a[i] : b[i];
    return a;
}
INLINE vec fused(vec a, vec b, vec c) { return a * b + c; }
INLINE float sum_of(vec x) {
    float sum = 0;
    for (int i = 0; i < LANES; i++) sum += x[i];
    return sum;
}
INLINE float largest_of(vec x) {
    float most = x[0];
    for (int i = 1; i < LANES; i++) most = x[i] > most ? x[i] : most;
    return most;
}
#endif

/* x, or the limit with its sign where x is further from zero. */
INLINE vec limited(vec x, float limit) {
#ifdef __AVX512DQ__
    return (vec)_mm512_range_ps((__m512)x, (__m512)all(limit), 2);
#else
    return smaller(larger(x, all(-limit)), all(limit));
#endif
}

/* 2^x, off by less than two ten-thousandths of it, since bfloat16 is coarser; or exact as floats are. */
INLINE vec power_of_two(vec x) {
#ifdef __AVX512DQ__
    vec rest = (vec)_mm512_reduce_ps((__m512)x, 9); /* x - floor(x) */
#ifdef EXACT
    vec power = fused(all(0.000217070536f), rest, all(0.00124383892f));
    power = fused(power, rest, all(0.00967896679f));
    power = fused(power, rest, all(0.0554832909f));
    power = fused(power, rest, all(0.240229843f));
    power = fused(power, rest, all(0.693146984f));
    power = fused(power, rest, all(1));
#else
    vec power = fused(fused(fused(all(0.0790199f), rest, all(0.2241230f)), rest, all(0.6967063f)), rest,
                      all(0.9998119f));
#endif
    return (vec)_mm512_scalef_ps((__m512)power, (__m512)x); /* times 2^floor(x) */
#else
    for (int i = 0; i < LANES; i++) x[i] = exp2f(x[i]);
    return x;
#endif
}

INLINE vec relu(vec x) { return larger(all(0), x); } /* no number stays none */

/* x times the normal distribution's share below x. */
INLINE vec gelu(vec x) {
#ifdef EXACT /* Abramowitz and Stegun 7.1.26, off by less than 1.5e-7 */
    vec z = limited(x, 12), far = larger(z, -z), t = all(1) / fused(far, all(0.2316418882f), all(1));
    vec tail = fused(t, all(0.5307027145f), all(-0.7265760135f));
    tail = fused(tail, t, all(0.7107068705f));
    tail = fused(tail, t, all(-0.1422483680f));
    tail = fused(tail, t, all(0.1274147960f)) * t * power_of_two(z * z * all(-0.7213475204f));
    return fused(-far, tail, larger(all(0), x));
#else /* off by less than two ten-thousandths between -8 and 8 */
    vec z = limited(x, 4), square = z * z;
    vec share = fused(square, all(2.2781501e-08f), all(-1.5986053e-06f));
    share = fused(share, square, all(4.7955577e-05f));
    share = fused(share, square, all(-8.1401602e-04f));
    share = fused(share, square, all(8.7723908e-03f));
    share = fused(share, square, all(-6.4573116e-02f));
    share = fused(share, square, all(3.9788335e-01f));
    return x * fused(z, share, all(0.5f));
#endif
}

INLINE vec load_rounded(const bf16 *from) {
#ifdef __AVX512F__
    __m256i half;
    memcpy(&half, from, sizeof half);
    return (vec)_mm512_slli_epi32(_mm512_cvtepu16_epi32(half), 16);
#else
    vec x;
    for (int i = 0; i < LANES; i++) x[i] = widen(from[i]);
    return x;
#endif
}

INLINE void store_rounded(bf16 *to, vec x) {
#ifdef __AVX512BF16__
    __m256bh half = _mm512_cvtneps_pbh((__m512)x);
    memcpy(to, &half, sizeof half);
#else
    for (int i = 0; i < LANES; i++) to[i] = round_one(x[i]);
#endif
}

/* What matrices and maps are made of: bfloat16, or floats for results that are as exact. */
#ifdef EXACT
typedef float entry;
INLINE entry to_entry(float x) { return x; }
INLINE vec load_entries(const entry *from) { return load(from); }
INLINE void store_entries(entry *to, vec x) { store(to, x); }
INLINE void store_pair(entry *to, vec a, vec b) { store(to, a), store(to + LANES, b); }
#else
typedef bf16 entry;
INLINE entry to_entry(float x) { return round_one(x); }
INLINE vec load_entries(const entry *from) { return load_rounded(from); }
INLINE void store_entries(entry *to, vec x) { store_rounded(to, x); }

/* Two beside each other, in one go: what reads both at once then need not wait for memory. */
INLINE void store_pair(entry *to, vec a, vec b) {
#ifdef __AVX512BF16__
    __m512bh both = _mm512_cvtne2ps_pbh((__m512)b, (__m512)a);
    memcpy(to, &both, sizeof both);
#else
    store_rounded(to, a), store_rounded(to + LANES, b);
#endif
}
#endif
