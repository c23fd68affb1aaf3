#include "compile.h"

#include <dlfcn.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdlib>
#include <fstream>
#include <sstream>

#include "kernels.h"

namespace {

// Arithmetic as written: no sum and product become one operation, and nothing is reordered. What a GPU would not forgive
// ends the kernel: indices beyond an array, addresses that are not aligned, shifts by too much. What is not initialised
// holds a pattern.
const char *const FLAGS =
    "-std=gnu++17 -O2 -march=native -ffp-contract=off -fno-fast-math -fno-math-errno -fno-strict-aliasing -fPIC "
    "-fno-exceptions -fno-rtti -fno-gnu-unique -fno-stack-protector -fvisibility=hidden -ftrivial-auto-var-init=pattern "
    "-fsanitize=bounds,alignment,shift,signed-integer-overflow,integer-divide-by-zero -fno-sanitize-recover=all";
const char *const WARNINGS = "-Wall -Wno-unknown-pragmas -Wno-unused -Wno-sign-compare";

std::string read_file(const std::string &path) {
    std::ifstream file(path, std::ios::binary);
    std::ostringstream text;
    text << file.rdbuf();
    return text.str();
}

bool write_file(const std::string &path, const std::string &text) {
    std::ofstream file(path, std::ios::binary);
    file << text;
    file.close();
    return file.good();
}

std::string environment(const char *name, const std::string &otherwise) {
    const char *value = getenv(name);
    return value && *value ? value : otherwise;
}

std::string compiler() {
    return environment("CXX", "c++");
}

std::string temporary_folder() {
    return environment("TMPDIR", "/tmp");
}

// The folder `shim` beside this library.
const std::string &shim_folder() {
    static const std::string folder = [] {
        Dl_info info;
        dladdr((void *)compile, &info);
        std::string path = info.dli_fname;
        size_t slash = path.rfind('/');
        std::string beside = (slash == std::string::npos ? "." : path.substr(0, slash)) + "/shim";
        char *whole = realpath(beside.c_str(), nullptr);
        std::string result = whole ? whole : beside;
        free(whole);
        return result;
    }();
    return folder;
}

// FNV-1a.
uint64_t hash(const std::string &text, uint64_t state) {
    for (unsigned char byte : text) state = (state ^ byte) * 0x100000001b3ull;
    return state;
}

std::string key_of(const std::string &text) {
    char key[40];
    snprintf(key, sizeof key, "%016llx%016llx", (unsigned long long)hash(text, 0xcbf29ce484222325ull ^ compiler_hash()),
             (unsigned long long)hash(text, 0x9e3779b97f4a7c15ull + compiler_hash()));
    return key;
}

std::string quoted(const std::string &path) {
    return "'" + path + "'";
}

// NVRTC has no headers.
std::string find_include(const std::string &source, const std::string &name) {
    std::istringstream lines(source);
    std::string line;
    for (int number = 1; std::getline(lines, line); ++number) {
        size_t start = line.find_first_not_of(" \t");
        if (start == std::string::npos || line[start] != '#') continue;
        start = line.find_first_not_of(" \t", start + 1);
        if (start == std::string::npos || line.compare(start, 7, "include") != 0) continue;
        return name + "(" + std::to_string(number) + "): error: no headers are there to include: " + line + "\n";
    }
    return "";
}

// A folder for one compilation, gone with it.
struct Workplace {
    std::string folder;
    std::string log;

    Workplace() {
        std::string pattern = temporary_folder() + "/emulated-nvrtc-XXXXXX";
        if (mkdtemp(pattern.data())) folder = pattern;
    }
    ~Workplace() {
        for (const char *file : {"source.cu", "source.ii", "kernels.ii", "kernels.o", "kernels.so", "log"}) {
            unlink((folder + "/" + file).c_str());
        }
        rmdir(folder.c_str());
    }
    std::string path(const std::string &file) const {
        return folder + "/" + file;
    }
    // Runs the compiler there; what it prints is added to the log.
    bool run(const std::string &arguments) {
        std::string command = "cd " + quoted(folder) + " && " + compiler() + " " + arguments + " 2> log";
        int status = system(command.c_str());
        log += read_file(path("log"));
        if (status == -1 || WEXITSTATUS(status) == 127) log += "cannot run " + compiler() + "\n";
        return status == 0;
    }
};

Compiled compile_anew(const std::string &source, const std::string &name, const std::string &definitions) {
    Workplace workplace;
    if (workplace.folder.empty()) return {false, "cannot write to " + temporary_folder() + "\n", ""};
    write_file(workplace.path("source.cu"), "#line 1 \"" + name + "\"\n" + source);
    std::string flags = std::string(FLAGS) + " " + WARNINGS;
    std::string shim = "-include " + quoted(shim_folder() + "/shim.h");
    bool done = workplace.run("-x c++ -E " + flags + " " + definitions + " " + shim + " -o source.ii source.cu") &&
                write_file(workplace.path("kernels.ii"), prepare_kernels(read_file(workplace.path("source.ii")))) &&
                workplace.run("-x c++-cpp-output -c " + flags + " -o kernels.o kernels.ii") &&
                workplace.run("-shared -nostartfiles -Wl,-Bsymbolic -o kernels.so kernels.o -lm");
    return {done, workplace.log, done ? read_file(workplace.path("kernels.so")) : ""};
}

std::string cache_folder() {
    std::string folder = environment("EMULATOR_CACHE", temporary_folder() + "/cuda-emulator-" + std::to_string(getuid()));
    mkdir(folder.c_str(), 0700);
    return folder;
}

// Writes beside and renames, so that no other process reads half a file. A cache that cannot be written only costs time.
void keep(const std::string &path, const std::string &text) {
    std::string beside = path + "." + std::to_string(getpid());
    if (!write_file(beside, text) || rename(beside.c_str(), path.c_str()) != 0) unlink(beside.c_str());
}

}  // namespace

uint64_t compiler_hash() {
    static const uint64_t result = [] {
        std::string text = compiler() + FLAGS + WARNINGS + __VERSION__;
        for (const char *file : {"shim.h", "abi.h", "types.h", "language.h", "math.h", "threads.h", "checks.h"}) {
            text += read_file(shim_folder() + "/" + file);
        }
        return hash(text, 0xcbf29ce484222325ull);
    }();
    return result;
}

Compiled compile(const std::string &source, const std::string &name, int architecture, const std::string &definitions) {
    std::string include = find_include(source, name);
    if (!include.empty()) return {false, include, ""};
    std::string all = definitions + " -D__CUDA_ARCH__=" + std::to_string(architecture * 10);
    std::string path = cache_folder() + "/" + key_of(name + "\n" + all + "\n" + source);
    std::string image = read_file(path + ".so");
    if (!image.empty()) return {true, read_file(path + ".log"), image};
    Compiled compiled = compile_anew(source, name, all);
    if (compiled.succeeded) {
        if (!compiled.log.empty()) keep(path + ".log", compiled.log);
        keep(path + ".so", compiled.image);
    }
    return compiled;
}
