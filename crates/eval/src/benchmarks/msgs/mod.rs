//! MSGS (Warstadt et al., "Learning which features matter", 2020): whether a fine-tuned model
//! generalises by linguistic or by surface features.

use std::sync::LazyLock;

use crate::benchmark::{Benchmark, Kind};
use crate::classification::{ClassificationTask, Template};
use crate::reference::{self, ReferenceTable};
use crate::results::Metric;

/// The controls, then the ambiguous tasks.
static TASKS: [ClassificationTask; 11] = [
    task("control_raising_control"),
    task("lexical_content_the_control"),
    task("main_verb_control"),
    task("relative_position_control"),
    task("syntactic_category_control"),
    task("control_raising_lexical_content_the"),
    task("control_raising_relative_token_position"),
    task("main_verb_lexical_content_the"),
    task("main_verb_relative_token_position"),
    task("syntactic_category_lexical_content_the"),
    task("syntactic_category_relative_position"),
];

const fn task(name: &'static str) -> ClassificationTask {
    ClassificationTask {
        name,
        benchmark: &Msgs,
        template: Template::single("{sentence}"),
        classes: 2,
        metric: Metric::Mcc,
        has_test_items: true,
    }
}

static REFERENCE: LazyLock<Vec<ReferenceTable>> =
    LazyLock::new(|| reference::embedded(include_str!("reference.toml")));

/// The eleven tasks of MSGS in BabyLM's pipelines.
pub struct Msgs;

impl Benchmark for Msgs {
    fn name(&self) -> &'static str {
        "msgs"
    }

    fn title(&self) -> &'static str {
        "MSGS"
    }

    fn about(&self) -> &'static str {
        "fine-tuning for the eleven tasks of MSGS"
    }

    fn kind(&self) -> Kind {
        Kind::FineTuned(&TASKS)
    }

    fn folders(&self) -> &'static [&'static str] {
        &["msgs_filtered", "msgs"]
    }

    fn reference(&self) -> &'static [ReferenceTable] {
        &REFERENCE
    }
}
