/* Reads what an AMD GPU code object says about itself, from memory. */
#ifndef DEMO_HSA_H
#define DEMO_HSA_H

#include <stddef.h>

#ifdef __cplusplus
extern "C" {
#endif

#define DEMO_HSA_API __attribute__((visibility("default")))

/* The version of this toolchain, such as "6.4.4-129". */
DEMO_HSA_API const char *demo_hsa_version(void);

/* The name of the instruction set that the code object at `data` was compiled for, such as
 * "gfx1151". "unknown" where `size` bytes are no header of an AMD GPU code object, or of an
 * instruction set that this toolchain does not know. Never NULL; the text is never freed. */
DEMO_HSA_API const char *demo_hsa_isa_name(const void *data, size_t size);

/* How many bytes the code object at `data` takes, by its own tables. More than `size` if it has
 * been cut short. 0 if `size` bytes are no header of an AMD GPU code object. */
DEMO_HSA_API size_t demo_hsa_code_object_size(const void *data, size_t size);

#ifdef __cplusplus
}
#endif

#endif
