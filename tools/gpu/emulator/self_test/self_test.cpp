// Tests of the emulator through its libraries' functions: self_test COMMON.CUH KERNELS.CU

#include "host.h"

#include <sys/wait.h>
#include <unistd.h>

#include <cmath>
#include <cstring>
#include <fstream>
#include <sstream>
#include <thread>

void test_graphs(void *module);
void test_products();

namespace {

void *module;

std::string read_file(const char *path) {
    std::ifstream file(path);
    CHECK(file.good());
    std::ostringstream text;
    text << file.rdbuf();
    return text.str();
}

// Machine code, or nothing where it does not compile; the log either way.
std::vector<char> compile(const std::string &source, std::string &log) {
    void *program = nullptr;
    CHECK(nvrtc("nvrtcCreateProgram", &program, source.c_str(), "kernels.cu", 0, (void *)nullptr, (void *)nullptr) == 0);
    const char *options[] = {"--gpu-architecture=sm_90", "--std=c++17", "-DHALF=0.5f"};
    int result = nvrtc("nvrtcCompileProgram", program, 3, (const char *const *)options);
    size_t size = 0;
    nvrtc("nvrtcGetProgramLogSize", program, &size);
    log.resize(size);
    nvrtc("nvrtcGetProgramLog", program, log.data());
    std::vector<char> image;
    if (result == 0) {
        nvrtc("nvrtcGetCUBINSize", program, &size);
        image.resize(size);
        CHECK(nvrtc("nvrtcGetCUBIN", program, image.data()) == 0);
    } else {
        CHECK(result == 6);
    }
    CHECK(nvrtc("nvrtcDestroyProgram", &program) == 0);
    return image;
}

void *function(const char *name) {
    void *result = nullptr;
    CHECK(driver("cuModuleGetFunction", &result, module, name) == 0);
    return result;
}

template <class... Types>
int launch(const char *name, unsigned blocks, unsigned threads, unsigned shared_bytes, Types... values) {
    void *parameters[] = {(void *)&values..., nullptr};
    return driver("cuLaunchKernel", function(name), blocks, 1u, 1u, threads, 1u, 1u, shared_bytes, (void *)nullptr,
                  (void **)parameters, (void **)nullptr);
}

// The kernels' `Values`.
struct View {
    Pointer data;
    unsigned long long compact;
};

// What the code writes to the error output before it ends the process by a signal.
template <class Code> std::string last_words(int signal, Code code) {
    int pipes[2];
    CHECK(pipe(pipes) == 0);
    pid_t child = fork();
    if (child == 0) {
        dup2(pipes[1], STDERR_FILENO);
        code();
        _exit(0);
    }
    close(pipes[1]);
    std::string text;
    char part[512];
    for (ssize_t bytes; (bytes = read(pipes[0], part, sizeof part)) > 0;) text.append(part, bytes);
    close(pipes[0]);
    int status = 0;
    waitpid(child, &status, 0);
    if (!WIFSIGNALED(status) || WTERMSIG(status) != signal) {
        fprintf(stderr, "not ended by signal %d (status %d): %s\n", signal, status, text.c_str());
        exit(1);
    }
    return text;
}

void expect_words(const std::string &text, const char *words) {
    if (text.find(words) != std::string::npos) return;
    fprintf(stderr, "\"%s\" not in: %s\n", words, text.c_str());
    exit(1);
}

void test_before_context() {
    int count = 0;
    Pointer pointer = 0;
    CHECK(driver("cuDeviceGetCount", &count) == 3);
    setenv("EMULATED_DEVICES", "0", 1);
    CHECK(driver("cuInit", 0u) == 100);
    unsetenv("EMULATED_DEVICES");
    CHECK(driver("cuInit", 0u) == 0);
    CHECK(driver("cuDeviceGetCount", &count) == 0 && count == 1);
    CHECK(driver("cuMemAlloc_v2", &pointer, (size_t)16) == 201);
    void *context = nullptr;
    CHECK(driver("cuDevicePrimaryCtxRetain", &context, 0) == 0);
    CHECK(driver("cuCtxSetCurrent", context) == 0);
    int major = 0, minor = -1;
    driver("cuDeviceGetAttribute", &major, 75, 0);
    driver("cuDeviceGetAttribute", &minor, 76, 0);
    CHECK(major == 9 && minor == 0);
    char name[64];
    CHECK(driver("cuDeviceGetName", (char *)name, 64, 0) == 0 && strlen(name) > 0);
    const char *text = nullptr;
    CHECK(driver("cuGetErrorName", 2, &text) == 0 && strcmp(text, "CUDA_ERROR_OUT_OF_MEMORY") == 0);
}

void test_compiling(const std::string &common) {
    std::string log;
    CHECK(compile("extern \"C\" __global__ void broken() { nobody(); }\n", log).empty());
    expect_words(log, "kernels.cu:1");
    CHECK(compile("#include <math.h>\n", log).empty());
    expect_words(log, "no headers");
    // A kernel that a macro writes, bounds that are an expression, and one without C's linkage, which has no such name.
    auto image = compile(common + "#define TWICE(name) extern \"C\" __global__ __launch_bounds__(2 * WARP) void name()\n"
                                  "TWICE(one) {}\n__global__ void other() {}\n", log);
    void *loaded = nullptr, *one = nullptr, *second = nullptr, *two = nullptr;
    CHECK(driver("cuModuleLoadData", &loaded, image.data()) == 0);
    CHECK(driver("cuModuleGetFunction", &one, loaded, "one") == 0);
    int threads = 0;
    CHECK(driver("cuFuncGetAttribute", &threads, 0, one) == 0 && threads == 64);
    CHECK(driver("cuModuleGetFunction", &one, loaded, "other") == 500);
    // Beside another module, with what the preprocessor puts between words.
    std::string comment = "//\n//\n//\n//\n//\n//\n//\n//\n//\n//\n";
    auto another = compile("extern \"C\" __global__ void\n" + comment + "two() {}\n", log);
    CHECK(driver("cuModuleLoadData", &second, another.data()) == 0);
    CHECK(driver("cuModuleGetFunction", &two, second, "two") == 0 && driver("cuModuleGetFunction", &two, second, "one") == 500);
    CHECK(driver("cuModuleUnload", second) == 0 && driver("cuModuleUnload", loaded) == 0);
    const char text[128] = "no image";
    CHECK(driver("cuModuleLoadData", &loaded, (const char *)text) == 200);
}

void test_memory() {
    Buffer<float> fresh(5);
    for (float value : fresh.read()) CHECK(std::isnan(value));
    CHECK(driver("cuMemsetD8_v2", fresh.pointer, (unsigned char)0, (size_t)20) == 0);
    CHECK(driver("cuMemsetD32Async", fresh.pointer + 4, 0x40000000u, (size_t)2, (void *)nullptr) == 0);
    CHECK(fresh.read() == std::vector<float>({0, 2, 2, 0, 0}));
    Buffer<float> other(std::vector<float>{1, 2, 3, 4, 5});
    CHECK(driver("cuMemcpyDtoDAsync_v2", fresh.pointer + 4, other.pointer, (size_t)12, (void *)nullptr) == 0);
    CHECK(fresh.read() == std::vector<float>({0, 1, 2, 3, 0}));
    // Beyond the end, and a memory that is free.
    CHECK(driver("cuMemsetD8_v2", fresh.pointer + 4, (unsigned char)0, (size_t)20) == 1);
    Pointer pointer = 0;
    CHECK(driver("cuMemAlloc_v2", &pointer, (size_t)100) == 0 && driver("cuMemFree_v2", pointer) == 0);
    CHECK(driver("cuMemFree_v2", pointer) == 1);
    size_t before = 0, after = 0, total = 0;
    setenv("EMULATED_MEMORY", "1000000", 1);
    driver("cuMemGetInfo_v2", &before, &total);
    CHECK(driver("cuMemAlloc_v2", &pointer, (size_t)900000) == 0);
    driver("cuMemGetInfo_v2", &after, &total);
    CHECK(total == 1000000 && before - after == 900000);
    Pointer second = 0;
    CHECK(driver("cuMemAlloc_v2", &second, (size_t)200000) == 2);
    CHECK(driver("cuMemFree_v2", pointer) == 0);
    unsetenv("EMULATED_MEMORY");
    void *stream = nullptr, *start = nullptr, *end = nullptr, *pinned = nullptr;
    CHECK(driver("cuStreamCreate", &stream, 1u) == 0 && driver("cuEventCreate", &start, 0u) == 0);
    CHECK(driver("cuEventCreate", &end, 0u) == 0 && driver("cuEventRecord", start, stream) == 0);
    CHECK(driver("cuEventRecord", end, stream) == 0 && driver("cuStreamSynchronize", stream) == 0);
    float milliseconds = -1;
    CHECK(driver("cuEventElapsedTime_v2", &milliseconds, start, end) == 0 && milliseconds >= 0);
    CHECK(driver("cuStreamDestroy_v2", stream) == 0 && driver("cuStreamSynchronize", stream) == 400);
    CHECK(driver("cuMemHostAlloc", &pinned, (size_t)64, 0u) == 0 && driver("cuMemFreeHost", pinned) == 0);
}

void test_kernels() {
    const size_t count = 1000;
    std::vector<float> a(count), b(count);
    for (size_t index = 0; index < count; ++index) a[index] = (float)index, b[index] = 0.5f * (float)index;
    Buffer<float> first(a), second(b), sum(count);
    CHECK(launch("add", 4, 256, 0, sum.pointer, first.pointer, second.pointer, (unsigned long long)count) == 0);
    auto sums = sum.read();
    for (size_t index = 0; index < count; ++index) CHECK(sums[index] == a[index] + b[index]);
    for (unsigned threads : {32u, 256u, 1024u}) {
        Buffer<float> totals(3), largest(3);
        Buffer<double> squares(3);
        CHECK(launch("reductions", 3, threads, 0, totals.pointer, largest.pointer, squares.pointer) == 0);
        for (unsigned block = 0; block < 3; ++block) {
            double total = 0, square = 0, value = 0;
            for (unsigned thread = 0; thread < threads; ++thread) {
                value = 1 + block + 0.5 * thread;
                total += value, square += value * value;
            }
            CHECK(std::fabs(totals.read()[block] - total) < 1e-6 * total && largest.read()[block] == value);
            CHECK(squares.read()[block] == square);
        }
    }
    Buffer<float> reversed(a);
    CHECK(launch("reverse", 5, 200, 800, reversed.pointer) == 0);
    auto values = reversed.read();
    for (size_t index = 0; index < count; ++index) CHECK(values[index] == a[index / 200 * 200 + 199 - index % 200]);
    Buffer<unsigned short> compact(count);
    Buffer<float> wide(count);
    CHECK(launch("copy_wide", 1, 256, 0, View{compact.pointer, 1}, View{first.pointer, 0}, 1000ull) == 0);
    CHECK(launch("copy_wide", 1, 256, 0, View{wide.pointer, 0}, View{compact.pointer, 1}, 1000ull) == 0);
    auto rounded = wide.read();
    for (size_t index = 0; index < count; ++index) CHECK(rounded[index] == from_bf16(to_bf16(a[index])));
}

void test_warps() {
    Buffer<int> out(64 * 8);
    CHECK(launch("shuffles", 1, 64, 0, out.pointer) == 0);
    auto got = out.read();
    for (int thread = 0; thread < 64; ++thread) {
        int lane = thread % 32, base = thread / 32 * 100;
        const int *mine = &got[thread * 8];
        CHECK(mine[0] == base + 5 && mine[1] == base + (lane ^ 3));
        CHECK(mine[2] == base + (lane < 28 ? lane + 4 : lane) && mine[3] == base + (lane >= 4 ? lane - 4 : lane));
        CHECK(mine[4] == base + 31);
        // A segment's lanes only see their own segment.
        CHECK(mine[5] == base + lane - (lane & 8 ? 8 : 0));
        CHECK(mine[6] == base + (lane ^ 2) + (lane % 2 ? 0xa : 0x5));
        CHECK(mine[7] == 1);
    }
    unsigned state = 1;
    std::vector<unsigned short> a(256), b(128);
    std::vector<float> c(128);
    for (auto &value : a) value = to_bf16(next_random(state));
    for (auto &value : b) value = to_bf16(next_random(state));
    for (auto &value : c) value = next_random(state);
    Buffer<unsigned short> left(a), right(b);
    Buffer<float> start(c), product(128);
    CHECK(launch("multiply", 1, 32, 0, product.pointer, left.pointer, right.pointer, start.pointer) == 0);
    auto d = product.read();
    for (int row = 0; row < 16; ++row) {
        for (int column = 0; column < 8; ++column) {
            double sum = c[row * 8 + column];
            for (int k = 0; k < 16; ++k) sum += (double)from_bf16(a[row * 16 + k]) * from_bf16(b[k * 8 + column]);
            CHECK(std::fabs(d[row * 8 + column] - sum) < 1e-5);
        }
    }
}

// Several threads of the program at once.
void test_threads() {
    auto work = [](float value) {
        void *context = nullptr;
        CHECK(driver("cuCtxGetCurrent", &context) == 0 && context == nullptr);
        CHECK(driver("cuDevicePrimaryCtxRetain", &context, 0) == 0 && driver("cuCtxSetCurrent", context) == 0);
        for (int round = 0; round < 50; ++round) {
            Buffer<float> out(300), sum(1), top(1);
            Buffer<double> squares(1);
            CHECK(launch("fill", 1, 64, 0, out.pointer, 300ull, value) == 0);
            CHECK(launch("reductions", 1, 96, 0, sum.pointer, top.pointer, squares.pointer) == 0);
            CHECK(out.read() == std::vector<float>(300, value) && top.read()[0] == 48.5f);
        }
    };
    std::vector<std::thread> threads;
    for (int index = 0; index < 4; ++index) threads.emplace_back(work, (float)index);
    for (auto &thread : threads) thread.join();
}

// What the real driver refuses.
void test_refusals() {
    Buffer<float> out(1024);
    CHECK(launch("fill", 1, 1025, 0, out.pointer, 4ull, 1.0f) == 1);
    CHECK(launch("fill", 0, 32, 0, out.pointer, 4ull, 1.0f) == 1);
    CHECK(launch("add", 1, 512, 0, out.pointer, out.pointer, out.pointer, 4ull) == 1);
    CHECK(launch("reverse", 1, 32, 100 << 10, out.pointer) == 1);
    CHECK(driver("cuFuncSetAttribute", function("reverse"), 8, 300 << 10) == 1);
    CHECK(driver("cuFuncSetAttribute", function("reverse"), 8, 227 << 10) == 0);
    CHECK(launch("reverse", 1, 32, 227 << 10, out.pointer) == 0);
    void *none = nullptr;
    CHECK(driver("cuModuleGetFunction", &none, module, "nobody") == 500);
}

// What only shows on a GPU as wrong numbers, a hang, or nothing at all.
void test_faults() {
    Buffer<float> out(1024);
    expect_words(last_words(SIGABRT, [&] { launch("never_met", 1, 64, 0); }), "63 threads wait at __syncthreads; 1 have");
    auto words = last_words(SIGABRT, [&] { launch("lane_missing", 1, 32, 0, out.pointer); });
    expect_words(words, "kernel lane_missing");
    expect_words(words, "lanes fffffff7 of warp 0 wait for a shuffle with mask ffffffff");
    words = last_words(SIGABRT, [&] { launch("beyond_array", 1, 32, 0, out.pointer, 32u); });
    expect_words(words, "kernels.cu:");
    expect_words(words, "beyond the end of an array");
    expect_words(last_words(SIGABRT, [&] { launch("unaligned", 1, 1, 0, out.pointer); }), "alignment");
    words = last_words(SIGSEGV, [&] { launch("fill", 1, 32, 0, out.pointer, 1025ull, 0.0f); });
    expect_words(words, "kernel fill, block (0, 0, 0), thread (0, 0, 0)");
    expect_words(words, "4096 bytes from the start of 4096 bytes");
    words = last_words(SIGSEGV, [&] { launch("read_one", 1, 1, 0, out.pointer, out.pointer, ~0ull); });
    expect_words(words, "-4 bytes from the start");
    Pointer gone = 0;
    CHECK(driver("cuMemAlloc_v2", &gone, (size_t)64) == 0 && driver("cuMemFree_v2", gone) == 0);
    words = last_words(SIGSEGV, [&] { launch("read_one", 1, 1, 0, out.pointer, gone, 0ull); });
    expect_words(words, "memory of the device that was freed");
    CHECK(launch("unwritten", 1, 8, 16, out.pointer) == 0);
    auto values = out.read();
    for (int index = 0; index < 8; ++index) CHECK(std::isnan(values[index]));
    CHECK(launch("needs_order", 1, 32, 0, out.pointer) == 0 && out.read()[31] == 1.0f);
    setenv("EMULATED_ORDER", "backward", 1);
    CHECK(launch("needs_order", 1, 32, 0, out.pointer) == 0 && std::isnan(out.read()[31]));
    test_kernels();
    test_warps();
    unsetenv("EMULATED_ORDER");
}

}  // namespace

int main(int count, char **arguments) {
    CHECK(count == 3);
    std::string common = read_file(arguments[1]), log;
    test_before_context();
    test_compiling(common);
    auto image = compile(common + "\n#line 1 \"kernels.cu\"\n" + read_file(arguments[2]), log);
    fputs(log.c_str(), stderr);
    CHECK(!image.empty());
    CHECK(driver("cuModuleLoadData", &module, image.data()) == 0);
    test_memory();
    test_kernels();
    test_warps();
    test_threads();
    test_refusals();
    test_faults();
    test_graphs(module);
    test_products();
    puts("the emulator's self test passed");
}
