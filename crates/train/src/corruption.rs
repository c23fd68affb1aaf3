//! What a training step reads in place of the text, and what it predicts: a pure function of
//! settings, seed, step and place in the step, so that micro-batches do not matter.

use base::rng::Rng;
use engine::ops::language_model_loss::NO_TARGET;
use model::Batch;

use crate::data::MicroBatch;
use crate::settings::{HybridSettings, SettingError, TrainSettings, require};

/// How the inputs of one step are changed.
#[derive(Clone, Copy, Debug)]
pub struct Corruption {
    rng: Rng,
    vocab_size: u64,
    mask_token: u32,
    replace: f64,
    mask: f64,
    varies: bool,
    /// Where the masked tokens alone are predicted, with attention in both directions.
    masked_step: Option<HybridSettings>,
}

/// What becomes of a token.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Reading {
    AsItIs,
    Mask,
    Random,
    /// Masked, but read as it is.
    Kept,
}

impl Corruption {
    /// The corruption of step `step` (1 for the first) of `total_steps`; `None` where the step
    /// reads the text as it is.
    pub fn of_step(
        settings: &TrainSettings,
        seed: u64,
        (step, total_steps): (u64, u64),
        vocab_size: usize,
        mask_token: Option<u32>,
    ) -> Option<Self> {
        let is_masked = |steps: f64| f64::from(Rng::new(seed, "hybrid").uniform(step)) < steps;
        let hybrid = settings.hybrid.filter(|hybrid| is_masked(hybrid.steps));
        let corruption = settings.corruption.unwrap_or_default();
        let (replace, mask, varies) = match hybrid {
            Some(hybrid) => {
                let done = (step - 1) as f64 / total_steps.max(1) as f64;
                (0.0, hybrid.mask_at(done), false)
            }
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
            masked_step: hybrid,
        })
    }

    /// Whether the masked tokens alone are predicted.
    pub fn predicts_masked(&self) -> bool {
        self.masked_step.is_some()
    }

    /// Changes the inputs of a micro-batch, whose sequences stand at `first_sequence` and on among
    /// those of the step.
    pub fn apply(&self, micro_batch: &mut MicroBatch, first_sequence: usize) {
        let batch = &micro_batch.batch;
        let mut targets = batch.next_tokens();
        let mut ids = batch.ids.to_vec();
        for (sequence, rows) in batch.spans.iter().enumerate() {
            let rng = self.rng.at((first_sequence + sequence) as u64);
            let readings = self.readings(rows.len(), &rng);
            for ((place, row), reading) in rows.clone().enumerate().zip(readings) {
                match reading {
                    Reading::Mask => ids[row] = self.mask_token,
                    Reading::Random => ids[row] = self.random_id(place, &rng),
                    Reading::AsItIs | Reading::Kept => {}
                }
                if self.predicts_masked() && reading == Reading::AsItIs && place > 0 {
                    targets[row - 1] = NO_TARGET;
                }
            }
        }
        let bidirectional = self.predicts_masked();
        micro_batch.batch = Batch { ids: ids.into(), bidirectional, ..batch.clone() };
        micro_batch.targets = Some(targets);
        // What teachers computed of the text is not what they would compute of this.
        micro_batch.origin = None;
    }

    /// What becomes of each of the `length` tokens of a sequence. `rng` is the sequence's own: two
    /// numbers for each token, behind one for the sequence.
    fn readings(&self, length: usize, rng: &Rng) -> Vec<Reading> {
        let draw = |place: usize| f64::from(rng.uniform(1 + 2 * place as u64));
        if let Some(hybrid) = self.masked_step {
            return self.span_readings(&hybrid, length, rng, draw);
        }
        let scale = if self.varies { f64::from(rng.uniform(0)) } else { 1.0 };
        let reading = |place: usize| match draw(place) {
            drawn if drawn < scale * self.mask => Reading::Mask,
            drawn if drawn < scale * (self.mask + self.replace) => Reading::Random,
            _ => Reading::AsItIs,
        };
        (0..length).map(reading).collect()
    }

    /// What becomes of each token of a sequence where spans are masked, each by the draw of its
    /// first token.
    fn span_readings(
        &self,
        hybrid: &HybridSettings,
        length: usize,
        rng: &Rng,
        draw: impl Fn(usize) -> f64,
    ) -> Vec<Reading> {
        let (lengths, kinds) = (rng.at(1), rng.at(2));
        let mut readings = Vec::with_capacity(length);
        while readings.len() < length {
            let place = readings.len();
            let span = 1 + lengths.below(place as u64, hybrid.longest_span as u64) as usize;
            let kind = f64::from(kinds.uniform(place as u64));
            let reading = match draw(place) < self.mask {
                false => Reading::AsItIs,
                true if kind < hybrid.replace => Reading::Random,
                true if kind < hybrid.replace + hybrid.keep => Reading::Kept,
                true => Reading::Mask,
            };
            readings.resize((place + span).min(length), reading);
        }
        readings
    }

    fn random_id(&self, place: usize, rng: &Rng) -> u32 {
        rng.below(2 + 2 * place as u64, self.vocab_size) as u32
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
    use crate::settings::CorruptionSettings;

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
        Corruption::of_step(settings, 1, (step, 200), 100, Some(MASK))?.apply(&mut found, 0);
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
        let corruption = Corruption::of_step(&settings, 1, (1, 1), 100, None).unwrap();
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
        let hybrid = HybridSettings { steps: 0.5, mask: 0.15, ..Default::default() };
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

    /// Of the masked tokens of a step: their share, and of them those read as the mask, as random
    /// tokens and as they are; and the mean length of what is masked together.
    fn shares(hybrid: HybridSettings, step: u64) -> ([f64; 4], f64) {
        let hybrid = Some(HybridSettings { steps: 1.0, ..hybrid });
        let settings = TrainSettings { hybrid, ..TrainSettings::default() };
        let (original, found) = (batch().batch, corrupted(&settings, step).unwrap());
        let (expected, targets) = (original.next_tokens(), found.targets.unwrap());
        let (mut counts, mut runs) = ([0.0; 4], 0.0);
        for rows in original.spans.iter() {
            let mut before = false;
            for row in rows.start..rows.end - 1 {
                let is_masked = targets[row] != NO_TARGET;
                runs += f64::from(u8::from(is_masked && !before));
                before = is_masked;
                if is_masked {
                    assert_eq!(targets[row], expected[row]);
                    let read = found.batch.ids[row + 1];
                    let kind = if read == MASK { 1 } else { 2 };
                    counts[if read == expected[row] { 3 } else { kind }] += 1.0;
                    counts[0] += 1.0;
                } else {
                    assert_eq!(found.batch.ids[row + 1], original.ids[row + 1]);
                }
            }
        }
        let all = counts[0];
        ([all / 3000.0, counts[1] / all, counts[2] / all, counts[3] / all], all / runs)
    }

    #[track_caller]
    fn assert_near(found: f64, expected: f64, tolerance: f64) {
        assert!((found - expected).abs() < tolerance, "{found} instead of {expected}");
    }

    #[test]
    fn spans_are_masked_whole_and_the_share_changes_over_the_training() {
        let spans = HybridSettings {
            mask: 0.3,
            mask_end: Some(0.15),
            longest_span: 3,
            replace: 0.1,
            keep: 0.1,
            ..HybridSettings::default()
        };
        for (step, share) in [(1, 0.3), (101, 0.225), (200, 0.15)] {
            let (found, _) = shares(spans, step);
            for (found, expected) in found.into_iter().zip([share, 0.8, 0.1, 0.1]) {
                assert_near(found, expected, 0.05);
            }
        }
        let rare = HybridSettings { mask: 0.02, ..HybridSettings::default() };
        let single = shares(rare, 1).1;
        let several = shares(HybridSettings { longest_span: 3, ..rare }, 1).1;
        assert_near(single, 1.0, 0.12);
        assert_near(several, 2.0, 0.35);
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
