//! Packing: operands in the order in which a microkernel reads them.

use std::ops::Range;

use super::Matrix;
use super::microkernel::Microkernel;
use crate::cpu::prefetch::{LINE, prefetch};

/// How many values of the inner dimension packing prefetches in advance: its reads are too far
/// apart for the processor to predict.
const AHEAD: usize = 8;

/// Steps of `depth` values of the inner dimension.
pub(super) fn steps<K: Microkernel>(depth: usize) -> usize {
    depth.div_ceil(K::GROUP)
}

/// Values of a packed panel of a right-hand side of that depth.
pub(super) fn panel_size<K: Microkernel>(depth: usize) -> usize {
    steps::<K>(depth) * K::PANEL * K::GROUP
}

/// Values from one packed tile of the left-hand side to the next: a line more than they need, so
/// that tiles do not compete for the same sets of the cache.
pub(super) const fn tile_size<K: Microkernel>() -> usize {
    K::TILE_ROWS * K::DEPTH + LINE / size_of::<K::Element>()
}

/// Packs one panel of the right-hand side, `[steps, PANEL, GROUP]`. Missing columns are zeros up to
/// a multiple of `LANES`; what follows is never read.
pub(super) fn pack_panel<K: Microkernel>(
    kernel: K,
    b: Matrix<'_>,
    panel: usize,
    values: &mut [K::Element],
) {
    let first = panel * K::PANEL;
    let columns = (b.columns - first).min(K::PANEL);
    if b.row_stride == 1 {
        let start = &b.f32s()[first * b.column_stride..];
        return kernel.pack_columns(start, b.column_stride, columns, b.rows, values);
    }
    assert_eq!(b.column_stride, 1, "a matrix whose rows or columns are contiguous");
    let padded = columns.next_multiple_of(K::LANES);
    for (step, values) in values.chunks_exact_mut(K::PANEL * K::GROUP).enumerate() {
        for member in 0..K::GROUP {
            let depth = step * K::GROUP + member;
            prefetch(
                b.f32s()[first..].as_ptr().wrapping_add((depth + AHEAD) * b.row_stride),
                columns,
            );
            let row = match depth < b.rows {
                true => &b.f32s()[depth * b.row_stride + first..][..columns],
                false => &[],
            };
            let (present, missing) = values[..padded * K::GROUP].split_at_mut(row.len() * K::GROUP);
            for (group, &value) in present.chunks_exact_mut(K::GROUP).zip(row) {
                group[member] = K::element(value);
            }
            for group in missing.chunks_exact_mut(K::GROUP) {
                group[member] = K::element(0.0);
            }
        }
    }
}

/// Packs a panel whose columns are contiguous, one value at a time.
pub(super) fn pack_columns<K: Microkernel>(
    columns: &[f32],
    stride: usize,
    count: usize,
    depth: usize,
    panel: &mut [K::Element],
) {
    for column in 0..count.next_multiple_of(K::LANES) {
        let values = if column < count { &columns[column * stride..][..depth] } else { &[] };
        let groups = panel.chunks_exact_mut(K::GROUP).skip(column).step_by(K::PANEL);
        let places = groups.flatten().take(steps::<K>(depth) * K::GROUP);
        let padded = values.iter().copied().chain(std::iter::repeat(0.0));
        for (place, value) in places.zip(padded) {
            *place = K::element(value);
        }
    }
}

/// Packs rows of the left-hand side over a block of the inner dimension: tile after tile, each
/// `[steps, TILE_ROWS, GROUP]`.
pub(super) fn pack_rows<K: Microkernel>(
    a: Matrix<'_>,
    rows: &Range<usize>,
    depths: &Range<usize>,
    packed: &mut [K::Element],
) {
    match a.row_stride {
        1 => pack_contiguous_columns::<K>(a, rows, depths, packed),
        _ => pack_contiguous_rows::<K>(a, rows, depths, packed),
    }
    let filled = depths.len() % K::GROUP;
    if filled > 0 {
        let last_step = depths.len() / K::GROUP * K::TILE_ROWS * K::GROUP;
        for tile in packed.chunks_exact_mut(tile_size::<K>()) {
            let step = &mut tile[last_step..][..K::TILE_ROWS * K::GROUP];
            for group in step.chunks_exact_mut(K::GROUP) {
                group[filled..].fill(K::element(0.0));
            }
        }
    }
}

/// The rows of a matrix whose columns are contiguous.
fn pack_contiguous_columns<K: Microkernel>(
    a: Matrix<'_>,
    rows: &Range<usize>,
    depths: &Range<usize>,
    packed: &mut [K::Element],
) {
    for (at, depth) in depths.clone().enumerate() {
        let first = &a.f32s()[rows.start..];
        prefetch(first.as_ptr().wrapping_add((depth + AHEAD) * a.column_stride), rows.len());
        let column = &first[depth * a.column_stride..][..rows.len()];
        let (step, member) = (at / K::GROUP * K::TILE_ROWS * K::GROUP, at % K::GROUP);
        let put = |tile: &mut [K::Element], values: &[f32]| {
            let groups = tile[step..][..values.len() * K::GROUP].chunks_exact_mut(K::GROUP);
            for (group, &value) in groups.zip(values) {
                group[member] = K::element(value);
            }
        };
        let mut tiles = packed.chunks_exact_mut(tile_size::<K>());
        let whole = column.chunks_exact(K::TILE_ROWS);
        let rest = whole.remainder();
        for (values, tile) in whole.zip(&mut tiles) {
            put(tile, values);
        }
        if let Some(tile) = tiles.next().filter(|_| !rest.is_empty()) {
            put(tile, rest);
        }
    }
}

/// The rows of a matrix whose rows are contiguous.
fn pack_contiguous_rows<K: Microkernel>(
    a: Matrix<'_>,
    rows: &Range<usize>,
    depths: &Range<usize>,
    packed: &mut [K::Element],
) {
    assert_eq!(a.column_stride, 1, "a matrix whose rows or columns are contiguous");
    for (index, row) in rows.clone().enumerate() {
        let tile = &mut packed[index / K::TILE_ROWS * tile_size::<K>()..][..tile_size::<K>()];
        let groups = tile.chunks_exact_mut(K::GROUP).skip(index % K::TILE_ROWS);
        let values = a.f32s()[row * a.row_stride..][depths.clone()].chunks(K::GROUP);
        for (group, values) in groups.step_by(K::TILE_ROWS).zip(values) {
            for (place, &value) in group.iter_mut().zip(values) {
                *place = K::element(value);
            }
        }
    }
}
