//! The microkernel of bf16 on AMX tiles (`amx_bf16`): 2 by 2 tiles of 16 by 16 sums, which stay in
//! tile registers while the inner dimension runs by. Its bits are those of
//! [`portable`](super::portable).

use std::arch::asm;
use std::arch::x86_64::*;
use std::marker::PhantomData;
use std::mem::MaybeUninit;
use std::ops::Range;
use std::sync::OnceLock;

use super::super::microkernel::{Left, Microkernel, Target};
use super::super::pack::tile_size;
use super::super::{DEPTH, Matrix};
use super::pairs::{self, Half, LANES};
use super::portable::SPLIT_DEPTH;
use super::rounding::round;
use super::store::store_sums;

/// Values of the inner dimension in a step: a row of a tile of the left-hand side.
const GROUP: usize = 32;
/// Rows and columns of the sums.
const SIDE: usize = 2 * LANES;
/// Values of a tile of operands.
const TILE: usize = LANES * GROUP;

/// Products of bf16 values by AMX tiles, which this processor has and this process may use.
#[derive(Clone, Copy)]
pub(in crate::cpu) struct Amx(());

impl Amx {
    /// The kernel, if this processor has its instructions and the system permits them.
    pub(super) fn detect() -> Option<Self> {
        static DETECTED: OnceLock<bool> = OnceLock::new();
        DETECTED
            .get_or_init(|| {
                pairs::available() && has_tile_instructions() && tile_state_is_permitted()
            })
            .then_some(Self(()))
    }

    /// A proof for tests on processors without tiles, which must not call `session` or `tile`.
    #[cfg(test)]
    pub(super) fn only_for_packing() -> Self {
        Self(())
    }
}

/// Tiles of 16 rows of 64 bytes, in palette 1 (Intel's Software Developer's Manual, volume 1,
/// section 18.2).
#[repr(C, align(64))]
struct Configuration([u8; 64]);

static CONFIGURATION: Configuration = {
    let mut bytes = [0; 64];
    bytes[0] = 1;
    let mut tile = 0;
    while tile < 8 {
        bytes[16 + 2 * tile] = 64;
        bytes[48 + tile] = 16;
        tile += 1;
    }
    Configuration(bytes)
};

/// The tile registers of a thread, configured; released when dropped.
pub(in crate::cpu::product) struct Tiles(PhantomData<*const ()>);

impl Drop for Tiles {
    fn drop(&mut self) {
        // Safety: the session was begun on a processor with AMX, on this thread.
        unsafe { asm!("tilerelease", options(nostack, nomem)) };
    }
}

impl Microkernel for Amx {
    type Element = u16;
    const TILE_ROWS: usize = SIDE;
    const PANEL: usize = SIDE;
    const LANES: usize = SIDE;
    const GROUP: usize = GROUP;
    const DEPTH: usize = DEPTH;

    fn element(value: f32) -> u16 {
        round(value)
    }

    fn in_place<'a>(_: &Matrix<'a>) -> Option<&'a [u16]> {
        None
    }

    type Session = Tiles;

    fn session(self) -> Tiles {
        // Safety: the processor has AMX and the process may use it, of which `self` is proof.
        unsafe {
            asm!(
                "ldtilecfg [{configuration}]",
                configuration = in(reg) &CONFIGURATION,
                options(nostack, readonly)
            );
        }
        Tiles(PhantomData)
    }

    fn pack_panel(self, b: Matrix<'_>, panel: usize, values: &mut [u16]) {
        // Safety: the processor has the instructions, of which `self` is proof.
        unsafe { pack_panel(b, panel, &[Half::High], values) }
    }

    fn pack_rows(
        self,
        a: Matrix<'_>,
        rows: &Range<usize>,
        depths: &Range<usize>,
        packed: &mut [u16],
    ) {
        // Safety: the processor has the instructions, of which `self` is proof.
        unsafe { pack_tiles(a, rows, depths, &[Half::High], tile_size::<Self>(), packed) }
    }

    unsafe fn tile(self, steps: usize, left: Left<u16>, panel: *const u16, target: Target) {
        let mut sums = MaybeUninit::<Sums>::uninit();
        // Safety: passed on from the caller: `steps` steps of the packed tile and the panel, and a
        // session on this thread. `multiply` writes all sums.
        unsafe {
            multiply(steps, left.start, panel, sums.as_mut_ptr());
            write(sums.assume_init_ref(), target);
        }
    }
}

/// Products of f32 as three products of bf16 on AMX tiles: high halves with high ones, low with
/// high, high with low. Its bits are those of [`PortableSplit`](super::portable::PortableSplit).
#[derive(Clone, Copy)]
pub(in crate::cpu) struct AmxSplit(Amx);

impl AmxSplit {
    /// The kernel, if this processor has its instructions.
    pub(super) fn detect() -> Option<Self> {
        Amx::detect().map(Self)
    }

    /// As for [`Amx`].
    #[cfg(test)]
    pub(super) fn only_for_packing() -> Self {
        Self(Amx::only_for_packing())
    }
}

impl Microkernel for AmxSplit {
    /// A high and a low half; in memory the high halves of a step come before the low ones.
    type Element = u32;
    const TILE_ROWS: usize = SIDE;
    const PANEL: usize = SIDE;
    const LANES: usize = SIDE;
    const GROUP: usize = GROUP;
    const DEPTH: usize = SPLIT_DEPTH;

    fn element(_: f32) -> u32 {
        unreachable!("halves are packed apart")
    }

    fn in_place<'a>(_: &Matrix<'a>) -> Option<&'a [u32]> {
        None
    }

    type Session = Tiles;

    fn session(self) -> Tiles {
        self.0.session()
    }

    fn pack_panel(self, b: Matrix<'_>, panel: usize, values: &mut [u32]) {
        let values = bytemuck::cast_slice_mut(values);
        // Safety: the processor has the instructions, of which `self` is proof.
        unsafe { pack_panel(b, panel, &[Half::High, Half::Low], values) }
    }

    fn pack_rows(
        self,
        a: Matrix<'_>,
        rows: &Range<usize>,
        depths: &Range<usize>,
        packed: &mut [u32],
    ) {
        let (packed, size) = (bytemuck::cast_slice_mut(packed), 2 * tile_size::<Self>());
        // Safety: the processor has the instructions, of which `self` is proof.
        unsafe { pack_tiles(a, rows, depths, &[Half::High, Half::Low], size, packed) }
    }

    unsafe fn tile(self, steps: usize, left: Left<u32>, panel: *const u32, target: Target) {
        let mut sums = MaybeUninit::<Sums>::uninit();
        // Safety: as for `Amx`.
        unsafe {
            multiply_split(steps, left.start.cast(), panel.cast(), sums.as_mut_ptr());
            write(sums.assume_init_ref(), target);
        }
    }
}

/// Whether `cpuid` reports `amx_tile` and `amx_bf16` (leaf 7, bits 24 and 22 of `edx`).
fn has_tile_instructions() -> bool {
    let features = __cpuid_count(7, 0).edx;
    features & (1 << 24) != 0 && features & (1 << 22) != 0
}

/// Asks the kernel for the tiles' state (`arch_prctl(ARCH_REQ_XCOMP_PERM, XFEATURE_XTILEDATA)`),
/// for all threads of this process. Without the permission the first tile instruction is fatal.
#[cfg(target_os = "linux")]
fn tile_state_is_permitted() -> bool {
    const ARCH_PRCTL: i64 = 158;
    let result: i64;
    // Safety: the call changes nothing but the process's permission.
    unsafe {
        asm!(
            "syscall",
            inlateout("rax") ARCH_PRCTL => result,
            in("rdi") 0x1023,
            in("rsi") 18,
            out("rcx") _,
            out("r11") _,
            options(nostack)
        );
    }
    result == 0
}

/// Other systems have their own ways of permission.
#[cfg(not(target_os = "linux"))]
fn tile_state_is_permitted() -> bool {
    false
}

/// The sums of four tiles: `[2 halves of the rows, 2 halves of the columns, 16, 16]`.
#[repr(C, align(64))]
struct Sums([f32; SIDE * SIDE]);

/// Computes the four tiles of sums over `steps` steps: `left` holds `[steps, 2, 16 rows, 32]`,
/// `panel` `[steps, 2, 16 pairs, 16 columns, 2]`.
///
/// # Safety
/// The thread has a session; both operands are readable for `steps` steps, and `sums` is writable.
unsafe fn multiply(steps: usize, left: *const u16, panel: *const u16, sums: *mut Sums) {
    // Safety: reads the operands (promised by the caller) and writes `sums`, whose size is that of
    // four tiles; the tile registers are used within this block alone.
    unsafe {
        asm!(
            "tilezero tmm0",
            "tilezero tmm1",
            "tilezero tmm2",
            "tilezero tmm3",
            "test {steps}, {steps}",
            "jz 3f",
            "2:",
            "tileloadd tmm4, [{left} + {row}]",
            "tileloadd tmm6, [{panel} + {row}]",
            "tdpbf16ps tmm0, tmm4, tmm6",
            "tileloadd tmm7, [{panel} + {row} + 1024]",
            "tdpbf16ps tmm1, tmm4, tmm7",
            "tileloadd tmm5, [{left} + {row} + 1024]",
            "tdpbf16ps tmm2, tmm5, tmm6",
            "tdpbf16ps tmm3, tmm5, tmm7",
            "add {left}, 2048",
            "add {panel}, 2048",
            "dec {steps}",
            "jnz 2b",
            "3:",
            "tilestored [{sums} + {row}], tmm0",
            "tilestored [{sums} + {row} + 1024], tmm1",
            "tilestored [{sums} + {row} + 2048], tmm2",
            "tilestored [{sums} + {row} + 3072], tmm3",
            left = inout(reg) left => _,
            panel = inout(reg) panel => _,
            steps = inout(reg) steps => _,
            row = in(reg) 64usize,
            sums = in(reg) sums,
            out("tmm0") _, out("tmm1") _, out("tmm2") _, out("tmm3") _,
            out("tmm4") _, out("tmm5") _, out("tmm6") _, out("tmm7") _,
            options(nostack)
        );
    }
}

/// `multiply` for split values: of each step, both operands hold high halves and then low ones.
///
/// # Safety
/// As for `multiply`, with twice as many values in a step.
unsafe fn multiply_split(steps: usize, left: *const u16, panel: *const u16, sums: *mut Sums) {
    // Safety: as for `multiply`.
    unsafe {
        asm!(
            "tilezero tmm0",
            "tilezero tmm1",
            "tilezero tmm2",
            "tilezero tmm3",
            "test {steps}, {steps}",
            "jz 3f",
            "2:",
            "tileloadd tmm4, [{left} + {row}]",
            "tileloadd tmm6, [{panel} + {row}]",
            "tdpbf16ps tmm0, tmm4, tmm6",
            "tileloadd tmm7, [{panel} + {row} + 1024]",
            "tdpbf16ps tmm1, tmm4, tmm7",
            "tileloadd tmm5, [{left} + {row} + 1024]",
            "tdpbf16ps tmm2, tmm5, tmm6",
            "tdpbf16ps tmm3, tmm5, tmm7",
            "tileloadd tmm4, [{left} + {row} + 2048]",
            "tdpbf16ps tmm0, tmm4, tmm6",
            "tdpbf16ps tmm1, tmm4, tmm7",
            "tileloadd tmm5, [{left} + {row} + 3072]",
            "tdpbf16ps tmm2, tmm5, tmm6",
            "tdpbf16ps tmm3, tmm5, tmm7",
            "tileloadd tmm4, [{left} + {row}]",
            "tileloadd tmm6, [{panel} + {row} + 2048]",
            "tdpbf16ps tmm0, tmm4, tmm6",
            "tileloadd tmm7, [{panel} + {row} + 3072]",
            "tdpbf16ps tmm1, tmm4, tmm7",
            "tileloadd tmm5, [{left} + {row} + 1024]",
            "tdpbf16ps tmm2, tmm5, tmm6",
            "tdpbf16ps tmm3, tmm5, tmm7",
            "add {left}, 4096",
            "add {panel}, 4096",
            "dec {steps}",
            "jnz 2b",
            "3:",
            "tilestored [{sums} + {row}], tmm0",
            "tilestored [{sums} + {row} + 1024], tmm1",
            "tilestored [{sums} + {row} + 2048], tmm2",
            "tilestored [{sums} + {row} + 3072], tmm3",
            left = inout(reg) left => _,
            panel = inout(reg) panel => _,
            steps = inout(reg) steps => _,
            row = in(reg) 64usize,
            sums = in(reg) sums,
            out("tmm0") _, out("tmm1") _, out("tmm2") _, out("tmm3") _,
            out("tmm4") _, out("tmm5") _, out("tmm6") _, out("tmm7") _,
            options(nostack)
        );
    }
}

/// `target = base + bias + scale * sums`.
///
/// # Safety
/// As for `Microkernel::tile`; the processor has AVX-512BW, AVX-512VL and AVX512-BF16.
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512bf16")]
unsafe fn write(sums: &Sums, target: Target) {
    for (half, first) in (0..target.columns).step_by(LANES).enumerate() {
        for row in 0..target.rows {
            let at = (row / LANES * 2 + half) * LANES * LANES + row % LANES * LANES;
            // Safety: `at` addresses a row of one of the four tiles; row and columns are the
            // target's.
            unsafe { store_sums(&target, row, first, _mm512_load_ps(sums.0.as_ptr().add(at))) };
        }
    }
}

/// Packs one panel: of each step `[halves, 2, 16 pairs, 16 columns, 2]`.
///
/// # Safety
/// The processor has AVX-512BW and AVX512-BF16.
#[target_feature(enable = "avx512f,avx512bw,avx512bf16")]
unsafe fn pack_panel(b: Matrix<'_>, panel: usize, halves: &[Half], values: &mut [u16]) {
    let first = panel * SIDE;
    let columns = first..(first + SIDE).min(b.columns);
    let middle = columns.end.min(first + LANES);
    let (left, right) = (columns.start..middle, middle..columns.end);
    let pairs_of_tiles = values.as_chunks_mut::<TILE>().0.as_chunks_mut::<2>().0;
    for (step, of_step) in pairs_of_tiles.chunks_exact_mut(halves.len()).enumerate() {
        let depths = step * GROUP..((step + 1) * GROUP).min(b.rows);
        for (tiles, &half) in of_step.iter_mut().zip(halves) {
            match b.row_stride {
                1 => {
                    pairs::along(b.transposed(), half, &left, &depths, &mut tiles[0]);
                    pairs::along(b.transposed(), half, &right, &depths, &mut tiles[1]);
                }
                _ => pairs::across_twice(b, half, &depths, &columns, tiles),
            }
        }
    }
}

/// Packs a tile of up to 32 rows: of each step `[halves, 2, 16 rows, 32]`.
///
/// # Safety
/// The processor has AVX-512BW and AVX512-BF16.
#[target_feature(enable = "avx512f,avx512bw,avx512bf16")]
unsafe fn pack_tile(
    a: Matrix<'_>,
    rows: &Range<usize>,
    depths: &Range<usize>,
    halves: &[Half],
    packed: &mut [u16],
) {
    let middle = rows.end.min(rows.start + LANES);
    let (upper, lower) = (rows.start..middle, middle..rows.end);
    let pairs_of_tiles = packed.as_chunks_mut::<TILE>().0.as_chunks_mut::<2>().0;
    for (step, start) in depths.clone().step_by(GROUP).enumerate() {
        let depths = start..(start + GROUP).min(depths.end);
        let of_step = &mut pairs_of_tiles[step * halves.len()..][..halves.len()];
        for (tiles, &half) in of_step.iter_mut().zip(halves) {
            match a.row_stride {
                1 => pairs::across_twice_transposed(a.transposed(), half, &depths, rows, tiles),
                _ => {
                    pairs::along_rows(a, half, &upper, &depths, &mut tiles[0]);
                    pairs::along_rows(a, half, &lower, &depths, &mut tiles[1]);
                }
            }
        }
    }
}

/// Packs tiles of up to 32 rows one after the other, each `tile_size` values.
///
/// # Safety
/// The processor has AVX-512BW and AVX512-BF16.
unsafe fn pack_tiles(
    a: Matrix<'_>,
    rows: &Range<usize>,
    depths: &Range<usize>,
    halves: &[Half],
    tile_size: usize,
    packed: &mut [u16],
) {
    for (tile, packed) in packed.chunks_exact_mut(tile_size).enumerate() {
        let first = rows.start + tile * SIDE;
        let rows = first..(first + SIDE).min(rows.end);
        // Safety: promised by the caller.
        unsafe { pack_tile(a, &rows, depths, halves, packed) };
    }
}
