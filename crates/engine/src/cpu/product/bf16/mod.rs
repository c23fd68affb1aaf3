//! Products that read bf16 and add in f32.
//!
//! Operands are rounded where they are packed. Each value of the output has bits that depend on its
//! row and its column alone, whatever is computed beside it.

#[cfg(target_arch = "x86_64")]
mod amx;
#[cfg(target_arch = "x86_64")]
mod dot;
#[cfg(target_arch = "x86_64")]
mod dot_pack;
#[cfg(target_arch = "x86_64")]
mod pairs;
pub(super) mod portable;
pub(in crate::cpu) mod rounding;
#[cfg(target_arch = "x86_64")]
mod store;

#[cfg(test)]
mod tests;

use super::packed::{self, Packed};
use super::{Addend, Matrix, MatrixMut, Workers};
use crate::Arithmetic;

/// The instructions that multiply bf16.
#[derive(Clone, Copy)]
pub(in crate::cpu) enum Bf16 {
    /// AMX tiles.
    #[cfg(target_arch = "x86_64")]
    Tiles(Amx),
    /// `vdpbf16ps`.
    #[cfg(target_arch = "x86_64")]
    Dot(Dot),
    /// None: plain loops, to the bits of AMX tiles.
    Portable,
    /// AMX tiles, three products of halves for one of f32.
    #[cfg(target_arch = "x86_64")]
    SplitTiles(AmxSplit),
    /// Plain loops, to the bits of split AMX tiles.
    SplitPortable,
}

#[cfg(target_arch = "x86_64")]
use {
    amx::{Amx, AmxSplit},
    dot::Dot,
};

/// Runs an expression with the kernel of each variant.
macro_rules! with_kernel {
    ($choice:expr, $kernel:ident => $work:expr) => {
        match $choice {
            #[cfg(target_arch = "x86_64")]
            Bf16::Tiles($kernel) => $work,
            #[cfg(target_arch = "x86_64")]
            Bf16::Dot($kernel) => $work,
            Bf16::Portable => {
                let $kernel = portable::Portable;
                $work
            }
            #[cfg(target_arch = "x86_64")]
            Bf16::SplitTiles($kernel) => $work,
            Bf16::SplitPortable => {
                let $kernel = portable::PortableSplit;
                $work
            }
        }
    };
}

impl Bf16 {
    /// The fastest that this processor has.
    pub(in crate::cpu) fn detect() -> Self {
        Self::tiles().or_else(Self::dot).unwrap_or(Self::Portable)
    }

    /// AMX tiles, where the processor and the system have them.
    pub(in crate::cpu) fn tiles() -> Option<Self> {
        #[cfg(target_arch = "x86_64")]
        return Amx::detect().map(Self::Tiles);
        #[cfg(not(target_arch = "x86_64"))]
        None
    }

    /// `vdpbf16ps`, where it is faster than products of f32: it is on AMD's processors, and has
    /// half their speed on Intel's.
    pub(in crate::cpu) fn dot() -> Option<Self> {
        #[cfg(target_arch = "x86_64")]
        return Dot::detect().filter(|_| is_amd()).map(Self::Dot);
        #[cfg(not(target_arch = "x86_64"))]
        None
    }

    /// The fastest that multiplies f32 as three products of bf16.
    pub(in crate::cpu) fn detect_split() -> Self {
        #[cfg(target_arch = "x86_64")]
        if let Some(tiles) = AmxSplit::detect() {
            return Self::SplitTiles(tiles);
        }
        Self::SplitPortable
    }

    /// What its products read.
    pub(in crate::cpu) fn arithmetic(self) -> Arithmetic {
        match self {
            #[cfg(target_arch = "x86_64")]
            Self::SplitTiles(_) => Arithmetic::Bf16x3,
            Self::SplitPortable => Arithmetic::Bf16x3,
            _ => Arithmetic::Bf16,
        }
    }

    /// The name of the instructions in messages.
    pub(in crate::cpu) fn name(self) -> &'static str {
        match self {
            #[cfg(target_arch = "x86_64")]
            Self::Tiles(_) | Self::SplitTiles(_) => "AMX tiles",
            #[cfg(target_arch = "x86_64")]
            Self::Dot(_) => "AVX512-BF16",
            Self::Portable | Self::SplitPortable => "plain loops, slow",
        }
    }

    /// `output = scale * a * b`, plus the addend.
    pub(super) fn product(
        self,
        output: MatrixMut<'_>,
        addend: Addend<'_>,
        a: Matrix<'_>,
        b: Matrix<'_>,
        scale: f32,
        workers: Workers,
    ) {
        with_kernel!(self, kernel => {
            // Without terms there is nothing to pack.
            if output.rows <= FEW_ROWS || b.rows == 0 {
                return packed::product_by_panels(kernel, output, addend, a, b, scale, workers);
            }
            let packed = Packed::new(kernel, b, workers);
            packed::product(output, addend, a, &packed, scale, workers);
        });
    }

    /// Packs a right-hand side for several products.
    pub(super) fn pack(self, b: Matrix<'_>, workers: Workers) -> PackedBf16 {
        match self {
            #[cfg(target_arch = "x86_64")]
            Self::Tiles(kernel) => PackedBf16::Tiles(Packed::new(kernel, b, workers)),
            #[cfg(target_arch = "x86_64")]
            Self::Dot(kernel) => PackedBf16::Dot(Packed::new(kernel, b, workers)),
            Self::Portable => PackedBf16::Portable(Packed::new(portable::Portable, b, workers)),
            #[cfg(target_arch = "x86_64")]
            Self::SplitTiles(kernel) => PackedBf16::SplitTiles(Packed::new(kernel, b, workers)),
            Self::SplitPortable => {
                PackedBf16::SplitPortable(Packed::new(portable::PortableSplit, b, workers))
            }
        }
    }
}

/// Up to this many rows, panels of the right-hand side are packed where they are used, so that they
/// do not leave the cache.
const FEW_ROWS: usize = 64;

/// A packed right-hand side.
pub(super) enum PackedBf16 {
    #[cfg(target_arch = "x86_64")]
    Tiles(Packed<Amx>),
    #[cfg(target_arch = "x86_64")]
    Dot(Packed<Dot>),
    Portable(Packed<portable::Portable>),
    #[cfg(target_arch = "x86_64")]
    SplitTiles(Packed<AmxSplit>),
    SplitPortable(Packed<portable::PortableSplit>),
}

impl PackedBf16 {
    /// `output = scale * a * this`, plus the addend.
    pub(super) fn multiply(
        &self,
        output: MatrixMut<'_>,
        addend: Addend<'_>,
        a: Matrix<'_>,
        scale: f32,
        workers: Workers,
    ) {
        macro_rules! multiply {
            ($packed:expr) => {
                packed::product(output, addend, a, $packed, scale, workers)
            };
        }
        match self {
            #[cfg(target_arch = "x86_64")]
            Self::Tiles(packed) => multiply!(packed),
            #[cfg(target_arch = "x86_64")]
            Self::Dot(packed) => multiply!(packed),
            Self::Portable(packed) => multiply!(packed),
            #[cfg(target_arch = "x86_64")]
            Self::SplitTiles(packed) => multiply!(packed),
            Self::SplitPortable(packed) => multiply!(packed),
        }
    }
}

/// Whether `cpuid` names AMD.
#[cfg(target_arch = "x86_64")]
fn is_amd() -> bool {
    let vendor = std::arch::x86_64::__cpuid(0);
    [vendor.ebx, vendor.edx, vendor.ecx].map(u32::to_le_bytes).concat() == *b"AuthenticAMD"
}
