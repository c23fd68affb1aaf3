//! The tape: records what was computed and replays the backwards.

use std::sync::Arc;

use crate::device::Device;
use crate::ops::routing::Routing;
use crate::params::Parameters;
use crate::spans::Spans;
use crate::tensor::{Precision, Shape, Tensor};
use base::rng::Rng;

/// A value on the tape. Cloning shares it; memory returns to the pool with the last holder.
#[derive(Clone, Debug)]
pub struct Var {
    pub(crate) id: usize,
    pub(crate) value: Arc<Tensor>,
}

impl Var {
    /// The matrix itself.
    pub fn value(&self) -> &Tensor {
        &self.value
    }

    /// The matrix to change in place: itself when there is no other holder, otherwise a copy.
    pub(crate) fn into_owned(self) -> Tensor {
        Arc::try_unwrap(self.value).unwrap_or_else(|shared| Tensor::clone(&shared))
    }
}

/// One recorded operation: what its backward needs, and the backward itself.
pub(crate) trait Node {
    fn backward(self: Box<Self>, pass: &mut Backward<'_>);
}

/// Where dropout masks come from: a stream per step, and the place of this micro-batch within the
/// step.
#[derive(Clone, Copy, Debug)]
pub struct DropoutStream {
    /// Random numbers of the step.
    pub rng: Rng,
    /// Tokens of the step that precede this micro-batch, so that a split does not change the
    /// masks.
    pub first_token: u64,
    /// Sequences that do, for rows of which each stands for a sequence.
    pub first_sequence: u64,
    /// Tokens of the texts that encoders of encoder-decoders read which do.
    pub first_source_token: u64,
}

impl DropoutStream {
    /// The stream of a step's first micro-batch.
    pub fn new(rng: Rng) -> Self {
        Self { rng, first_token: 0, first_sequence: 0, first_source_token: 0 }
    }

    /// The stream of the micro-batch after one of these sequences and, of an encoder-decoder, of
    /// these that its encoder reads.
    pub fn after(self, spans: &Spans, source: Option<&Spans>) -> Self {
        let (tokens, sequences) = (spans.tokens() as u64, spans.count() as u64);
        let source_tokens = source.map_or(0, Spans::tokens) as u64;
        Self {
            first_token: self.first_token + tokens,
            first_sequence: self.first_sequence + sequences,
            first_source_token: self.first_source_token + source_tokens,
            ..self
        }
    }
}

/// Records a forward pass over one set of parameters. Without gradients it only computes.
pub struct Tape<'a> {
    parameters: &'a Parameters,
    gradients: Option<&'a mut Parameters>,
    dropout: Option<DropoutStream>,
    dropout_sites: u64,
    nodes: Vec<Box<dyn Node>>,
    seeds: Vec<(usize, Tensor)>,
    /// The logits of the routers so far, when recording.
    pub(crate) routers: Vec<(Var, Arc<Routing>)>,
    variables: usize,
}

impl<'a> Tape<'a> {
    /// A tape that only computes: for teachers, evaluation and generation.
    pub fn inference(parameters: &'a Parameters) -> Self {
        Self {
            parameters,
            gradients: None,
            dropout: None,
            dropout_sites: 0,
            nodes: Vec::new(),
            seeds: Vec::new(),
            routers: Vec::new(),
            variables: 0,
        }
    }

    /// A tape whose backward adds to `gradients`. Dropout acts only when a stream is given.
    pub fn training(
        parameters: &'a Parameters,
        gradients: &'a mut Parameters,
        dropout: Option<DropoutStream>,
    ) -> Self {
        Self { gradients: Some(gradients), dropout, ..Self::inference(parameters) }
    }

    /// The parameters that the forward reads.
    pub fn parameters(&self) -> &'a Parameters {
        self.parameters
    }

    /// Where operations run.
    pub fn device(&self) -> &'a Arc<dyn Device> {
        self.parameters.device()
    }

    /// Whether operations are being recorded.
    pub fn is_recording(&self) -> bool {
        self.gradients.is_some()
    }

    /// A value from outside, such as a test's input.
    pub fn input(&mut self, value: Tensor) -> Var {
        self.variable(value)
    }

    pub(crate) fn variable(&mut self, value: Tensor) -> Var {
        self.variables += 1;
        Var { id: self.variables - 1, value: Arc::new(value) }
    }

    /// Memory for a result in full precision.
    pub(crate) fn allocate(&self, rows: usize, columns: usize) -> Tensor {
        Tensor::uninitialised(self.device(), rows, columns)
    }

    /// Memory for a result that only products and operations on single values read.
    pub(crate) fn allocate_compact(&self, rows: usize, columns: usize) -> Tensor {
        Tensor::of_shape(self.device(), Shape { rows, columns, precision: Precision::Compact })
    }

    /// Memory for a result of the same shape and precision as another value.
    pub(crate) fn allocate_like(&self, other: &Tensor) -> Tensor {
        Tensor::of_shape(self.device(), other.shape())
    }

    /// Puts a result on the tape, with the node that `make_node` builds from the result's id when
    /// recording.
    pub(crate) fn record<N: Node + 'static>(
        &mut self,
        value: Tensor,
        make_node: impl FnOnce(&Var) -> N,
    ) -> Var {
        let output = self.variable(value);
        if self.is_recording() {
            self.nodes.push(Box::new(make_node(&output)));
        }
        output
    }

    /// The gradients, when recording.
    pub(crate) fn gradients(&mut self) -> Option<&mut Parameters> {
        self.gradients.as_deref_mut()
    }

    /// Adds a gradient of the objective with respect to `variable`, from which the backward starts.
    pub fn seed(&mut self, variable: &Var, gradient: Tensor) {
        self.seeds.push((variable.id, gradient));
    }

    /// Does work on rows that are tokens of the encoder's texts and not of the decoder's: their
    /// dropout counts from the step's first such token.
    pub fn within_source<T>(&mut self, work: impl FnOnce(&mut Self) -> T) -> T {
        let stream = self.dropout;
        self.dropout =
            stream.map(|stream| DropoutStream { first_token: stream.first_source_token, ..stream });
        let done = work(self);
        self.dropout = stream;
        done
    }

    /// The masks of the next place where dropout is applied, if it is: each place of a forward pass
    /// has its own.
    pub(crate) fn next_dropout(&mut self, probability: f32) -> Option<DropoutMask> {
        let stream = self.dropout.filter(|_| probability > 0.0)?;
        self.dropout_sites += 1;
        Some(DropoutMask {
            rng: stream.rng.at(self.dropout_sites),
            first_token: stream.first_token,
            probability,
        })
    }

    /// The masks of the next place where dropout is applied to rows that stand for a sequence each.
    pub(crate) fn next_dropout_of_sequences(&mut self, probability: f32) -> Option<DropoutMask> {
        let mask = self.next_dropout(probability)?;
        Some(DropoutMask { first_token: self.dropout?.first_sequence, ..mask })
    }

    /// Replays the backwards from the seeds, adding to the gradients. Returns the gradients of the
    /// inputs.
    pub fn backward(self) -> InputGradients {
        let Some(gradients) = self.gradients else { return InputGradients(Vec::new()) };
        let mut pass = Backward {
            parameters: self.parameters,
            gradients,
            by_variable: (0..self.variables).map(|_| None).collect(),
        };
        for (id, gradient) in self.seeds {
            pass.give(id, gradient);
        }
        for node in self.nodes.into_iter().rev() {
            node.backward(&mut pass);
        }
        InputGradients(pass.by_variable)
    }
}

/// A dropout mask, computed where it is needed and never stored.
#[derive(Clone, Copy, Debug)]
pub struct DropoutMask {
    /// Random numbers of this place in the forward pass.
    pub rng: Rng,
    /// Tokens of the step (or sequences) that precede the first row.
    pub first_token: u64,
    /// Share of values set to zero.
    pub probability: f32,
}

impl DropoutMask {
    /// 0 for a dropped value and `1 / (1 - probability)` for a kept one. `row` counts from the
    /// micro-batch's first token.
    #[inline(always)]
    pub fn factor(self, row: usize, index_in_row: usize, row_length: usize) -> f32 {
        let index = (self.first_token + row as u64) * row_length as u64 + index_in_row as u64;
        if self.rng.uniform(index) < self.probability {
            0.0
        } else {
            1.0 / (1.0 - self.probability)
        }
    }

    /// `1 + probability * u` with `u` uniform in `[-1, 1)`: a factor of a router's jitter. `row`
    /// counts from the micro-batch's first token.
    #[inline(always)]
    pub fn jitter_factor(self, row: usize, index_in_row: usize, row_length: usize) -> f32 {
        let index = (self.first_token + row as u64) * row_length as u64 + index_in_row as u64;
        1.0 + self.probability * (2.0 * self.rng.uniform(index) - 1.0)
    }
}

/// What is left after the backward: gradients of values that no operation produced.
pub struct InputGradients(Vec<Option<Tensor>>);

impl InputGradients {
    /// The gradient of an input, if the objective depends on it.
    pub fn of(&self, input: &Var) -> Option<&Tensor> {
        self.0.get(input.id)?.as_ref()
    }
}

/// The state of a backward pass.
pub(crate) struct Backward<'a> {
    parameters: &'a Parameters,
    gradients: &'a mut Parameters,
    by_variable: Vec<Option<Tensor>>,
}

impl<'a> Backward<'a> {
    pub(crate) fn device(&self) -> &'a Arc<dyn Device> {
        self.parameters.device()
    }

    pub(crate) fn parameters(&self) -> &'a Parameters {
        self.parameters
    }

    /// The flat gradient, to add to.
    pub(crate) fn gradients(&mut self) -> &mut Parameters {
        self.gradients
    }

    /// Takes the finished gradient of an operation's output; none when the objective does not
    /// depend on it.
    pub(crate) fn take(&mut self, id: usize) -> Option<Tensor> {
        self.by_variable[id].take()
    }

    /// Adds a whole gradient to a variable's.
    pub(crate) fn give(&mut self, id: usize, gradient: Tensor) {
        match &mut self.by_variable[id] {
            Some(sum) => {
                let device = sum.device().clone();
                device.add(gradient.view(), sum.view_mut());
            }
            empty => *empty = Some(gradient),
        }
    }

    /// Lets a kernel write (`accumulate` false) or add to (`accumulate` true) a variable's
    /// gradient, which has its shape.
    pub(crate) fn accumulate(
        &mut self,
        id: usize,
        shape: Shape,
        kernel: impl FnOnce(&mut Tensor, bool),
    ) {
        match &mut self.by_variable[id] {
            Some(sum) => kernel(sum, true),
            empty => {
                let mut gradient = Tensor::of_shape(self.parameters.device(), shape);
                kernel(&mut gradient, false);
                *empty = Some(gradient);
            }
        }
    }
}
