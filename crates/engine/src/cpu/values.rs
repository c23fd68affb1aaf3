//! The values of tensors on the CPU: f32, or bf16 where the device multiplies in bf16 and a tensor
//! is [`Compact`](crate::Precision::Compact).
//!
//! Kernels compute in f32. They take a tensor in chunks that fit the cache, which are widened to
//! f32 before and rounded to bf16 after, where the tensor keeps bf16.

use std::ops::{Deref, Range};

use rayon::iter::Either;
use rayon::prelude::*;

use super::math::dot;
use super::prefetch::prefetch;
use super::product::Scratch;
use super::product::bf16::rounding::{round, widen};
use super::vectorised;

vectorised! {
    /// Exact.
    pub(super) fn widen_all(from: &[u16], to: &mut [f32]) {
        for (to, &from) in to.iter_mut().zip(from) {
            *to = widen(from);
        }
    }
}

vectorised! {
    /// To the nearest.
    pub(super) fn round_all(from: &[f32], to: &mut [u16]) {
        for (to, &from) in to.iter_mut().zip(from) {
            *to = round(from);
        }
    }
}

vectorised! {
    fn dot_of(a: &[f32], b: &[f32]) -> f32 {
        dot(a, b)
    }
}

vectorised! {
    fn dot_of_bf16(a: &[u16], b: &[u16]) -> f32 {
        // Partial sums side by side, so that the order is that of no instruction set.
        const LANES: usize = 16;
        let mut lanes = [0.0f32; LANES];
        let ((a, a_rest), (b, b_rest)) = (a.as_chunks::<LANES>(), b.as_chunks::<LANES>());
        for (a, b) in a.iter().zip(b) {
            for (lane, sum) in lanes.iter_mut().enumerate() {
                *sum += widen(a[lane]) * widen(b[lane]);
            }
        }
        for ((sum, &a), &b) in lanes.iter_mut().zip(a_rest).zip(b_rest) {
            *sum += widen(a) * widen(b);
        }
        lanes.iter().sum()
    }
}

/// Consecutive values to read.
#[derive(Clone, Copy)]
pub(super) enum Values<'a> {
    F32(&'a [f32]),
    Bf16(&'a [u16]),
}

impl<'a, T: AsRef<[f32]> + ?Sized> From<&'a T> for Values<'a> {
    fn from(values: &'a T) -> Self {
        Self::F32(values.as_ref())
    }
}

impl<'a> Values<'a> {
    /// How many there are.
    pub(super) fn len(self) -> usize {
        match self {
            Self::F32(values) => values.len(),
            Self::Bf16(values) => values.len(),
        }
    }

    /// Some of them.
    pub(super) fn range(self, range: Range<usize>) -> Self {
        match self {
            Self::F32(values) => Self::F32(&values[range]),
            Self::Bf16(values) => Self::Bf16(&values[range]),
        }
    }

    /// One of them.
    pub(super) fn at(self, index: usize) -> f32 {
        match self {
            Self::F32(values) => values[index],
            Self::Bf16(values) => widen(values[index]),
        }
    }

    /// All of them as f32.
    pub(super) fn to_f32(self) -> F32Values<'a> {
        match self {
            Self::F32(values) => F32Values::Kept(values),
            Self::Bf16(values) => {
                let mut scratch = Scratch::new(values.len());
                widen_all(values, scratch.values_mut());
                F32Values::Widened(scratch)
            }
        }
    }

    /// The sum of the products with as many other values.
    pub(super) fn dot(self, other: Values<'_>) -> f32 {
        match (self, other) {
            (Self::F32(a), Values::F32(b)) => dot_of(a, b),
            (Self::Bf16(a), Values::Bf16(b)) => dot_of_bf16(a, b),
            (a, b) => dot_of(&a.to_f32(), &b.to_f32()),
        }
    }

    /// Has them brought into the first cache.
    pub(super) fn prefetch(self) {
        match self {
            Self::F32(values) => prefetch(values.as_ptr(), values.len()),
            Self::Bf16(values) => prefetch(values.as_ptr(), values.len()),
        }
    }

    /// Copies them to f32 of equal number.
    pub(super) fn copy_to(self, to: &mut [f32]) {
        match self {
            Self::F32(values) => to.copy_from_slice(values),
            Self::Bf16(values) => {
                assert_eq!(values.len(), to.len(), "values to copy");
                widen_all(values, to);
            }
        }
    }

    /// Chunks of `size` values, the last one perhaps of fewer.
    pub(super) fn par_chunks(self, size: usize) -> impl IndexedParallelIterator<Item = Values<'a>> {
        match self {
            Self::F32(values) => Either::Left(values.par_chunks(size).map(Values::F32)),
            Self::Bf16(values) => Either::Right(values.par_chunks(size).map(Values::Bf16)),
        }
    }
}

/// f32 values: a tensor's own, or a widened copy.
pub(super) enum F32Values<'a> {
    Kept(&'a [f32]),
    Widened(Scratch<f32>),
}

impl Deref for F32Values<'_> {
    type Target = [f32];

    fn deref(&self) -> &[f32] {
        match self {
            Self::Kept(values) => values,
            Self::Widened(scratch) => scratch.values(),
        }
    }
}

/// Consecutive values to write.
pub(super) enum ValuesMut<'a> {
    F32(&'a mut [f32]),
    Bf16(&'a mut [u16]),
}

impl<'a, T: AsMut<[f32]> + ?Sized> From<&'a mut T> for ValuesMut<'a> {
    fn from(values: &'a mut T) -> Self {
        Self::F32(values.as_mut())
    }
}

impl<'a> ValuesMut<'a> {
    /// How many there are.
    pub(super) fn len(&self) -> usize {
        match self {
            Self::F32(values) => values.len(),
            Self::Bf16(values) => values.len(),
        }
    }

    /// These values for a shorter lifetime.
    pub(super) fn reborrow(&mut self) -> ValuesMut<'_> {
        match self {
            Self::F32(values) => ValuesMut::F32(values),
            Self::Bf16(values) => ValuesMut::Bf16(values),
        }
    }

    /// Some of them.
    pub(super) fn range(self, range: Range<usize>) -> Self {
        match self {
            Self::F32(values) => Self::F32(&mut values[range]),
            Self::Bf16(values) => Self::Bf16(&mut values[range]),
        }
    }

    /// Has all of them written by `kernel`, which finds arbitrary values.
    pub(super) fn write(self, kernel: impl FnOnce(&mut [f32])) {
        match self {
            Self::F32(values) => kernel(values),
            Self::Bf16(values) => {
                let mut scratch = Scratch::new(values.len());
                kernel(scratch.values_mut());
                round_all(scratch.values(), values);
            }
        }
    }

    /// Has all of them changed by `kernel`.
    pub(super) fn update(self, kernel: impl FnOnce(&mut [f32])) {
        match self {
            Self::F32(values) => kernel(values),
            Self::Bf16(values) => {
                let mut scratch = Scratch::new(values.len());
                widen_all(values, scratch.values_mut());
                kernel(scratch.values_mut());
                round_all(scratch.values(), values);
            }
        }
    }

    /// Copies f32 of equal number to them.
    pub(super) fn copy_from(self, from: &[f32]) {
        match self {
            Self::F32(values) => values.copy_from_slice(from),
            Self::Bf16(values) => {
                assert_eq!(values.len(), from.len(), "values to copy");
                round_all(from, values);
            }
        }
    }

    /// Chunks of `size` values, the last one perhaps of fewer.
    pub(super) fn par_chunks_mut(
        self,
        size: usize,
    ) -> impl IndexedParallelIterator<Item = ValuesMut<'a>> {
        match self {
            Self::F32(values) => Either::Left(values.par_chunks_mut(size).map(ValuesMut::F32)),
            Self::Bf16(values) => Either::Right(values.par_chunks_mut(size).map(ValuesMut::Bf16)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn chunks_are_widened_and_rounded() {
        let numbers: Vec<f32> = (0..100).map(|index| index as f32 / 3.0).collect();
        let mut kept = vec![0u16; 100];
        ValuesMut::Bf16(&mut kept).copy_from(&numbers);
        let rounded: Vec<f32> = numbers.iter().map(|&value| widen(round(value))).collect();
        assert_eq!(*Values::Bf16(&kept).to_f32(), rounded);
        assert_eq!(Values::Bf16(&kept).at(7), rounded[7]);
        let squares: f32 = rounded.iter().map(|value| value * value).sum();
        for other in [Values::Bf16(&kept), Values::F32(&rounded)] {
            assert!((Values::Bf16(&kept).dot(other) / squares - 1.0).abs() < 1e-5);
        }
        ValuesMut::Bf16(&mut kept)
            .par_chunks_mut(7)
            .zip(Values::F32(&numbers).par_chunks(7))
            .for_each(|(to, from)| {
                assert_eq!(to.len(), from.len());
                to.update(|to| to.iter_mut().zip(&*from.to_f32()).for_each(|(to, f)| *to += f));
            });
        let twice: Vec<f32> =
            numbers.iter().zip(&rounded).map(|(&n, &r)| widen(round(n + r))).collect();
        assert_eq!(*Values::Bf16(&kept).range(3..90).to_f32(), twice[3..90]);
    }
}
