//! What masked models and encoder-decoders read in training: masked models sequences between the
//! tokens that begin and end texts, with spans hidden that are predicted at their own places, and
//! encoder-decoders what `span_corruption` makes of them. A pure function of settings, seed, step
//! and place in the step, so that micro-batches do not matter.

use base::rng::Rng;
use engine::ops::language_model_loss::NO_TARGET;
use model::{Batch, HiddenTokens, MaskedTokens, ModelConfig, SentinelTokens};

use crate::data::MicroBatch;
use crate::settings::{MaskedSettings, SettingError, TrainSettings, require};
use crate::span_corruption::SpanCorruption;

/// The longest hidden span.
const LONGEST_SPAN: usize = 9;

/// Spans that are drawn for a sequence at most, for each token that is to be hidden and besides,
/// where most of its tokens are special ones or hidden already.
const MOST_SPANS: [usize; 2] = [10, 100];

/// How the sequences of a step, or of the held-out text, are hidden.
#[derive(Clone, Debug)]
pub struct Masking(Way);

/// The ways of hiding, by the kind of the model.
#[derive(Clone, Debug)]
enum Way {
    InPlace(InPlace),
    Spans(SpanCorruption),
}

/// Tokens of masked models, predicted at their own places.
#[derive(Clone, Debug)]
struct InPlace {
    rng: Rng,
    settings: MaskedSettings,
    tokens: MaskedTokens,
    vocab_size: u64,
    /// Ids that are never hidden.
    special: Vec<u32>,
}

/// What the model reads in place of a hidden span.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Reading {
    Mask,
    Random,
    Kept,
}

impl Masking {
    /// The masking of a model's step (1 for the first).
    pub fn of_step(
        settings: &TrainSettings,
        tokens: impl Into<HiddenTokens>,
        config: &ModelConfig,
        seed: u64,
        step: u64,
    ) -> Self {
        let rng = Rng::new(seed, "masked tokens").at(step);
        Self::new(settings, tokens.into(), config, rng)
    }

    /// The masking of held-out sequences, the same at every evaluation and of every seed.
    pub fn of_heldout(
        settings: &TrainSettings,
        tokens: impl Into<HiddenTokens>,
        config: &ModelConfig,
    ) -> Self {
        let rng = Rng::new(0, "masked tokens of held-out text");
        Self::new(settings, tokens.into(), config, rng)
    }

    fn new(settings: &TrainSettings, tokens: HiddenTokens, config: &ModelConfig, rng: Rng) -> Self {
        Self(match tokens {
            HiddenTokens::Masked(tokens) => {
                Way::InPlace(InPlace::new(settings, tokens, config, rng))
            }
            HiddenTokens::Spans(tokens) => Way::Spans(SpanCorruption {
                rng,
                settings: settings.spans.unwrap_or_default(),
                tokens,
                decoder_start: config.encoder_decoder.map_or(0, |own| own.decoder_start_token_id),
            }),
        })
    }

    /// Hides parts of a micro-batch's sequences, which stand at `first_sequence` and on among those
    /// of the step.
    pub fn apply(&self, micro_batch: &mut MicroBatch, first_sequence: usize) {
        match &self.0 {
            Way::InPlace(way) => way.apply(micro_batch, first_sequence),
            Way::Spans(way) => way.apply(micro_batch, first_sequence),
        }
    }
}

impl InPlace {
    fn new(settings: &TrainSettings, tokens: MaskedTokens, config: &ModelConfig, rng: Rng) -> Self {
        let named = [config.bos_token_id, config.pad_token_id].into_iter().flatten();
        let special = named.chain(config.eos_token_ids.iter().copied()).chain(tokens.ids());
        Self {
            rng,
            settings: settings.masked.unwrap_or_default(),
            tokens,
            vocab_size: config.vocab_size as u64,
            special: special.collect(),
        }
    }

    /// Puts the sequences between the ends of texts, and hides spans of them.
    fn apply(&self, micro_batch: &mut MicroBatch, first_sequence: usize) {
        let batch = &micro_batch.batch;
        let (mut sequences, mut targets) = (Vec::new(), Vec::new());
        for (index, rows) in batch.spans.iter().enumerate() {
            let rng = self.rng.at((first_sequence + index) as u64);
            let text = &batch.ids[rows];
            let (read, hidden) = self.hide(text, &rng);
            sequences.push([&[self.tokens.start], &read[..], &[self.tokens.end]].concat());
            let target = |(&id, is_hidden)| if is_hidden { id } else { NO_TARGET };
            targets.push(NO_TARGET);
            targets.extend(text.iter().zip(hidden).map(target));
            targets.push(NO_TARGET);
        }
        micro_batch.batch = Batch::from_sequences(&sequences);
        micro_batch.targets = Some(targets);
        micro_batch.origin = None;
    }

    /// What the model reads of a text, and which of its tokens are hidden.
    fn hide(&self, text: &[u32], rng: &Rng) -> (Vec<u32>, Vec<bool>) {
        let (mut read, mut hidden) = (text.to_vec(), vec![false; text.len()]);
        let mut index = 0;
        let mut next = || {
            index += 1;
            index
        };
        let is_text: Vec<bool> = text.iter().map(|id| !self.special.contains(id)).collect();
        let count = is_text.iter().filter(|&&is_text| is_text).count();
        let drawn = (0..count).filter(|_| self.is_below(rng, next(), self.settings.share)).count();
        let wanted = drawn.max(1).min(count);
        let mut found = 0;
        for _ in 0..MOST_SPANS[0] * wanted + MOST_SPANS[1] {
            if found >= wanted {
                break;
            }
            // Of a geometric distribution.
            let mut length = 1;
            while length < LONGEST_SPAN
                && self.is_below(rng, next(), 1.0 - 1.0 / self.settings.span)
            {
                length += 1;
            }
            // A span may stand over an end, so that all tokens are hidden equally often.
            let end = 1 + rng.below(next(), (text.len() + length - 1) as u64) as usize;
            let reading = self.reading(rng, next());
            for place in end.saturating_sub(length)..end.min(text.len()) {
                if !is_text[place] {
                    continue;
                }
                read[place] = match reading {
                    Reading::Mask => self.tokens.mask,
                    Reading::Random => rng.below(next(), self.vocab_size) as u32,
                    Reading::Kept => text[place],
                };
                found += usize::from(!hidden[place]);
                hidden[place] = true;
            }
        }
        (read, hidden)
    }

    fn is_below(&self, rng: &Rng, index: u64, share: f64) -> bool {
        f64::from(rng.uniform(index)) < share
    }

    fn reading(&self, rng: &Rng, index: u64) -> Reading {
        let (draw, settings) = (f64::from(rng.uniform(index)), &self.settings);
        if draw < settings.replace {
            Reading::Random
        } else if draw < settings.replace + settings.keep {
            Reading::Kept
        } else {
            Reading::Mask
        }
    }
}

/// Refuses settings that a model cannot follow for what it predicts, or that only another follows.
///
/// # Errors
/// Names the setting; also when the tokenizer lacks tokens that stand for what is hidden.
pub fn check(
    settings: &TrainSettings,
    config: &ModelConfig,
    tokens: Option<&HiddenTokens>,
) -> Result<(), SettingError> {
    check_settings(settings, config)?;
    let family = config.architecture;
    if family.is_causal() {
        return Ok(());
    }
    let (key, rule) = match family.is_encoder_decoder() {
        false => (
            "masked",
            "the tokenizer has no tokens to begin, end and hide texts of a masked model; train \
             one with tokenizer.mask_token = true, or name one that has them",
        ),
        true => (
            "spans",
            "the tokenizer has no token to end texts, or none that stands for hidden spans; train \
             one with tokenizer.sentinels = 100, or name one that has them",
        ),
    };
    let Some(tokens) = tokens else { return require(false, key, &"set", rule) };
    if let HiddenTokens::Spans(SentinelTokens { sentinels, .. }) = tokens {
        require(!sentinels.is_empty(), key, &"set", rule)?;
        let [_, spans] = settings.spans.unwrap_or_default().counts(settings.sequence_length);
        let (length, count) = (settings.sequence_length, sentinels.len());
        let rule = format!(
            "so many tokens have {spans} hidden spans, and the tokenizer's {count} sentinels are \
             fewer"
        );
        require(spans <= count, "sequence_length", &length, rule)?;
    }
    let outside = tokens.ids().into_iter().find(|&id| id as usize >= config.vocab_size);
    let rule = "that token is outside the model's vocabulary";
    require(outside.is_none(), key, &outside.unwrap_or_default(), rule)
}

/// Refuses settings as [`check`], as far as they do not depend on a tokenizer.
///
/// # Errors
/// Names the first such setting.
pub fn check_settings(settings: &TrainSettings, config: &ModelConfig) -> Result<(), SettingError> {
    let (family, title) = (config.architecture, config.architecture.title());
    let predicts = match (family.is_causal(), family.is_encoder_decoder()) {
        (true, _) => "the next token",
        (false, false) => "hidden tokens",
        (false, true) => "hidden spans",
    };
    let is_masked = !family.is_causal() && !family.is_encoder_decoder();
    for (key, is_set, applies) in [
        ("masked", settings.masked.is_some(), is_masked),
        ("spans", settings.spans.is_some(), family.is_encoder_decoder()),
    ] {
        let rule = format!("{title} predicts {predicts}; remove {key}");
        require(applies || !is_set, key, &"set", rule)?;
    }
    if family.is_causal() {
        return Ok(());
    }
    let own = if is_masked { "masked" } else { "spans" };
    for phase in settings.resolved_phases() {
        let rule = format!("{title} predicts {predicts}; {own} = {{ share = ... }} hides them");
        require(phase.hybrid.is_none(), "hybrid", &"set", rule.clone())?;
        require(phase.corruption.is_none(), "corruption", &"set", rule)?;
    }
    let (length, positions) = (settings.sequence_length, config.max_positions);
    let (around, what) = match is_masked {
        true => (MaskedTokens::AROUND, "the tokens that begin and end a text"),
        false => (1, "the token that ends a text"),
    };
    let rule = format!("with {what} it exceeds the model's {positions} positions");
    let whole = length.saturating_add(around);
    require(whole <= positions, "sequence_length", &length, rule)
}

#[cfg(test)]
mod tests {
    use model::Architecture;

    use super::*;
    use crate::settings::{CorruptionSettings, HybridSettings};

    const TOKENS: MaskedTokens = MaskedTokens { start: 1, mask: 3, end: 2 };

    fn config() -> ModelConfig {
        ModelConfig {
            vocab_size: 100,
            max_positions: 1002,
            ..ModelConfig::tiny(Architecture::LTG_BERT)
        }
    }

    fn batch() -> MicroBatch {
        let sequence = |start: u32| (start..start + 1000).map(|id| 10 + id % 50).collect();
        let sequences: [Vec<u32>; 3] = [sequence(0), sequence(7), sequence(20)];
        Batch::from_sequences(sequences).into()
    }

    fn settings(masked: MaskedSettings) -> TrainSettings {
        TrainSettings { masked: Some(masked), ..TrainSettings::default() }
    }

    fn masked(settings: &TrainSettings, step: u64) -> MicroBatch {
        let mut found = batch();
        Masking::of_step(settings, TOKENS, &config(), 1, step).apply(&mut found, 0);
        found
    }

    #[test]
    fn texts_stand_between_their_ends_and_hidden_tokens_are_predicted_where_they_are() {
        let (original, found) = (batch().batch, masked(&TrainSettings::default(), 1));
        let targets = found.targets.as_ref().unwrap();
        for (before, rows) in original.spans.iter().zip(found.batch.spans.iter()) {
            assert_eq!(rows.len(), before.len() + 2);
            let ends = (found.batch.ids[rows.start], found.batch.ids[rows.end - 1]);
            assert_eq!(ends, (TOKENS.start, TOKENS.end));
            assert_eq!((targets[rows.start], targets[rows.end - 1]), (NO_TARGET, NO_TARGET));
            for (place, row) in before.zip(rows.start + 1..) {
                match targets[row] {
                    NO_TARGET => assert_eq!(found.batch.ids[row], original.ids[place]),
                    target => assert_eq!(target, original.ids[place]),
                }
            }
        }
        assert!(found.origin.is_none());
    }

    /// Of all hidden tokens: those read as the mask, as another token, and as they are.
    fn shares(settings: &TrainSettings) -> [f64; 4] {
        let mut counts = [0.0; 4];
        for step in 1..=10 {
            let (original, found) = (batch().batch, masked(settings, step));
            let targets = found.targets.as_ref().unwrap();
            for (before, rows) in original.spans.iter().zip(found.batch.spans.iter()) {
                for (place, row) in before.zip(rows.start + 1..) {
                    let (read, id) = (found.batch.ids[row], original.ids[place]);
                    if targets[row] != NO_TARGET {
                        counts[0] += 1.0;
                        let kind =
                            if read == TOKENS.mask { 1 } else { 2 + usize::from(read == id) };
                        counts[kind] += 1.0;
                    }
                }
            }
        }
        let all = counts[0];
        [all / 30_000.0, counts[1] / all, counts[2] / all, counts[3] / all]
    }

    #[test]
    fn shares_are_those_of_the_settings() {
        for (settings, expected) in [
            (TrainSettings::default(), [0.15, 0.8, 0.1, 0.1]),
            (
                settings(MaskedSettings { share: 0.4, replace: 0.0, keep: 0.0, span: 1.0 }),
                [0.4, 1.0, 0.0, 0.0],
            ),
            (
                settings(MaskedSettings { share: 0.3, replace: 0.5, keep: 0.2, span: 2.0 }),
                [0.3, 0.3, 0.5, 0.2],
            ),
        ] {
            let found = shares(&settings);
            for (found, expected) in found.iter().zip(expected) {
                assert!((found - expected).abs() < 0.03, "{found} instead of {expected}");
            }
        }
    }

    #[test]
    fn spans_have_the_mean_length_of_the_settings() {
        for (span, expected) in [(1.0, 1.0), (3.0, 2.9)] {
            let rare = MaskedSettings { share: 0.01, span, ..MaskedSettings::default() };
            let (mut tokens, mut spans) = (0.0, 0.0);
            for step in 1..=60 {
                let found = masked(&settings(rare), step);
                let hidden = |target: &&u32| **target != NO_TARGET;
                let targets = found.targets.unwrap();
                tokens += targets.iter().filter(hidden).count() as f64;
                let ends = |pair: &&[u32]| pair[0] != NO_TARGET && pair[1] == NO_TARGET;
                spans += targets.windows(2).filter(ends).count() as f64;
            }
            let mean = tokens / spans;
            assert!((mean / expected - 1.0).abs() < 0.12, "{mean} instead of {expected}");
        }
    }

    #[test]
    fn steps_and_seeds_draw_anew_and_a_split_changes_nothing() {
        let settings = TrainSettings::default();
        let ids = |step| masked(&settings, step).batch.ids;
        assert!(ids(1) == ids(1) && ids(1) != ids(2));
        let (whole, of_step) =
            (masked(&settings, 1), Masking::of_step(&settings, TOKENS, &config(), 1, 1));
        let other = Masking::of_step(&settings, TOKENS, &config(), 2, 1);
        for (sequence, rows) in batch().batch.spans.iter().enumerate() {
            let cut = || -> MicroBatch {
                Batch::from_sequences([&batch().batch.ids[rows.clone()]]).into()
            };
            let (mut one, mut differs) = (cut(), cut());
            of_step.apply(&mut one, sequence);
            other.apply(&mut differs, sequence);
            let place = sequence * 1002..(sequence + 1) * 1002;
            assert_eq!(one.batch.ids[..], whole.batch.ids[place.clone()]);
            assert_eq!(one.targets.unwrap(), whole.targets.as_ref().unwrap()[place]);
            assert_ne!(one.batch.ids, differs.batch.ids);
        }
    }

    #[test]
    fn special_tokens_are_never_hidden_and_one_token_of_a_text_always_is() {
        let masking = Masking::of_step(&TrainSettings::default(), TOKENS, &config(), 1, 1);
        for (text, most) in [(&[2u32, 1, 3, 2][..], 0), (&[2, 7], 1), (&[], 0), (&[7, 8, 9], 3)] {
            let mut found: MicroBatch = Batch::from_sequences([text]).into();
            masking.apply(&mut found, 0);
            let count = found.predicted_tokens();
            assert!(count <= most && (most == 0 || count > 0), "{count} of {text:?}");
            let targets = found.targets.unwrap();
            let special = |target: &u32| [1, 2, 3].contains(target);
            assert!(!targets.iter().any(special), "{targets:?}");
        }
    }

    #[test]
    fn held_out_text_is_hidden_alike_for_every_seed() {
        let (settings, mut first, mut second) = (TrainSettings::default(), batch(), batch());
        Masking::of_heldout(&settings, TOKENS, &config()).apply(&mut first, 0);
        Masking::of_heldout(&settings, TOKENS, &config()).apply(&mut second, 0);
        assert_eq!(first.batch.ids, second.batch.ids);
        assert_ne!(first.batch.ids, masked(&settings, 1).batch.ids);
    }

    #[test]
    fn settings_that_do_not_fit_are_refused() {
        let causal = ModelConfig::tiny(Architecture::GPT2);
        let message = |settings: &TrainSettings, config: &ModelConfig, tokens: Option<_>| {
            let tokens: Option<HiddenTokens> = tokens.map(MaskedTokens::into);
            check(settings, config, tokens.as_ref()).unwrap_err().to_string()
        };
        let set = settings(MaskedSettings::default());
        let found = message(&set, &causal, Some(TOKENS));
        assert!(found.contains("`masked` is set; GPT-2 predicts the next token"), "{found}");
        let plain = TrainSettings::default();
        assert!(
            check(&plain, &causal, None).is_ok()
                && check(&set, &config(), Some(&TOKENS.into())).is_ok()
        );
        assert!(message(&plain, &config(), None).contains("tokenizer.mask_token = true"));
        let outside = Some(MaskedTokens { mask: 100, ..TOKENS });
        assert!(message(&plain, &config(), outside).contains("`masked` is 100"));
        let hybrid = Some(HybridSettings::default());
        let hybrid = TrainSettings { hybrid, ..plain.clone() };
        let corruption = Some(CorruptionSettings::default());
        let corruption = TrainSettings { corruption, ..plain.clone() };
        for (settings, key) in [(hybrid, "hybrid"), (corruption, "corruption")] {
            let found = message(&settings, &config(), Some(TOKENS));
            assert!(
                found.contains(&format!("`{key}` is set; LTG-BERT predicts hidden")),
                "{found}"
            );
        }
        let long = TrainSettings { sequence_length: 1001, ..plain };
        let found = message(&long, &config(), Some(TOKENS));
        assert!(found.contains("`sequence_length` is 1001") && found.contains("1002"), "{found}");
    }
}
