// Compiling a CUDA source with g++.
#pragma once

#include <cstdint>
#include <string>

struct Compiled {
    bool succeeded;
    // What g++ prints.
    std::string log;
    // The bytes of a shared library.
    std::string image;
};

// `architecture` as in sm_90: 90. `definitions` as g++ takes them, quoted for a shell.
Compiled compile(const std::string &source, const std::string &name, int architecture, const std::string &definitions);

// Differs where the same source would be compiled to something else.
uint64_t compiler_hash();
