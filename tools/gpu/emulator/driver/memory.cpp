// The device's memory: host memory that begins as NaN, ends at a page that cannot be touched, and cannot be touched at all
// once it is free.

#include <sys/mman.h>

#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <deque>
#include <map>
#include <mutex>

#include "driver.h"

namespace {

struct Allocation {
    size_t size;
    Region region;
};

std::mutex lock;
std::map<char *, Allocation> device_memory, host_memory;
size_t used = 0;
// Freed addresses are not given again for a while, so that code that still uses them is caught.
std::deque<Allocation> freed;
constexpr size_t KEPT_FREED = 4096;

size_t capacity() {
    const char *bytes = getenv("EMULATED_MEMORY");
    return bytes ? strtoull(bytes, nullptr, 10) : size_t(16) << 30;
}

CUresult allocate(std::map<char *, Allocation> &where, char **data, size_t size) {
    Region region = guarded_region(size);
    if (!region.data) return CUDA_ERROR_OUT_OF_MEMORY;
    memset(region.data, POISON, size);
    where[region.data] = {size, region};
    *data = region.data;
    return CUDA_SUCCESS;
}

CUresult release(std::map<char *, Allocation> &where, char *data) {
    auto found = where.find(data);
    if (found == where.end()) return CUDA_ERROR_INVALID_VALUE;
    const Region &region = found->second.region;
    // A fresh mapping in its place gives the memory back and keeps the addresses.
    mmap(region.mapping, region.mapping_size, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_FIXED, -1, 0);
    freed.push_back(found->second);
    where.erase(found);
    if (freed.size() > KEPT_FREED) {
        munmap(freed.front().region.mapping, freed.front().region.mapping_size);
        freed.pop_front();
    }
    return CUDA_SUCCESS;
}

// Whether all bytes from `pointer` on are the device's, and of one allocation.
bool is_device_memory(CUdeviceptr pointer, size_t bytes, const char *what) {
    char *data = (char *)pointer;
    std::lock_guard<std::mutex> guard(lock);
    auto next = device_memory.upper_bound(data);
    if (next != device_memory.begin()) {
        auto [start, allocation] = *std::prev(next);
        size_t offset = data - start;
        if (offset <= allocation.size && bytes <= allocation.size - offset) return true;
    }
    complain("%s of %zu bytes at %p, which are not in one allocation of the device", what, bytes, (void *)data);
    return false;
}

CUresult set(CUdeviceptr to, const void *value, size_t width, size_t count, CUstream stream) {
    REQUIRE(is_stream(stream), CUDA_ERROR_INVALID_HANDLE);
    if (count == 0) return CUDA_SUCCESS;
    if (to % width || !is_device_memory(to, count * width, "a memset")) return CUDA_ERROR_INVALID_VALUE;
    for (size_t index = 0; index < count; ++index) memcpy((char *)to + index * width, value, width);
    return CUDA_SUCCESS;
}

CUresult to_device(CUdeviceptr to, const void *from, size_t bytes, CUstream stream) {
    REQUIRE(is_stream(stream), CUDA_ERROR_INVALID_HANDLE);
    if (bytes == 0) return CUDA_SUCCESS;
    if (!from || !is_device_memory(to, bytes, "a copy to the device")) return CUDA_ERROR_INVALID_VALUE;
    memcpy((void *)to, from, bytes);
    return CUDA_SUCCESS;
}

CUresult to_host(void *to, CUdeviceptr from, size_t bytes, CUstream stream) {
    REQUIRE(is_stream(stream), CUDA_ERROR_INVALID_HANDLE);
    if (bytes == 0) return CUDA_SUCCESS;
    if (!to || !is_device_memory(from, bytes, "a copy from the device")) return CUDA_ERROR_INVALID_VALUE;
    memcpy(to, (void *)from, bytes);
    return CUDA_SUCCESS;
}

CUresult within_device(CUdeviceptr to, CUdeviceptr from, size_t bytes, CUstream stream) {
    REQUIRE(is_stream(stream), CUDA_ERROR_INVALID_HANDLE);
    if (bytes == 0) return CUDA_SUCCESS;
    if (!is_device_memory(to, bytes, "a copy to") || !is_device_memory(from, bytes, "a copy from")) {
        return CUDA_ERROR_INVALID_VALUE;
    }
    if (to < from + bytes && from < to + bytes) {
        complain("a copy of %zu bytes whose source and target overlap", bytes);
        return CUDA_ERROR_INVALID_VALUE;
    }
    memcpy((void *)to, (void *)from, bytes);
    return CUDA_SUCCESS;
}

}  // namespace

Region guarded_region(size_t size) {
    // Only what the system hands out lazily may be huge.
    size_t pages = round_up(size, PAGE), mapping_size = pages + 2 * PAGE;
    if (mapping_size < size) return {};
    void *mapping = mmap(nullptr, mapping_size, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (mapping == MAP_FAILED) return {};
    char *first = (char *)mapping + PAGE;
    if (mprotect(first, pages, PROT_READ | PROT_WRITE) != 0) return {};
    return {first + pages - round_up(size, 16), (char *)mapping, mapping_size};
}

// Without the lock: it is asked for when the process is about to end.
std::string describe_address(const void *address) {
    char text[160];
    auto within = [&](const Allocation &allocation) {
        return address >= allocation.region.mapping && address < allocation.region.mapping + allocation.region.mapping_size;
    };
    for (auto &[data, allocation] : device_memory) {
        if (!within(allocation)) continue;
        long offset = (const char *)address - data;
        snprintf(text, sizeof text, "%ld bytes from the start of %zu bytes of the device", offset, allocation.size);
        return text;
    }
    for (const Allocation &allocation : freed) {
        if (within(allocation)) return "memory of the device that was freed";
    }
    return "not memory of the device";
}

API CUresult cuDeviceTotalMem_v2(size_t *bytes, int device) {
    *bytes = capacity();
    return device == 0 ? CUDA_SUCCESS : CUDA_ERROR_INVALID_DEVICE;
}

API CUresult cuMemGetInfo_v2(size_t *free, size_t *total) {
    REQUIRE(true, CUDA_SUCCESS);
    std::lock_guard<std::mutex> guard(lock);
    *total = capacity();
    *free = used < *total ? *total - used : 0;
    return CUDA_SUCCESS;
}

API CUresult cuMemAlloc_v2(CUdeviceptr *pointer, size_t size) {
    REQUIRE(size > 0, CUDA_ERROR_INVALID_VALUE);
    std::lock_guard<std::mutex> guard(lock);
    size_t total = capacity();
    if (used > total || size > total - used) return CUDA_ERROR_OUT_OF_MEMORY;
    CUresult result = allocate(device_memory, (char **)pointer, size);
    if (result == CUDA_SUCCESS) used += size;
    return result;
}

API CUresult cuMemFree_v2(CUdeviceptr pointer) {
    REQUIRE(true, CUDA_SUCCESS);
    if (pointer == 0) return CUDA_SUCCESS;
    std::lock_guard<std::mutex> guard(lock);
    auto found = device_memory.find((char *)pointer);
    if (found == device_memory.end()) return CUDA_ERROR_INVALID_VALUE;
    used -= found->second.size;
    return release(device_memory, (char *)pointer);
}

API CUresult cuMemAllocAsync(CUdeviceptr *pointer, size_t size, CUstream stream) {
    return is_stream(stream) ? cuMemAlloc_v2(pointer, size) : CUDA_ERROR_INVALID_HANDLE;
}

API CUresult cuMemFreeAsync(CUdeviceptr pointer, CUstream stream) {
    return is_stream(stream) ? cuMemFree_v2(pointer) : CUDA_ERROR_INVALID_HANDLE;
}

API CUresult cuMemHostAlloc(void **pointer, size_t size, unsigned) {
    REQUIRE(size > 0, CUDA_ERROR_INVALID_VALUE);
    std::lock_guard<std::mutex> guard(lock);
    return allocate(host_memory, (char **)pointer, size);
}

API CUresult cuMemAllocHost_v2(void **pointer, size_t size) {
    return cuMemHostAlloc(pointer, size, 0);
}

API CUresult cuMemFreeHost(void *pointer) {
    REQUIRE(true, CUDA_SUCCESS);
    std::lock_guard<std::mutex> guard(lock);
    return release(host_memory, (char *)pointer);
}

API CUresult cuMemsetD8_v2(CUdeviceptr to, unsigned char value, size_t count) {
    return set(to, &value, 1, count, nullptr);
}

API CUresult cuMemsetD8Async(CUdeviceptr to, unsigned char value, size_t count, CUstream stream) {
    return set(to, &value, 1, count, stream);
}

API CUresult cuMemsetD16Async(CUdeviceptr to, unsigned short value, size_t count, CUstream stream) {
    return set(to, &value, 2, count, stream);
}

API CUresult cuMemsetD32_v2(CUdeviceptr to, unsigned value, size_t count) {
    return set(to, &value, 4, count, nullptr);
}

API CUresult cuMemsetD32Async(CUdeviceptr to, unsigned value, size_t count, CUstream stream) {
    return set(to, &value, 4, count, stream);
}

API CUresult cuMemcpyHtoD_v2(CUdeviceptr to, const void *from, size_t bytes) {
    return to_device(to, from, bytes, nullptr);
}

API CUresult cuMemcpyHtoDAsync_v2(CUdeviceptr to, const void *from, size_t bytes, CUstream stream) {
    return to_device(to, from, bytes, stream);
}

API CUresult cuMemcpyDtoH_v2(void *to, CUdeviceptr from, size_t bytes) {
    return to_host(to, from, bytes, nullptr);
}

API CUresult cuMemcpyDtoHAsync_v2(void *to, CUdeviceptr from, size_t bytes, CUstream stream) {
    return to_host(to, from, bytes, stream);
}

API CUresult cuMemcpyDtoD_v2(CUdeviceptr to, CUdeviceptr from, size_t bytes) {
    return within_device(to, from, bytes, nullptr);
}

API CUresult cuMemcpyDtoDAsync_v2(CUdeviceptr to, CUdeviceptr from, size_t bytes, CUstream stream) {
    return within_device(to, from, bytes, stream);
}
