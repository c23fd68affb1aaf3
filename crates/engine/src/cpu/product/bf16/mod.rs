//! Products that read bf16 and add in f32.
//!
//! Operands are rounded where they are packed. Each value of the output has bits that depend on its
//! row and its column alone, whatever is computed beside it.

#[cfg(target_arch = "x86_64")]
mod amx;
#[cfg(target_arch = "x86_64")]
mod dot;
#[cfg(target_arch = "x86_64")]
mod pairs;
mod portable;
pub(in crate::cpu) mod rounding;

#[cfg(test)]
mod tests;

use super::microkernel::Microkernel;
use super::packed::{self, Packed};
use super::{Addend, Matrix, MatrixMut, Workers};

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
}

#[cfg(target_arch = "x86_64")]
use {amx::Amx, dot::Dot};

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

    /// Its name in messages.
    pub(in crate::cpu) fn name(self) -> &'static str {
        match self {
            #[cfg(target_arch = "x86_64")]
            Self::Tiles(_) => "AMX tiles",
            #[cfg(target_arch = "x86_64")]
            Self::Dot(_) => "AVX512-BF16",
            Self::Portable => "plain loops, slow",
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
        }
    }
}

/// Up to so many rows, panels of the right-hand side are packed where they are used, so that they
/// do not leave the cache.
const FEW_ROWS: usize = 64;

/// A packed right-hand side.
pub(super) enum PackedBf16 {
    #[cfg(target_arch = "x86_64")]
    Tiles(Packed<Amx>),
    #[cfg(target_arch = "x86_64")]
    Dot(Packed<Dot>),
    Portable(Packed<portable::Portable>),
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
        match self {
            #[cfg(target_arch = "x86_64")]
            Self::Tiles(packed) => packed::product(output, addend, a, packed, scale, workers),
            #[cfg(target_arch = "x86_64")]
            Self::Dot(packed) => packed::product(output, addend, a, packed, scale, workers),
            Self::Portable(packed) => packed::product(output, addend, a, packed, scale, workers),
        }
    }
}

/// Whether `cpuid` names AMD.
#[cfg(target_arch = "x86_64")]
fn is_amd() -> bool {
    let vendor = std::arch::x86_64::__cpuid(0);
    [vendor.ebx, vendor.edx, vendor.ecx].map(u32::to_le_bytes).concat() == *b"AuthenticAMD"
}
