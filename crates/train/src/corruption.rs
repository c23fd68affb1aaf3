//! What a training step reads in place of the text, and what it predicts: a pure function of
//! settings, seed, step and place in the step, so that micro-batches do not matter.

use base::rng::Rng;
use engine::ops::language_model_loss::NO_TARGET;
use model::Batch;

use crate::data::MicroBatch;
use crate::settings::{SettingError, TrainSettings, require};

/// How the inputs of one step are changed.
#[derive(Clone, Copy, Debug)]
pub struct Corruption {
    rng: Rng,
    vocab_size: u64,
    mask_token: u32,
    replace: f64,
    mask: f64,
    varies: bool,
    /// Whether the masked tokens alone are predicted, with attention in both directions.
    masked_step: bool,
}

impl Corruption {
    /// That of a step (1 for the first); `None` where the step reads the text as it is.
    pub fn of_step(
        settings: &TrainSettings,
        seed: u64,
        step: u64,
        vocab_size: usize,
        mask_token: Option<u32>,
    ) -> Option<Self> {
        let is_masked = |steps: f64| f64::from(Rng::new(seed, "hybrid").uniform(step)) < steps;
        let hybrid = settings.hybrid.filter(|hybrid| is_masked(hybrid.steps));
        let corruption = settings.corruption.unwrap_or_default();
        let (replace, mask, varies) = match hybrid {
            Some(hybrid) => (0.0, hybrid.mask, false),
            None => (corruption.replace, corruption.mask, corruption.varies),
        };
        (replace + mask > 0.0).then(|| Self {
            rng: Rng::new(seed, "corruption").at(step),
            vocab_size: vocab_size as u64,
            // Settings that mask are refused where there is none.
            mask_token: mask_token.unwrap_or_default(),
            replace,
            mask,
            varies,
            masked_step: hybrid.is_some(),
        })
    }

    /// Whether the masked tokens alone are predicted.
    pub fn predicts_masked(&self) -> bool {
        self.masked_step
    }

    /// Changes the inputs of a micro-batch, whose sequences stand at `first_sequence` and on among
    /// those of the step.
    pub fn apply(&self, micro_batch: &mut MicroBatch, first_sequence: usize) {
        let batch = &micro_batch.batch;
        let mut targets = batch.next_tokens();
        let mut ids = batch.ids.to_vec();
        for (sequence, rows) in batch.spans.iter().enumerate() {
            let rng = self.rng.at((first_sequence + sequence) as u64);
            let scale = if self.varies { f64::from(rng.uniform(0)) } else { 1.0 };
            for (place, row) in rows.clone().enumerate() {
                // Two numbers for each token, behind that of the sequence.
                let (draw, other) =
                    (f64::from(rng.uniform(1 + 2 * place as u64)), 2 + 2 * place as u64);
                let is_masked = draw < scale * self.mask;
                if is_masked {
                    ids[row] = self.mask_token;
                } else if draw < scale * (self.mask + self.replace) {
                    ids[row] = rng.below(other, self.vocab_size) as u32;
                }
                if self.masked_step && !is_masked && place > 0 {
                    targets[row - 1] = NO_TARGET;
                }
            }
        }
        micro_batch.batch =
            Batch { ids: ids.into(), bidirectional: self.masked_step, ..batch.clone() };
        micro_batch.targets = Some(targets);
        // What teachers computed of the text is not what they would compute of this.
        micro_batch.origin = None;
    }
}

/// Whether any step reads the mask token.
pub fn masks(settings: &TrainSettings) -> bool {
    settings.resolved_phases().iter().any(|settings| {
        let by_corruption = settings.corruption.is_some_and(|of| of.mask > 0.0);
        by_corruption || settings.hybrid.is_some_and(|of| of.steps > 0.0)
    })
}

/// Refuses settings that mask where there is no token for it.
pub(crate) fn check(settings: &TrainSettings, mask_token: Option<u32>) -> Result<(), SettingError> {
    let rule = "there is no mask token: the tokenizer has neither one nor one that begins a text";
    let key = if settings.hybrid.is_some() { "hybrid" } else { "corruption.mask" };
    require(mask_token.is_some() || !masks(settings), key, &"set", rule)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::settings::{CorruptionSettings, HybridSettings};

    const MASK: u32 = 3;

    fn batch() -> MicroBatch {
        let sequence = |start: u32| (start..start + 1000).map(|id| 10 + id % 50).collect();
        let sequences: [Vec<u32>; 3] = [sequence(0), sequence(7), sequence(20)];
        Batch::from_sequences(sequences).into()
    }

    fn settings(corruption: CorruptionSettings) -> TrainSettings {
        TrainSettings { corruption: Some(corruption), ..TrainSettings::default() }
    }

    fn corrupted(settings: &TrainSettings, step: u64) -> Option<MicroBatch> {
        let mut found = batch();
        Corruption::of_step(settings, 1, step, 100, Some(MASK))?.apply(&mut found, 0);
        Some(found)
    }

    #[test]
    fn shares_of_the_inputs_are_replaced_and_targets_stay() {
        let settings = settings(CorruptionSettings { replace: 0.1, mask: 0.2, varies: false });
        let (original, mut masked, mut replaced) = (batch(), 0, 0);
        for step in 1..=10 {
            let found = corrupted(&settings, step).unwrap();
            assert_eq!(found.targets.as_deref(), Some(&original.batch.next_tokens()[..]));
            assert!(!found.batch.bidirectional && found.origin.is_none());
            let pairs = found.batch.ids.iter().zip(&original.batch.ids[..]);
            masked += pairs.clone().filter(|(found, _)| **found == MASK).count();
            replaced += pairs.filter(|(found, id)| **found != MASK && found != id).count();
        }
        assert!((5_800..6_200).contains(&masked), "{masked} of 30,000");
        assert!((2_750..3_100).contains(&replaced), "{replaced} of 30,000");
    }

    #[test]
    fn steps_and_places_draw_anew_and_a_split_changes_nothing() {
        let settings = settings(CorruptionSettings { replace: 0.3, mask: 0.0, varies: true });
        let ids = |step| corrupted(&settings, step).unwrap().batch.ids;
        assert!(ids(1) == ids(1) && ids(1) != ids(2));
        let whole = ids(1);
        let corruption = Corruption::of_step(&settings, 1, 1, 100, None).unwrap();
        for (sequence, rows) in batch().batch.spans.iter().enumerate() {
            let one = batch().batch.ids[rows.clone()].to_vec();
            let mut one: MicroBatch = Batch::from_sequences([one]).into();
            corruption.apply(&mut one, sequence);
            assert_eq!(one.batch.ids[..], whole[rows]);
        }
        // Each sequence has a share of its own.
        let original = batch().batch;
        let changed = original
            .spans
            .iter()
            .map(|rows| rows.filter(|&row| whole[row] != original.ids[row]).count());
        let changed: Vec<usize> = changed.collect();
        assert!(changed.iter().max() > changed.iter().min().map(|least| least + 20).as_ref());
    }

    #[test]
    fn a_masked_step_predicts_what_is_masked_alone() {
        let hybrid = HybridSettings { steps: 0.5, mask: 0.15 };
        let settings = TrainSettings { hybrid: Some(hybrid), ..TrainSettings::default() };
        let steps: Vec<Option<MicroBatch>> =
            (1..=200).map(|step| corrupted(&settings, step)).collect();
        let masked: Vec<&MicroBatch> = steps.iter().flatten().collect();
        assert!((75..125).contains(&masked.len()), "{} of 200", masked.len());
        let (found, original) = (masked[0], batch().batch);
        assert!(found.batch.bidirectional);
        let targets = found.targets.as_ref().unwrap();
        let expected = original.next_tokens();
        for rows in original.spans.iter() {
            for row in rows.start..rows.end - 1 {
                let is_masked = found.batch.ids[row + 1] == MASK;
                let target = if is_masked { expected[row] } else { NO_TARGET };
                assert_eq!(targets[row], target);
            }
            assert_eq!(targets[rows.end - 1], NO_TARGET);
        }
        let count = targets.iter().filter(|&&target| target != NO_TARGET).count();
        assert!((380..520).contains(&count), "{count} of 3000");
    }

    #[test]
    fn masking_without_a_token_for_it_is_refused() {
        let hybrid =
            TrainSettings { hybrid: Some(HybridSettings::default()), ..TrainSettings::default() };
        let message = check(&hybrid, None).unwrap_err().to_string();
        assert!(message.contains("`hybrid` is set; there is no mask token"), "{message}");
        assert!(check(&hybrid, Some(1)).is_ok());
        let replaced = settings(CorruptionSettings { replace: 0.1, ..Default::default() });
        assert!(check(&replaced, None).is_ok());
    }
}
