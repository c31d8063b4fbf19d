// Sorts, scans and sums arrays of host memory on the current HIP device.
#ifndef DEVICE_SORT_H
#define DEVICE_SORT_H

#include <stddef.h>
#include <stdint.h>

#define DS_API __attribute__((visibility("default")))

#ifdef __cplusplus
extern "C" {
#endif

enum {
    DS_OK = 0,
    DS_BAD_ARGUMENT = 1,
    DS_NO_DEVICE = 2,
    DS_NO_CODE = 3, // the device is not one that this library has code for
    DS_OUT_OF_MEMORY = 4,
    DS_HIP = 5,
};

enum { DS_MAX_COUNT = 1 << 30 };

// What went wrong in this thread's last call that did not return DS_OK.
DS_API const char *ds_error(void);

// The GPUs that this library has code for, separated by spaces.
DS_API const char *ds_architectures(void);

// The HIP runtime's version: major * 10000000 + minor * 100000 + patch.
DS_API int ds_runtime_version(int *version);

// No device is no error here: the count is 0 then.
DS_API int ds_device_count(int *count);

// The architecture of a device, such as "gfx1151".
DS_API int ds_device_architecture(int device, char *text, size_t size);

// For each type: two sorts, which keep the order of equal keys; all sums up to each element; the
// sum of all, 0 for none. Sums of integers wrap around; floats are added in an order of the
// library's choice. Where a NaN is sorted to is not said. Output may not overlap input.
#define DS_DECLARE(name, type)                                                                     \
    DS_API int ds_sort_keys_##name(const type *keys, type *sorted_keys, size_t count,              \
                                   int descending);                                                \
    DS_API int ds_sort_pairs_##name(const type *keys, const uint32_t *values, type *sorted_keys,   \
                                    uint32_t *sorted_values, size_t count, int descending);        \
    DS_API int ds_inclusive_scan_##name(const type *input, type *sums, size_t count);              \
    DS_API int ds_reduce_##name(const type *input, type *sum, size_t count);

DS_DECLARE(u32, uint32_t)
DS_DECLARE(u64, uint64_t)
DS_DECLARE(f32, float)

#ifdef __cplusplus
}
#endif

#endif
