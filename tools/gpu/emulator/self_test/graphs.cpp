// Tests of graphs, as far as they are emulated: chains of kernels, and what a capturing stream refuses.

#include "host.h"

namespace {

struct NodeParameters {
    void *function;
    unsigned grid[3], block[3], shared_bytes;
    void **parameters, **extra;
    void *kernel, *context;
};

void *function(void *module, const char *name) {
    void *result = nullptr;
    CHECK(driver("cuModuleGetFunction", &result, module, name) == 0);
    return result;
}

NodeParameters node_of(void *kernel, void **parameters) {
    return {kernel, {1, 1, 1}, {64, 1, 1}, 0, parameters, nullptr, nullptr, nullptr};
}

// A graph that fills `a` and then adds it to itself, into `b`; the second node waits for the first if it is to.
struct Doubling {
    Buffer<float> a{std::vector<float>(64, 1.0f)}, b{64};
    unsigned long long count = 64;
    void *graph = nullptr, *filling = nullptr, *executable = nullptr;
    void *fill;

    Doubling(void *module, bool waits) : fill(function(module, "fill")) {
        CHECK(driver("cuGraphCreate", &graph, 0u) == 0);
        add(&filling, fill_parameters(2.0f), nullptr);
        void *parameters[] = {&b.pointer, &a.pointer, &a.pointer, &count}, *adding = nullptr;
        add(&adding, node_of(function(module, "add"), parameters), waits ? &filling : nullptr);
        CHECK(driver("cuGraphInstantiateWithFlags", &executable, graph, 0ull) == 0);
    }
    ~Doubling() {
        CHECK(driver("cuGraphExecDestroy", executable) == 0 && driver("cuGraphDestroy", graph) == 0);
    }
    void add(void **node, const NodeParameters &parameters, void **before) {
        size_t befores = before ? 1 : 0;
        CHECK(driver("cuGraphAddKernelNode_v2", node, graph, (const void *)before, befores, (const void *)&parameters) == 0);
    }
    NodeParameters fill_parameters(float what) {
        static float value;
        static void *parameters[3];
        value = what;
        parameters[0] = &a.pointer, parameters[1] = &count, parameters[2] = &value;
        return node_of(fill, parameters);
    }
    float run() {
        CHECK(driver("cuGraphLaunch", executable, (void *)nullptr) == 0);
        return b.read()[63];
    }
};

void test_chains(void *module) {
    Doubling doubling(module, true);
    // What the host's values are by now does not matter.
    NodeParameters changed = doubling.fill_parameters(3.0f);
    CHECK(doubling.run() == 4.0f);
    const void *parameters = &changed;
    CHECK(driver("cuGraphExecKernelNodeSetParams_v2", doubling.executable, doubling.filling, parameters) == 0);
    CHECK(doubling.run() == 6.0f);
    CHECK(driver("cuGraphExecKernelNodeSetParams_v2", doubling.executable, doubling.graph, parameters) != 0);
    // Nodes that wait for no other run in another order than they were added in.
    CHECK(Doubling(module, false).run() == 2.0f);
}

void test_capture() {
    void *stream = nullptr, *graph = nullptr;
    CHECK(driver("cuStreamCreate", &stream, 1u) == 0);
    CHECK(driver("cuStreamEndCapture", stream, &graph) != 0);
    CHECK(driver("cuStreamBeginCapture_v2", stream, 2) == 0);
    CHECK(driver("cuStreamSynchronize", stream) != 0);
    CHECK(driver("cuStreamEndCapture", stream, &graph) == 0 && graph);
    CHECK(driver("cuStreamSynchronize", stream) == 0);
    CHECK(driver("cuGraphDestroy", graph) == 0 && driver("cuGraphDestroy", graph) != 0);
    CHECK(driver("cuStreamDestroy_v2", stream) == 0);
}

}  // namespace

void test_graphs(void *module) {
    test_chains(module);
    test_capture();
}
