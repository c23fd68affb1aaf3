// Where g++'s checks of kernels arrive: the compiler calls these by name, with a description of the place.
#pragma once

#include "language.h"

struct EmulatedPlace {
    const char *file;
    unsigned line, column;
};

#define EMULATED_CHECK(name, values, what)                                                             \
    extern "C" __attribute__((used, noinline, noreturn)) void __ubsan_handle_##name##_abort values {   \
        emulated_runtime->fail(((EmulatedPlace *)place)->file, ((EmulatedPlace *)place)->line, what);  \
        __builtin_unreachable();                                                                       \
    }
#define EMULATED_CHECK_OF_ONE(name, what) EMULATED_CHECK(name, (void *place, void *), what)
#define EMULATED_CHECK_OF_TWO(name, what) EMULATED_CHECK(name, (void *place, void *, void *), what)

EMULATED_CHECK_OF_ONE(out_of_bounds, "an index beyond the end of an array")
EMULATED_CHECK_OF_ONE(type_mismatch_v1, "an address that is not a multiple of the type's alignment")
EMULATED_CHECK_OF_ONE(negate_overflow, "a negation that overflows")
EMULATED_CHECK_OF_TWO(shift_out_of_bounds, "a shift by too many bits")
EMULATED_CHECK_OF_TWO(divrem_overflow, "a division by zero, or one that overflows")
EMULATED_CHECK_OF_TWO(add_overflow, "a signed sum that overflows")
EMULATED_CHECK_OF_TWO(sub_overflow, "a signed difference that overflows")
EMULATED_CHECK_OF_TWO(mul_overflow, "a signed product that overflows")
