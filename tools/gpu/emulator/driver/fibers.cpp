#include "fibers.h"

#include <sys/mman.h>

#include <cstdint>

#include "driver.h"

namespace {

constexpr size_t STACK = 256 << 10;

// The end of a new stack, below which a page cannot be touched. Ends are spread over two pages: at the same place in every
// page they would all fall into the same few lines of the processor's caches.
char *create_stack() {
    static size_t count = 0;
    void *mapping = mmap(nullptr, STACK, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (mapping == MAP_FAILED || mprotect(mapping, PAGE, PROT_NONE) != 0) fail("no memory for the stack of a thread");
    return (char *)mapping + STACK - count++ * 320 % (2 * PAGE) / 64 * 64;
}

}  // namespace

#if defined(__x86_64__)

// Keeps the registers that a called function has to keep.
asm(R"(
    .text
    .hidden switch_stacks
    .globl switch_stacks
    .type switch_stacks, @function
switch_stacks:
    pushq %rbp
    pushq %rbx
    pushq %r12
    pushq %r13
    pushq %r14
    pushq %r15
    movq %rsp, (%rdi)
    movq %rsi, %rsp
    popq %r15
    popq %r14
    popq %r13
    popq %r12
    popq %rbx
    popq %rbp
    ret
    .size switch_stacks, .-switch_stacks
)");

Fiber *create_fiber(void (*entry)()) {
    // Six registers, the address to return to, and in place of the caller's address nothing.
    uint64_t *top = (uint64_t *)create_stack() - 8;
    for (int slot = 0; slot < 8; ++slot) top[slot] = 0;
    top[6] = (uint64_t)entry;
    Fiber *fiber = new Fiber;
    fiber->stack_pointer = top;
    return fiber;
}

#else

Fiber *create_fiber(void (*entry)()) {
    Fiber *fiber = new Fiber;
    char *end = create_stack();
    getcontext(&fiber->context);
    fiber->context.uc_stack.ss_sp = end - STACK / 2;
    fiber->context.uc_stack.ss_size = STACK / 2;
    fiber->context.uc_link = nullptr;
    makecontext(&fiber->context, entry, 0);
    return fiber;
}

#endif
