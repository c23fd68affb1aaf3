//! A model is one vector: named segments of one flat buffer.

use std::sync::Arc;

use crate::device::Device;
use crate::tensor::{Tensor, View, ViewMut};

/// A matrix inside the flat vector: `[rows, columns]` from `offset` on. A bias or a gain is `[1,
/// n]`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Segment {
    /// Index of its first value in the flat vector.
    pub offset: usize,
    /// Rows of the matrix; 1 for a vector.
    pub rows: usize,
    /// Columns of the matrix.
    pub columns: usize,
}

impl Segment {
    /// Number of values.
    pub fn length(self) -> usize {
        self.rows * self.columns
    }

    /// Several neighbouring matrices of equal width, read as one with their rows one below the
    /// other, be it one row each.
    ///
    /// # Panics
    /// When they are not neighbours or differ in width.
    pub fn stack(parts: &[Segment]) -> Segment {
        let first = parts[0];
        let mut stacked = first;
        for part in &parts[1..] {
            stacked.check_neighbour(part);
            assert_eq!(part.columns, first.columns, "only equal widths can be joined");
            stacked.rows += part.rows;
        }
        stacked
    }

    /// Several neighbouring matrices of equal width, read as one with their rows one below the
    /// other, or several neighbouring vectors, read as one longer vector.
    ///
    /// # Panics
    /// When they are not neighbours or matrices differ in width.
    pub fn join(parts: &[Segment]) -> Segment {
        let first = parts[0];
        if parts.iter().any(|part| part.rows != 1) {
            return Self::stack(parts);
        }
        let mut joined = first;
        for part in &parts[1..] {
            joined.check_neighbour(part);
            joined.columns += part.columns;
        }
        joined
    }

    fn check_neighbour(self, next: &Segment) {
        assert_eq!(
            next.offset,
            self.offset + self.length(),
            "only adjacent segments can be joined"
        );
    }
}

/// What a segment is, for what treats segments differently: initialisation, weight decay,
/// optimizers, the count of operations, file formats.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Role {
    /// One row for each token of the vocabulary, looked up by token id. An output layer that is
    /// tied to it shares the segment.
    Embedding,
    /// One row for each position, looked up by position.
    Positions,
    /// One row for each token type (segment of a text pair), looked up by type.
    TokenTypes,
    /// Weights of a matrix product, `[out, in]`.
    Matrix,
    /// Weights of the product that gives logits, `[vocabulary or labels, in]`, where it is not the
    /// embedding.
    Output,
    /// What a product or a normalisation adds, `[1, out]`.
    Bias,
    /// Gain of a normalisation, `[1, channels]`.
    NormGain,
    /// Weights of a sum of earlier states, `[1, states]`.
    Mixture,
}

impl Role {
    /// Whether rows are looked up, so that the segment takes part in no matrix product as a table.
    pub fn is_table(self) -> bool {
        matches!(self, Role::Embedding | Role::Positions | Role::TokenTypes)
    }

    /// Whether the segment is the weights of a matrix product and nothing else.
    pub fn is_product(self) -> bool {
        matches!(self, Role::Matrix | Role::Output)
    }

    /// Whether the segment is a single row, which files store with one dimension.
    pub fn is_vector(self) -> bool {
        matches!(self, Role::Bias | Role::NormGain | Role::Mixture)
    }
}

/// A segment with its name and role.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NamedSegment {
    /// The tensor's name in a Hugging Face folder.
    pub name: String,
    /// Where its values are.
    pub segment: Segment,
    /// What it is for.
    pub role: Role,
    /// How many matrices of equal height it holds, one below the other: more than one where a
    /// family stores several products as one tensor.
    pub parts: usize,
}

impl NamedSegment {
    /// The matrices that it holds.
    pub fn matrices(&self) -> impl Iterator<Item = Segment> + use<> {
        let Segment { offset, rows, columns } = self.segment;
        let rows = rows / self.parts;
        (0..self.parts).map(move |part| Segment {
            offset: offset + part * rows * columns,
            rows,
            columns,
        })
    }
}

/// All segments of a model, in the order of the flat vector.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Layout {
    segments: Vec<NamedSegment>,
    length: usize,
}

impl Layout {
    /// Appends a `[rows, columns]` matrix and returns its segment.
    pub fn add(
        &mut self,
        name: impl Into<String>,
        rows: usize,
        columns: usize,
        role: Role,
    ) -> Segment {
        let segment = Segment { offset: self.length, rows, columns };
        self.length += segment.length();
        self.segments.push(NamedSegment { name: name.into(), segment, role, parts: 1 });
        segment
    }

    /// Records that the segment at a place holds `parts` matrices of equal height, one below the
    /// other.
    ///
    /// # Panics
    /// When there is none, or its rows cannot be divided so.
    pub fn divide(&mut self, segment: Segment, parts: usize) {
        let named = self.segments.iter_mut().find(|named| named.segment == segment);
        let named = named.expect("a segment to divide");
        assert!(segment.rows.is_multiple_of(parts), "{} in {parts} parts", named.name);
        named.parts = parts;
    }

    /// Gives the matrix at a place the role of the output layer; a table that is also the output
    /// layer stays what it is.
    pub fn mark_output(&mut self, output: Segment) {
        let is_output =
            |named: &&mut NamedSegment| named.segment == output && named.role == Role::Matrix;
        if let Some(named) = self.segments.iter_mut().find(is_output) {
            named.role = Role::Output;
        }
    }

    /// Number of parameters.
    pub fn length(&self) -> usize {
        self.length
    }

    /// The segments, in the order of the flat vector.
    pub fn segments(&self) -> &[NamedSegment] {
        &self.segments
    }
}

/// A flat vector with a layout: a model's weights, or their gradient.
pub struct Parameters {
    layout: Arc<Layout>,
    values: Tensor,
}

impl Parameters {
    /// Parameters that are all zero.
    pub fn zeros(device: &Arc<dyn Device>, layout: Arc<Layout>) -> Self {
        let values = Tensor::zeros(device, 1, layout.length());
        Self { layout, values }
    }

    /// Names and places of the segments.
    pub fn layout(&self) -> &Arc<Layout> {
        &self.layout
    }

    /// The flat vector `[1, length]`.
    pub fn values(&self) -> &Tensor {
        &self.values
    }

    /// The flat vector `[1, length]`, to change.
    pub fn values_mut(&mut self) -> &mut Tensor {
        &mut self.values
    }

    /// Where the values are.
    pub fn device(&self) -> &Arc<dyn Device> {
        self.values.device()
    }

    /// One segment, to read.
    pub fn view(&self, segment: Segment) -> View<'_> {
        View::block(&self.values, segment.offset, segment.rows, segment.columns)
    }

    /// One segment, to write.
    pub fn view_mut(&mut self, segment: Segment) -> ViewMut<'_> {
        ViewMut::block(&mut self.values, segment.offset, segment.rows, segment.columns)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn neighbours_join_by_rows_and_vectors_by_length() {
        let mut layout = Layout::default();
        let q = layout.add("q", 4, 3, Role::Matrix);
        let k = layout.add("k", 2, 3, Role::Matrix);
        assert_eq!(Segment::join(&[q, k]), Segment { offset: 0, rows: 6, columns: 3 });
        let a = layout.add("a", 1, 4, Role::Bias);
        let b = layout.add("b", 1, 2, Role::Bias);
        assert_eq!(Segment::join(&[a, b]), Segment { offset: 18, rows: 1, columns: 6 });
        assert_eq!(layout.length(), 24);
        let (gate, up) =
            (layout.add("gate", 1, 5, Role::Matrix), layout.add("up", 1, 5, Role::Matrix));
        assert_eq!(Segment::stack(&[gate, up]), Segment { offset: 24, rows: 2, columns: 5 });
    }

    #[test]
    fn a_segment_may_hold_several_matrices_and_the_output_has_a_role() {
        let mut layout = Layout::default();
        let table = layout.add("table", 5, 4, Role::Embedding);
        let qkv = layout.add("qkv", 6, 4, Role::Matrix);
        layout.divide(qkv, 3);
        let output = layout.add("output", 5, 4, Role::Matrix);
        layout.mark_output(table);
        layout.mark_output(output);
        let found = layout.segments().iter().map(|named| (named.role, named.matrices().count()));
        let expected = [(Role::Embedding, 1), (Role::Matrix, 3), (Role::Output, 1)];
        assert!(found.eq(expected));
        let parts: Vec<_> = layout.segments()[1].matrices().collect();
        let part = |offset| Segment { offset, rows: 2, columns: 4 };
        assert_eq!(parts, [part(20), part(28), part(36)]);
        assert_eq!(layout.segments()[2].matrices().collect::<Vec<_>>(), [output]);
    }

    #[test]
    #[should_panic(expected = "adjacent segments")]
    fn strangers_do_not_join() {
        let mut layout = Layout::default();
        let first = layout.add("first", 1, 3, Role::Matrix);
        layout.add("between", 1, 3, Role::Matrix);
        let last = layout.add("last", 1, 3, Role::Matrix);
        Segment::join(&[first, last]);
    }
}
