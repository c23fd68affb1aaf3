// Modules: shared libraries that the emulated NVRTC made. Functions of theirs, and starting them.

#include <dlfcn.h>
#include <elf.h>
#include <link.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cstdio>
#include <cstring>
#include <map>
#include <memory>
#include <mutex>
#include <string>

#include "driver.h"

struct Function {
    std::string name;
    Module *module;
    void (*call)(void **parameters);
    // By __launch_bounds__.
    unsigned max_threads;
    const unsigned *parameter_sizes;
    int max_shared_bytes = SHARED_BYTES;
};

struct Module {
    void *library = nullptr;
    int file = -1;
    char *static_shared = nullptr;
    size_t static_shared_bytes = 0;
    std::map<std::string, std::unique_ptr<Function>> functions;

    ~Module() {
        if (library) dlclose(library);
        if (file >= 0) close(file);
    }
};

namespace {

std::mutex lock;

// Where .bss is, the part of a segment that the file does not hold: shared memory, as the compiler sees it.
void find_static_shared(Module *module) {
    link_map *map = nullptr;
    dlinfo(module->library, RTLD_DI_LINKMAP, &map);
    struct Search {
        Module *module;
        ElfW(Addr) base;
    } search = {module, map->l_addr};
    auto visit = [](dl_phdr_info *info, size_t, void *data) {
        Search *wanted = (Search *)data;
        if (info->dlpi_addr != wanted->base) return 0;
        for (int index = 0; index < info->dlpi_phnum; ++index) {
            const ElfW(Phdr) &part = info->dlpi_phdr[index];
            if (part.p_type != PT_LOAD || part.p_memsz <= part.p_filesz) continue;
            wanted->module->static_shared = (char *)info->dlpi_addr + part.p_vaddr + part.p_filesz;
            wanted->module->static_shared_bytes = part.p_memsz - part.p_filesz;
        }
        return 1;
    };
    dl_iterate_phdr(visit, &search);
}

// An image is an ELF file whose last part are its section headers, so that its length is known from itself.
size_t image_size(const void *image) {
    const Elf64_Ehdr *header = (const Elf64_Ehdr *)image;
    if (memcmp(header->e_ident, ELFMAG, SELFMAG) != 0) return 0;
    return header->e_shoff + (size_t)header->e_shnum * header->e_shentsize;
}

// Each gets a file of its own, so that two modules of one image share no memory. It stays open as long as the module is
// loaded: the system knows libraries by their paths, and this one is made of the file's number.
bool open_library(Module *module, const void *image, size_t size) {
    module->file = memfd_create("emulated-module", MFD_CLOEXEC);
    for (size_t written = 0; module->file >= 0 && written < size;) {
        ssize_t bytes = write(module->file, (const char *)image + written, size - written);
        if (bytes <= 0) break;
        written += bytes;
    }
    std::string path = "/proc/self/fd/" + std::to_string(module->file);
    module->library = dlopen(path.c_str(), RTLD_NOW | RTLD_LOCAL);
    if (!module->library) complain("a module cannot be loaded: %s", dlerror());
    return module->library;
}

// What the real driver refuses, with its reason.
bool may_launch(const Function *f, const uint3 &grid, const uint3 &block, unsigned shared_bytes) {
    uint64_t threads = (uint64_t)block.x * block.y * block.z;
    const char *name = f->name.c_str();
    if (threads == 0 || (uint64_t)grid.x * grid.y * grid.z == 0) {
        complain("kernel %s is started with an empty grid or block", name);
    } else if (threads > MAX_THREADS || block.z > 64) {
        complain("kernel %s is started with %llu threads a block, of at most %u", name, (unsigned long long)threads,
                 MAX_THREADS);
    } else if (threads > f->max_threads) {
        complain("kernel %s is started with %llu threads a block; its __launch_bounds__ allow %u", name,
                 (unsigned long long)threads, f->max_threads);
    } else if (grid.x > 0x7fffffff || grid.y > 65535 || grid.z > 65535) {
        complain("kernel %s is started with a grid of (%u, %u, %u) blocks", name, grid.x, grid.y, grid.z);
    } else if (shared_bytes > (unsigned)f->max_shared_bytes) {
        complain("kernel %s is started with %u bytes of dynamic shared memory; it was given %d", name, shared_bytes,
                 f->max_shared_bytes);
    } else {
        return true;
    }
    return false;
}

}  // namespace

API CUresult cuModuleLoadData(CUmodule *result, const void *image) {
    REQUIRE(image, CUDA_ERROR_INVALID_VALUE);
    size_t size = image_size(image);
    if (size == 0) {
        complain("a module is no image that the emulated NVRTC made");
        return CUDA_ERROR_INVALID_IMAGE;
    }
    auto module = std::make_unique<Module>();
    if (!open_library(module.get(), image, size)) return CUDA_ERROR_INVALID_IMAGE;
    auto abi = (const unsigned *)dlsym(module->library, "emulated_abi");
    auto place = (EmulatedRuntime **)dlsym(module->library, "emulated_runtime");
    if (!abi || !place || *abi != EMULATOR_ABI) {
        complain("a module was made by another version of the emulator");
        return CUDA_ERROR_INVALID_IMAGE;
    }
    *place = &runtime;
    find_static_shared(module.get());
    *result = module.release();
    return CUDA_SUCCESS;
}

API CUresult cuModuleLoadDataEx(CUmodule *result, const void *image, unsigned, void *, void **) {
    return cuModuleLoadData(result, image);
}

API CUresult cuModuleUnload(CUmodule module) {
    REQUIRE(module, CUDA_ERROR_INVALID_HANDLE);
    delete module;
    return CUDA_SUCCESS;
}

API CUresult cuModuleGetFunction(CUfunction *result, CUmodule module, const char *name) {
    REQUIRE(module && name, CUDA_ERROR_INVALID_VALUE);
    std::lock_guard<std::mutex> guard(lock);
    auto known = module->functions.find(name);
    if (known == module->functions.end()) {
        auto call = (void (*)(void **))dlsym(module->library, (std::string("emulated_call_") + name).c_str());
        auto bounds = (const unsigned *)dlsym(module->library, (std::string("emulated_bounds_") + name).c_str());
        auto sizes = (const unsigned *)dlsym(module->library, (std::string("emulated_sizes_") + name).c_str());
        if (!call || !bounds || !sizes) {
            complain("a module has no kernel %s", name);
            return CUDA_ERROR_NOT_FOUND;
        }
        known = module->functions.emplace(name, new Function{name, module, call, *bounds, sizes}).first;
    }
    *result = known->second.get();
    return CUDA_SUCCESS;
}

// By CUfunction_attribute's numbers.
API CUresult cuFuncGetAttribute(int *value, int attribute, CUfunction f) {
    REQUIRE(f, CUDA_ERROR_INVALID_HANDLE);
    switch (attribute) {
        case 0: *value = f->max_threads; break;
        case 4: *value = 32; break;
        case 5: case 6: *value = 90; break;
        case 8: *value = f->max_shared_bytes; break;
        default: *value = 0;
    }
    return CUDA_SUCCESS;
}

API CUresult cuFuncSetAttribute(CUfunction f, int attribute, int value) {
    REQUIRE(f, CUDA_ERROR_INVALID_HANDLE);
    if (attribute == 9) return CUDA_SUCCESS;
    if (attribute != 8 || value < 0) return CUDA_ERROR_INVALID_VALUE;
    if (value > SHARED_BYTES_OPTIN) {
        complain("kernel %s wants %d bytes of dynamic shared memory, of at most %d", f->name.c_str(), value,
                 SHARED_BYTES_OPTIN);
        return CUDA_ERROR_INVALID_VALUE;
    }
    f->max_shared_bytes = value;
    return CUDA_SUCCESS;
}

API CUresult cuFuncSetCacheConfig(CUfunction f, int) {
    REQUIRE(f, CUDA_ERROR_INVALID_HANDLE);
    return CUDA_SUCCESS;
}

API CUresult cuOccupancyMaxActiveBlocksPerMultiprocessor(int *blocks, CUfunction f, int threads, size_t shared_bytes) {
    REQUIRE(f && threads > 0, CUDA_ERROR_INVALID_VALUE);
    int by_threads = 2048 / (int)round_up(threads, WARP);
    int by_memory = (int)(SHARED_BYTES_MULTIPROCESSOR / (shared_bytes + 1024));
    *blocks = by_threads < by_memory ? by_threads : by_memory;
    *blocks = *blocks < 32 ? *blocks : 32;
    return CUDA_SUCCESS;
}

const unsigned *parameter_sizes(CUfunction f) {
    return f->parameter_sizes;
}

CUresult launch_function(CUfunction f, const uint3 &grid, const uint3 &block, unsigned shared_bytes,
                         void **parameters) {
    if (!may_launch(f, grid, block, shared_bytes)) return CUDA_ERROR_INVALID_VALUE;
    const Module &module = *f->module;
    run_grid({f->name.c_str(), f->call, parameters, grid, block, shared_bytes, module.static_shared,
              module.static_shared_bytes});
    return CUDA_SUCCESS;
}

API CUresult cuLaunchKernel(CUfunction f, unsigned grid_x, unsigned grid_y, unsigned grid_z, unsigned block_x,
                            unsigned block_y, unsigned block_z, unsigned shared_bytes, CUstream stream,
                            void **parameters, void **extra) {
    REQUIRE(f && is_stream(stream), CUDA_ERROR_INVALID_HANDLE);
    if (extra) return CUDA_ERROR_INVALID_VALUE;
    return launch_function(f, {grid_x, grid_y, grid_z}, {block_x, block_y, block_z}, shared_bytes, parameters);
}
