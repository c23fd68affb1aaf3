// The functions of NVRTC that the program calls.

#include <cstdlib>
#include <cstring>
#include <string>

#include "compile.h"

#define API extern "C" __attribute__((visibility("default")))

enum nvrtcResult : int {
    NVRTC_SUCCESS = 0,
    NVRTC_ERROR_INVALID_INPUT = 3,
    NVRTC_ERROR_INVALID_PROGRAM = 4,
    NVRTC_ERROR_INVALID_OPTION = 5,
    NVRTC_ERROR_COMPILATION = 6,
};

struct Program {
    std::string source, name, log, image;
    // Real machine code, rather than PTX, is only there for sm_, not for compute_.
    bool machine_code = false;
};
typedef Program *nvrtcProgram;

namespace {

constexpr int ARCHITECTURES[] = {75, 80, 86, 87, 89, 90, 100, 103, 110, 120, 121};

// What follows one of the names, after `=` or as the next option; null if it is another option.
const char *value_of(const char *const *options, int count, int &index, std::initializer_list<const char *> names) {
    for (const char *name : names) {
        size_t length = strlen(name);
        const char *option = options[index];
        if (strncmp(option, name, length) != 0) continue;
        if (option[length] == '=') return option + length + 1;
        if (option[length] == 0 && index + 1 < count) return options[++index];
    }
    return nullptr;
}

std::string quoted(const std::string &text) {
    std::string result = "'";
    for (char character : text) result += character == '\'' ? std::string("'\\''") : std::string(1, character);
    return result + "'";
}

struct Options {
    int architecture = 75;
    bool machine_code = false;
    std::string definitions, unknown;
};

bool read_architecture(const std::string &text, Options &options) {
    size_t digits = text.find_first_of("0123456789");
    std::string kind = text.substr(0, digits);
    if (digits == std::string::npos || (kind != "sm_" && kind != "compute_")) return false;
    options.machine_code = kind == "sm_";
    options.architecture = atoi(text.c_str() + digits);
    for (int known : ARCHITECTURES) {
        if (known == options.architecture) return true;
    }
    return false;
}

// Options that change speed or what is printed, not what a kernel means.
bool is_harmless(const std::string &option) {
    for (const char *start : {"--std=", "-std=", "--fmad=", "-fmad=", "--use_fast_math", "-use_fast_math", "--ftz=",
                              "--prec-", "--extra-device-vectorization", "-extra-device-vectorization", "-lineinfo",
                              "--generate-line-info", "-w", "--disable-warnings", "-default-device", "--maxrregcount=",
                              "--diag-suppress=", "-diag-suppress=", "--restrict", "--ptxas-options=", "-I",
                              "--include-path="}) {
        if (option.compare(0, strlen(start), start) == 0) return true;
    }
    return false;
}

Options read_options(int count, const char *const *options) {
    Options result;
    for (int index = 0; index < count; ++index) {
        std::string option = options[index];
        if (auto value = value_of(options, count, index, {"--gpu-architecture", "-arch"})) {
            if (!read_architecture(value, result)) result.unknown = option;
        } else if (auto definition = value_of(options, count, index, {"--define-macro", "-D"})) {
            result.definitions += " " + quoted(std::string("-D") + definition);
        } else if (option.compare(0, 2, "-D") == 0) {
            result.definitions += " " + quoted(option);
        } else if (!is_harmless(option)) {
            result.unknown = option;
        }
    }
    return result;
}

nvrtcResult copy(const std::string &from, char *to, bool there) {
    if (!there || !to) return NVRTC_ERROR_INVALID_PROGRAM;
    memcpy(to, from.data(), from.size());
    return NVRTC_SUCCESS;
}

}  // namespace

// The minor version distinguishes emulators, so that a cache of compiled kernels keeps those of one apart from another's,
// and from the real ones.
API nvrtcResult nvrtcVersion(int *major, int *minor) {
    *major = 13;
    *minor = 1000 + (int)(compiler_hash() % 1000000000);
    return NVRTC_SUCCESS;
}

API const char *nvrtcGetErrorString(nvrtcResult result) {
    switch (result) {
        case NVRTC_SUCCESS: return "NVRTC_SUCCESS";
        case NVRTC_ERROR_INVALID_INPUT: return "NVRTC_ERROR_INVALID_INPUT";
        case NVRTC_ERROR_INVALID_PROGRAM: return "NVRTC_ERROR_INVALID_PROGRAM";
        case NVRTC_ERROR_INVALID_OPTION: return "NVRTC_ERROR_INVALID_OPTION";
        case NVRTC_ERROR_COMPILATION: return "NVRTC_ERROR_COMPILATION";
        default: return "NVRTC_ERROR unknown";
    }
}

API nvrtcResult nvrtcGetNumSupportedArchs(int *count) {
    *count = sizeof ARCHITECTURES / sizeof *ARCHITECTURES;
    return NVRTC_SUCCESS;
}

API nvrtcResult nvrtcGetSupportedArchs(int *architectures) {
    memcpy(architectures, ARCHITECTURES, sizeof ARCHITECTURES);
    return NVRTC_SUCCESS;
}

API nvrtcResult nvrtcCreateProgram(nvrtcProgram *program, const char *source, const char *name, int headers,
                                   const char *const *, const char *const *) {
    if (!program || !source || headers != 0) return NVRTC_ERROR_INVALID_INPUT;
    *program = new Program;
    (*program)->source = source;
    (*program)->name = name && *name ? name : "default_program";
    return NVRTC_SUCCESS;
}

API nvrtcResult nvrtcDestroyProgram(nvrtcProgram *program) {
    if (!program || !*program) return NVRTC_ERROR_INVALID_PROGRAM;
    delete *program;
    *program = nullptr;
    return NVRTC_SUCCESS;
}

API nvrtcResult nvrtcCompileProgram(nvrtcProgram program, int count, const char *const *options) {
    if (!program) return NVRTC_ERROR_INVALID_PROGRAM;
    Options read = read_options(count, options);
    if (!read.unknown.empty()) {
        program->log = "nvrtc: error: invalid value for --option: " + read.unknown + "\n";
        return NVRTC_ERROR_INVALID_OPTION;
    }
    Compiled compiled = compile(program->source, program->name, read.architecture, read.definitions);
    program->log = compiled.log;
    program->image = compiled.image;
    program->machine_code = read.machine_code;
    return compiled.succeeded ? NVRTC_SUCCESS : NVRTC_ERROR_COMPILATION;
}

// Texts are counted with the zero that ends them.
API nvrtcResult nvrtcGetProgramLogSize(nvrtcProgram program, size_t *size) {
    if (!program) return NVRTC_ERROR_INVALID_PROGRAM;
    *size = program->log.size() + 1;
    return NVRTC_SUCCESS;
}

API nvrtcResult nvrtcGetProgramLog(nvrtcProgram program, char *log) {
    if (!program) return NVRTC_ERROR_INVALID_PROGRAM;
    return copy(program->log + '\0', log, true);
}

API nvrtcResult nvrtcGetCUBINSize(nvrtcProgram program, size_t *size) {
    if (!program) return NVRTC_ERROR_INVALID_PROGRAM;
    *size = program->machine_code ? program->image.size() : 0;
    return NVRTC_SUCCESS;
}

API nvrtcResult nvrtcGetCUBIN(nvrtcProgram program, char *image) {
    if (!program) return NVRTC_ERROR_INVALID_PROGRAM;
    return copy(program->image, image, program->machine_code && !program->image.empty());
}

// The same bytes; their length is known from themselves.
API nvrtcResult nvrtcGetPTXSize(nvrtcProgram program, size_t *size) {
    if (!program) return NVRTC_ERROR_INVALID_PROGRAM;
    *size = program->image.size();
    return NVRTC_SUCCESS;
}

API nvrtcResult nvrtcGetPTX(nvrtcProgram program, char *image) {
    if (!program) return NVRTC_ERROR_INVALID_PROGRAM;
    return copy(program->image, image, !program->image.empty());
}
