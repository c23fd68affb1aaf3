// The functions of cuBLASLt that the program calls.

#include <dlfcn.h>

#include <algorithm>
#include <cstdarg>
#include <cstdio>
#include <cstring>
#include <memory>
#include <vector>

#include "cublaslt.h"

namespace {

void complain(const char *format, ...) __attribute__((format(printf, 1, 2)));

// Says why a call returns an error; the real library does not.
void complain(const char *format, ...) {
    va_list arguments;
    va_start(arguments, format);
    fputs("emulated cuBLASLt: ", stderr);
    vfprintf(stderr, format, arguments);
    fputc('\n', stderr);
    va_end(arguments);
}

cublasStatus_t set(void *to, size_t size, const void *from, size_t given, const char *what, int attribute) {
    if (!from || given != size) {
        complain("attribute %d of %s has %zu bytes, not %zu", attribute, what, size, given);
        return CUBLAS_STATUS_INVALID_VALUE;
    }
    memcpy(to, from, size);
    return CUBLAS_STATUS_SUCCESS;
}

#define SET(field) return set(&(field), sizeof(field), from, size, what, attribute)

bool is_known(int type) {
    return type == F32 || type == BF16;
}

cublasStatus_t check_types(const Descriptor &how, const Layout &a, const Layout &b, const Layout &c, const Layout &d) {
    bool known = is_known(a.type) && is_known(d.type) && a.type == b.type && c.type == d.type;
    bool rounds = how.compute == COMPUTE_BF16 || how.compute == COMPUTE_TF32;
    bool computes = how.compute == COMPUTE_F32 || how.compute == COMPUTE_F32_PEDANTIC || rounds;
    // f32 operands have an f32 output, and only they may be rounded.
    if (!known || !computes || how.scale_type != F32 || (a.type == F32 && d.type != F32) || (rounds && a.type != F32)) {
        complain("not supported: A %d, B %d, C %d, D %d, computed as %d, scaled as %d", a.type, b.type, c.type, d.type,
                 how.compute, how.scale_type);
        return CUBLAS_STATUS_NOT_SUPPORTED;
    }
    if (how.epilogue != EPILOGUE_NONE && how.epilogue != EPILOGUE_BIAS) {
        complain("epilogue %d is not emulated", how.epilogue);
        return CUBLAS_STATUS_NOT_SUPPORTED;
    }
    if (how.epilogue == EPILOGUE_BIAS && how.bias_type != -1 && how.bias_type != d.type) {
        complain("not supported: a bias of type %d with D of type %d", how.bias_type, d.type);
        return CUBLAS_STATUS_NOT_SUPPORTED;
    }
    return CUBLAS_STATUS_SUCCESS;
}

cublasStatus_t check(const Descriptor *how, const Layout *a, const Layout *b, const Layout *c, const Layout *d) {
    if (!how || !a || !b || !c || !d) return CUBLAS_STATUS_INVALID_VALUE;
    if (cublasStatus_t status = check_types(*how, *a, *b, *c, *d)) return status;
    for (const Layout *layout : {a, b, c, d}) {
        uint64_t line = layout->row_major ? layout->columns : layout->rows;
        if (layout->rows == 0 || layout->columns == 0 || layout->stride < (int64_t)line) {
            complain("a matrix of %llu rows and %llu columns with leading dimension %lld",
                     (unsigned long long)layout->rows, (unsigned long long)layout->columns, (long long)layout->stride);
            return CUBLAS_STATUS_INVALID_VALUE;
        }
        if (layout->batch_count != d->batch_count) return CUBLAS_STATUS_INVALID_VALUE;
    }
    Operand left = operand(*a, nullptr, how->transposed_a, 0), right = operand(*b, nullptr, how->transposed_b, 0);
    if (left.columns != right.rows || left.rows != d->rows || right.columns != d->columns || c->rows != d->rows ||
        c->columns != d->columns) {
        complain("[%llu, %llu] times [%llu, %llu] into [%llu, %llu]", (unsigned long long)left.rows,
                 (unsigned long long)left.columns, (unsigned long long)right.rows, (unsigned long long)right.columns,
                 (unsigned long long)d->rows, (unsigned long long)d->columns);
        return CUBLAS_STATUS_INVALID_VALUE;
    }
    return CUBLAS_STATUS_SUCCESS;
}

// Whether addresses are those that the algorithm was chosen for, and the bias is where the fast kernels can read it.
bool check_addresses(const Descriptor &how, const Algorithm *algorithm, const void *const addresses[4], int type,
                     size_t workspace_bytes) {
    for (int index = 0; algorithm && index < 4; ++index) {
        if ((uintptr_t)addresses[index] % algorithm->alignments[index] == 0) continue;
        complain("%c lies at %p, but the algorithm was chosen for a multiple of %u", "ABCD"[index], addresses[index],
                 algorithm->alignments[index]);
        return false;
    }
    for (int index = 0; index < 4; ++index) {
        if (!addresses[index] || (uintptr_t)addresses[index] % (type == F32 ? 4 : 2)) return false;
    }
    if (how.epilogue == EPILOGUE_BIAS && (!how.bias || (uintptr_t)how.bias % 16)) {
        complain("the bias lies at %p, which is no multiple of 16", how.bias);
        return false;
    }
    if (algorithm && workspace_bytes < algorithm->workspace_bytes) {
        complain("a workspace of %zu bytes, of %llu", workspace_bytes, (unsigned long long)algorithm->workspace_bytes);
        return false;
    }
    return true;
}

// What a call is to do, now or whenever a graph is started.
struct Work {
    std::vector<Product> products;
    void *workspace = nullptr;
    size_t workspace_bytes = 0;

    void run() const {
        if (workspace_bytes) memset(workspace, 0xff, workspace_bytes);
        for (const Product &product : products) multiply(product);
    }
};

// Whether the stream captures, and so the emulated driver has taken the work.
bool recorded(void *stream, Work *work) {
    typedef int (*Record)(void *, void (*)(void *), void (*)(void *), void *);
    static const Record record = [] {
        void *driver = dlopen("libcuda.so.1", RTLD_NOW | RTLD_NOLOAD);
        return driver ? (Record)dlsym(driver, "emulated_record") : nullptr;
    }();
    return record && record(stream, [](void *data) { ((Work *)data)->run(); },
                            [](void *data) { delete (Work *)data; }, work);
}

}  // namespace

API cublasStatus_t cublasLtCreate(void **handle) {
    *handle = new int(0);
    return CUBLAS_STATUS_SUCCESS;
}

API cublasStatus_t cublasLtDestroy(void *handle) {
    delete (int *)handle;
    return handle ? CUBLAS_STATUS_SUCCESS : CUBLAS_STATUS_NOT_INITIALIZED;
}

API size_t cublasLtGetVersion() {
    return 130000;
}

API const char *cublasLtGetStatusName(cublasStatus_t status) {
    switch (status) {
        case CUBLAS_STATUS_SUCCESS: return "CUBLAS_STATUS_SUCCESS";
        case CUBLAS_STATUS_NOT_INITIALIZED: return "CUBLAS_STATUS_NOT_INITIALIZED";
        case CUBLAS_STATUS_INVALID_VALUE: return "CUBLAS_STATUS_INVALID_VALUE";
        case CUBLAS_STATUS_NOT_SUPPORTED: return "CUBLAS_STATUS_NOT_SUPPORTED";
        default: return "unknown";
    }
}

API const char *cublasLtGetStatusString(cublasStatus_t status) {
    return cublasLtGetStatusName(status);
}

API cublasStatus_t cublasLtMatmulDescCreate(Descriptor **descriptor, int compute, int scale_type) {
    *descriptor = new Descriptor{compute, scale_type};
    return CUBLAS_STATUS_SUCCESS;
}

API cublasStatus_t cublasLtMatmulDescDestroy(Descriptor *descriptor) {
    delete descriptor;
    return CUBLAS_STATUS_SUCCESS;
}

// By cublasLtMatmulDescAttributes_t's numbers.
API cublasStatus_t cublasLtMatmulDescSetAttribute(Descriptor *descriptor, int attribute, const void *from, size_t size) {
    const char *what = "a product";
    switch (descriptor ? attribute : -1) {
        case 0: SET(descriptor->compute);
        case 1: SET(descriptor->scale_type);
        case 3: SET(descriptor->transposed_a);
        case 4: SET(descriptor->transposed_b);
        case 7: SET(descriptor->epilogue);
        case 8: SET(descriptor->bias);
        case 10: SET(descriptor->bias_batch_stride);
        case 26: SET(descriptor->bias_type);
        // How many multiprocessors to use.
        case 15: return CUBLAS_STATUS_SUCCESS;
        // Where alpha and beta are: only the host is emulated.
        case 2: SET(descriptor->pointer_mode);
        default: complain("attribute %d of a product is not emulated", attribute);
    }
    return CUBLAS_STATUS_INVALID_VALUE;
}

API cublasStatus_t cublasLtMatrixLayoutCreate(Layout **layout, int type, uint64_t rows, uint64_t columns,
                                              int64_t stride) {
    *layout = new Layout{type, 0, rows, columns, stride};
    return CUBLAS_STATUS_SUCCESS;
}

API cublasStatus_t cublasLtMatrixLayoutDestroy(Layout *layout) {
    delete layout;
    return CUBLAS_STATUS_SUCCESS;
}

// By cublasLtMatrixLayoutAttribute_t's numbers.
API cublasStatus_t cublasLtMatrixLayoutSetAttribute(Layout *layout, int attribute, const void *from, size_t size) {
    const char *what = "a layout";
    switch (layout ? attribute : -1) {
        case 0: SET(layout->type);
        case 1: SET(layout->row_major);
        case 2: SET(layout->rows);
        case 3: SET(layout->columns);
        case 4: SET(layout->stride);
        case 5: SET(layout->batch_count);
        case 6: SET(layout->batch_stride);
        default: complain("attribute %d of a layout is not emulated", attribute);
    }
    return CUBLAS_STATUS_INVALID_VALUE;
}

API cublasStatus_t cublasLtMatmulPreferenceCreate(Preference **preference) {
    *preference = new Preference;
    return CUBLAS_STATUS_SUCCESS;
}

API cublasStatus_t cublasLtMatmulPreferenceDestroy(Preference *preference) {
    delete preference;
    return CUBLAS_STATUS_SUCCESS;
}

// By cublasLtMatmulPreferenceAttributes_t's numbers.
API cublasStatus_t cublasLtMatmulPreferenceSetAttribute(Preference *preference, int attribute, const void *from,
                                                        size_t size) {
    const char *what = "a preference";
    switch (preference ? attribute : -1) {
        case 1: SET(preference->workspace_bytes);
        case 5: case 6: case 7: case 8: SET(preference->alignments[attribute - 5]);
        // Which algorithms to try: there is one.
        case 0: case 3: case 9: case 12: return CUBLAS_STATUS_SUCCESS;
        default: complain("attribute %d of a preference is not emulated", attribute);
    }
    return CUBLAS_STATUS_INVALID_VALUE;
}

struct Found {
    Algorithm algorithm;
    size_t workspace_bytes;
    cublasStatus_t state;
    float waves;
    int reserved[4];
};

API cublasStatus_t cublasLtMatmulAlgoGetHeuristic(void *handle, const Descriptor *how, const Layout *a, const Layout *b,
                                                  const Layout *c, const Layout *d, const Preference *preference,
                                                  int wanted, Found *found, int *count) {
    if (!handle) return CUBLAS_STATUS_NOT_INITIALIZED;
    if (!count || !found || !preference || wanted < 1) return CUBLAS_STATUS_INVALID_VALUE;
    *count = 0;
    if (cublasStatus_t status = check(how, a, b, c, d)) return status;
    *count = 1;
    *found = {};
    found->algorithm.magic = ALGORITHM_MAGIC;
    // Some, so that one who gives less is found.
    found->algorithm.workspace_bytes = std::min<uint64_t>(preference->workspace_bytes, 64 << 10);
    memcpy(found->algorithm.alignments, preference->alignments, sizeof preference->alignments);
    for (uint32_t &alignment : found->algorithm.alignments) alignment = std::max(alignment, 1u);
    found->workspace_bytes = found->algorithm.workspace_bytes;
    found->waves = 1.0f;
    return CUBLAS_STATUS_SUCCESS;
}

API cublasStatus_t cublasLtMatmul(void *handle, const Descriptor *how, const float *alpha, const void *a,
                                  const Layout *a_layout, const void *b, const Layout *b_layout, const float *beta,
                                  const void *c, const Layout *c_layout, void *d, const Layout *d_layout,
                                  const Algorithm *algorithm, void *workspace, size_t workspace_bytes, void *stream) {
    if (!handle) return CUBLAS_STATUS_NOT_INITIALIZED;
    if (cublasStatus_t status = check(how, a_layout, b_layout, c_layout, d_layout)) return status;
    if (!alpha || !beta || (algorithm && algorithm->magic != ALGORITHM_MAGIC)) return CUBLAS_STATUS_INVALID_VALUE;
    if (how->pointer_mode != 0) return CUBLAS_STATUS_NOT_SUPPORTED;
    // Where beta is zero, C may be nothing.
    const void *const addresses[4] = {a, b, c || *beta != 0.0f ? c : d, d};
    if (!check_addresses(*how, algorithm, addresses, a_layout->type, workspace_bytes)) {
        return CUBLAS_STATUS_INVALID_VALUE;
    }
    auto work = std::make_unique<Work>();
    if (algorithm) {
        work->workspace = workspace;
        work->workspace_bytes = algorithm->workspace_bytes;
    }
    for (int batch = 0; batch < d_layout->batch_count; ++batch) {
        const void *bias = nullptr;
        if (how->epilogue == EPILOGUE_BIAS) {
            bias = (const char *)how->bias + (d_layout->type == F32 ? 4 : 2) * how->bias_batch_stride * batch;
        }
        work->products.push_back({operand(*a_layout, a, how->transposed_a, batch),
                                  operand(*b_layout, b, how->transposed_b, batch), operand(*c_layout, c, false, batch),
                                  operand(*d_layout, d, false, batch), *alpha, *beta, bias, how->compute});
    }
    if (recorded(stream, work.get())) work.release();
    else work->run();
    return CUBLAS_STATUS_SUCCESS;
}
