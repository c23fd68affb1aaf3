// Runs the blocks of a grid one after the other, and the threads of a block in turn: a thread runs until it ends or waits
// for others. Threads that never wait run one after the other on one stack.

#include "../shim/abi.h"

#include <sys/syscall.h>
#include <unistd.h>

#include <atomic>
#include <cstdlib>
#include <cstring>
#include <mutex>
#include <string>
#include <vector>

#include "driver.h"
#include "fibers.h"

namespace {

struct Thread : EmulatedThread {
    unsigned number;
    // None before it starts.
    Fiber *fiber;
};

// What the lanes of a warp have called and are waiting for.
struct Warp {
    unsigned waiting, ended;
    unsigned operation[WARP], mask[WARP], source[WARP];
    uint64_t value[WARP], result[WARP];
};

std::mutex one_at_a_time;
std::atomic<pid_t> running_on{0};
const Launch *launch;

Thread threads[MAX_THREADS];
Warp warps[MAX_THREADS / WARP];
unsigned thread_count, started, ended, at_barrier;

// Threads that could go on, in a ring.
Thread *waiting_to_run[MAX_THREADS];
unsigned first_waiting, last_waiting;

Fiber main_fiber;
std::vector<Fiber *> idle_fibers;

// Blocks and threads run from the last to the first: finds kernels that only work in the other order.
bool backward;

Region dynamic_shared;

Thread *running() {
    return static_cast<Thread *>(runtime.thread);
}

unsigned in_order(unsigned index, unsigned count) {
    return backward ? count - 1 - index : index;
}

void make_ready(Thread *thread) {
    waiting_to_run[last_waiting++ % MAX_THREADS] = thread;
}

// The next thread to run: one that waited, else one that has not started.
Thread *take() {
    if (first_waiting != last_waiting) return waiting_to_run[first_waiting++ % MAX_THREADS];
    if (started < thread_count) return &threads[in_order(started++, thread_count)];
    return nullptr;
}

const char *name_of(unsigned operation) {
    const char *names[] = {"__syncwarp", "a shuffle", "a vote", "a product of fragments"};
    return names[operation];
}

// No thread can go on.
[[noreturn]] void fail_waiting() {
    std::string text;
    char line[256];
    if (at_barrier > 0) {
        snprintf(line, sizeof line, "%u threads wait at __syncthreads", at_barrier);
        text += line;
    }
    for (unsigned w = 0; w * WARP < thread_count; ++w) {
        const Warp &warp = warps[w];
        if (!warp.waiting) continue;
        unsigned lane = __builtin_ctz(warp.waiting), same = 0;
        for (unsigned other = 0; other < WARP; ++other) {
            bool waits = warp.waiting >> other & 1 && warp.mask[other] == warp.mask[lane];
            same |= (waits && warp.operation[other] == warp.operation[lane] ? 1u : 0u) << other;
        }
        snprintf(line, sizeof line, "%slanes %08x of warp %u wait for %s with mask %08x", text.empty() ? "" : "; ", same,
                 w, name_of(warp.operation[lane]), warp.mask[lane]);
        text += line;
        if (text.size() > 600) break;
    }
    fail("deadlock among %u threads: %s; %u have ended", thread_count, text.c_str(), ended);
}

// Gives way to other threads until another thread makes this one ready.
void suspend(Thread *self) {
    Thread *next = take();
    if (!next) fail_waiting();
    if (!next->fiber) {
        next->fiber = idle_fibers.back();
        idle_fibers.pop_back();
    }
    runtime.thread = next;
    switch_fibers(self->fiber, next->fiber);
}

// Whose stack is done with one thread goes on with the next that has none.
void run_threads() {
    for (;;) {
        launch->call(launch->parameters);
        Thread *self = running();
        warps[self->number / WARP].ended |= 1u << self->number % WARP;
        ++ended;
        Thread *next = take();
        if (next && !next->fiber) {
            next->fiber = self->fiber;
            runtime.thread = next;
            continue;
        }
        if (!next && ended != thread_count) fail_waiting();
        idle_fibers.push_back(self->fiber);
        if (next) runtime.thread = next;
        switch_fibers(self->fiber, next ? next->fiber : &main_fiber);
    }
}

void barrier() {
    Thread *self = running();
    if (++at_barrier < thread_count) return suspend(self);
    at_barrier = 0;
    for (unsigned index = 0; index < thread_count; ++index) {
        Thread *other = &threads[in_order(index, thread_count)];
        if (other != self) make_ready(other);
    }
}

// All lanes of the mask have called the same operation: works out what each of them gets.
void complete(Warp &warp, unsigned operation, unsigned mask) {
    if (operation == EMULATED_SHUFFLE) {
        for (unsigned lane = 0; lane < WARP; ++lane) {
            if (!(mask >> lane & 1)) continue;
            unsigned source = warp.source[lane];
            if (!(mask >> source & 1)) {
                fail("lane %u shuffles from lane %u, which is not in the mask %08x", lane, source, mask);
            }
            warp.result[lane] = warp.value[source];
        }
    } else if (operation == EMULATED_BALLOT) {
        unsigned votes = 0;
        for (unsigned lane = 0; lane < WARP; ++lane) votes |= (mask >> lane & 1 && warp.value[lane] ? 1u : 0u) << lane;
        for (unsigned lane = 0; lane < WARP; ++lane) {
            if (mask >> lane & 1) warp.result[lane] = votes;
        }
    } else if (operation == EMULATED_PRODUCT) {
        multiply_fragments((const EmulatedFragments *const *)warp.value);
    }
}

unsigned long long warp_operation(unsigned operation, unsigned mask, unsigned long long value, unsigned source) {
    Thread *self = running();
    Warp &warp = warps[self->number / WARP];
    unsigned own = self->number % WARP;
    if (!(mask >> own & 1)) fail("lane %u is not in the mask %08x that it names for %s", own, mask, name_of(operation));
    warp.operation[own] = operation;
    warp.mask[own] = mask;
    warp.source[own] = source;
    warp.value[own] = value;
    warp.waiting |= 1u << own;
    bool all = (warp.waiting & mask) == mask;
    for (unsigned lane = 0; all && lane < WARP; ++lane) {
        all = !(mask >> lane & 1) || (warp.mask[lane] == mask && warp.operation[lane] == operation);
    }
    if (!all) {
        suspend(self);
        return warp.result[own];
    }
    complete(warp, operation, mask);
    warp.waiting &= ~mask;
    for (unsigned index = 0; index < WARP; ++index) {
        unsigned lane = in_order(index, WARP);
        if (mask >> lane & 1 && lane != own) make_ready(&threads[self->number - own + lane]);
    }
    return warp.result[own];
}

void fail_in_kernel(const char *file, unsigned line, const char *what) {
    if (line) fail("%s:%u: %s", file, line, what);
    fail("%s", what);
}

void run_block() {
    for (unsigned index = 0; index < thread_count; ++index) threads[index].fiber = nullptr;
    for (unsigned index = 0; index * WARP < thread_count; ++index) warps[index].waiting = warps[index].ended = 0;
    started = ended = at_barrier = first_waiting = last_waiting = 0;
    memset(launch->static_shared, POISON, launch->static_shared_bytes);
    if (launch->shared_bytes) memset(runtime.shared, POISON, launch->shared_bytes);
    Thread *first = take();
    first->fiber = idle_fibers.back();
    idle_fibers.pop_back();
    runtime.thread = first;
    switch_fibers(&main_fiber, first->fiber);
}

void prepare() {
    const uint3 &size = launch->block_size;
    thread_count = size.x * size.y * size.z;
    for (unsigned index = 0; index < thread_count; ++index) {
        threads[index].index = {index % size.x, index / size.x % size.y, index / size.x / size.y};
        threads[index].number = index;
    }
    static unsigned fiber_count = 0;
    for (; fiber_count < thread_count; ++fiber_count) idle_fibers.push_back(create_fiber(run_threads));
    // What a kernel may have ends where memory does.
    if (!dynamic_shared.data) dynamic_shared = guarded_region(SHARED_BYTES_OPTIN);
    char *end = dynamic_shared.mapping + dynamic_shared.mapping_size - PAGE;
    runtime.shared = end - round_up(launch->shared_bytes, 16);
    runtime.block_size = size;
    runtime.grid_size = launch->grid_size;
    const char *order = getenv("EMULATED_ORDER");
    backward = order && strcmp(order, "backward") == 0;
}

}  // namespace

EmulatedRuntime runtime = {nullptr, {}, {}, {}, nullptr, barrier, warp_operation, fail_in_kernel};

const Launch *running_launch() {
    return running_on == (pid_t)syscall(SYS_gettid) ? launch : nullptr;
}

void run_grid(const Launch &what) {
    std::lock_guard<std::mutex> guard(one_at_a_time);
    launch = &what;
    prepare();
    runtime.thread = &threads[0];
    running_on = (pid_t)syscall(SYS_gettid);
    const uint3 &grid = what.grid_size;
    uint64_t blocks = (uint64_t)grid.x * grid.y * grid.z;
    for (uint64_t index = 0; index < blocks; ++index) {
        uint64_t block = backward ? blocks - 1 - index : index;
        runtime.block = {(unsigned)(block % grid.x), (unsigned)(block / grid.x % grid.y),
                         (unsigned)(block / grid.x / grid.y)};
        run_block();
    }
    running_on = 0;
}
