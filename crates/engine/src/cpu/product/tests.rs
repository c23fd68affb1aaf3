//! Products against plain sums, and the independence of their bits from threads and other rows.

use super::*;
use crate::testing::{assert_close, random};

/// Plain sums in double precision.
fn reference(a: Matrix<'_>, b: Matrix<'_>, scale: f32, start: &[f32]) -> Vec<f32> {
    let at = |m: Matrix<'_>, row, column| m.get(row, column).unwrap() as f64;
    (0..a.rows * b.columns)
        .map(|i| {
            let (row, column) = (i / b.columns, i % b.columns);
            let sum: f64 = (0..a.columns).map(|k| at(a, row, k) * at(b, k, column)).sum();
            (start[i] as f64 + scale as f64 * sum) as f32
        })
        .collect()
}

#[test]
fn shapes_layouts_and_addends_match_plain_sums() {
    for (m, n, k) in [
        (1, 7, 11),
        (3, 65, 4),
        (5, 7, 11),
        (6, 64, 512),
        (13, 131, 513),
        (200, 70, 33),
        (7, 129, 1030),
        (20, 1100, 1030),
    ] {
        let (a, b) = (random(1, m * (k + 2)), random(2, n * k));
        let (old, bias, residual) = (random(3, m * n), random(4, n), random(5, m * n));
        let lefts =
            [Matrix::strided(&a, m, k, k + 2), Matrix::dense(&a[..m * k], k, m).transposed()];
        let rights = [Matrix::dense(&b, n, k).transposed(), Matrix::dense(&b, k, n)];
        let rows = |bias, residual| Addend::Rows { bias, residual };
        let addends = [
            (Addend::Nothing, vec![0.0; m * n]),
            (Addend::Output, old.clone()),
            (rows(Some(&bias[..]), None), (0..m * n).map(|i| bias[i % n]).collect()),
            (rows(None, Some(&residual[..])), residual.clone()),
            (
                rows(Some(&bias[..]), Some(&residual[..])),
                (0..m * n).map(|i| bias[i % n] + residual[i]).collect(),
            ),
        ];
        for (left, right) in lefts.into_iter().flat_map(|left| rights.map(|right| (left, right))) {
            for (addend, start) in &addends {
                let expected = reference(left, right, 0.5, start);
                for workers in [Workers::One, Workers::All] {
                    let mut output = old.clone();
                    Products::F32.product(
                        MatrixMut::dense(&mut output, m, n),
                        *addend,
                        left,
                        right,
                        0.5,
                        workers,
                    );
                    assert_close(&output, &expected, 1e-4);
                }
                let mut output = old.clone();
                Products::F32.packed(right).multiply(
                    MatrixMut::dense(&mut output, m, n),
                    *addend,
                    left,
                    0.5,
                );
                assert_close(&output, &expected, 1e-4);
                let mut output = old.clone();
                let mut target = MatrixMut::dense(&mut output, m, n);
                if let Addend::Rows { bias, residual } = *addend {
                    target.start_rows(bias, residual);
                }
                let accumulate = !matches!(addend, Addend::Nothing);
                general_product(target, accumulate, left, right, 0.5, Workers::One);
                assert_close(&output, &expected, 1e-4);
            }
        }
    }
}

/// The order of the sums, which decides their bits: the inner dimension one value after the other,
/// in blocks.
#[cfg(target_arch = "x86_64")]
fn product_in_order(a: Matrix<'_>, b: Matrix<'_>, scale: f32, start: &[f32]) -> Vec<f32> {
    let value = |index: usize| {
        let (row, column) = (index / b.columns, index % b.columns);
        let terms: Vec<(f32, f32)> = (0..b.rows)
            .map(|depth| (a.get(row, depth).unwrap(), b.get(depth, column).unwrap()))
            .collect();
        terms.chunks(DEPTH).fold(start[index], |value, terms| {
            let sum = terms.iter().fold(0.0f32, |sum, (a, b)| a.mul_add(*b, sum));
            scale.mul_add(sum, value)
        })
    };
    (0..a.rows * b.columns).map(value).collect()
}

/// AVX2 and AVX-512 give the same bits.
#[test]
#[cfg(target_arch = "x86_64")]
fn own_products_have_the_bits_of_their_order() {
    let kernels = [
        avx512::Avx512::detect().map(F32Instructions::Avx512),
        avx2::Avx2::detect().map(F32Instructions::Avx2),
    ];
    for (m, n, k) in [
        (1, 1, 1),
        (1, 70, 33),
        (5, 7, 11),
        (6, 16, 512),
        (13, 131, 513),
        (200, 70, 33),
        (7, 129, 1030),
    ] {
        let (a, b) = (random(1, m * (k + 2)), random(2, n * k));
        let (old, bias) = (random(3, m * n), random(4, n));
        let lefts =
            [Matrix::strided(&a, m, k, k + 2), Matrix::dense(&a[..m * k], k, m).transposed()];
        let rights = [Matrix::dense(&b, n, k).transposed(), Matrix::dense(&b, k, n)];
        let rows = Addend::Rows { bias: Some(&bias), residual: None };
        let addends = [
            (Addend::Nothing, vec![0.0; m * n]),
            (Addend::Output, old.clone()),
            (rows, (0..m * n).map(|index| bias[index % n]).collect()),
        ];
        for (left, right) in lefts.into_iter().flat_map(|left| rights.map(|right| (left, right))) {
            for (addend, start) in &addends {
                let expected = product_in_order(left, right, 0.5, start);
                for own in kernels.into_iter().flatten() {
                    let mut output = old.clone();
                    let target = MatrixMut::dense(&mut output, m, n);
                    let packed = own.pack(right, Workers::All);
                    packed.multiply(target, *addend, left, 0.5, Workers::All);
                    assert!(output == expected, "{own:?}: {m} x {n} x {k}");
                }
            }
        }
    }
}

#[test]
fn an_output_with_a_stride_leaves_the_rest_alone() {
    let (m, n, k, stride) = (9, 20, 5, 33);
    let (a, b) = (random(1, m * k), random(2, k * n));
    let mut values = vec![7.0; m * stride];
    // Safety: the rows are within `values`, which is not used otherwise.
    let output = unsafe { MatrixMut::strided(Start::F32(values.as_mut_ptr()), m, n, stride) };
    Products::F32.product(
        output,
        Addend::Nothing,
        Matrix::dense(&a, m, k),
        Matrix::dense(&b, k, n),
        1.0,
        Workers::One,
    );
    let expected =
        reference(Matrix::dense(&a, m, k), Matrix::dense(&b, k, n), 1.0, &vec![0.0; m * n]);
    for (row, expected) in values.chunks(stride).zip(expected.chunks(n)) {
        assert_close(&row[..n], expected, 1e-5);
        assert!(row[n..].iter().all(|&value| value == 7.0));
    }
}

/// A sequence gives the same bits whatever else is in its batch.
#[test]
fn a_row_does_not_depend_on_the_rows_around_it() {
    const MOST: usize = 300;
    for (n, k) in [(1, 64), (16, 48), (48, 16), (70, 101), (257, 700), (1024, 256), (4000, 64)] {
        let (a, b) = (random(1, MOST * k), random(2, n * k));
        let right = Matrix::dense(&b, n, k).transposed();
        let compute = |rows: std::ops::Range<usize>,
                       multiply: &dyn Fn(MatrixMut<'_>, Matrix<'_>)| {
            let mut output = vec![0.0; rows.len() * n];
            let left = Matrix::dense(&a[rows.start * k..rows.end * k], rows.len(), k);
            multiply(MatrixMut::dense(&mut output, rows.len(), n), left);
            output
        };
        let chosen = |output: MatrixMut<'_>, left: Matrix<'_>| {
            Products::F32.product(output, Addend::Nothing, left, right, 1.0, Workers::All);
        };
        let general = |output: MatrixMut<'_>, left: Matrix<'_>| {
            general_product(output, false, left, right, 1.0, Workers::All);
        };
        for multiply in [&chosen as &dyn Fn(MatrixMut<'_>, Matrix<'_>), &general] {
            let whole = compute(0..MOST, multiply);
            for m in (2..40)
                .chain([63, 64, 65, 128, 129, 255, 257, 299])
                .filter(|&m| m >= Products::F32.independent_rows(n))
            {
                assert!(
                    compute(0..m, multiply) == whole[..m * n],
                    "{m} rows of {n} columns, {k} terms"
                );
                assert!(
                    compute(MOST - m..MOST, multiply) == whole[(MOST - m) * n..],
                    "the last {m} rows"
                );
            }
        }
    }
}

#[test]
fn nothing_by_nothing_leaves_the_addend() {
    let (bias, residual) = ([1.0, 2.0], [3.0; 6]);
    let addends = [
        (Addend::Nothing, [0.0; 6]),
        (Addend::Output, [9.0; 6]),
        (
            Addend::Rows { bias: Some(&bias), residual: Some(&residual) },
            [4.0, 5.0, 4.0, 5.0, 4.0, 5.0],
        ),
    ];
    for (addend, expected) in addends {
        let mut output = [9.0; 6];
        let (left, right) = (Matrix::dense(&[], 3, 0), Matrix::dense(&[], 0, 2));
        Products::F32.product(
            MatrixMut::dense(&mut output, 3, 2),
            addend,
            left,
            right,
            1.0,
            Workers::All,
        );
        assert_eq!(output, expected);
    }
    for (rows, columns) in [(0, 5), (5, 0)] {
        let values = [1.0; 10];
        let (left, right) = (Matrix::dense(&values, rows, 2), Matrix::dense(&values, 2, columns));
        let output = MatrixMut::dense(&mut [], rows, columns);
        Products::F32.packed(right).multiply(output, Addend::Nothing, left, 1.0);
    }
}

#[test]
fn thread_count_does_not_change_a_bit() {
    let (m, n, k) = (131, 257, 700);
    let (a, b) = (random(1, m * k), random(2, n * k));
    let lefts = [Matrix::dense(&a, m, k), Matrix::dense(&a, k, m).transposed()];
    let rights = [Matrix::dense(&b, n, k).transposed(), Matrix::dense(&b, k, n)];
    for (left, right) in lefts.into_iter().flat_map(|left| rights.map(|right| (left, right))) {
        let compute = |threads, is_shared: bool| {
            let mut output = vec![0.0; m * n];
            let multiply = || {
                let target = MatrixMut::dense(&mut output, m, n);
                match is_shared {
                    true => {
                        Products::F32.packed(right).multiply(target, Addend::Nothing, left, 1.0)
                    }
                    false => Products::F32.product(
                        target,
                        Addend::Nothing,
                        left,
                        right,
                        1.0,
                        Workers::All,
                    ),
                }
            };
            rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap().install(multiply);
            output
        };
        let alone = compute(1, false);
        for threads in [2, 3, 5] {
            assert!(alone == compute(threads, false), "{threads} threads give other bits than one");
            assert!(
                alone == compute(threads, true),
                "{threads} threads and a shared side give other bits"
            );
        }
    }
}
