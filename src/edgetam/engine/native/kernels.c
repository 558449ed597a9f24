/* What is said of the library as a whole. */
#include "blocks.h"
#if defined(__AMX_BF16__)
#include <sys/syscall.h>
#include <unistd.h>
#define ASK_FOR_PERMISSION 0x1023 /* ARCH_REQ_XCOMP_PERM */
#define TILE_DATA 18
#endif

/* Raised whenever the functions that Python calls change. */
int kernels_interface(void) { return 2; }

/* What multiplies. */
const char *kernels_products(void) { return PRODUCTS; }

/* Ask the system for what products need; not zero: it refuses. */
int kernels_prepare(void) {
#if defined(__AMX_BF16__)
    return syscall(SYS_arch_prctl, ASK_FOR_PERMISSION, TILE_DATA) != 0;
#else
    return 0;
#endif
}
