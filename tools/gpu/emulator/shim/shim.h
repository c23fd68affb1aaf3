// What CUDA gives to every kernel. It is included before each source, and includes no system headers: names in a kernel
// should meet only those that NVRTC knows too.
#pragma once

#include "language.h"
#include "math.h"
#include "threads.h"
#include "checks.h"
