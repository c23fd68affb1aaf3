// Threads of a block: stacks that one thread of the system runs in turn.
#pragma once

#include <cstddef>

#if !defined(__x86_64__)
#include <ucontext.h>
#endif

struct Fiber {
#if defined(__x86_64__)
    void *stack_pointer = nullptr;
#else
    ucontext_t context;
#endif
};

// A fiber that begins with `entry`, which never returns.
Fiber *create_fiber(void (*entry)());

#if defined(__x86_64__)
extern "C" __attribute__((visibility("hidden"))) void switch_stacks(void **from, void *to);

// Goes on with `to`; returns when another fiber goes on with `from`.
inline void switch_fibers(Fiber *from, Fiber *to) {
    switch_stacks(&from->stack_pointer, to->stack_pointer);
}
#else
inline void switch_fibers(Fiber *from, Fiber *to) {
    swapcontext(&from->context, &to->context);
}
#endif
