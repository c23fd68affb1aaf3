//! `babyllama bench`: how fast this machine is, and how much of that the program uses.

mod evaluate;
mod machine;
mod presets;
mod process;
mod products;
mod steps;
mod text;
mod tokenize;
mod tokens;
mod train;

use serde::Serialize;

use crate::args::DeviceArgs;
use crate::args::bench::{BenchArgs, BenchCommand, ModelChoice, StepShape};
use crate::console;
use presets::Subject;

/// The outcome of a benchmark: JSON for programs, text for people.
trait Report: Serialize {
    fn text(&self) -> String;
}

/// Measures what the arguments name, and prints it.
pub fn bench(args: &BenchArgs, device: &DeviceArgs) -> anyhow::Result<()> {
    let json = args.json;
    match &args.command {
        None => {
            let subject = Subject::model(&ModelChoice::default(), &StepShape::default())?;
            show(&machine::measure(&subject, &device.open()?), json)
        }
        Some(BenchCommand::Machine { model, shape }) => {
            show(&machine::measure(&Subject::model(model, shape)?, &device.open()?), json)
        }
        Some(BenchCommand::Train { model, optimizer, steps }) => {
            let subject = Subject::model(model, &steps.shape)?.with_optimizer(optimizer.as_deref());
            show(&train::train(&subject, steps, &device.open()?)?, json)
        }
        Some(BenchCommand::Distill { student, teachers, steps }) => {
            let subject = Subject::student(student, *teachers, &steps.shape)?;
            show(&train::distill(&subject, steps, *teachers, &device.open()?)?, json)
        }
        Some(BenchCommand::Evaluate { model, pairs, repeats }) => {
            let subject = Subject::model(model, &StepShape::default())?;
            show(&evaluate::evaluate(&subject, *pairs as usize, *repeats, &device.open()?)?, json)
        }
        Some(BenchCommand::Tokenize { data, tokenizer, repeats }) => {
            show(&tokenize::tokenize(data.as_deref(), tokenizer.as_deref(), *repeats)?, json)
        }
    }
}

fn show(report: &impl Report, json: bool) -> anyhow::Result<()> {
    match json {
        true => console::print_json(serde_json::to_string_pretty(report)?),
        false => console::print(report.text().trim_end()),
    }
}
