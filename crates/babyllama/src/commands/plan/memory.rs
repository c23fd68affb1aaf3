//! The table of what training takes of a GPU's memory.

use std::sync::Arc;

use engine::{Arithmetic, Device};
use experiment::estimate::ModelEstimate;
use experiment::recipe::ModelSection;
use report::format::{NOTHING, short};
use report::{Align, Table};
use train::settings::SignalKind;

use crate::console;

/// What each model needs of a GPU, and how much of a step fits into the one that is here; nothing
/// for the CPU.
pub fn print(
    estimates: &[ModelEstimate<'_>],
    device: Option<&Arc<dyn Device>>,
    arithmetic: Arithmetic,
) -> anyhow::Result<()> {
    let memory = device.map(|device| {
        // What the measured steps took is free again.
        device.trim();
        device.memory()
    });
    let free = match memory {
        Some(None) => return Ok(()),
        Some(Some(memory)) => Some(memory.free as f64),
        None => None,
    };
    let here =
        free.map_or(String::new(), |free| format!(", of which {}B are free here", short(free)));
    console::print(format_args!(
        "GPU memory in {arithmetic}{here}, estimated to about a quarter:\n"
    ))?;
    console::print_table(&table(estimates, free))?;
    console::print("")?;
    let hidden = |section: &ModelSection| {
        section.distill.as_ref().is_some_and(|distill| distill.signal == SignalKind::Hidden)
    };
    if estimates.iter().any(|(_, section, _)| hidden(section)) {
        console::print(
            "With signal = \"hidden\" the states that were read stay there too, in up to half of \
             what is free.",
        )?;
    }
    console::print(
        "A step that does not fit is split while it runs, unless micro_batch_size sets how.",
    )
}

fn table(estimates: &[ModelEstimate<'_>], free: Option<f64>) -> Table {
    let heads = [
        "weights, gradient, moments",
        "teachers",
        "a sequence more",
        "a step",
        "sequences",
        "fit at a time",
    ];
    let mut table = Table::new(
        [("model", Align::Left)].into_iter().chain(heads.map(|head| (head, Align::Right))),
    );
    for (name, section, estimate) in estimates {
        let (settings, need) = (&section.train, &estimate.on_device);
        let (length, batch_size) = (settings.sequence_length, settings.batch_size);
        let at_a_time = if settings.micro_batch_size > 0 {
            settings.micro_batch_size.min(batch_size)
        } else {
            batch_size
        };
        let fit = free.map(|free| match need.fits(free, at_a_time, length) {
            Some(fit) => fit.to_string(),
            None => "none".to_owned(),
        });
        let bytes = |bytes: f64| format!("{}B", short(bytes));
        table.push(vec![
            name.to_string(),
            bytes(need.model),
            if need.teachers > 0.0 { bytes(need.teachers) } else { NOTHING.to_owned() },
            bytes(need.per_token * length as f64),
            bytes(need.bytes(at_a_time * length)),
            at_a_time.to_string(),
            fit.unwrap_or(NOTHING.to_owned()),
        ]);
    }
    table
}
