#include "attention_kernels.h"

#include <demo_hsa.h>

#include <dlfcn.h>
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <exception>
#include <filesystem>
#include <string>
#include <string_view>
#include <system_error>
#include <utility>
#include <vector>

namespace fs = std::filesystem;

struct ak_catalog {
    std::string arch;
    fs::path folder;
    std::vector<std::string> names;
};

namespace {

constexpr const char *suffix = ".hsaco";
constexpr std::string_view folder_prefix = "amd-";

// A plain buffer: reporting that memory has run out must not need any.
thread_local char last_error[1024] = "";

struct Failure {
    ak_status status;
    std::string text;
};

ak_status report(ak_status status, const char *text) noexcept
{
    std::snprintf(last_error, sizeof last_error, "%s", text);
    return status;
}

// Runs a function's body where no exception can reach the C caller.
template <typename Body>
ak_status guarded(Body body) noexcept
{
    try {
        body();
        return AK_OK;
    } catch (const Failure &failure) {
        return report(failure.status, failure.text.c_str());
    } catch (const std::exception &error) {
        return report(AK_SYSTEM, error.what());
    } catch (...) {
        return report(AK_SYSTEM, "unknown error");
    }
}

class File {
public:
    explicit File(const fs::path &path) : descriptor_(::open(path.c_str(), O_RDONLY | O_CLOEXEC)) {}
    ~File()
    {
        if (descriptor_ >= 0) {
            ::close(descriptor_);
        }
    }
    File(const File &) = delete;
    File &operator=(const File &) = delete;

    int descriptor() const { return descriptor_; }

private:
    int descriptor_;
};

class Mapping {
public:
    Mapping(int descriptor, std::size_t size)
        : data_(::mmap(nullptr, size, PROT_READ, MAP_PRIVATE, descriptor, 0)), size_(size)
    {
    }
    ~Mapping()
    {
        if (data_ != MAP_FAILED) {
            ::munmap(data_, size_);
        }
    }
    Mapping(const Mapping &) = delete;
    Mapping &operator=(const Mapping &) = delete;

    explicit operator bool() const { return data_ != MAP_FAILED; }
    const void *data() const { return data_; }
    const void *release() { return std::exchange(data_, MAP_FAILED); }

private:
    void *data_;
    std::size_t size_;
};

std::string reason(int error)
{
    return std::generic_category().message(error);
}

// The images travel with the library, wherever an installation puts the two.
fs::path images_folder()
{
    Dl_info info{};
    if (::dladdr(reinterpret_cast<const void *>(&ak_open), &info) == 0 || !info.dli_fname) {
        throw Failure{AK_SYSTEM, "the dynamic linker does not say where this library is"};
    }
    return fs::canonical(info.dli_fname).parent_path() / "attention_kernels.images";
}

std::vector<std::string> architectures(const fs::path &images)
{
    std::vector<std::string> found;
    std::error_code error;
    for (fs::directory_iterator entry(images, error), end; !error && entry != end;
         entry.increment(error)) {
        const std::string name = entry->path().filename().string();
        std::error_code ignored;
        if (name.compare(0, folder_prefix.size(), folder_prefix) == 0 &&
            entry->is_directory(ignored)) {
            found.push_back(name.substr(folder_prefix.size()));
        }
    }
    if (error) {
        throw Failure{AK_NOT_FOUND, images.string() + ": " + error.message()};
    }
    std::sort(found.begin(), found.end());
    return found;
}

std::string only_architecture(const fs::path &images)
{
    const std::vector<std::string> found = architectures(images);
    if (found.size() == 1) {
        return found.front();
    }
    std::string text = images.string() + " holds ";
    if (found.empty()) {
        throw Failure{AK_NOT_FOUND, text + "no architecture"};
    }
    text += "several architectures, name one of them:";
    for (const std::string &arch : found) {
        text += " " + arch;
    }
    throw Failure{AK_INVALID_ARGUMENT, text};
}

// Becomes part of a path, so nothing may lead out of the images' folder.
bool is_architecture(std::string_view name)
{
    return !name.empty() && std::all_of(name.begin(), name.end(), [](char c) {
        return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-';
    });
}

std::vector<std::string> list_images(const fs::path &folder)
{
    std::vector<std::string> names;
    std::error_code error;
    for (fs::directory_iterator entry(folder, error), end; !error && entry != end;
         entry.increment(error)) {
        if (entry->path().extension() == suffix) {
            names.push_back(entry->path().stem().string());
        }
    }
    if (error) {
        throw Failure{AK_NOT_FOUND, folder.string() + ": " + error.message()};
    }
    if (names.empty()) {
        throw Failure{AK_NOT_FOUND, folder.string() + " holds no image"};
    }
    std::sort(names.begin(), names.end());
    return names;
}

ak_image map_image(const ak_catalog &catalog, const std::string &name)
{
    const fs::path path = catalog.folder / (name + suffix);
    const auto bad = [&path](const std::string &text) {
        return Failure{AK_BAD_IMAGE, path.string() + ": " + text};
    };

    const File file(path);
    if (file.descriptor() < 0) {
        throw bad(reason(errno));
    }
    struct stat status {};
    if (::fstat(file.descriptor(), &status) != 0) {
        throw bad(reason(errno));
    }
    if (!S_ISREG(status.st_mode)) {
        throw bad("is not a file");
    }
    if (status.st_size == 0) { // which mmap would refuse less clearly
        throw bad("is empty");
    }
    const auto size = static_cast<std::size_t>(status.st_size);

    Mapping mapping(file.descriptor(), size);
    if (!mapping) {
        throw bad(reason(errno));
    }
    const std::size_t needed = demo_hsa_code_object_size(mapping.data(), size);
    if (needed == 0) {
        throw bad("is not an AMD GPU code object");
    }
    if (needed > size) {
        throw bad("is cut short: " + std::to_string(size) + " bytes of " + std::to_string(needed));
    }
    const char *isa = demo_hsa_isa_name(mapping.data(), size);
    if (catalog.arch != isa) {
        throw bad("holds code for " + std::string(isa) + " in the folder of " + catalog.arch);
    }
    return ak_image{isa, mapping.release(), size};
}

} // namespace

ak_status ak_open(const char *arch, ak_catalog **catalog)
{
    if (catalog == nullptr) {
        return report(AK_INVALID_ARGUMENT, "ak_open: no place for the catalog");
    }
    *catalog = nullptr;
    return guarded([&] {
        const fs::path images = images_folder();
        ak_catalog opened;
        opened.arch = arch ? arch : only_architecture(images);
        if (!is_architecture(opened.arch)) {
            throw Failure{AK_INVALID_ARGUMENT, "'" + opened.arch + "' names no architecture"};
        }
        opened.folder = images / (std::string(folder_prefix) + opened.arch);
        opened.names = list_images(opened.folder);
        *catalog = new ak_catalog(std::move(opened));
    });
}

void ak_close(ak_catalog *catalog)
{
    delete catalog;
}

const char *ak_arch(const ak_catalog *catalog)
{
    return catalog ? catalog->arch.c_str() : nullptr;
}

size_t ak_count(const ak_catalog *catalog)
{
    return catalog ? catalog->names.size() : 0;
}

const char *ak_name(const ak_catalog *catalog, size_t index)
{
    return index < ak_count(catalog) ? catalog->names[index].c_str() : nullptr;
}

ak_status ak_map(const ak_catalog *catalog, size_t index, ak_image *image)
{
    if (image == nullptr) {
        return report(AK_INVALID_ARGUMENT, "ak_map: no place for the image");
    }
    *image = ak_image{};
    if (index >= ak_count(catalog)) {
        return report(AK_INVALID_ARGUMENT, "ak_map: there is no image of that index");
    }
    return guarded([&] { *image = map_image(*catalog, catalog->names[index]); });
}

void ak_unmap(ak_image *image)
{
    if (image != nullptr && image->data != nullptr) {
        ::munmap(const_cast<void *>(image->data), image->size);
        *image = ak_image{};
    }
}

const char *ak_error(void)
{
    return last_error;
}
