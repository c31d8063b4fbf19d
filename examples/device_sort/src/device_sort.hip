#include "device_sort.h"

#include <rocprim/config.hpp>

// rocPRIM before 3 knows RDNA by a list of GPUs that ends at gfx1102. It would shuffle the lanes of
// any newer one in ways that only GCN can; the rest of it is included once this is put right.
#if defined(__GFX11__) && !ROCPRIM_NAVI
#undef ROCPRIM_NAVI
#define ROCPRIM_NAVI 1
#endif

#include <rocprim/device/device_radix_sort.hpp>
#include <rocprim/device/device_reduce.hpp>
#include <rocprim/device/device_scan.hpp>
#include <rocprim/functional.hpp>

#include <hip/hip_runtime.h>

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

namespace {

// A plain buffer: reporting that memory has run out must not need any.
thread_local char last_error[512] = "";

__attribute__((format(printf, 2, 3))) int report(int status, const char *format, ...)
{
    va_list values;
    va_start(values, format);
    vsnprintf(last_error, sizeof last_error, format, values);
    va_end(values);
    return status;
}

int report_hip(const char *call, hipError_t error)
{
    const int status = error == hipErrorNoDevice         ? DS_NO_DEVICE
                       : error == hipErrorNoBinaryForGpu ? DS_NO_CODE
                       : error == hipErrorOutOfMemory    ? DS_OUT_OF_MEMORY
                                                         : DS_HIP;
    return report(status, "%s failed: %s (%s).", call, hipGetErrorString(error),
                  hipGetErrorName(error));
}

// For calls of HIP, in functions that return a status.
#define TRY(function, ...)                                                                         \
    do {                                                                                           \
        const hipError_t error_ = function(__VA_ARGS__);                                           \
        if (error_ != hipSuccess) {                                                                \
            return report_hip(#function, error_);                                                  \
        }                                                                                          \
    } while (false)

// For calls of functions that return a status themselves.
#define PASS(call)                                                                                 \
    do {                                                                                           \
        const int status_ = call;                                                                  \
        if (status_ != DS_OK) {                                                                    \
            return status_;                                                                        \
        }                                                                                          \
    } while (false)

template <typename Element>
class Array {
public:
    Array() = default;
    ~Array() { (void)hipFree(data_); }
    Array(const Array &) = delete;
    Array &operator=(const Array &) = delete;

    int allocate(size_t count)
    {
        TRY(hipMalloc, reinterpret_cast<void **>(&data_), count * sizeof(Element));
        return DS_OK;
    }

    int copy_in(const Element *from, size_t count)
    {
        PASS(allocate(count));
        TRY(hipMemcpy, data_, from, count * sizeof(Element), hipMemcpyHostToDevice);
        return DS_OK;
    }

    int copy_out(Element *to, size_t count) const
    {
        TRY(hipMemcpy, to, data_, count * sizeof(Element), hipMemcpyDeviceToHost);
        return DS_OK;
    }

    Element *data() const { return data_; }

private:
    Element *data_ = nullptr;
};

bool has_code_for(const char *architecture)
{
    const size_t length = strlen(architecture);
    for (const char *word = DS_ARCHITECTURES; *word != '\0';) {
        const size_t word_length = strcspn(word, " ");
        if (word_length == length && memcmp(word, architecture, length) == 0) {
            return true;
        }
        word += word_length + (word[word_length] == ' ');
    }
    return false;
}

int architecture_of(int device, char *text, size_t size)
{
    hipDeviceProp_t properties;
    TRY(hipGetDeviceProperties, &properties, device);
    // What may follow a colon are features, such as "xnack-".
    const int length = int(strcspn(properties.gcnArchName, ":"));
    snprintf(text, size, "%.*s", length, properties.gcnArchName);
    return DS_OK;
}

// Asked before anything is launched: the runtime's own words would not say what is wrong.
int check_device()
{
    int count = 0;
    PASS(ds_device_count(&count));
    if (count == 0) {
        return report(DS_NO_DEVICE, "The HIP runtime finds no GPU.");
    }
    int device = 0;
    TRY(hipGetDevice, &device);
    char architecture[64];
    PASS(architecture_of(device, architecture, sizeof architecture));
    if (!has_code_for(architecture)) {
        return report(DS_NO_CODE, "GPU %d is %s, and this library has code for %s only.", device,
                      architecture, DS_ARCHITECTURES);
    }
    return DS_OK;
}

int check_count(size_t count)
{
    return count > DS_MAX_COUNT
               ? report(DS_BAD_ARGUMENT, "There are more than %d elements.", int(DS_MAX_COUNT))
               : int(DS_OK);
}

int null_pointer() { return report(DS_BAD_ARGUMENT, "An array is a null pointer."); }

// rocPRIM's functions are called twice: without storage they only say how much they want.
template <typename Call>
int run(const char *name, Call call)
{
    size_t bytes = 0;
    hipError_t error = call(nullptr, bytes);
    if (error != hipSuccess) {
        return report_hip(name, error);
    }
    Array<char> storage;
    PASS(storage.allocate(bytes == 0 ? 1 : bytes)); // null would ask for the size once more
    error = call(storage.data(), bytes);
    if (error != hipSuccess) {
        return report_hip(name, error);
    }
    TRY(hipDeviceSynchronize);
    return DS_OK;
}

template <typename Key>
int sort_keys(const Key *keys, Key *sorted_keys, size_t count, bool descending)
{
    PASS(check_count(count));
    if (count == 0) {
        return DS_OK;
    }
    if (keys == nullptr || sorted_keys == nullptr) {
        return null_pointer();
    }
    PASS(check_device());
    Array<Key> input;
    Array<Key> output;
    PASS(input.copy_in(keys, count));
    PASS(output.allocate(count));
    PASS(run("rocprim::radix_sort_keys", [&](void *storage, size_t &bytes) {
        return descending ? rocprim::radix_sort_keys_desc(storage, bytes, input.data(),
                                                          output.data(), count)
                          : rocprim::radix_sort_keys(storage, bytes, input.data(), output.data(),
                                                     count);
    }));
    return output.copy_out(sorted_keys, count);
}

template <typename Key>
int sort_pairs(const Key *keys, const uint32_t *values, Key *sorted_keys, uint32_t *sorted_values,
               size_t count, bool descending)
{
    PASS(check_count(count));
    if (count == 0) {
        return DS_OK;
    }
    if (keys == nullptr || values == nullptr || sorted_keys == nullptr ||
        sorted_values == nullptr) {
        return null_pointer();
    }
    PASS(check_device());
    Array<Key> keys_in;
    Array<Key> keys_out;
    Array<uint32_t> values_in;
    Array<uint32_t> values_out;
    PASS(keys_in.copy_in(keys, count));
    PASS(values_in.copy_in(values, count));
    PASS(keys_out.allocate(count));
    PASS(values_out.allocate(count));
    PASS(run("rocprim::radix_sort_pairs", [&](void *storage, size_t &bytes) {
        return descending
                   ? rocprim::radix_sort_pairs_desc(storage, bytes, keys_in.data(), keys_out.data(),
                                                    values_in.data(), values_out.data(), count)
                   : rocprim::radix_sort_pairs(storage, bytes, keys_in.data(), keys_out.data(),
                                               values_in.data(), values_out.data(), count);
    }));
    PASS(keys_out.copy_out(sorted_keys, count));
    return values_out.copy_out(sorted_values, count);
}

template <typename Element>
int inclusive_scan(const Element *input, Element *sums, size_t count)
{
    PASS(check_count(count));
    if (count == 0) {
        return DS_OK;
    }
    if (input == nullptr || sums == nullptr) {
        return null_pointer();
    }
    PASS(check_device());
    Array<Element> from;
    Array<Element> to;
    PASS(from.copy_in(input, count));
    PASS(to.allocate(count));
    PASS(run("rocprim::inclusive_scan", [&](void *storage, size_t &bytes) {
        return rocprim::inclusive_scan(storage, bytes, from.data(), to.data(), count,
                                       rocprim::plus<Element>());
    }));
    return to.copy_out(sums, count);
}

template <typename Element>
int reduce(const Element *input, Element *sum, size_t count)
{
    PASS(check_count(count));
    if (sum == nullptr || (count != 0 && input == nullptr)) {
        return null_pointer();
    }
    if (count == 0) {
        *sum = Element(0);
        return DS_OK;
    }
    PASS(check_device());
    Array<Element> from;
    Array<Element> to;
    PASS(from.copy_in(input, count));
    PASS(to.allocate(1));
    PASS(run("rocprim::reduce", [&](void *storage, size_t &bytes) {
        return rocprim::reduce(storage, bytes, from.data(), to.data(), Element(0), count,
                               rocprim::plus<Element>());
    }));
    return to.copy_out(sum, 1);
}

} // namespace

const char *ds_error(void) { return last_error; }

const char *ds_architectures(void) { return DS_ARCHITECTURES; }

int ds_runtime_version(int *version)
{
    if (version == nullptr) {
        return report(DS_BAD_ARGUMENT, "There is no place for the version.");
    }
    TRY(hipRuntimeGetVersion, version);
    return DS_OK;
}

int ds_device_count(int *count)
{
    if (count == nullptr) {
        return report(DS_BAD_ARGUMENT, "There is no place for the count.");
    }
    *count = 0;
    const hipError_t error = hipGetDeviceCount(count);
    if (error == hipErrorNoDevice) {
        *count = 0;
        return DS_OK;
    }
    return error == hipSuccess ? int(DS_OK) : report_hip("hipGetDeviceCount", error);
}

int ds_device_architecture(int device, char *text, size_t size)
{
    if (text == nullptr || size == 0) {
        return report(DS_BAD_ARGUMENT, "There is no place for the text.");
    }
    return architecture_of(device, text, size);
}

#define DS_DEFINE(name, type)                                                                      \
    int ds_sort_keys_##name(const type *keys, type *sorted_keys, size_t count, int descending)     \
    {                                                                                              \
        return sort_keys(keys, sorted_keys, count, descending != 0);                               \
    }                                                                                              \
    int ds_sort_pairs_##name(const type *keys, const uint32_t *values, type *sorted_keys,          \
                             uint32_t *sorted_values, size_t count, int descending)                \
    {                                                                                              \
        return sort_pairs(keys, values, sorted_keys, sorted_values, count, descending != 0);       \
    }                                                                                              \
    int ds_inclusive_scan_##name(const type *input, type *sums, size_t count)                      \
    {                                                                                              \
        return inclusive_scan(input, sums, count);                                                 \
    }                                                                                              \
    int ds_reduce_##name(const type *input, type *sum, size_t count)                               \
    {                                                                                              \
        return reduce(input, sum, count);                                                          \
    }

DS_DEFINE(u32, uint32_t)
DS_DEFINE(u64, uint64_t)
DS_DEFINE(f32, float)
