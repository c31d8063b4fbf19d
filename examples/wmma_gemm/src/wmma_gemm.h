// Matrix products of half-precision matrices on the current HIP device.
#ifndef WMMA_GEMM_H
#define WMMA_GEMM_H

#include <stddef.h>
#include <stdint.h>

#define WG_API __attribute__((visibility("default")))

#ifdef __cplusplus
extern "C" {
#endif

enum {
    WG_OK = 0,
    WG_BAD_ARGUMENT = 1,
    WG_NO_DEVICE = 2,
    WG_NO_CODE = 3, // the device is not one that this library has code for
    WG_OUT_OF_MEMORY = 4,
    WG_HIP = 5,
};

enum {
    WG_WMMA = 0,  // matrix instructions
    WG_PLAIN = 1, // one thread per element of C, to compare with
};

enum { WG_MAX_SIZE = 1 << 19 };

// What went wrong in this thread's last call that did not return WG_OK.
WG_API const char *wg_error(void);

// The GPUs that this library has code for, separated by spaces.
WG_API const char *wg_architectures(void);

// The HIP runtime's version: major * 10000000 + minor * 100000 + patch.
WG_API int wg_runtime_version(int *version);

// No device is no error here: the count is 0 then.
WG_API int wg_device_count(int *count);

// The architecture of a device, such as "gfx1151".
WG_API int wg_device_architecture(int device, char *text, size_t size);

// C = A * B, all dense, row after row, in host memory: A has m * k halves, B k * n halves,
// C m * n floats. Sums are made in single precision.
WG_API int wg_gemm(int kernel, uint32_t m, uint32_t n, uint32_t k, const uint16_t *a,
                   const uint16_t *b, float *c);

#ifdef __cplusplus
}
#endif

#endif
