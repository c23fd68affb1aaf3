//! Kernels: their sources, compiling them for a GPU, and starting them.

use std::collections::HashMap;
use std::ffi::{CString, c_char};
use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use base::{AtomicFile, hash};
use cudarc::driver::{result, sys};
use cudarc::nvrtc;
use cudarc::nvrtc::result::NvrtcError;
use cudarc::nvrtc::sys::{nvrtcProgram, nvrtcResult};

use super::command::{Kernel, SLOT, Slot};
use super::context::{Context, OLDEST};
use super::memory::Values;
use crate::device::DeviceError;
use crate::tape::DropoutMask;

/// A file of kernels.
#[derive(Clone, Copy, Debug)]
pub struct Source {
    /// The file's name, for messages.
    pub file: &'static str,
    text: &'static str,
    /// What is put before it, beside what all share; empty for nothing.
    shared: &'static str,
}

/// The sources by their files' names, and those of what some of them share.
macro_rules! sources {
    ($($name:ident = $file:literal $(after $($shared:literal)and+)?),* $(,)?) => {
        $(pub(super) const $name: Source = Source {
            file: $file,
            text: include_str!($file),
            shared: concat!($($("\n#line 1 \"", $shared, "\"\n", include_str!($shared)),+)?),
        };)*

        /// All sources.
        pub fn sources() -> &'static [Source] {
            &[$($name),*]
        }
    };
}

sources! {
    ATTENTION = "attention.cu" after "attention.cuh" and "attention_general.cuh",
    ATTENTION_BF16 = "attention_bf16.cu" after "attention.cuh",
    ATTENTION_POOLING = "attention_pooling.cu",
    BIASED_ATTENTION = "biased_attention.cu"
        after "attention.cuh" and "attention_general.cuh" and "attention_buckets.cuh",
    DISTILLATION_LOSS = "distillation_loss.cu" after "softmax.cuh",
    ELEMENTWISE = "elementwise.cu",
    EMBED = "embed.cu",
    EXPERTS = "experts.cu",
    ENSEMBLE = "ensemble.cu" after "softmax.cuh",
    HEAD_NORM = "head_norm.cu",
    LANGUAGE_MODEL_LOSS = "language_model_loss.cu" after "softmax.cuh",
    LINEAR = "linear.cu",
    MIXTURE = "mixture.cu",
    NORM = "norm.cu",
    OPTIMIZER = "optimizer.cu",
    ORTHOGONAL = "orthogonal.cu",
    OUTPUT_LAYER = "output_layer.cu",
    RELATIVE_ATTENTION = "relative_attention.cu"
        after "attention.cuh" and "attention_general.cuh" and "attention_buckets.cuh",
    ROUTER = "router.cu",
    TEACHER_SAMPLES = "teacher_samples.cu" after "softmax.cuh",
}

const COMMON: &str = include_str!("common.cuh");

impl Source {
    fn whole(&self) -> String {
        let Self { file, text, shared } = self;
        format!("{COMMON}{shared}\n#line 1 \"{file}\"\n{text}")
    }
}

/// Machine code of a source for GPUs of a compute capability; where NVRTC is older than the GPU,
/// code for the newest that it supports, which the driver translates.
///
/// # Errors
/// When NVRTC is missing, or does not compile it.
pub fn compile(source: &Source, (major, minor): (i32, i32)) -> Result<Vec<u8>, DeviceError> {
    // Safety: loading the library runs its own initialisation only.
    if !unsafe { nvrtc::sys::is_culib_present() } {
        return Err(DeviceError::NoLibrary { library: "libnvrtc", purpose: "compile its kernels" });
    }
    let broken = |log: String| DeviceError::Kernel { file: source.file, log };
    let text = CString::new(source.whole()).map_err(|cause| broken(cause.to_string()))?;
    let name = CString::new(source.file).map_err(|cause| broken(cause.to_string()))?;
    let program = nvrtc::result::create_program(&text, Some(&name))
        .map_err(|cause| broken(cause.to_string()))?;
    let architecture = format!("sm_{major}{minor}");
    // Safety: the program was just made, its text and name live until it is destroyed, and nothing
    // else uses it afterwards.
    let code = unsafe {
        let code = match compile_for(program, &architecture) {
            Err(NvrtcError(nvrtcResult::NVRTC_ERROR_INVALID_OPTION)) => {
                compile_for(program, &format!("compute_{}", newest_architecture()))
            }
            other => other,
        };
        let code = code.map_err(|cause| log_of(program).unwrap_or_else(|| cause.to_string()));
        nvrtc::result::destroy_program(program).ok();
        code
    };
    code.map_err(broken)
}

/// Machine code for `sm_...`, and PTX for `compute_...`.
///
/// # Safety
/// The program lives.
unsafe fn compile_for(program: nvrtcProgram, architecture: &str) -> Result<Vec<u8>, NvrtcError> {
    let options =
        [format!("--gpu-architecture={architecture}"), "--std=c++17".into(), "--fmad=true".into()];
    // Safety: promised by the caller.
    unsafe {
        nvrtc::result::compile_program(program, &options)?;
        if architecture.starts_with("sm") {
            machine_code(program)
        } else {
            Ok(nvrtc::result::get_ptx(program)?.into_iter().map(|byte| byte as u8).collect())
        }
    }
}

/// The newest architecture that NVRTC knows, such as 90.
fn newest_architecture() -> i32 {
    let mut count = 0;
    // Safety: NVRTC writes a number, and then as many.
    unsafe {
        nvrtc::sys::nvrtcGetNumSupportedArchs(&mut count);
        let mut architectures = vec![0; count.max(0) as usize];
        nvrtc::sys::nvrtcGetSupportedArchs(architectures.as_mut_ptr());
        architectures.last().copied().unwrap_or(10 * OLDEST)
    }
}

fn log_of(program: nvrtcProgram) -> Option<String> {
    // Safety: the program lives.
    let log = unsafe { nvrtc::result::get_program_log(program) }.ok()?;
    let bytes: Vec<u8> =
        log.into_iter().map(|byte| byte as u8).take_while(|&byte| byte != 0).collect();
    Some(String::from_utf8_lossy(&bytes).trim().to_owned())
}

/// # Safety
/// The program is compiled.
unsafe fn machine_code(program: nvrtcProgram) -> Result<Vec<u8>, NvrtcError> {
    let mut size = 0;
    // Safety: NVRTC writes a size, and then as many bytes.
    unsafe {
        nvrtc::sys::nvrtcGetCUBINSize(program, &mut size).result()?;
        let mut code = vec![0u8; size];
        nvrtc::sys::nvrtcGetCUBIN(program, code.as_mut_ptr().cast::<c_char>()).result()?;
        Ok(code)
    }
}

fn compiler_version() -> (i32, i32) {
    let (mut major, mut minor) = (0, 0);
    // Safety: NVRTC writes two numbers.
    unsafe { nvrtc::sys::nvrtcVersion(&mut major, &mut minor) };
    (major, minor)
}

/// A GPU's kernels. Each file is compiled when one of its kernels is first used.
pub(super) struct Kernels {
    context: Arc<Context>,
    cache: Option<PathBuf>,
    loaded: Mutex<Loaded>,
}

#[derive(Default)]
struct Loaded {
    modules: HashMap<&'static str, sys::CUmodule>,
    functions: HashMap<&'static str, sys::CUfunction>,
}

// Safety: the driver's handles may be used from any thread.
unsafe impl Send for Loaded {}

impl Kernels {
    /// # Errors
    /// When NVRTC is missing.
    pub(super) fn new(context: Arc<Context>, cache: Option<PathBuf>) -> Result<Self, DeviceError> {
        // Safety: loading the library runs its own initialisation only.
        if !unsafe { nvrtc::sys::is_culib_present() } {
            return Err(DeviceError::NoLibrary {
                library: "libnvrtc",
                purpose: "compile its kernels",
            });
        }
        Ok(Self { context, cache, loaded: Mutex::default() })
    }

    /// A kernel of a source, to be given its parameters.
    pub(super) fn get(&self, source: Source, name: &'static str) -> Launch<'_> {
        let mut loaded = self.loaded.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
        let function = match loaded.functions.get(name) {
            Some(&function) => function,
            None => {
                let function = self.load(&mut loaded, source, name);
                loaded.functions.insert(name, function);
                function
            }
        };
        Launch {
            context: &self.context,
            name,
            function,
            shared_bytes: 0,
            slots: Vec::with_capacity(16),
        }
    }

    fn load(&self, loaded: &mut Loaded, source: Source, name: &'static str) -> sys::CUfunction {
        self.context.activate();
        let module = *loaded.modules.entry(source.file).or_insert_with(|| {
            let code =
                self.code(&source).unwrap_or_else(|cause| self.context.fail(cause.to_string()));
            // Safety: the code is a whole image.
            self.context
                .check("load a kernel", unsafe { result::module::load_data(code.as_ptr().cast()) })
        });
        let name = CString::new(name).unwrap_or_default();
        // Safety: the module is never unloaded.
        self.context.check("find a kernel", unsafe { result::module::get_function(module, name) })
    }

    /// Compiled machine code, from the cache when it is there.
    fn code(&self, source: &Source) -> Result<Vec<u8>, DeviceError> {
        let Some(folder) = &self.cache else { return compile(source, self.context.capability) };
        let key =
            format!("{:?} {:?} {}", compiler_version(), self.context.capability, source.whole());
        let path = folder.join(format!("{}.cubin", hash::of_bytes(key.as_bytes())));
        if let Ok(code) = fs::read(&path) {
            return Ok(code);
        }
        let code = compile(source, self.context.capability)?;
        // A cache that cannot be written only costs time.
        keep(folder, &path, &code).ok();
        Ok(code)
    }
}

/// Keeps compiled code in the cache, which other processes read and write at the same time.
fn keep(folder: &Path, path: &Path, code: &[u8]) -> std::io::Result<()> {
    fs::create_dir_all(folder)?;
    let mut file = AtomicFile::create(path)?;
    file.write_all(code)?;
    file.commit()
}

/// A kernel with the parameters given so far.
pub(super) struct Launch<'a> {
    context: &'a Context,
    name: &'static str,
    function: sys::CUfunction,
    shared_bytes: u32,
    slots: Vec<Slot>,
}

/// A value that kernels take, in the layout that C gives it.
///
/// # Safety
/// The type is `repr(C)` or primitive, and at most `SLOT` words long.
pub(super) unsafe trait Parameter: Copy {}

// Safety: primitive.
unsafe impl Parameter for u32 {}
// Safety: primitive.
unsafe impl Parameter for u64 {}
// Safety: primitive.
unsafe impl Parameter for f32 {}
// Safety: primitive.
unsafe impl Parameter for f64 {}
// Safety: `repr(C)`, two words.
unsafe impl Parameter for Values {}
// Safety: `repr(C)`, three words.
unsafe impl Parameter for Mask {}

/// A dropout mask as kernels take it.
#[repr(C)]
#[derive(Clone, Copy)]
pub(super) struct Mask {
    key: u64,
    first_token: u64,
    probability: f32,
    scale: f32,
}

impl Mask {
    /// No mask drops nothing.
    pub(super) fn of(mask: Option<DropoutMask>) -> Self {
        match mask {
            None => Self { key: 0, first_token: 0, probability: 0.0, scale: 1.0 },
            Some(mask) => Self {
                key: mask.rng.key(),
                first_token: mask.first_token,
                probability: mask.probability,
                scale: 1.0 / (1.0 - mask.probability),
            },
        }
    }
}

/// Threads of most blocks.
pub(super) const BLOCK: u32 = 256;

impl Launch<'_> {
    /// The next parameter.
    pub(super) fn with<T: Parameter>(mut self, value: T) -> Self {
        let mut slot = [0u64; SLOT];
        debug_assert!(size_of::<T>() <= size_of_val(&slot));
        // Safety: the value fits the slot, which is aligned for it.
        unsafe { slot.as_mut_ptr().cast::<T>().write(value) };
        self.slots.push(slot);
        self
    }

    /// Bytes of dynamic shared memory, of which a kernel may have more than 48 KiB only when it is
    /// set beforehand. The largest value that was ever set stays: a kernel that waits in the queue
    /// may need it.
    pub(super) fn shared(mut self, bytes: u32) -> Self {
        if bytes > 48 << 10 {
            let attribute =
                sys::CUfunction_attribute::CU_FUNC_ATTRIBUTE_MAX_DYNAMIC_SHARED_SIZE_BYTES;
            self.context.activate();
            // Safety: the function lives as long as its module, which is never unloaded.
            let set = unsafe {
                match result::function::get_function_attribute(self.function, attribute) {
                    Ok(before) if before >= bytes as i32 => Ok(()),
                    _ => result::function::set_function_attribute(
                        self.function,
                        attribute,
                        bytes as i32,
                    ),
                }
            };
            self.context.check("give a kernel its shared memory", set);
        }
        self.shared_bytes = bytes;
        self
    }

    /// Starts it in `blocks` blocks of `threads` threads, if there is any.
    ///
    /// # Safety
    /// The parameters are those of the kernel, in its order; what it reads and writes is within
    /// the memory they name.
    pub(super) unsafe fn run(self, blocks: usize, threads: u32) {
        // Safety: passed on.
        unsafe { self.run_grid((blocks, 1, 1), threads) }
    }

    /// Starts it in a grid of blocks: of the first number there may be 2^31 - 1, of the others
    /// 65,535, so that what grows with the batch comes first.
    ///
    /// # Safety
    /// As for `run`.
    pub(super) unsafe fn run_grid(self, (x, y, z): (usize, usize, usize), threads: u32) {
        if x * y * z == 0 {
            return;
        }
        let Self { name, function, shared_bytes, .. } = self;
        let grid = (x as u32, y as u32, z as u32);
        // Safety: promised by the caller.
        unsafe {
            self.context.start(Kernel { name, function, grid, threads, shared_bytes }, &self.slots)
        };
    }
}
