// Says what went wrong, and where.

#include <signal.h>
#include <unistd.h>

#include <cstdarg>
#include <cstdio>
#include <cstdlib>
#include <cstring>

#include "driver.h"

namespace {

// "kernel K, block (x, y, z), thread (x, y, z): ", or nothing outside of kernels.
int describe_place(char *text, size_t size) {
    const Launch *launch = running_launch();
    if (!launch) return snprintf(text, size, "CUDA emulator: ");
    const uint3 &block = runtime.block, &thread = runtime.thread->index;
    return snprintf(text, size, "CUDA emulator: kernel %s, block (%u, %u, %u), thread (%u, %u, %u): ", launch->kernel,
                    block.x, block.y, block.z, thread.x, thread.y, thread.z);
}

void say(const char *format, va_list arguments) {
    char text[2048];
    int length = describe_place(text, sizeof text);
    length += vsnprintf(text + length, sizeof text - length - 1, format, arguments);
    length = length < (int)sizeof text - 2 ? length : (int)sizeof text - 2;
    text[length] = '\n';
    if (write(STDERR_FILENO, text, length + 1) < 0) return;
}

void say(const char *format, ...) {
    va_list arguments;
    va_start(arguments, format);
    say(format, arguments);
    va_end(arguments);
}

constexpr int SIGNALS[] = {SIGSEGV, SIGBUS, SIGFPE};
struct sigaction previous[64];

// Reports what was touched, and passes the signal to the handler that was there before.
void handle(int signal, siginfo_t *info, void *) {
    std::string where = describe_address(info->si_addr);
    bool of_device = where != "not memory of the device";
    if (signal == SIGFPE && running_launch()) {
        say("a division that is not possible");
    } else if (running_launch() || of_device) {
        say("%s touches %p: %s", running_launch() ? "it" : "the host", info->si_addr, where.c_str());
    }
    sigaction(signal, &previous[signal], nullptr);
}

}  // namespace

void install_fault_handlers() {
    struct sigaction action = {};
    action.sa_sigaction = handle;
    action.sa_flags = SA_SIGINFO | SA_ONSTACK;
    for (int signal : SIGNALS) sigaction(signal, &action, &previous[signal]);
}

void complain(const char *format, ...) {
    va_list arguments;
    va_start(arguments, format);
    say(format, arguments);
    va_end(arguments);
}

void fail(const char *format, ...) {
    va_list arguments;
    va_start(arguments, format);
    say(format, arguments);
    va_end(arguments);
    abort();
}
