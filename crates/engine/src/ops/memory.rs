//! Memory: asking for it, giving it back, moving values in and out, and adding.

use crate::kernels::kernels;
use crate::tensor::{Precision, Storage, View, ViewMut};

kernels! {
    /// Memory of a device and what is moved in and out of it. Views are contiguous.
    pub trait MemoryKernels {
        /// Memory for `length` values, from the pool when it has some. The values are arbitrary.
        fn allocate(&self, length: usize, precision: Precision) -> Storage;

        /// Takes memory back into the pool.
        fn recycle(&self, storage: Storage);

        /// Copies a view to the host, row by row.
        fn read(&self, from: View<'_>, to: &mut [f32]);

        /// Copies host values into a view.
        fn write(&self, to: ViewMut<'_>, from: &[f32]);

        /// Copies host values in f32, the low byte first, into a view.
        fn write_f32(&self, to: ViewMut<'_>, from: &[[u8; 4]]);

        /// Copies host values in bf16, the low byte first, into a view.
        fn write_bf16(&self, to: ViewMut<'_>, from: &[[u8; 2]]);

        /// Copies one view to another of the same size.
        fn copy(&self, from: View<'_>, to: ViewMut<'_>);

        /// Sets every value.
        fn fill(&self, to: ViewMut<'_>, value: f32);

        /// `to += from`.
        fn add(&self, from: View<'_>, to: ViewMut<'_>);
    }
}

#[cfg(test)]
mod tests {
    use crate::testing::device;
    use crate::{Precision, Shape, Tensor, ViewMut};

    #[test]
    fn values_go_in_and_come_out_and_add_up() {
        let device = device();
        let mut a = Tensor::from_slice(&device, 2, 3, &[1.0, 2.0, 3.0, 4.0, 5.0, 6.0]);
        let b = a.clone();
        device.add(b.view(), a.view_mut());
        assert_eq!(a.to_vec(), [2.0, 4.0, 6.0, 8.0, 10.0, 12.0]);
        assert_eq!(Tensor::zeros(&device, 2, 2).to_vec(), [0.0; 4]);
    }

    #[test]
    fn values_in_bf16_go_in_as_they_are() {
        let device = device();
        let values: Vec<u16> = (0..12).map(|index| 0xbf80 + 0x0357 * index).collect();
        let bytes: Vec<[u8; 2]> = values.iter().map(|value| value.to_le_bytes()).collect();
        let expected: Vec<f32> =
            values.iter().map(|&value| f32::from_bits((value as u32) << 16)).collect();
        for precision in [Precision::Full, Precision::Compact] {
            let mut tensor = Tensor::of_shape(&device, Shape { rows: 6, columns: 3, precision });
            device.fill(tensor.view_mut(), 7.0);
            device.write_bf16(ViewMut::block(&mut tensor, 3, 4, 3), &bytes);
            assert_eq!(tensor.to_vec(), [&[7.0; 3], &expected[..], &[7.0; 3]].concat());
        }
    }

    #[test]
    fn bytes_of_values_in_f32_are_written_as_the_values_are() {
        let device = device();
        let values: Vec<f32> = (0..12).map(|index| (index as f32 - 5.3) * 1.37e-3).collect();
        let bytes: Vec<[u8; 4]> = values.iter().map(|value| value.to_le_bytes()).collect();
        for precision in [Precision::Full, Precision::Compact] {
            let found = [false, true].map(|as_bytes| {
                let shape = Shape { rows: 6, columns: 3, precision };
                let mut tensor = Tensor::of_shape(&device, shape);
                device.fill(tensor.view_mut(), 7.0);
                let view = ViewMut::block(&mut tensor, 3, 4, 3);
                match as_bytes {
                    true => device.write_f32(view, &bytes),
                    false => device.write(view, &values),
                }
                tensor.to_vec()
            });
            assert_eq!(found[0], found[1]);
            assert_eq!((found[1][0], found[1][15]), (7.0, 7.0));
        }
    }

    #[test]
    fn memory_is_recycled() {
        let device = device();
        drop(Tensor::zeros(&device, 100, 10));
        let before = device.fresh_allocations();
        for _ in 0..10 {
            drop(Tensor::zeros(&device, 10, 100));
        }
        assert_eq!(device.fresh_allocations(), before);
        device.trim();
        drop(Tensor::zeros(&device, 100, 10));
        assert_eq!(device.fresh_allocations(), before + 1);
    }
}
