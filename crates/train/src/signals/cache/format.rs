//! The trait of cache formats.

use base::rng::Rng;
use model::Model;

use crate::data::MicroBatch;
use crate::signals::TeacherOutputs;
use crate::signals::teacher_weights::TeacherWeights;

/// What a cache stores of a sequence, and how it becomes teacher outputs again.
///
/// A format holds the decoded outputs of one micro-batch. A `block` is the number of a sequence in
/// the cache, a `slot` its place in the micro-batch.
pub(in crate::signals) trait CacheFormat {
    /// Whether the outputs need the teachers' output layers.
    const NEEDS_OUTPUT_LAYERS: bool;

    /// Bytes of each of a block's parts: what becomes one matrix of the outputs.
    fn parts(&self) -> Vec<usize>;

    /// Bytes of one block.
    fn block_bytes(&self) -> usize {
        self.parts().iter().sum()
    }

    /// Allocates the slots of a micro-batch.
    fn begin_batch(&mut self, sequences: usize);

    /// Allocates a device cache for all blocks of the training text, where the device has memory
    /// for them.
    fn reserve_device_cache(&mut self, _blocks: usize) {}

    /// Whether there is a device cache.
    fn has_device_cache(&self) -> bool {
        false
    }

    /// Whether the device cache has a block of the training text.
    fn is_on_device(&self, _block: usize) -> bool {
        false
    }

    /// Copies a block of the training text from the device cache into a slot; false when it is not
    /// there.
    fn load_from_device(&mut self, _block: usize, _slot: usize) -> bool {
        false
    }

    /// Copies a slot to a block of the device cache, if there is one.
    fn store_on_device(&mut self, _block: usize, _slot: usize) {}

    /// Decodes blocks into consecutive slots from `slot` on: of each part the bytes of all blocks.
    /// False when they are impossible.
    fn decode(&mut self, slot: usize, parts: &[&[u8]]) -> bool;

    /// Runs the teachers on a micro-batch and encodes a block for each sequence.
    fn forward(&self, models: &[Model], micro_batch: &MicroBatch) -> Vec<Vec<u8>>;

    /// A block of random values of the right kind.
    fn synthetic_block(&self, rng: Rng) -> Vec<u8>;

    /// The outputs of all slots.
    fn outputs<'a>(&'a self, weights: &'a TeacherWeights) -> TeacherOutputs<'a>;
}
