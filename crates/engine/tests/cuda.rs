//! What can be checked of the GPU's kernels without a GPU.

use std::collections::BTreeMap;

use engine::cuda;

/// A compute capability, and the KiB of shared memory that a block may have there.
type Gpu = ((i32, i32), usize);

/// Ampere and Hopper, for which every NVRTC of CUDA 12 and later compiles.
const KNOWN: [Gpu; 2] = [((8, 0), 163), ((9, 0), 227)];

/// Others, of which an older NVRTC may not support the newest. The limits are those of the CUDA
/// programming guide's table of technical specifications by compute capability.
const OTHERS: [Gpu; 4] = [((8, 6), 99), ((8, 9), 99), ((10, 0), 227), ((12, 0), 99)];

/// Bytes of shared memory that a kernel may declare itself.
const STATIC_LIMIT: usize = 48 << 10;

/// Bytes of a block's shared memory that the driver keeps, from 9.0 on. They are not the kernel's
/// own, and the limits do not count them.
const KEPT_BY_DRIVER: usize = 1 << 10;

/// Machine code of every source for a GPU; none where NVRTC does not support it and gives code for
/// the driver to translate.
fn machine_code(capability: (i32, i32)) -> Vec<(&'static str, Vec<u8>)> {
    let compile = |source| {
        cuda::compile(source, capability).unwrap_or_else(|cause| panic!("{capability:?}: {cause}"))
    };
    let all = cuda::sources().iter().map(|source| (source.file, compile(source)));
    all.filter(|(_, code)| code.starts_with(b"\x7fELF")).collect()
}

/// NVRTC needs no GPU. `LD_LIBRARY_PATH` must lead to libnvrtc, which PyPI has as
/// `nvidia-cuda-nvrtc`.
#[test]
#[ignore = "needs NVRTC"]
fn every_kernel_compiles_and_fits_a_blocks_shared_memory() {
    let dynamic: BTreeMap<&str, usize> = cuda::dynamic_shared_memory().into_iter().collect();
    for (capability, limit) in KNOWN.into_iter().chain(OTHERS) {
        let files = machine_code(capability);
        let wanted = if KNOWN.iter().any(|&(known, _)| known == capability) {
            cuda::sources().len()
        } else {
            files.len()
        };
        assert_eq!(files.len(), wanted, "files for {capability:?}");
        let kernels: BTreeMap<String, usize> =
            files.iter().flat_map(|(_, code)| shared_memory(code)).collect();
        let kept = if capability >= (9, 0) { KEPT_BY_DRIVER } else { 0 };
        for (name, declared) in &kernels {
            let own = declared.saturating_sub(kept);
            let bytes = own + dynamic.get(name.as_str()).unwrap_or(&0);
            assert!(
                own <= STATIC_LIMIT && bytes <= limit << 10,
                "{name} takes {bytes} bytes on {capability:?}"
            );
        }
        for name in dynamic.keys().filter(|_| !files.is_empty()) {
            assert!(kernels.contains_key(*name), "{name} is not among {:?}", kernels.keys());
        }
    }
}

/// Without NVRTC: what kernels are given at run time fits the smallest of these GPUs.
#[test]
fn what_kernels_are_given_fits_every_gpu() {
    let smallest = KNOWN.iter().chain(&OTHERS).map(|&(_, limit)| limit).min().unwrap() << 10;
    let dynamic = cuda::dynamic_shared_memory();
    assert!(dynamic.len() == 31, "{dynamic:?}");
    for (name, bytes) in dynamic {
        assert!(bytes <= smallest, "{name} gets {bytes} bytes");
    }
}

/// The kernels of an ELF file in 64 bits, and the bytes of shared memory that each declares:
/// sections `.text.NAME` and `.nv.shared.NAME`. From 9.0 on the second holds `KEPT_BY_DRIVER` more.
fn shared_memory(elf: &[u8]) -> Vec<(String, usize)> {
    let word = |at: usize| u64::from_le_bytes(elf[at..at + 8].try_into().unwrap()) as usize;
    let half = |at: usize| u32::from_le_bytes(elf[at..at + 4].try_into().unwrap()) as usize;
    let quarter = |at: usize| u16::from_le_bytes(elf[at..at + 2].try_into().unwrap()) as usize;
    let (headers, size, count, of_names) = (word(40), quarter(58), quarter(60), quarter(62));
    let header = |index: usize| headers + index * size;
    let names = word(header(of_names) + 24);
    let sections: BTreeMap<String, usize> = (0..count)
        .map(|index| {
            let name = elf[names + half(header(index))..].split(|&byte| byte == 0).next().unwrap();
            (String::from_utf8_lossy(name).into_owned(), word(header(index) + 32))
        })
        .collect();
    let kernels = sections.keys().filter_map(|name| name.strip_prefix(".text."));
    let declared = |name: &str| sections.get(&format!(".nv.shared.{name}")).copied().unwrap_or(0);
    kernels.map(|name| (name.to_owned(), declared(name))).collect()
}

/// A GPU that is newer than NVRTC gets code that its driver translates.
#[test]
#[ignore = "needs NVRTC"]
fn kernels_for_unknown_gpus_are_ptx() {
    let code =
        cuda::compile(&cuda::sources()[0], (99, 0)).unwrap_or_else(|cause| panic!("{cause}"));
    assert!(String::from_utf8_lossy(&code).contains(".version"));
}
