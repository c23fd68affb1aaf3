//! The microkernel of f32 for vectors of any length: a tile of the output that stays in registers
//! while the inner dimension runs by, and packing by transposing squares in registers. The length
//! does not change the bits.

use super::microkernel::{Left, Microkernel, Target};
use super::{DEPTH, Matrix};

/// Instructions for vectors of f32. A value of this type is proof that the processor has them.
///
/// [`fixed_tile`](Self::fixed_tile) and [`pack_transposed`](Self::pack_transposed) enable the
/// instructions by `#[target_feature]`. All other methods, and the loops of this file that call
/// them, are `#[inline(always)]`, so that they become part of these two.
pub(super) trait Vector: Copy + Send + Sync {
    /// `LANES` values.
    type Register: Copy;
    /// `LANES` registers.
    type Square: AsMut<[Self::Register]> + IntoIterator<Item = Self::Register>;
    /// Values in a register.
    const LANES: usize;
    /// Registers in a row of a tile and of a packed panel, at most 4.
    const REGISTERS: usize;

    /// A register with this value in each lane.
    fn splat(self, value: f32) -> Self::Register;

    /// Zeros.
    fn square(self) -> Self::Square;

    /// `a + b`.
    fn add(self, a: Self::Register, b: Self::Register) -> Self::Register;

    /// `a * b + c`, rounded once.
    fn multiply_add(
        self,
        a: Self::Register,
        b: Self::Register,
        c: Self::Register,
    ) -> Self::Register;

    /// Exchanges rows and columns.
    fn transposed(self, rows: Self::Square) -> Self::Square;

    /// The next `LANES` values.
    ///
    /// # Safety
    /// The values are readable.
    unsafe fn load(self, from: *const f32) -> Self::Register;

    /// The next `count` values, of which only the first `LANES` are read, and zeros after them.
    ///
    /// # Safety
    /// The values are readable.
    unsafe fn load_first(self, from: *const f32, count: usize) -> Self::Register;

    /// Stores all values of a register.
    ///
    /// # Safety
    /// `LANES` values are writable and no other thread uses them.
    unsafe fn store(self, to: *mut f32, values: Self::Register);

    /// Stores the first `count` values of a register, or all where `count` is larger.
    ///
    /// # Safety
    /// As many values are writable and no other thread uses them.
    unsafe fn store_first(self, to: *mut f32, count: usize, values: Self::Register);

    /// [`fixed_tile`] with the instructions enabled.
    ///
    /// # Safety
    /// As for [`fixed_tile`].
    unsafe fn fixed_tile<const ROWS: usize, const REGISTERS: usize>(
        self,
        steps: usize,
        left: Left<f32>,
        panel: *const f32,
        target: Target,
    );

    /// [`pack_transposed`] with the instructions enabled.
    ///
    /// # Safety
    /// As for [`pack_transposed`].
    unsafe fn pack_transposed(
        self,
        start: *const f32,
        stride: usize,
        columns: usize,
        depth: usize,
        panel: &mut [f32],
    );
}

impl<V: Vector> Microkernel for V {
    type Element = f32;
    /// The sums of a tile take 12 of the 16 registers of AVX2, 24 of the 32 of AVX-512.
    const TILE_ROWS: usize = 6;
    const PANEL: usize = V::REGISTERS * V::LANES;
    const LANES: usize = V::LANES;
    const GROUP: usize = 1;
    const DEPTH: usize = DEPTH;

    fn element(value: f32) -> f32 {
        value
    }

    fn in_place<'a>(a: &Matrix<'a>) -> Option<&'a [f32]> {
        (a.column_stride == 1).then(|| a.f32s())
    }

    type Session = ();

    fn session(self) {}

    fn pack_columns(
        self,
        columns: &[f32],
        stride: usize,
        count: usize,
        depth: usize,
        panel: &mut [f32],
    ) {
        assert!(
            count == 0 || (count - 1) * stride + depth <= columns.len(),
            "columns past their values' end"
        );
        assert!(panel.len() >= depth * Self::PANEL && count <= Self::PANEL, "a panel's size");
        // Safety: both were checked.
        unsafe { self.pack_transposed(columns.as_ptr(), stride, count, depth, panel) }
    }

    unsafe fn tile(self, steps: usize, left: Left<f32>, panel: *const f32, target: Target) {
        // The conditions leave tiles that narrower panels never have out of the program.
        macro_rules! by_shape {
            ($($rows:literal)*) => {
                match (target.rows, target.columns.div_ceil(V::LANES)) {
                    $(
                        ($rows, 1) => self.fixed_tile::<$rows, 1>(steps, left, panel, target),
                        ($rows, 2) => self.fixed_tile::<$rows, 2>(steps, left, panel, target),
                        ($rows, 3) if const { V::REGISTERS > 2 } => {
                            self.fixed_tile::<$rows, 3>(steps, left, panel, target)
                        }
                        ($rows, 4) if const { V::REGISTERS > 2 } => {
                            self.fixed_tile::<$rows, 4>(steps, left, panel, target)
                        }
                    )*
                    _ => {}
                }
            };
        }
        // Safety: passed on from the caller.
        unsafe { by_shape!(6 5 4 3 2 1) }
    }
}

/// A tile of `ROWS` rows and `REGISTERS` registers in each.
///
/// # Safety
/// As for [`Microkernel::tile`], with `ROWS == target.rows` and `REGISTERS` registers covering
/// `target.columns`.
#[inline(always)]
pub(super) unsafe fn fixed_tile<V: Vector, const ROWS: usize, const REGISTERS: usize>(
    vector: V,
    steps: usize,
    left: Left<f32>,
    panel: *const f32,
    target: Target,
) {
    let zeros = vector.splat(0.0);
    let mut sums = [[zeros; REGISTERS]; ROWS];
    let (mut left_at, mut panel_at) = (left.start, panel);
    for _ in 0..steps {
        let mut columns = [zeros; REGISTERS];
        for (index, column) in columns.iter_mut().enumerate() {
            // Safety: within the panel.
            *column = unsafe { vector.load(panel_at.add(index * V::LANES)) };
        }
        for (row, sums) in sums.iter_mut().enumerate() {
            // Safety: the caller promises every row at every step.
            let value = vector.splat(unsafe { *left_at.add(row * left.row_stride) });
            for (sum, column) in sums.iter_mut().zip(columns) {
                *sum = vector.multiply_add(value, column, *sum);
            }
        }
        left_at = left_at.wrapping_add(left.step_stride);
        panel_at = panel_at.wrapping_add(V::PANEL);
    }
    let scale = vector.splat(target.scale);
    for (row, sums) in sums.iter().enumerate() {
        for (index, sum) in sums.iter().enumerate() {
            let at = index * V::LANES;
            let count = target.columns - at;
            // Safety: passed on; `count` columns of the target are left from `at` on.
            unsafe {
                let mut before = zeros;
                if !target.base.is_null() {
                    let base = target.base.add(row * target.base_row_stride + at);
                    before = vector.load_first(base, count);
                }
                if !target.bias.is_null() {
                    let bias = vector.load_first(target.bias.add(at), count);
                    before = vector.add(before, bias);
                }
                let place = target.start.add(row * target.row_stride + at);
                vector.store_first(place, count, vector.multiply_add(scale, *sum, before));
            }
        }
    }
}

/// Packs `depth` values of up to `PANEL` contiguous columns: column `c` begins at `start + c *
/// stride`. The last register's missing columns become zeros; registers beyond are left alone.
///
/// # Safety
/// `depth` values of each of the `columns` columns are readable; `columns` is at most `PANEL`, and
/// `panel` has `depth * PANEL` values.
#[inline(always)]
pub(super) unsafe fn pack_transposed<V: Vector>(
    vector: V,
    start: *const f32,
    stride: usize,
    columns: usize,
    depth: usize,
    panel: &mut [f32],
) {
    let panel = panel.as_mut_ptr();
    for first in (0..columns).step_by(V::LANES) {
        let present = (columns - first).min(V::LANES);
        for at in (0..depth).step_by(V::LANES) {
            let steps = (depth - at).min(V::LANES);
            let mut square = vector.square();
            for (column, row) in square.as_mut().iter_mut().enumerate().take(present) {
                // Safety: a column that is there, and only the steps that are there.
                *row =
                    unsafe { vector.load_first(start.add((first + column) * stride + at), steps) };
            }
            for (step, row) in vector.transposed(square).into_iter().enumerate().take(steps) {
                // Safety: `(at + step) * PANEL + first + LANES <= depth * PANEL`.
                unsafe { vector.store(panel.add((at + step) * V::PANEL + first), row) };
            }
        }
    }
}
