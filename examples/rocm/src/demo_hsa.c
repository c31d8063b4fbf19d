#include "demo_hsa.h"

#include <elf.h>
#include <stdint.h>
#include <string.h>

/* elf.h has no AMD GPU codes. These are LLVM's EF_AMDGPU_MACH_*, the low byte of e_flags. */
static const struct {
    unsigned char machine;
    const char *name;
} isas[] = {
    {0x36, "gfx1030"}, {0x41, "gfx1100"}, {0x46, "gfx1101"}, {0x47, "gfx1102"},
    {0x44, "gfx1103"}, {0x43, "gfx1150"}, {0x4a, "gfx1151"}, {0x55, "gfx1152"},
    {0x58, "gfx1153"}, {0x54, "gfx11-generic"}, {0x48, "gfx1200"}, {0x4e, "gfx1201"},
};

/* A code object is little-endian, and so is every host of an AMD GPU: fields are read as they lie.
 * They are copied out, because nothing says that `data` is aligned. */
static int read_header(const void *data, size_t size, Elf64_Ehdr *header)
{
    if (data == NULL || size < sizeof *header) {
        return 0;
    }
    memcpy(header, data, sizeof *header);
    return memcmp(header->e_ident, ELFMAG, SELFMAG) == 0 &&
           header->e_ident[EI_CLASS] == ELFCLASS64 && header->e_ident[EI_DATA] == ELFDATA2LSB &&
           header->e_machine == EM_AMDGPU;
}

/* The larger of `end` and `offset + length`. A sum that does not fit is as good as endless. */
static uint64_t extend(uint64_t end, uint64_t offset, uint64_t length)
{
    uint64_t reach = length > UINT64_MAX - offset ? UINT64_MAX : offset + length;
    return reach > end ? reach : end;
}

const char *demo_hsa_version(void)
{
    return DEMO_HSA_VERSION;
}

const char *demo_hsa_isa_name(const void *data, size_t size)
{
    Elf64_Ehdr header;
    if (read_header(data, size, &header)) {
        for (size_t i = 0; i < sizeof isas / sizeof isas[0]; i++) {
            if (isas[i].machine == (header.e_flags & 0xff)) {
                return isas[i].name;
            }
        }
    }
    return "unknown";
}

size_t demo_hsa_code_object_size(const void *data, size_t size)
{
    Elf64_Ehdr header;
    if (!read_header(data, size, &header)) {
        return 0;
    }
    const unsigned char *bytes = data;
    uint64_t end = sizeof header;

    /* Both tables, then what they point at, unless a table itself is not all there. */
    if (header.e_phnum != 0 && header.e_phentsize == sizeof(Elf64_Phdr)) {
        end = extend(end, header.e_phoff, (uint64_t)header.e_phnum * sizeof(Elf64_Phdr));
    }
    if (header.e_shnum != 0 && header.e_shentsize == sizeof(Elf64_Shdr)) {
        end = extend(end, header.e_shoff, (uint64_t)header.e_shnum * sizeof(Elf64_Shdr));
    }
    if (end > size) {
        return end > SIZE_MAX ? SIZE_MAX : (size_t)end;
    }
    if (header.e_phentsize == sizeof(Elf64_Phdr)) {
        for (unsigned i = 0; i < header.e_phnum; i++) {
            Elf64_Phdr segment;
            memcpy(&segment, bytes + header.e_phoff + i * sizeof segment, sizeof segment);
            end = extend(end, segment.p_offset, segment.p_filesz);
        }
    }
    if (header.e_shentsize == sizeof(Elf64_Shdr)) {
        for (unsigned i = 0; i < header.e_shnum; i++) {
            Elf64_Shdr section;
            memcpy(&section, bytes + header.e_shoff + i * sizeof section, sizeof section);
            if (section.sh_type != SHT_NOBITS) {
                end = extend(end, section.sh_offset, section.sh_size);
            }
        }
    }
    return end > SIZE_MAX ? SIZE_MAX : (size_t)end;
}
