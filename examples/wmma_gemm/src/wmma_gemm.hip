#include "wmma_gemm.h"

#include <hip/hip_runtime.h>

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#if defined(__HIP_DEVICE_COMPILE__) && !defined(__GFX11__)
#error "the fragments below are laid out as gfx11 wants them: set CMAKE_HIP_ARCHITECTURES to one"
#endif

namespace {

using Half2 = _Float16 __attribute__((ext_vector_type(2)));
using Half8 = _Float16 __attribute__((ext_vector_type(8)));
using Half16 = _Float16 __attribute__((ext_vector_type(16)));
using Float8 = float __attribute__((ext_vector_type(8)));

constexpr int wave = 32;
constexpr int tile = 16; // of one WMMA instruction, in all three directions
constexpr int vector = 8; // halves in a load of 16 bytes

// A block computes 128 x 128 elements of C, each of its waves 32 x 64 of them.
constexpr int block_m = 128;
constexpr int block_n = 128;
constexpr int block_k = 32;
constexpr int wave_tiles_m = 2;
constexpr int wave_tiles_n = 4;
constexpr int waves_n = block_n / (wave_tiles_n * tile);
constexpr int waves = block_m / (wave_tiles_m * tile) * waves_n;
constexpr int threads = waves * wave;

// Eight halves more than there are: so the 16 byte reads of neighbouring rows hit different banks.
constexpr int row = block_k + vector;

constexpr int row_vectors = block_k / vector;
constexpr int row_pairs = block_k / 2;
static_assert(block_m * row_vectors == 2 * threads, "each thread loads A twice");
static_assert(block_n / vector * row_pairs == threads, "each thread loads B once, from two lines");

// What a thread holds of the next part of A and B while the block still computes with this one. No
// arrays, and passed by value: else clang keeps it in memory instead of registers.
struct Ahead {
    Half8 a_upper;
    Half8 a_lower;
    Half8 b_even;
    Half8 b_odd;
};

// Where the thread loads from and stores to, in its block's part of A (the upper half) and of B.
struct Place {
    int a_line;
    int a_column;
    int b_line;
    int b_column;
};

__device__ Place place()
{
    const int thread = threadIdx.x;
    return {thread / row_vectors, thread % row_vectors * vector, thread % row_pairs * 2,
            thread / row_pairs * vector};
}

__device__ Half8 load(const _Float16 *from) { return *reinterpret_cast<const Half8 *>(from); }

__device__ void store(_Float16 *to, Half8 halves) { *reinterpret_cast<Half8 *>(to) = halves; }

__device__ Ahead fetch(const _Float16 *a, const _Float16 *b, size_t n, size_t k, size_t k_start)
{
    const Place at = place();
    a += (size_t(blockIdx.y) * block_m + at.a_line) * k + k_start + at.a_column;
    b += (k_start + at.b_line) * n + size_t(blockIdx.x) * block_n + at.b_column;
    return {load(a), load(a + block_m / 2 * k), load(b), load(b + n)};
}

// B is turned over on its way: an instruction wants 16 halves of one column, side by side.
__device__ void stage(Ahead ahead, _Float16 (*a_part)[row], _Float16 (*b_part)[row])
{
    const Place at = place();
    store(&a_part[at.a_line][at.a_column], ahead.a_upper);
    store(&a_part[at.a_line + block_m / 2][at.a_column], ahead.a_lower);
    for (int i = 0; i < vector; i++) {
        _Float16 *to = &b_part[at.b_column + i][at.b_line];
        *reinterpret_cast<Half2 *>(to) = Half2{ahead.b_even[i], ahead.b_odd[i]};
    }
}

// Lane l and lane l + 16 both hold line l of a tile.
__device__ Half16 fragment(const _Float16 (*part)[row], int line, int column)
{
    const _Float16 *from = &part[line + threadIdx.x % tile][column];
    return __builtin_shufflevector(load(from), load(from + vector), 0, 1, 2, 3, 4, 5, 6, 7, 8, 9,
                                   10, 11, 12, 13, 14, 15);
}

// The sizes are multiples of the block's: the host pads with zeros, and so nothing is checked here.
__global__ __launch_bounds__(threads) void gemm_wmma(const _Float16 *__restrict__ a,
                                                     const _Float16 *__restrict__ b,
                                                     float *__restrict__ c, size_t n, size_t k)
{
    alignas(sizeof(Half8)) __shared__ _Float16 a_part[block_m][row];
    alignas(sizeof(Half8)) __shared__ _Float16 b_part[block_n][row];

    const int index = threadIdx.x / wave;
    const int wave_m = index / waves_n * wave_tiles_m * tile;
    const int wave_n = index % waves_n * wave_tiles_n * tile;
    Float8 sums[wave_tiles_m][wave_tiles_n] = {};

    Ahead ahead = fetch(a, b, n, k, 0);
    for (size_t k_start = 0; k_start < k; k_start += block_k) {
        stage(ahead, a_part, b_part);
        __syncthreads();
        if (k_start + block_k < k) {
            ahead = fetch(a, b, n, k, k_start + block_k);
        }
        for (int step = 0; step < block_k; step += tile) {
            Half16 a_tiles[wave_tiles_m];
            for (int i = 0; i < wave_tiles_m; i++) {
                a_tiles[i] = fragment(a_part, wave_m + i * tile, step);
            }
            for (int j = 0; j < wave_tiles_n; j++) {
                const Half16 b_tile = fragment(b_part, wave_n + j * tile, step);
                for (int i = 0; i < wave_tiles_m; i++) {
                    sums[i][j] = __builtin_amdgcn_wmma_f32_16x16x16_f16_w32(a_tiles[i], b_tile,
                                                                           sums[i][j]);
                }
            }
        }
        __syncthreads();
    }

    // A lane of the lower half holds the even lines of its column, one of the upper half the odd.
    const int lane = threadIdx.x % wave;
    const size_t line = size_t(blockIdx.y) * block_m + wave_m + lane / tile;
    const size_t column = size_t(blockIdx.x) * block_n + wave_n + lane % tile;
    for (int i = 0; i < wave_tiles_m; i++) {
        for (int j = 0; j < wave_tiles_n; j++) {
            for (int element = 0; element < 8; element++) {
                const size_t at = (line + i * tile + element * 2) * n + column + j * tile;
                c[at] = sums[i][j][element];
            }
        }
    }
}

constexpr int plain_side = 16;

// Shares nothing with the kernel above but the memory's layout: it is there to find its mistakes.
__global__ __launch_bounds__(plain_side *plain_side) void gemm_plain(
    const _Float16 *__restrict__ a, const _Float16 *__restrict__ b, float *__restrict__ c,
    uint32_t m, uint32_t n, uint32_t k, size_t a_row, size_t b_row)
{
    const size_t line = size_t(blockIdx.y) * plain_side + threadIdx.y;
    const size_t column = size_t(blockIdx.x) * plain_side + threadIdx.x;
    if (line >= m || column >= n) {
        return;
    }
    float sum = 0;
    for (uint32_t i = 0; i < k; i++) {
        sum += float(a[line * a_row + i]) * float(b[i * b_row + column]);
    }
    c[line * b_row + column] = sum;
}

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
    const int status = error == hipErrorNoDevice          ? WG_NO_DEVICE
                       : error == hipErrorNoBinaryForGpu  ? WG_NO_CODE
                       : error == hipErrorOutOfMemory     ? WG_OUT_OF_MEMORY
                                                          : WG_HIP;
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
        if (status_ != WG_OK) {                                                                    \
            return status_;                                                                        \
        }                                                                                          \
    } while (false)

// A matrix on the device, with room and zeros up to a multiple of the block's size.
template <typename Element>
class Matrix {
public:
    Matrix() = default;
    ~Matrix() { (void)hipFree(data_); }
    Matrix(const Matrix &) = delete;
    Matrix &operator=(const Matrix &) = delete;

    int allocate(size_t lines, size_t columns)
    {
        columns_ = columns;
        const size_t bytes = lines * columns * sizeof(Element);
        TRY(hipMalloc, reinterpret_cast<void **>(&data_), bytes);
        TRY(hipMemset, data_, 0, bytes);
        return WG_OK;
    }

    int copy_in(const void *from, size_t lines, size_t columns)
    {
        const size_t width = columns * sizeof(Element);
        TRY(hipMemcpy2D, data_, columns_ * sizeof(Element), from, width, width, lines,
            hipMemcpyHostToDevice);
        return WG_OK;
    }

    int copy_out(void *to, size_t lines, size_t columns) const
    {
        const size_t width = columns * sizeof(Element);
        TRY(hipMemcpy2D, to, width, data_, columns_ * sizeof(Element), width, lines,
            hipMemcpyDeviceToHost);
        return WG_OK;
    }

    Element *data() const { return data_; }
    size_t columns() const { return columns_; }

private:
    Element *data_ = nullptr;
    size_t columns_ = 0;
};

// At least one block: a product over nothing is a matrix of zeros.
size_t padded(size_t size, size_t block)
{
    return size == 0 ? block : (size + block - 1) / block * block;
}

bool has_code_for(const char *architecture)
{
    const size_t length = strlen(architecture);
    for (const char *word = WG_ARCHITECTURES; *word != '\0';) {
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
    return WG_OK;
}

// Asked before anything is launched: the runtime's own words would not say what is wrong.
int check_device()
{
    int count = 0;
    PASS(wg_device_count(&count));
    if (count == 0) {
        return report(WG_NO_DEVICE, "The HIP runtime finds no GPU.");
    }
    int device = 0;
    TRY(hipGetDevice, &device);
    char architecture[64];
    PASS(architecture_of(device, architecture, sizeof architecture));
    if (!has_code_for(architecture)) {
        return report(WG_NO_CODE, "GPU %d is %s, and this library has code for %s only.", device,
                      architecture, WG_ARCHITECTURES);
    }
    return WG_OK;
}

} // namespace

const char *wg_error(void) { return last_error; }

const char *wg_architectures(void) { return WG_ARCHITECTURES; }

int wg_runtime_version(int *version)
{
    if (version == nullptr) {
        return report(WG_BAD_ARGUMENT, "There is no place for the version.");
    }
    TRY(hipRuntimeGetVersion, version);
    return WG_OK;
}

int wg_device_count(int *count)
{
    if (count == nullptr) {
        return report(WG_BAD_ARGUMENT, "There is no place for the count.");
    }
    *count = 0;
    const hipError_t error = hipGetDeviceCount(count);
    if (error == hipErrorNoDevice) {
        *count = 0;
        return WG_OK;
    }
    return error == hipSuccess ? int(WG_OK) : report_hip("hipGetDeviceCount", error);
}

int wg_device_architecture(int device, char *text, size_t size)
{
    if (text == nullptr || size == 0) {
        return report(WG_BAD_ARGUMENT, "There is no place for the text.");
    }
    return architecture_of(device, text, size);
}

int wg_gemm(int kernel, uint32_t m, uint32_t n, uint32_t k, const uint16_t *a, const uint16_t *b,
            float *c)
{
    if (kernel != WG_WMMA && kernel != WG_PLAIN) {
        return report(WG_BAD_ARGUMENT, "There is no kernel %d.", kernel);
    }
    if (m > WG_MAX_SIZE || n > WG_MAX_SIZE || k > WG_MAX_SIZE) {
        return report(WG_BAD_ARGUMENT, "A side is longer than %d.", int(WG_MAX_SIZE));
    }
    if (m == 0 || n == 0) {
        return WG_OK;
    }
    if (c == nullptr || (k != 0 && (a == nullptr || b == nullptr))) {
        return report(WG_BAD_ARGUMENT, "A matrix is a null pointer.");
    }
    PASS(check_device());

    Matrix<_Float16> a_matrix;
    Matrix<_Float16> b_matrix;
    Matrix<float> c_matrix;
    const size_t padded_m = padded(m, block_m);
    const size_t padded_n = padded(n, block_n);
    const size_t padded_k = padded(k, block_k);
    PASS(a_matrix.allocate(padded_m, padded_k));
    PASS(b_matrix.allocate(padded_k, padded_n));
    PASS(c_matrix.allocate(padded_m, padded_n));
    if (k != 0) {
        PASS(a_matrix.copy_in(a, m, k));
        PASS(b_matrix.copy_in(b, k, n));
    }

    if (kernel == WG_WMMA) {
        const dim3 grid(uint32_t(padded_n / block_n), uint32_t(padded_m / block_m));
        gemm_wmma<<<grid, dim3(threads)>>>(a_matrix.data(), b_matrix.data(), c_matrix.data(),
                                           padded_n, padded_k);
    } else {
        const dim3 grid(uint32_t(padded_n / plain_side), uint32_t(padded_m / plain_side));
        gemm_plain<<<grid, dim3(plain_side, plain_side)>>>(
            a_matrix.data(), b_matrix.data(), c_matrix.data(), m, n, k, a_matrix.columns(),
            b_matrix.columns());
    }
    TRY(hipGetLastError);
    TRY(hipDeviceSynchronize);
    return c_matrix.copy_out(c, m, n);
}
