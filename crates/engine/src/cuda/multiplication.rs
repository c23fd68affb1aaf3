//! A product that waits to be started: cuBLASLt's plan for its shape, and where its operands are.

use std::ffi::c_void;
use std::ptr;
use std::sync::Arc;

use cudarc::cublaslt::result::{self, CublasError};
use cudarc::cublaslt::sys::{self, cublasLtMatmulDescAttributes_t as Attribute};
use cudarc::driver::sys::CUstream;

/// Memory that cuBLASLt may use for partial sums: what NVIDIA advises for Hopper.
pub(super) const WORKSPACE: usize = 32 << 20;

/// Everything that the choice of an algorithm depends on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct Key {
    pub rows: usize,
    pub inner: usize,
    pub columns: usize,
    pub left: (usize, bool),
    pub right: (usize, bool),
    pub compact_operands: bool,
    pub compact_output: bool,
    pub adds: bool,
    /// The alignment of the bias, if there is one.
    pub bias: Option<u32>,
    /// Of left, right, addend and output, in bytes.
    pub alignments: [u32; 4],
}

/// A prepared product: descriptors and algorithm.
pub(super) struct Plan {
    pub key: Key,
    pub product: sys::cublasLtMatmulDesc_t,
    /// Of cuBLASLt's first and second operand, and of its output.
    pub layouts: [sys::cublasLtMatrixLayout_t; 3],
    pub algorithm: sys::cublasLtMatmulAlgo_t,
}

// Safety: the handles may be used from any thread, one at a time: a plan is made under one lock and
// used under another, the queue's.
unsafe impl Send for Plan {}
// Safety: as for `Send`.
unsafe impl Sync for Plan {}

/// A product of its plan's shape, to be started.
pub(super) struct Multiplication {
    pub handle: sys::cublasLtHandle_t,
    pub plan: Arc<Plan>,
    /// Of cuBLASLt's first and second operand, the addend and the output.
    pub addresses: [u64; 4],
    /// What the product and the addend are multiplied by.
    pub factors: [f32; 2],
    pub bias: Option<u64>,
    pub workspace: u64,
}

impl Multiplication {
    /// What two products must have in common to be the same command: everything.
    pub(super) fn words(&self) -> [u64; 8] {
        let [first, second, addend, output] = self.addresses;
        let [scale, beta] = self.factors.map(|factor| factor.to_bits() as u64);
        let plan = Arc::as_ptr(&self.plan) as u64;
        [plan, first, second, addend, output, scale, beta, self.bias.unwrap_or(0)]
    }

    /// Starts it, or adds it to the graph for which the stream is capturing.
    ///
    /// # Errors
    /// cuBLASLt's error, and the product's shape.
    pub(super) fn start(&self, stream: CUstream) -> Result<(), String> {
        self.ask(stream)
            .map_err(|cause| format!("cannot multiply as in {:?}: {cause}", self.plan.key))
    }

    fn ask(&self, stream: CUstream) -> Result<(), CublasError> {
        let Plan { product, layouts, algorithm, .. } = &*self.plan;
        if let Some(bias) = self.bias {
            set(*product, Attribute::CUBLASLT_MATMUL_DESC_BIAS_POINTER, bias)?;
        }
        let [first, second, addend, output] = self.addresses.map(|address| address as *mut c_void);
        let [scale, beta] = &self.factors;
        // Safety: descriptors and algorithm were made for each other, and the operands have their
        // shapes; the factors are read before this returns.
        unsafe {
            result::matmul(
                self.handle,
                *product,
                ptr::from_ref(scale).cast(),
                ptr::from_ref(beta).cast(),
                first,
                layouts[0],
                second,
                layouts[1],
                addend,
                layouts[2],
                output,
                layouts[2],
                algorithm,
                self.workspace as *mut c_void,
                WORKSPACE,
                stream.cast(),
            )
        }
    }
}

/// Sets an attribute of a product.
pub(super) fn set<T>(
    product: sys::cublasLtMatmulDesc_t,
    attribute: Attribute,
    value: T,
) -> Result<(), CublasError> {
    // Safety: the attribute is of this type, by NVIDIA's table of them.
    unsafe {
        result::set_matmul_desc_attribute(
            product,
            attribute,
            (&raw const value).cast(),
            size_of::<T>(),
        )
    }
}
