/* Finds the kernel images that lie beside this library, and maps them into memory, checked. */
#ifndef ATTENTION_KERNELS_H
#define ATTENTION_KERNELS_H

#include <stddef.h>

#ifdef __cplusplus
extern "C" {
#endif

#define AK_API __attribute__((visibility("default")))

typedef enum ak_status {
    AK_OK = 0,
    AK_INVALID_ARGUMENT = 1,
    AK_NOT_FOUND = 2, /* no images for that architecture */
    AK_BAD_IMAGE = 3, /* an image that is unreadable, cut short, or not for its folder's GPU */
    AK_SYSTEM = 4     /* out of memory, or the library cannot find itself */
} ak_status;

/* The images of one architecture. Never changes once open: threads may share it. */
typedef struct ak_catalog ak_catalog;

/* One image in memory, until ak_unmap; it outlives its catalog. */
typedef struct ak_image {
    const char *isa; /* such as "gfx1151", never freed */
    const void *data;
    size_t size;
} ak_image;

/* Lists the images for `arch`, such as "gfx1151". NULL takes the architecture that there is, if
 * there is only one. On success `*catalog` is to be closed, otherwise it is NULL. */
AK_API ak_status ak_open(const char *arch, ak_catalog **catalog);
AK_API void ak_close(ak_catalog *catalog);

AK_API const char *ak_arch(const ak_catalog *catalog);
AK_API size_t ak_count(const ak_catalog *catalog);
/* Names are in byte order. NULL past the last one. */
AK_API const char *ak_name(const ak_catalog *catalog, size_t index);

/* Maps an image, having checked that it is whole and that its code is for the catalog's
 * architecture. On success `*image` is to be unmapped, otherwise it is all zero. */
AK_API ak_status ak_map(const ak_catalog *catalog, size_t index, ak_image *image);
AK_API void ak_unmap(ak_image *image);

/* What went wrong in this thread's last call that did not return AK_OK. Never NULL. */
AK_API const char *ak_error(void);

#ifdef __cplusplus
}
#endif

#endif
