#include <attention_kernels.h>

#include <pybind11/pybind11.h>

#include <cstddef>
#include <memory>
#include <stdexcept>
#include <string>
#include <string_view>

namespace py = pybind11;

namespace {

struct ImageError : std::runtime_error {
    using std::runtime_error::runtime_error;
};

void check(ak_status status)
{
    if (status != AK_OK) {
        throw ImageError(ak_error());
    }
}

struct CloseCatalog {
    void operator()(ak_catalog *catalog) const { ak_close(catalog); }
};
using Catalog = std::unique_ptr<ak_catalog, CloseCatalog>;

// Opened for each call: it costs one listing of a folder, and an installation that was repaired in
// the meantime is seen as it is now.
Catalog open_catalog()
{
    ak_catalog *catalog = nullptr;
    check(ak_open(nullptr, &catalog));
    return Catalog(catalog);
}

class Image {
public:
    Image(const Catalog &catalog, std::size_t index) { check(ak_map(catalog.get(), index, &image_)); }
    ~Image() { ak_unmap(&image_); }
    Image(const Image &) = delete;
    Image &operator=(const Image &) = delete;

    const ak_image *operator->() const { return &image_; }

private:
    ak_image image_{};
};

py::list images()
{
    const Catalog catalog = open_catalog();
    py::list found;
    for (std::size_t index = 0; index < ak_count(catalog.get()); index++) {
        const Image image(catalog, index);
        found.append(py::make_tuple(ak_name(catalog.get(), index), image->isa, image->size));
    }
    return found;
}

py::bytes image_bytes(std::string_view name)
{
    const Catalog catalog = open_catalog();
    for (std::size_t index = 0; index < ak_count(catalog.get()); index++) {
        if (name == ak_name(catalog.get(), index)) {
            const Image image(catalog, index);
            return {static_cast<const char *>(image->data), image->size};
        }
    }
    throw py::key_error(std::string(name));
}

} // namespace

PYBIND11_MODULE(_core, module)
{
    py::register_exception<ImageError>(module, "ImageError", PyExc_RuntimeError);
    module.def("images", &images);
    module.def("image_bytes", &image_bytes, py::arg("name"));
}
