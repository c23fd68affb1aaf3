//! Products of bf16 against slow references, bit for bit.

use super::super::{DEPTH, Products};
use super::rounding::{rest, round, widen};
use super::*;
use crate::cpu::values::{Values, ValuesMut};
use crate::testing::random;

/// How a kernel adds the products of a block of the inner dimension.
#[derive(Clone, Copy)]
struct Reference {
    /// Values of a block.
    depth: usize,
    sum: fn(&[f32], &[f32]) -> f32,
}

const TILES: Reference = Reference { depth: DEPTH, sum: rounded_tile_sum };
const SPLIT: Reference = Reference { depth: portable::SPLIT_DEPTH, sum: split_tile_sum };

/// Every kernel that this processor has, with its reference.
fn kernels() -> Vec<(Bf16, Reference)> {
    let portable = [(Bf16::Portable, TILES), (Bf16::SplitPortable, SPLIT)];
    portable.into_iter().chain(instructions()).collect()
}

#[cfg(not(target_arch = "x86_64"))]
fn instructions() -> Vec<(Bf16, Reference)> {
    Vec::new()
}

#[cfg(target_arch = "x86_64")]
fn instructions() -> Vec<(Bf16, Reference)> {
    let dot = Reference { depth: DEPTH, sum: dot_sum };
    let kernels = [
        Amx::detect().map(|kernel| (Bf16::Tiles(kernel), TILES)),
        AmxSplit::detect().map(|kernel| (Bf16::SplitTiles(kernel), SPLIT)),
        Dot::detect().map(|kernel| (Bf16::Dot(kernel), dot)),
    ];
    kernels.into_iter().flatten().collect()
}

fn all(values: &[f32], part: fn(f32) -> u16) -> Vec<f32> {
    values.iter().map(|&value| widen(part(value))).collect()
}

fn rounded_tile_sum(a: &[f32], b: &[f32]) -> f32 {
    tile_sum(0.0, &all(a, round), &all(b, round))
}

/// Of each 32 values: high with high, low with high, high with low.
fn split_tile_sum(a: &[f32], b: &[f32]) -> f32 {
    a.chunks(32).zip(b.chunks(32)).fold(0.0, |sum, (a, b)| {
        let (a_high, b_high) = (all(a, round), all(b, round));
        let sum = tile_sum(sum, &a_high, &b_high);
        let sum = tile_sum(sum, &all(a, rest), &b_high);
        tile_sum(sum, &a_high, &all(b, rest))
    })
}

fn flushed(value: f32) -> f32 {
    if value.is_subnormal() { 0.0f32.copysign(value) } else { value }
}

fn multiply_add(a: f32, b: f32, sum: f32) -> f32 {
    flushed(flushed(a).mul_add(flushed(b), flushed(sum)))
}

/// `tdpbf16ps`, 32 values at a time.
fn tile_sum(start: f32, a: &[f32], b: &[f32]) -> f32 {
    let add_up = |sum: f32, (a, b): (&[f32], &[f32])| {
        let chain = |first: usize| {
            let pairs = a.iter().zip(b).skip(first).step_by(2);
            pairs.fold(0.0, |chain, (&a, &b)| multiply_add(a, b, chain))
        };
        flushed(sum + flushed(chain(0) + chain(1)))
    };
    a.chunks(32).zip(b.chunks(32)).fold(start, add_up)
}

/// `vdpbf16ps`: of each pair the second product first.
#[cfg(target_arch = "x86_64")]
fn dot_sum(a: &[f32], b: &[f32]) -> f32 {
    let (a, b) = (all(a, round), all(b, round));
    a.chunks(2).zip(b.chunks(2)).fold(0.0, |sum, (a, b)| {
        a.iter().zip(b).rev().fold(sum, |sum, (&a, &b)| multiply_add(a, b, sum))
    })
}

/// The product by plain loops: the inner dimension block by block.
fn product_by(
    reference: Reference,
    a: Matrix<'_>,
    b: Matrix<'_>,
    scale: f32,
    start: &[f32],
) -> Vec<f32> {
    (0..a.rows * b.columns)
        .map(|index| {
            let (row, column) = (index / b.columns, index % b.columns);
            let left: Vec<_> = (0..b.rows).map(|depth| a.get(row, depth).unwrap()).collect();
            let right: Vec<_> = (0..b.rows).map(|depth| b.get(depth, column).unwrap()).collect();
            let blocks = left.chunks(reference.depth).zip(right.chunks(reference.depth));
            blocks.fold(start[index], |value, (a, b)| scale.mul_add((reference.sum)(a, b), value))
        })
        .collect()
}

fn bits(values: &[f32]) -> Vec<u32> {
    values.iter().map(|value| value.to_bits()).collect()
}

#[test]
#[expect(clippy::print_stderr, reason = "what was not tested must be seen")]
fn every_kernel_has_the_bits_of_its_reference() {
    for (kernel, reference) in kernels() {
        let products = Products::Bf16(kernel);
        for (m, n, k) in [
            (1, 1, 1),
            (1, 70, 33),
            (3, 32, 31),
            (33, 65, 4),
            (65, 31, 513),
            (70, 100, 64),
            (7, 5, 1030),
            (200, 33, 1),
        ] {
            let (a, b) = (random(1, m * (k + 2)), random(2, n * k));
            let (old, bias, residual) = (random(3, m * n), random(4, n), random(5, m * n));
            let lefts =
                [Matrix::strided(&a, m, k, k + 2), Matrix::dense(&a[..m * k], k, m).transposed()];
            let rights = [Matrix::dense(&b, n, k).transposed(), Matrix::dense(&b, k, n)];
            let both = Addend::Rows { bias: Some(&bias), residual: Some(&residual) };
            let addends = [
                (Addend::Nothing, vec![0.0; m * n]),
                (Addend::Output, old.clone()),
                (both, (0..m * n).map(|i| residual[i] + bias[i % n]).collect()),
            ];
            for (left, right) in
                lefts.into_iter().flat_map(|left| rights.map(|right| (left, right)))
            {
                for (addend, start) in &addends {
                    let expected = bits(&product_by(reference, left, right, 0.5, start));
                    for workers in [Workers::One, Workers::All] {
                        let mut output = old.clone();
                        let target = MatrixMut::dense(&mut output, m, n);
                        products.product(target, *addend, left, right, 0.5, workers);
                        assert!(bits(&output) == expected, "{} {m} x {n} x {k}", kernel.name());
                    }
                    let mut output = old.clone();
                    let target = MatrixMut::dense(&mut output, m, n);
                    products.packed(right).multiply(target, *addend, left, 0.5);
                    assert!(bits(&output) == expected, "{} {m} x {n} x {k}", kernel.name());
                }
            }
        }
    }
    #[cfg(target_arch = "x86_64")]
    for (instructions, is_there) in
        [("AMX tiles", Amx::detect().is_some()), ("vdpbf16ps", Dot::detect().is_some())]
    {
        if !is_there {
            eprintln!("not tested: this processor has no {instructions}");
        }
    }
}

/// Both layouts of a left-hand side, of which the first has rows that do not touch, with both of a
/// right-hand side.
fn operands<'a>(
    [m, n, k]: [usize; 3],
    a: Values<'a>,
    b: Values<'a>,
) -> impl Iterator<Item = (Matrix<'a>, Matrix<'a>)> {
    let columns = Matrix::dense(a.range(0..m * k), k, m).transposed();
    let lefts = [Matrix::strided(a, m, k, k + 2), columns];
    let rights = [Matrix::dense(b, n, k).transposed(), Matrix::dense(b, k, n)];
    lefts.into_iter().flat_map(move |left| rights.map(|right| (left, right)))
}

/// Operands that are kept in bf16 give what the same f32 give, which are rounded when they are
/// packed; an output in bf16 is that of f32, rounded. On any number of threads.
#[test]
fn operands_and_outputs_may_be_bf16() {
    const SHAPES: [(usize, usize, usize); 7] = [
        (1, 1, 1),
        (6, 64, 32),
        (5, 66, 31),
        (200, 33, 100),
        (77, 130, 1029),
        (390, 66, 1030),
        (7, 1100, 600),
    ];
    let kept = |values: &[f32]| -> Vec<u16> { values.iter().map(|&value| round(value)).collect() };
    let pools =
        [1, 3].map(|threads| rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap());
    let kernels = kernels().into_iter().map(|(kernel, _)| kernel);
    for kernel in kernels.filter(|kernel| kernel.arithmetic() == Arithmetic::Bf16) {
        let products = Products::Bf16(kernel);
        for (m, n, k) in SHAPES {
            let (a, b) = (random(1, m * (k + 2)), random(2, n * k));
            let old: Vec<f32> = random(3, m * n).into_iter().map(|v| widen(round(v))).collect();
            let (kept_a, kept_b) = (kept(&a), kept(&b));
            let of_f32 = operands([m, n, k], Values::F32(&a), Values::F32(&b));
            let of_bf16 = operands([m, n, k], Values::Bf16(&kept_a), Values::Bf16(&kept_b));
            for ((left, right), (kept_left, kept_right)) in of_f32.zip(of_bf16) {
                for addend in [Addend::Nothing, Addend::Output] {
                    let shape = format!("{} {m} x {n} x {k}", kernel.name());
                    let mut expected = old.clone();
                    let target = MatrixMut::dense(&mut expected, m, n);
                    products.product(target, addend, left, right, 0.5, Workers::One);
                    for pool in &pools {
                        let mut found = old.clone();
                        let mut rounded = kept(&old);
                        pool.install(|| {
                            let target = MatrixMut::dense(&mut found, m, n);
                            let all = Workers::All;
                            products.product(target, addend, kept_left, kept_right, 0.5, all);
                            let target = MatrixMut::dense(ValuesMut::Bf16(&mut rounded), m, n);
                            products.product(target, addend, kept_left, kept_right, 0.5, all);
                        });
                        assert!(bits(&found) == bits(&expected), "operands of {shape}");
                        assert!(rounded == kept(&expected), "output of {shape}");
                    }
                }
            }
        }
    }
}

/// Tiny and huge numbers: what is flushed, overflows or becomes no number.
#[test]
fn extreme_values_have_the_bits_of_the_reference() {
    let tiny = [1e-38, -2e-38, 1e-39, f32::MIN_POSITIVE, 1e-20, -1e-19, 1.0, -1.5, 0.0, -0.0];
    let huge = [3e38, -3e38, 1e19, 1.0, 0.0, -2.0, f32::INFINITY, 1e-20];
    let finite = extremes_match(&tiny);
    assert!(finite.iter().any(|value| value.is_finite() && value.abs() < 1e-36 && *value != 0.0));
    assert!(extremes_match(&huge).iter().any(|value| value.is_nan()));
    assert!(extremes_match(&huge[..6]).iter().any(|value| value.is_infinite()));
}

/// Holds every kernel to its reference on a choice of values; returns the last one's output.
fn extremes_match(choice: &[f32]) -> Vec<f32> {
    let (m, n, k) = (40, 40, 70);
    let pick = |seed: u64, count: usize| -> Vec<f32> {
        let values = random(seed, count);
        values.iter().map(|value| choice[(value.abs() * 1e4) as usize % choice.len()]).collect()
    };
    let (a, b) = (pick(1, m * k), pick(2, k * n));
    // Few terms in most columns, so that tiny results stay tiny.
    let b: Vec<f32> = (0..).zip(b).map(|(i, b)| if i % n > i / n { 0.0 } else { b }).collect();
    let (left, right) = (Matrix::dense(&a, m, k), Matrix::dense(&b, k, n));
    let mut output = vec![0.0; m * n];
    for (kernel, reference) in kernels() {
        let expected = product_by(reference, left, right, 1.0, &vec![0.0; m * n]);
        let target = MatrixMut::dense(&mut output, m, n);
        let products = Products::Bf16(kernel);
        products.product(target, Addend::Nothing, left, right, 1.0, Workers::One);
        for (found, expected) in output.iter().zip(&expected) {
            let same = found.to_bits() == expected.to_bits() || found.is_nan() && expected.is_nan();
            assert!(same, "{}: {found:e} instead of {expected:e}", kernel.name());
        }
    }
    output
}

/// The vectorised packing of tiles against the plain one.
#[test]
#[cfg(target_arch = "x86_64")]
fn tiles_are_packed_as_by_plain_loops() {
    use super::super::microkernel::Microkernel;
    use super::super::pack::{panel_size, tile_size};
    if !pairs::available() {
        return;
    }
    let (kernel, split) = (Amx::only_for_packing(), AmxSplit::only_for_packing());
    let values = random(1, 80 * 80);
    for (rows, columns) in [(80, 80), (33, 17), (1, 1), (64, 31), (31, 66)] {
        let row_major = Matrix::strided(&values, rows, columns, 80);
        let column_major = Matrix::strided(&values, columns, rows, 80).transposed();
        for matrix in [row_major, column_major] {
            for panel in 0..columns.div_ceil(Amx::PANEL) {
                let mut found = vec![7; panel_size::<Amx>(rows)];
                let mut expected = found.clone();
                kernel.pack_panel(matrix, panel, &mut found);
                portable::pack_pairs::<Amx>(matrix, panel, &[round], &mut expected);
                assert_eq!(found, expected, "panel {panel} of {rows} x {columns}");
                let mut found = vec![7u32; panel_size::<AmxSplit>(rows)];
                let mut expected = vec![7; 2 * found.len()];
                split.pack_panel(matrix, panel, &mut found);
                portable::pack_pairs::<AmxSplit>(matrix, panel, &[round, rest], &mut expected);
                assert!(bytemuck::cast_slice::<_, u16>(&found) == expected, "split {panel}");
            }
            let tiles = rows.div_ceil(Amx::TILE_ROWS);
            let mut found = vec![7; tiles * tile_size::<Amx>()];
            let mut expected = found.clone();
            kernel.pack_rows(matrix, &(0..rows), &(0..columns), &mut found);
            portable::pack_groups::<Amx>(
                matrix,
                &(0..rows),
                &(0..columns),
                &[round],
                &mut expected,
            );
            assert!(found == expected, "rows of {rows} x {columns}");
            let mut found = vec![7u32; tiles * tile_size::<AmxSplit>()];
            let mut expected = vec![0; 2 * found.len()];
            expected.copy_from_slice(bytemuck::cast_slice(&found));
            split.pack_rows(matrix, &(0..rows), &(0..columns), &mut found);
            let parts: [portable::Part; 2] = [round, rest];
            portable::pack_groups::<AmxSplit>(
                matrix,
                &(0..rows),
                &(0..columns),
                &parts,
                &mut expected,
            );
            assert!(bytemuck::cast_slice::<_, u16>(&found) == expected, "split rows of {rows}");
        }
    }
}

/// Three products of halves have an error of about 2^-16 of the terms' sizes.
#[test]
fn split_products_are_nearly_those_of_f32() {
    let (m, n, k) = (33, 40, 700);
    let (a, b) = (random(1, m * k), random(2, k * n));
    let (left, right) = (Matrix::dense(&a, m, k), Matrix::dense(&b, k, n));
    let multiply = |products: Products| {
        let mut output = vec![0.0; m * n];
        let target = MatrixMut::dense(&mut output, m, n);
        products.product(target, Addend::Nothing, left, right, 1.0, Workers::One);
        output
    };
    let exact = multiply(Products::F32);
    let apart = |other: Vec<f32>| {
        let differences = exact.iter().zip(&other).map(|(e, o)| ((e - o) as f64).powi(2));
        let size: f64 = exact.iter().map(|&e| (e as f64).powi(2)).sum();
        (differences.sum::<f64>() / size).sqrt()
    };
    let split = apart(multiply(Products::Bf16(Bf16::detect_split())));
    let rounded = apart(multiply(Products::Bf16(Bf16::Portable)));
    assert!(split < 1e-5 && rounded > 1e-3, "{split:e} and {rounded:e}");
}

#[test]
fn neither_threads_nor_other_rows_change_a_bit() {
    let (m, n, k) = (131, 257, 700);
    let (a, b) = (random(1, m * k), random(2, n * k));
    let right = Matrix::dense(&b, n, k).transposed();
    for (kernel, _) in kernels() {
        let compute = |threads, rows: std::ops::Range<usize>| {
            let mut output = vec![0.0; rows.len() * n];
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
            let left = Matrix::dense(&a[rows.start * k..rows.end * k], rows.len(), k);
            pool.install(|| {
                let target = MatrixMut::dense(&mut output, rows.len(), n);
                let products = Products::Bf16(kernel);
                products.product(target, Addend::Nothing, left, right, 1.0, Workers::All);
            });
            output
        };
        let whole = compute(1, 0..m);
        for threads in [2, 3, 5] {
            assert!(whole == compute(threads, 0..m), "{threads} threads: {}", kernel.name());
        }
        for rows in [0..1, 5..8, 130..131, 3..80] {
            let part = &whole[rows.start * n..rows.end * n];
            assert!(compute(2, rows.clone()) == part, "rows {rows:?}: {}", kernel.name());
        }
    }
}
