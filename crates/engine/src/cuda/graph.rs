//! A sequence of kernels and products as a CUDA graph: a chain of nodes that the driver starts in
//! one call.

use std::ptr;

use cudarc::driver::result::DriverError;
use cudarc::driver::sys;

use super::command::{Command, Kernel, Slot, Streams, addresses, describe};
use super::multiplication::Multiplication;

/// A graph, ready to be started, with the parameters that its kernels have now.
pub(super) struct Graph {
    /// Kept, since the nodes are its.
    _chain: Chain,
    executable: sys::CUgraphExec,
    /// The kernels' nodes, in the order of the commands; none for products.
    nodes: Vec<Option<sys::CUgraphNode>>,
    slots: Vec<Slot>,
}

/// Nodes one after the other. Handles of nodes are good as long as the chain is.
struct Chain {
    graph: sys::CUgraph,
    last: Option<sys::CUgraphNode>,
}

impl Graph {
    /// A graph of these commands, on the GPU and ready to be started on the stream where work goes.
    ///
    /// # Errors
    /// What the driver or cuBLASLt failed to do.
    pub(super) fn new(
        commands: &[Command],
        slots: &[Slot],
        streams: Streams,
    ) -> Result<Self, String> {
        let mut chain = Chain::new()?;
        let mut slots = slots.to_vec();
        let nodes = commands.iter().map(|command| match command {
            Command::Kernel(kernel, parameters) => {
                chain.add_kernel(kernel, &mut slots[parameters.clone()]).map(Some)
            }
            Command::Product(product) => chain.add_product(product, streams.capture).map(|()| None),
        });
        let nodes = nodes.collect::<Result<_, _>>()?;
        let mut executable = ptr::null_mut();
        // Safety: the chain is whole.
        check("make a graph", unsafe {
            sys::cuGraphInstantiateWithFlags(&mut executable, chain.graph, 0)
        })?;
        let graph = Self { _chain: chain, executable, nodes, slots };
        // So that a lack of memory shows here and not when the graph is started.
        // Safety: the graph and the stream live.
        check("bring a graph to the GPU", unsafe { sys::cuGraphUpload(executable, streams.work) })?;
        Ok(graph)
    }

    /// Starts the graph with the parameters that its kernels have in these commands, which have the
    /// graph's key.
    ///
    /// # Errors
    /// What the driver failed to do.
    pub(super) fn start(
        &mut self,
        commands: &[Command],
        slots: &[Slot],
        stream: sys::CUstream,
    ) -> Result<(), String> {
        for (command, node) in commands.iter().zip(&self.nodes) {
            let (Command::Kernel(kernel, parameters), Some(node)) = (command, node) else {
                continue;
            };
            let (known, wanted) = (&mut self.slots[parameters.clone()], &slots[parameters.clone()]);
            if known == wanted {
                continue;
            }
            let mut changed = wanted.to_vec();
            let mut addresses = addresses(&mut changed);
            let parameters = kernel.node_parameters(&mut addresses);
            // Safety: the node is this kernel's, and the driver copies the parameters before it
            // returns. Starts of the graph that are under way keep those that they had.
            let set = unsafe {
                sys::cuGraphExecKernelNodeSetParams_v2(self.executable, *node, &parameters)
            };
            check("change a graph", set)?;
            known.copy_from_slice(wanted);
        }
        // Safety: the graph lives; the memory that it names is freed only after the stream has
        // passed.
        check("start a graph", unsafe { sys::cuGraphLaunch(self.executable, stream) })
    }
}

impl Drop for Graph {
    fn drop(&mut self) {
        // Safety: it was made in `new`; the driver keeps what is under way.
        unsafe { sys::cuGraphExecDestroy(self.executable) };
    }
}

impl Chain {
    fn new() -> Result<Self, String> {
        let mut graph = ptr::null_mut();
        // Safety: the driver writes a handle.
        check("make a graph", unsafe { sys::cuGraphCreate(&mut graph, 0) })?;
        Ok(Self { graph, last: None })
    }

    /// What the next node comes after.
    fn before(&self) -> (*const sys::CUgraphNode, usize) {
        self.last.as_ref().map_or((ptr::null(), 0), |node| (ptr::from_ref(node), 1))
    }

    fn add_kernel(
        &mut self,
        kernel: &Kernel,
        parameters: &mut [Slot],
    ) -> Result<sys::CUgraphNode, String> {
        let mut node = ptr::null_mut();
        let mut addresses = addresses(parameters);
        let parameters = kernel.node_parameters(&mut addresses);
        let (before, count) = self.before();
        // Safety: the graph and the node before live; the driver copies the parameters, which are
        // the kernel's.
        check("put a kernel into a graph", unsafe {
            sys::cuGraphAddKernelNode_v2(&mut node, self.graph, before, count, &parameters)
        })?;
        self.last = Some(node);
        Ok(node)
    }

    /// The kernels of a product, whichever cuBLASLt takes, as a graph in the graph.
    fn add_product(
        &mut self,
        product: &Multiplication,
        stream: sys::CUstream,
    ) -> Result<(), String> {
        let part = capture(product, stream)?;
        let mut node = ptr::null_mut();
        let (before, count) = self.before();
        // Safety: the graphs and the node before live; the driver copies the part.
        check("put a product into a graph", unsafe {
            sys::cuGraphAddChildGraphNode(&mut node, self.graph, before, count, part.graph)
        })?;
        self.last = Some(node);
        Ok(())
    }
}

impl Drop for Chain {
    fn drop(&mut self) {
        // Safety: it was made in `new` or by a capture.
        unsafe { sys::cuGraphDestroy(self.graph) };
    }
}

/// What a product would start. The stream, which is for nothing else, is never left capturing.
fn capture(product: &Multiplication, stream: sys::CUstream) -> Result<Chain, String> {
    let mode = sys::CUstreamCaptureMode::CU_STREAM_CAPTURE_MODE_RELAXED;
    // Safety: the stream exists, and only this function uses it, one call at a time.
    check("begin a graph", unsafe { sys::cuStreamBeginCapture_v2(stream, mode) })?;
    let started = product.start(stream);
    let mut graph = ptr::null_mut();
    // Safety: the capture was begun above.
    let ended = check("end a graph", unsafe { sys::cuStreamEndCapture(stream, &mut graph) });
    // A capture that failed may leave no graph, which then must not be destroyed.
    let chain = (!graph.is_null()).then_some(Chain { graph, last: None });
    started.and(ended)?;
    chain.ok_or_else(|| "a captured product is no graph".to_owned())
}

impl Kernel {
    fn node_parameters(
        &self,
        addresses: &mut [*mut std::ffi::c_void],
    ) -> sys::CUDA_KERNEL_NODE_PARAMS {
        let (x, y, z) = self.grid;
        sys::CUDA_KERNEL_NODE_PARAMS {
            func: self.function,
            gridDimX: x,
            gridDimY: y,
            gridDimZ: z,
            blockDimX: self.threads,
            blockDimY: 1,
            blockDimZ: 1,
            sharedMemBytes: self.shared_bytes,
            kernelParams: addresses.as_mut_ptr(),
            extra: ptr::null_mut(),
            kern: ptr::null_mut(),
            ctx: ptr::null_mut(),
        }
    }
}

fn check(doing: &str, result: sys::CUresult) -> Result<(), String> {
    match result {
        sys::CUresult::CUDA_SUCCESS => Ok(()),
        failed => Err(format!("cannot {doing}: {}", describe(DriverError(failed)))),
    }
}
