//! What can be said of the GPU's kernels without a GPU.

use engine::cuda;

/// Ampere and Hopper; NVRTC needs no GPU. `LD_LIBRARY_PATH` must lead to libnvrtc, which PyPI has as `nvidia-cuda-nvrtc`.
#[test]
#[ignore = "needs NVRTC"]
fn every_kernel_compiles() {
    for source in cuda::sources() {
        for capability in [(8, 0), (9, 0)] {
            let code = cuda::compile(source, capability).unwrap_or_else(|cause| panic!("{cause}"));
            assert_eq!(&code[..4], b"\x7fELF", "{} for {capability:?}", source.file);
        }
    }
}

/// A GPU that is newer than NVRTC gets code that its driver translates.
#[test]
#[ignore = "needs NVRTC"]
fn kernels_for_unknown_gpus_are_ptx() {
    let code = cuda::compile(&cuda::sources()[0], (99, 0)).unwrap_or_else(|cause| panic!("{cause}"));
    assert!(String::from_utf8_lossy(&code).contains(".version"));
}
