//! Matrices on a device, and views into them.

use std::any::Any;
use std::ops::Range;
use std::sync::Arc;

use crate::device::Device;

/// A device's own memory; its type is known only to that device's kernels.
pub type Storage = Box<dyn Any + Send + Sync>;

/// How exactly a tensor keeps its values.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Precision {
    /// f32.
    Full,
    /// As the device likes it: what only products and operations on single values read. The CPU
    /// keeps f32, a GPU bf16 when it multiplies in bf16.
    Compact,
}

/// Rows and columns of a matrix, and how it is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Shape {
    /// Tokens, in activations.
    pub rows: usize,
    /// Channels, in activations.
    pub columns: usize,
    /// How exactly values are kept.
    pub precision: Precision,
}

/// A row-major matrix of f32 on a device: `[rows, columns]`, usually `[tokens, channels]`.
///
/// Its memory comes from the device's pool and goes back there when the tensor is dropped.
pub struct Tensor {
    device: Arc<dyn Device>,
    storage: Option<Storage>,
    shape: Shape,
}

impl Tensor {
    /// A matrix in full precision whose values are whatever the memory held before; the caller
    /// writes all of them.
    pub fn uninitialised(device: &Arc<dyn Device>, rows: usize, columns: usize) -> Self {
        Self::of_shape(device, Shape { rows, columns, precision: Precision::Full })
    }

    /// A matrix of any shape whose values are whatever the memory held before; the caller writes
    /// all of them.
    pub fn of_shape(device: &Arc<dyn Device>, shape: Shape) -> Self {
        let storage = device.allocate(shape.rows * shape.columns, shape.precision);
        Self { device: device.clone(), storage: Some(storage), shape }
    }

    /// A matrix of zeros.
    pub fn zeros(device: &Arc<dyn Device>, rows: usize, columns: usize) -> Self {
        let mut tensor = Self::uninitialised(device, rows, columns);
        device.fill(tensor.view_mut(), 0.0);
        tensor
    }

    /// A copy of host values, row by row.
    ///
    /// # Panics
    /// When the number of values is not `rows * columns`.
    pub fn from_slice(
        device: &Arc<dyn Device>,
        rows: usize,
        columns: usize,
        values: &[f32],
    ) -> Self {
        assert_eq!(values.len(), rows * columns, "values for a [{rows}, {columns}] matrix");
        let mut tensor = Self::uninitialised(device, rows, columns);
        device.write(tensor.view_mut(), values);
        tensor
    }

    /// Number of rows.
    pub fn rows(&self) -> usize {
        self.shape.rows
    }

    /// Number of columns.
    pub fn columns(&self) -> usize {
        self.shape.columns
    }

    /// Rows, columns and precision.
    pub fn shape(&self) -> Shape {
        self.shape
    }

    /// Where the values are.
    pub fn device(&self) -> &Arc<dyn Device> {
        &self.device
    }

    /// The whole matrix, to read.
    pub fn view(&self) -> View<'_> {
        View {
            tensor: self,
            offset: 0,
            rows: self.rows(),
            columns: self.columns(),
            stride: self.columns(),
        }
    }

    /// The whole matrix, to write.
    pub fn view_mut(&mut self) -> ViewMut<'_> {
        let (rows, columns) = (self.rows(), self.columns());
        ViewMut { tensor: self, offset: 0, rows, columns }
    }

    /// A copy on the host, row by row.
    pub fn to_vec(&self) -> Vec<f32> {
        let mut values = vec![0.0; self.rows() * self.columns()];
        self.device.read(self.view(), &mut values);
        values
    }

    /// The device's memory, for its kernels.
    pub fn storage(&self) -> &Storage {
        self.storage.as_ref().expect("memory is taken only by drop")
    }

    /// The device's memory, for its kernels to write.
    pub fn storage_mut(&mut self) -> &mut Storage {
        self.storage.as_mut().expect("memory is taken only by drop")
    }
}

impl Clone for Tensor {
    fn clone(&self) -> Self {
        let mut copy = Self::of_shape(&self.device, self.shape);
        self.device.copy(self.view(), copy.view_mut());
        copy
    }
}

impl Drop for Tensor {
    fn drop(&mut self) {
        if let Some(storage) = self.storage.take() {
            self.device.recycle(storage);
        }
    }
}

impl std::fmt::Debug for Tensor {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(formatter, "Tensor[{}, {}]", self.rows(), self.columns())
    }
}

/// Part of a tensor, to read: `[rows, columns]`, whose rows are `stride` values apart.
#[derive(Clone, Copy, Debug)]
pub struct View<'a> {
    /// The tensor whose values these are.
    pub tensor: &'a Tensor,
    /// Values before the first one.
    pub offset: usize,
    /// Number of rows.
    pub rows: usize,
    /// Number of columns.
    pub columns: usize,
    /// Values from the beginning of a row to that of the next.
    pub stride: usize,
}

impl<'a> View<'a> {
    /// A matrix of consecutive values inside this one's tensor, from `offset` on.
    pub fn block(tensor: &'a Tensor, offset: usize, rows: usize, columns: usize) -> Self {
        assert!(
            offset + rows * columns <= tensor.rows() * tensor.columns(),
            "a view past its tensor's end"
        );
        Self { tensor, offset, rows, columns, stride: columns }
    }

    /// Some of the columns of every row.
    pub fn column_range(self, range: Range<usize>) -> Self {
        assert!(range.end <= self.columns, "columns {range:?} of {}", self.columns);
        Self { offset: self.offset + range.start, columns: range.len(), ..self }
    }

    /// Some of the rows.
    pub fn row_range(self, range: Range<usize>) -> Self {
        assert!(range.end <= self.rows, "rows {range:?} of {}", self.rows);
        Self { offset: self.offset + range.start * self.stride, rows: range.len(), ..self }
    }

    /// Whether the values are consecutive.
    pub fn is_contiguous(self) -> bool {
        self.stride == self.columns || self.rows <= 1
    }
}

/// Part of a tensor, to write: `[rows, columns]` of consecutive values.
#[derive(Debug)]
pub struct ViewMut<'a> {
    /// The tensor whose values these are.
    pub tensor: &'a mut Tensor,
    /// Values before the first one.
    pub offset: usize,
    /// Number of rows.
    pub rows: usize,
    /// Number of columns.
    pub columns: usize,
}

impl<'a> ViewMut<'a> {
    /// A matrix of consecutive values inside a tensor, from `offset` on.
    pub fn block(tensor: &'a mut Tensor, offset: usize, rows: usize, columns: usize) -> Self {
        assert!(
            offset + rows * columns <= tensor.rows() * tensor.columns(),
            "a view past its tensor's end"
        );
        Self { tensor, offset, rows, columns }
    }

    /// This view for a shorter lifetime.
    pub fn reborrow(&mut self) -> ViewMut<'_> {
        ViewMut { tensor: self.tensor, offset: self.offset, rows: self.rows, columns: self.columns }
    }
}
