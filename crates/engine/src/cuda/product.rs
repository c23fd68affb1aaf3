//! Products of matrices by cuBLASLt: bf16 or f32 operands, sums in f32.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};

use cudarc::cublaslt::result::{self, CublasError};
use cudarc::cublaslt::sys::{self, cublasLtMatmulDescAttributes_t as Attribute};
use cudarc::driver::result as driver;

use super::command::describe;
use super::context::Context;
use super::memory::Values;
use super::multiplication::{Key, Multiplication, Plan, WORKSPACE, set};
use crate::device::DeviceError;

/// An operand, row-major: `[rows, columns]`, whose rows are `stride` values apart; read as its
/// transpose when so marked.
#[derive(Clone, Copy, Debug)]
pub(super) struct Operand {
    pub values: Values,
    pub rows: usize,
    pub columns: usize,
    pub stride: usize,
    pub transposed: bool,
}

impl Operand {
    pub(super) fn new(values: Values, rows: usize, columns: usize) -> Self {
        Self { values, rows, columns, stride: columns, transposed: false }
    }

    pub(super) fn transposed(self) -> Self {
        Self { transposed: !self.transposed, ..self }
    }

    /// Rows and columns as it is read.
    fn shape(self) -> (usize, usize) {
        if self.transposed { (self.columns, self.rows) } else { (self.rows, self.columns) }
    }
}

/// What is added to a product.
#[derive(Clone, Copy, Debug)]
pub(super) enum Addend {
    Nothing,
    /// What the output holds.
    Output,
    /// Another matrix of the output's shape and type.
    Other(Values),
}

/// cuBLASLt with the plans made so far.
pub(super) struct Products {
    context: Arc<Context>,
    state: Mutex<State>,
}

struct State {
    handle: sys::cublasLtHandle_t,
    preference: sys::cublasLtMatmulPreference_t,
    workspace: u64,
    /// None is ever let go, so that its address names it.
    plans: HashMap<Key, Arc<Plan>>,
}

// Safety: the handles may be used from any thread; plans are made under this lock, and products
// start under the queue's.
unsafe impl Send for State {}

/// cuBLAS's numbers for reading an operand as it is and as its transpose (`cublasOperation_t`).
fn operation(transposed: bool) -> i32 {
    if transposed { 1 } else { 0 }
}

/// The largest power of two that an address is a multiple of, up to 256.
fn alignment(values: Values) -> u32 {
    1 << values.pointer.trailing_zeros().min(8)
}

impl Products {
    /// # Errors
    /// When cuBLASLt is missing, or there is no memory for it.
    pub(super) fn new(context: Arc<Context>) -> Result<Self, DeviceError> {
        // Safety: loading the library runs its own initialisation only.
        if !unsafe { sys::is_culib_present() } {
            return Err(DeviceError::NoLibrary {
                library: "libcublasLt",
                purpose: "multiply matrices",
            });
        }
        let failed = |cause: String| DeviceError::Driver { doing: "begin with cuBLASLt", cause };
        context.activate();
        let handle = result::create_handle().map_err(|cause| failed(cause.to_string()))?;
        let preference = result::create_matmul_pref().map_err(|cause| failed(cause.to_string()))?;
        // Safety: the memory is freed on drop.
        let workspace =
            unsafe { driver::malloc_sync(WORKSPACE) }.map_err(|cause| failed(describe(cause)))?;
        let state = State { handle, preference, workspace, plans: HashMap::new() };
        Ok(Self { context, state: Mutex::new(state) })
    }

    /// `output = scale * left * right + addend (+ bias on every row)`, where the output `[rows,
    /// columns]` has no gaps. The bias is of the output's type and begins at a multiple of sixteen
    /// bytes.
    pub(super) fn multiply(
        &self,
        left: Operand,
        right: Operand,
        scale: f32,
        addend: Addend,
        bias: Option<Values>,
        output: Values,
    ) {
        let ((rows, inner), (inner_right, columns)) = (left.shape(), right.shape());
        assert_eq!(inner, inner_right, "inner dimension of a product");
        assert_eq!(left.values.is_compact(), right.values.is_compact(), "operands of one type");
        if rows == 0 || columns == 0 {
            return;
        }
        let (beta, source) = match addend {
            Addend::Nothing => (0.0f32, output),
            Addend::Output => (1.0, output),
            Addend::Other(other) => (1.0, other),
        };
        assert_eq!(source.is_compact(), output.is_compact(), "an addend of the output's type");
        let key = Key {
            rows,
            inner,
            columns,
            left: (left.stride, left.transposed),
            right: (right.stride, right.transposed),
            compact_operands: left.values.is_compact(),
            compact_output: output.is_compact(),
            adds: beta != 0.0,
            bias: bias.map(alignment),
            alignments: [left.values, right.values, source, output].map(alignment),
        };
        let mut state = self.state.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
        let plan = match state.plans.get(&key) {
            Some(plan) => plan.clone(),
            None => {
                self.context.activate();
                let plan = self.plan(&state, &key, bias);
                let plan = plan.unwrap_or_else(|cause| {
                    self.context.fail(format!("cannot multiply as in {key:?}: {cause}"))
                });
                state.plans.entry(key).insert_entry(Arc::new(plan)).get().clone()
            }
        };
        let (handle, workspace) = (state.handle, state.workspace);
        drop(state);
        self.context.multiply(Multiplication {
            handle,
            plan,
            addresses: [right.values, left.values, source, output].map(|values| values.pointer),
            factors: [scale, beta],
            bias: bias.map(|bias| bias.pointer),
            workspace,
        });
    }

    /// cuBLASLt counts columns first. To it, a row-major matrix is its own transpose, and the
    /// product's transpose is that of the transposes in the other order: `[columns, inner] x
    /// [inner, rows]`.
    fn plan(&self, state: &State, key: &Key, bias: Option<Values>) -> Result<Plan, CublasError> {
        let kind = |compact| {
            if compact { sys::cudaDataType_t::CUDA_R_16BF } else { sys::cudaDataType_t::CUDA_R_32F }
        };
        let stored = |(rows, columns), transposed| {
            if transposed { (columns, rows) } else { (rows, columns) }
        };
        let layout = |(rows, columns): (usize, usize), stride: usize, compact| {
            result::create_matrix_layout(kind(compact), rows as u64, columns as u64, stride as i64)
        };
        let product = result::create_matmul_desc(
            sys::cublasComputeType_t::CUBLAS_COMPUTE_32F,
            sys::cudaDataType_t::CUDA_R_32F,
        )?;
        set(product, Attribute::CUBLASLT_MATMUL_DESC_TRANSA, operation(key.right.1))?;
        set(product, Attribute::CUBLASLT_MATMUL_DESC_TRANSB, operation(key.left.1))?;
        if let Some(bias) = bias {
            set(
                product,
                Attribute::CUBLASLT_MATMUL_DESC_EPILOGUE,
                sys::cublasLtEpilogue_t::CUBLASLT_EPILOGUE_BIAS as i32,
            )?;
            set(
                product,
                Attribute::CUBLASLT_MATMUL_DESC_BIAS_DATA_TYPE,
                kind(key.compact_output) as i32,
            )?;
            set(product, Attribute::CUBLASLT_MATMUL_DESC_BIAS_POINTER, bias.pointer)?;
        }
        let first = layout(
            stored((key.columns, key.inner), key.right.1),
            key.right.0,
            key.compact_operands,
        )?;
        let second =
            layout(stored((key.inner, key.rows), key.left.1), key.left.0, key.compact_operands)?;
        let output = layout((key.columns, key.rows), key.columns, key.compact_output)?;
        let [of_left, of_right, of_source, of_output] = key.alignments;
        use sys::cublasLtMatmulPreferenceAttributes_t as Preference;
        prefer(
            state.preference,
            Preference::CUBLASLT_MATMUL_PREF_MAX_WORKSPACE_BYTES,
            WORKSPACE as u64,
        )?;
        prefer(state.preference, Preference::CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_A_BYTES, of_right)?;
        prefer(state.preference, Preference::CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_B_BYTES, of_left)?;
        prefer(
            state.preference,
            Preference::CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_C_BYTES,
            of_source,
        )?;
        prefer(
            state.preference,
            Preference::CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_D_BYTES,
            of_output,
        )?;
        // Safety: all descriptors were just made.
        let choice = unsafe {
            result::get_matmul_algo_heuristic(
                state.handle,
                product,
                first,
                second,
                output,
                output,
                state.preference,
            )
        }?;
        Ok(Plan { key: *key, product, layouts: [first, second, output], algorithm: choice.algo })
    }
}

impl Drop for Products {
    fn drop(&mut self) {
        let state = self.state.get_mut().unwrap_or_else(|poisoned| poisoned.into_inner());
        self.context.settle();
        // Safety: all were made here, and they have no user left once the stream has passed.
        unsafe {
            for plan in state.plans.values() {
                for layout in plan.layouts {
                    result::destroy_matrix_layout(layout).ok();
                }
                result::destroy_matmul_desc(plan.product).ok();
            }
            result::destroy_matmul_pref(state.preference).ok();
            result::destroy_handle(state.handle).ok();
            driver::free_sync(state.workspace).ok();
        }
    }
}

fn prefer<T>(
    preference: sys::cublasLtMatmulPreference_t,
    attribute: sys::cublasLtMatmulPreferenceAttributes_t,
    value: T,
) -> Result<(), CublasError> {
    // Safety: the attribute is of this type, by NVIDIA's table of them.
    unsafe {
        result::set_matmul_pref_attribute(
            preference,
            attribute,
            (&raw const value).cast(),
            size_of::<T>(),
        )
    }
}
