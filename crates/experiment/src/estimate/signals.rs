//! What each kind of teacher outputs takes: disk and work, estimated from sizes alone.

use model::ModelConfig;
use train::settings::{Codec, DistillSettings, SignalKind, TrainSettings};

/// Ids of larger vocabularies take four bytes.
const TWO_BYTE_VOCABULARY: usize = 1 << 16;

/// One way, and what it takes.
pub struct Choice {
    /// The name, such as `hidden, bf16`.
    pub name: String,
    /// Whether the recipe takes it.
    pub is_chosen: bool,
    /// What the cache and the teachers take; `None` where the recipe's other settings rule this way
    /// out.
    pub cost: Option<Cost>,
}

/// Disk and work for teachers' signals.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Cost {
    /// Bytes of the cache.
    pub disk: f64,
    /// Tokens, and the teachers' floating-point operations for each: while they are read, and when
    /// their outputs are kept.
    pub phases: [(f64, f64); 2],
}

impl Cost {
    /// Floating-point operations of the teachers in the whole run.
    pub fn flops(&self) -> f64 {
        self.phases.iter().map(|(tokens, flops)| tokens * flops).sum()
    }
}

/// What the steps with teachers read of a text.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Taught {
    /// Tokens of these steps.
    pub seen: f64,
    /// Tokens of the text that are in one of them.
    pub distinct: f64,
    /// How often such a step reads its teachers: once for each pass forwards and backwards.
    pub passes: f64,
}

/// Every kind of teacher outputs, for a student with these steps on a text of `tokens`.
pub fn choices(
    distill: &DistillSettings,
    settings: &TrainSettings,
    teachers: &[ModelConfig],
    tokens: f64,
    taught: Taught,
) -> Vec<Choice> {
    let ways = [
        ("online".to_owned(), SignalKind::Online, None),
        ("hidden, f32".to_owned(), SignalKind::Hidden, Some(Codec::F32)),
        ("hidden, bf16".to_owned(), SignalKind::Hidden, Some(Codec::Bf16)),
        (format!("sampled, {}", distill.samples), SignalKind::Sampled, None),
    ];
    let choice = |(name, signal, codec): (String, SignalKind, Option<Codec>)| {
        let way =
            DistillSettings { signal, codec: codec.unwrap_or(distill.codec), ..distill.clone() };
        let is_possible =
            train::settings::check_distillation(&way, settings, teachers.len()).is_ok();
        Choice {
            name,
            is_chosen: way == *distill,
            cost: is_possible.then(|| cost(&way, settings, teachers, tokens, taught)),
        }
    };
    ways.into_iter().map(choice).collect()
}

/// What the way that the settings take costs.
pub fn cost(
    distill: &DistillSettings,
    settings: &TrainSettings,
    teachers: &[ModelConfig],
    tokens: f64,
    taught: Taught,
) -> Cost {
    let Taught { seen, distinct, passes } = taught;
    let length = settings.sequence_length;
    let sum = |of: &dyn Fn(&ModelConfig) -> f64| teachers.iter().map(of).sum::<f64>();
    let whole = sum(&|teacher| teacher.forward_flops_per_token(length));
    let output = sum(&|teacher| 2.0 * (teacher.vocab_size * teacher.hidden_size) as f64);
    // Every sequence of every offset has its place, and is read by the teachers once if it is read.
    let offsets = settings.chunk_offsets.len().max(1) as f64;
    let kept = tokens * offsets;
    let read = (distinct * offsets).min(seen);
    match distill.signal {
        SignalKind::Online => Cost { disk: 0.0, phases: [(seen, passes * whole), (0.0, 0.0)] },
        SignalKind::Hidden => {
            let bytes = if distill.codec == Codec::F32 { 4.0 } else { 2.0 };
            let disk = kept * bytes * sum(&|teacher| teacher.hidden_size as f64);
            let again = passes * output;
            Cost { disk, phases: [(read, whole + again - output), (seen - read, again)] }
        }
        SignalKind::Sampled => {
            let wide = teachers.iter().any(|teacher| teacher.vocab_size > TWO_BYTE_VOCABULARY);
            let id_bytes = if wide { 4.0 } else { 2.0 };
            let disk = kept * (distill.samples as f64 * id_bytes + 4.0);
            Cost { disk, phases: [(read, whole), (seen - read, 0.0)] }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::recipe::{ModelSection, Start};

    fn teachers() -> [ModelConfig; 2] {
        let section = "architecture = 'llama'\nhidden_size = 64\nintermediate_size = \
         96\nnum_layers = 2\nnum_heads = 4";
        let section: ModelSection = toml::from_str(section).unwrap();
        let Start::Random(shape) = section.start else { panic!("no shape") };
        [shape.config_for(1000), shape.config_for(1000)]
    }

    #[test]
    fn each_way_takes_its_disk_and_work() {
        let settings = TrainSettings::default();
        let distill =
            DistillSettings { samples: 10, ..DistillSettings::new(vec!["a".into(), "b".into()]) };
        let seen = |seen| Taught { seen, distinct: 1e6, passes: 1.0 };
        let found = choices(&distill, &settings, &teachers(), 1e6, seen(4e6));
        let chosen: Vec<bool> = found.iter().map(|choice| choice.is_chosen).collect();
        assert_eq!(chosen, [true, false, false, false]);
        let costs: Vec<Cost> = found.iter().map(|choice| choice.cost.unwrap()).collect();
        let disks: Vec<f64> = costs.iter().map(|cost| cost.disk).collect();
        assert_eq!(disks, [0.0, 1e6 * 128.0 * 4.0, 1e6 * 128.0 * 2.0, 1e6 * 24.0]);
        let whole = 2.0 * teachers()[0].forward_flops_per_token(128);
        let output = 2.0 * 2.0 * 64_000.0;
        assert_eq!(costs[0].flops(), whole * 4e6);
        assert_eq!(costs[1].phases, [(1e6, whole), (3e6, output)]);
        assert_eq!((costs[2].flops(), costs[3].flops()), (costs[1].flops(), whole * 1e6));
        // Two offsets keep twice as much; a run that ends earlier has read less.
        let offsets = TrainSettings { chunk_offsets: vec![0, 64], ..settings.clone() };
        let hidden = DistillSettings { signal: SignalKind::Hidden, ..distill.clone() };
        let found = cost(&hidden, &offsets, &teachers(), 1e6, seen(0.5e6));
        assert_eq!((found.disk, found.flops()), (2.0 * disks[1], whole * 0.5e6));
        // Of a tenth of the text the rest is not read, and two passes read outputs twice.
        let part = Taught { seen: 4e6, distinct: 1e5, passes: 2.0 };
        let found = cost(&hidden, &settings, &teachers(), 1e6, part);
        assert_eq!(found.phases, [(1e5, whole + output), (3.9e6, 2.0 * output)]);
        let found = cost(&distill, &settings, &teachers(), 1e6, part);
        assert_eq!(found.flops(), 2.0 * whole * 4e6);
    }

    #[test]
    fn ways_that_settings_rule_out_cost_nothing_but_are_shown() {
        let settings = TrainSettings { random_offset: true, ..TrainSettings::default() };
        let distill = DistillSettings::new(vec!["a".into(), "b".into()]);
        let possible = |settings: &TrainSettings| -> Vec<bool> {
            let taught = Taught { seen: 1e6, distinct: 1e6, passes: 1.0 };
            choices(&distill, settings, &teachers(), 1e6, taught)
                .iter()
                .map(|choice| choice.cost.is_some())
                .collect()
        };
        assert_eq!(possible(&settings), [true, false, false, false]);
        assert_eq!(possible(&TrainSettings::default()), [true; 4]);
    }
}
