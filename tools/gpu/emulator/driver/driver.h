// What the files of the emulated driver share.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>

#include "../shim/abi.h"

#define API extern "C" __attribute__((visibility("default")))

enum CUresult : int {
    CUDA_SUCCESS = 0,
    CUDA_ERROR_INVALID_VALUE = 1,
    CUDA_ERROR_OUT_OF_MEMORY = 2,
    CUDA_ERROR_NOT_INITIALIZED = 3,
    CUDA_ERROR_NO_DEVICE = 100,
    CUDA_ERROR_INVALID_DEVICE = 101,
    CUDA_ERROR_INVALID_IMAGE = 200,
    CUDA_ERROR_INVALID_CONTEXT = 201,
    CUDA_ERROR_INVALID_HANDLE = 400,
    CUDA_ERROR_ILLEGAL_STATE = 401,
    CUDA_ERROR_NOT_FOUND = 500,
    CUDA_ERROR_NOT_SUPPORTED = 801,
};

typedef unsigned long long CUdeviceptr;
typedef struct Stream *CUstream;
typedef struct Event *CUevent;
typedef struct Module *CUmodule;
typedef struct Function *CUfunction;
typedef struct Context *CUcontext;
typedef struct Graph *CUgraph;
typedef struct GraphNode *CUgraphNode;
typedef struct GraphExec *CUgraphExec;

constexpr unsigned WARP = EMULATED_WARP;
constexpr unsigned MAX_THREADS = 1024;
// Of a Hopper card: shared memory of a block without and with asking for more, and of a multiprocessor.
constexpr int SHARED_BYTES = 48 << 10;
constexpr int SHARED_BYTES_OPTIN = 227 << 10;
constexpr int SHARED_BYTES_MULTIPROCESSOR = 228 << 10;
constexpr int MULTIPROCESSORS = 132;
constexpr size_t PAGE = 4096;
// All ones is NaN as f32, bf16 and f64.
constexpr int POISON = 0xff;

inline size_t round_up(size_t number, size_t multiple) {
    return (number + multiple - 1) / multiple * multiple;
}

// device.cpp. Not initialised, or no context that is current on this thread, or neither.
CUresult ready();
#define REQUIRE(condition, error)                             \
    do {                                                      \
        if (CUresult not_ready = ready()) return not_ready;   \
        if (!(condition)) return error;                       \
    } while (0)

// stream.cpp. Whether there is such a stream, and it does not capture.
bool is_stream(CUstream stream);

// graph.cpp
bool is_capturing(CUstream stream);

// module.cpp. Ends with a zero.
const unsigned *parameter_sizes(CUfunction f);
CUresult launch_function(CUfunction f, const uint3 &grid, const uint3 &block, unsigned shared_bytes, void **parameters);

// memory.cpp
struct Region {
    char *data;
    char *mapping;
    size_t mapping_size;
};
// `size` bytes that end, but for alignment to 16, where memory that cannot be read begins.
Region guarded_region(size_t size);
std::string describe_address(const void *address);

// faults.cpp
void install_fault_handlers();
// Says what is wrong with what the host asks for; the call then returns an error as the real driver does.
void complain(const char *format, ...) __attribute__((format(printf, 1, 2)));
// Ends the process with the kernel, block and thread that run, and what is wrong.
[[noreturn]] void fail(const char *format, ...) __attribute__((format(printf, 1, 2)));

// grid.cpp
struct Launch {
    const char *kernel;
    void (*call)(void **parameters);
    void **parameters;
    uint3 grid_size, block_size;
    unsigned shared_bytes;
    // Where the module's static shared memory is.
    char *static_shared;
    size_t static_shared_bytes;
};
extern EmulatedRuntime runtime;
// The launch that runs on this thread, or none.
const Launch *running_launch();
void run_grid(const Launch &launch);

// fragments.cpp. Of all lanes of a warp.
void multiply_fragments(const EmulatedFragments *const lanes[WARP]);
