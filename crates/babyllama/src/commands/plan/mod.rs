//! `babyllama plan`: what a recipe will take, before anything runs.

mod memory;

use std::path::Path;
use std::sync::Arc;

use engine::{Device, DeviceChoice, DeviceError};
use experiment::Observer;
use experiment::estimate::signals::Choice;
use experiment::estimate::speed::Speed;
use experiment::estimate::work::Work;
use experiment::estimate::{ModelEstimate, PhaseDecay, RecipeEstimate, require_memory_for_all};
use experiment::recipe::{self, ModelSection, Recipe};
use experiment::run::only;
use experiment::run::preview::{StagePreview, preview};
use experiment::run::scores::stage_name;
use experiment::run::{RunSettings, check_caches};
use experiment::stage::Status;
use report::format::{NOTHING, decimal, duration, grouped, short};
use report::{Align, Table};

use super::run;
use crate::args::{DeviceArgs, PlanArgs};
use crate::console::{self, Console};

/// Prints parameters, tokens, work, memory, disk and expected time of every model of a recipe.
pub fn plan(args: &PlanArgs, device: &DeviceArgs) -> anyhow::Result<()> {
    let output = args.output.as_deref();
    let file = run::recipe_file(args.recipe.as_deref(), output)?;
    let recipe = recipe::load_with_inputs(&file, &args.overrides)?;
    let only = only::select(&recipe, &args.only)?;
    let device = &device.or_precision(recipe.precision);
    let (arithmetic, faster) = (device.arithmetic(), device.faster_precision());
    let run = run::folder(output, &recipe);
    check_caches(&recipe, &run, device.known_arithmetic())?;
    let console = Console::showing();
    let stages = stages(&recipe, &run, &only, &console)?;
    let recipe = only::restrict(&recipe, &only);
    let done = done_stages(&stages);
    // With --prepared they are elsewhere.
    let has_tokens =
        done.iter().any(|stage| stage == "tokens") && run.join("tokens/train.bin").is_file();
    let tokens = Some(&*run).filter(|_| has_tokens);
    let estimate = RecipeEstimate::of(&recipe, arithmetic, tokens, &console)?;
    let device = open(device)?;
    let fits = device.as_ref().is_some_and(|device| device.memory().is_some())
        || require_memory_for_all(&recipe).is_ok();
    let measured = device.as_ref().filter(|_| fits).map(|device| estimate.speeds(device, &console));
    let times = Times { speeds: measured.transpose()?, done, saved: saved_shares(&stages), only };
    let (words, tokens) = (grouped(estimate.words as u64), short(estimate.tokens));
    let about = if estimate.tokens_are_known { "" } else { "about " };
    console::print(format_args!("{words} words, {about}{tokens} tokens"))?;
    if let (Some(device), Some(_)) = (&device, &times.speeds) {
        console::print(format_args!(
            "times are of this machine, {}, from a few steps of each model, measured now\n",
            device.name()
        ))?;
    }
    if let Some(faster) = faster {
        console::print(format_args!("{faster}\n"))?;
    }
    console::print_table(&models_table(&estimate, &times))?;
    console::print("")?;
    console::print("Disk of a model is while it is trained, that of all the most at a time.")?;
    print_decay(&estimate)?;
    print_remarks(&recipe, &estimate, &times)?;
    if device.as_ref().is_none_or(|device| device.memory().is_none())
        && let Err(refused) = require_memory_for_all(&recipe)
    {
        console::print(format_args!("`run` would refuse this recipe: {}", refused.cause()))?;
    }
    memory::print(&estimate.models, device.as_ref(), arithmetic)?;
    print_signals(&estimate, &times)?;
    match estimate.tokens_are_known {
        true => Ok(()),
        false => console::print(format_args!(
            "Tokens are estimated at {:.2} a word, counted in a sample of the text.",
            estimate.tokens_per_word
        )),
    }
}

/// What the recipe warns of, which models `run` would refuse, what is done already, and what an
/// interruption would cost.
fn print_remarks(
    recipe: &Recipe,
    estimate: &RecipeEstimate<'_>,
    times: &Times,
) -> anyhow::Result<()> {
    for warning in recipe::warnings(recipe) {
        console::print(warning)?;
    }
    for (name, _, model) in &estimate.models {
        if let Some(refusal) = &model.refusal {
            console::print(format_args!(
                "`run` would refuse {name}, as far as an estimate of its text shows: {refusal}"
            ))?;
        }
    }
    for (name, share) in &times.saved {
        console::print(format_args!(
            "{name} has done {:.0} % of its training, up to its newest checkpoint; its time is \
             that of the rest.",
            100.0 * share
        ))?;
    }
    console::print(interruption(estimate))
}

/// What the kinds of teacher outputs would take, where the recipe has students.
fn print_signals(estimate: &RecipeEstimate<'_>, times: &Times) -> anyhow::Result<()> {
    if !estimate.has_students() {
        return Ok(());
    }
    console::print(
        "\nKinds of teacher outputs (`signal`, `codec`, `samples`); * is the recipe's, and in the \
         table above:\n",
    )?;
    console::print_table(&signals_table(estimate, times))?;
    console::print("")?;
    console::print(
        "Where students of the same teachers share a cache, only the first of them takes this \
         long.\n",
    )
}

/// What the column of the weights' memory means, and where it shows that decay does nothing.
fn print_decay(estimate: &RecipeEstimate<'_>) -> anyhow::Result<()> {
    if estimate.models.iter().any(|(.., model)| !model.decay.is_empty()) {
        console::print(
            "tau: epochs that the weights remember, 1 / (learning_rate * weight_decay * steps per \
             epoch); `weight_decay_epochs` sets it.",
        )?;
    }
    for (name, _, model) in &estimate.models {
        let of_phase = |decay: &PhaseDecay| {
            let phase = decay.phase.as_ref()?;
            let (tau, epochs) = (decimal(Some(decay.tau), 2), decimal(Some(decay.epochs), 2));
            Some(format!("{tau} in phase {phase} (of {epochs} epochs)"))
        };
        let phases: Vec<String> = model.decay.iter().filter_map(of_phase).collect();
        if !phases.is_empty() {
            console::print(format_args!("{name}: tau is {}.", phases.join(", ")))?;
        }
        if !model.decay_is_too_slow() {
            continue;
        }
        let rest = match &model.decay[..] {
            [PhaseDecay { phase: None, tau, epochs }] => format!(
                "its weights remember {} epochs, and training has {}",
                decimal(Some(*tau), 1),
                decimal(Some(*epochs), 1)
            ),
            _ => "all phases together are shorter than what its weights remember".to_owned(),
        };
        console::print(format_args!("Weight decay does nothing to {name}: {rest}."))?;
    }
    Ok(())
}

/// Tau of a model: of phases with different ones, the lowest and the highest.
fn tau(decay: &[PhaseDecay]) -> String {
    let of = |choose: fn(f64, f64) -> f64| {
        decimal(decay.iter().map(|phase| phase.tau).reduce(choose), 2)
    };
    let (lowest, highest) = (of(f64::min), of(f64::max));
    if lowest == highest { lowest } else { format!("{lowest} to {highest}") }
}

/// The stages of the run, if it is there.
fn stages(
    recipe: &Recipe,
    run: &Path,
    only: &[String],
    observer: &dyn Observer,
) -> anyhow::Result<Vec<StagePreview>> {
    let settings = RunSettings { only: only.to_vec(), ..RunSettings::on_cpu(run) };
    match run.is_dir() {
        true => Ok(preview(recipe.clone(), &settings, observer)?),
        false => Ok(Vec::new()),
    }
}

/// The names of the stages that are done already.
fn done_stages(stages: &[StagePreview]) -> Vec<String> {
    let done = stages.iter().filter(|stage| stage.status == Status::Done);
    done.map(|stage| stage.name.clone()).collect()
}

/// The models whose training has begun, each with the share that is saved.
fn saved_shares(stages: &[StagePreview]) -> Vec<(String, f64)> {
    let begun = stages.iter().filter(|stage| stage.status != Status::Done);
    let begun = begun.filter(|stage| stage.saved_share > 0.0);
    let model = |stage: &StagePreview| Some(stage.name.strip_prefix("model-")?.to_owned());
    begun.filter_map(|stage| Some((model(stage)?, stage.saved_share))).collect()
}

/// What a kill costs at most.
fn interruption(estimate: &RecipeEstimate<'_>) -> String {
    let minutes = estimate.models.iter().map(|(_, section, _)| section.train.checkpoint_minutes);
    let longest = minutes.clone().fold(0.0, f64::max);
    match minutes.into_iter().any(|minutes| minutes == 0.0) {
        true => "A kill costs an epoch of training at most (`checkpoint_minutes` is 0).".to_owned(),
        false => format!(
            "A kill costs {longest} minutes of training at most (`checkpoint_minutes`), a stop \
             with Ctrl-C nothing."
        ),
    }
}

/// What the times of a plan are computed from.
struct Times {
    /// Of the models, in their order; none without the device.
    speeds: Option<Vec<Speed>>,
    /// The stages that are done already.
    done: Vec<String>,
    /// The models whose training has begun, each with the share that is saved.
    saved: Vec<(String, f64)>,
    /// The models that are planned; all where there are none.
    only: Vec<String>,
}

impl Times {
    /// The sum of some work on the models, by their places.
    fn of<'a>(&self, work: impl IntoIterator<Item = (usize, &'a Work)>) -> String {
        let Some(speeds) = &self.speeds else { return NOTHING.to_owned() };
        let seconds = work.into_iter().map(|(index, work)| speeds[index].seconds(work));
        duration(seconds.sum())
    }

    /// The work that is left of a model's training.
    fn rest(&self, model: &str, work: &Work) -> Work {
        let saved = self.saved.iter().find(|(name, _)| name == model);
        work.after(saved.map_or(0.0, |(_, share)| *share))
    }

    fn is_done(&self, model: &str) -> bool {
        self.done.iter().any(|stage| *stage == format!("model-{model}"))
    }

    /// Whether a model is still to be scored; what is there for its students alone never is.
    fn is_to_score(&self, model: &String) -> bool {
        let stage = stage_name(std::slice::from_ref(model));
        (self.only.is_empty() || self.only.contains(model)) && !self.done.contains(&stage)
    }
}

/// A line for each model, one for the scores, and one for all; what is done takes no time.
fn models_table(estimate: &RecipeEstimate<'_>, times: &Times) -> Table {
    let heads = ["parameters", "epochs", "tau", "tokens", "FLOPs", "memory", "disk", "time"];
    let mut table = Table::new(
        [("model", Align::Left)].into_iter().chain(heads.map(|head| (head, Align::Right))),
    );
    for (index, (name, section, model)) in estimate.models.iter().enumerate() {
        let time = match times.is_done(name) {
            true => "done".to_owned(),
            false => times.of([(index, &times.rest(name, &model.work))]),
        };
        table.push(vec![
            name.to_string(),
            grouped(model.parameters as u64),
            epochs(section, model.epochs),
            tau(&model.decay),
            short(model.tokens),
            short(model.work.flops() + model.optimizer_flops),
            format!("{}B", short(model.memory)),
            format!("{}B", short(model.disk.all())),
            time,
        ]);
    }
    let mut row = |name: &str, disk: Option<f64>, time: String| {
        let mut cells = vec![String::new(); heads.len() + 1];
        cells[0] = name.to_owned();
        cells[heads.len() - 1] = disk.map_or(String::new(), |disk| format!("{}B", short(disk)));
        cells[heads.len()] = time;
        table.push(cells);
    };
    let models = || estimate.models.iter().enumerate();
    let scores = models().filter(|(_, (name, ..))| times.is_to_score(name));
    let scores = scores.map(|(index, (.., model))| (index, &model.scoring));
    let to_do = models().filter(|(_, (name, ..))| !times.is_done(name));
    let rest = |(name, _, model): &ModelEstimate<'_>| times.rest(name, &model.work);
    let training: Vec<(usize, Work)> = to_do.map(|(index, model)| (index, rest(model))).collect();
    let training = training.iter().map(|(index, work)| (*index, work));
    row("scores", None, times.of(scores.clone()));
    row("all", Some(estimate.peak_disk()), times.of(training.chain(scores)));
    table
}

/// The number of epochs that a model is trained for: that of its recipe, or what its steps or
/// phases amount to.
fn epochs(section: &ModelSection, seen: f64) -> String {
    match (section.train.max_steps, section.train.has_phases()) {
        (0, false) => section.train.epochs.to_string(),
        _ => decimal(Some(seen), 2),
    }
}

/// What each kind of teacher outputs takes for each student.
fn signals_table(estimate: &RecipeEstimate<'_>, times: &Times) -> Table {
    let heads = ["kept on disk", "time"].map(|head| (head, Align::Right));
    let mut table =
        Table::new([("student", Align::Left), ("signal", Align::Left)].into_iter().chain(heads));
    for (index, (name, _, model)) in estimate.models.iter().enumerate() {
        for choice in &model.choices {
            let work = choice.cost.map(|cost| model.own_work.with_teachers(&cost));
            let time = work.map_or(NOTHING.to_owned(), |work| times.of([(index, &work)]));
            table.push(signals_row(name, choice, time));
        }
    }
    table
}

fn signals_row(student: &str, choice: &Choice, time: String) -> Vec<String> {
    let mark = if choice.is_chosen { " *" } else { "" };
    let disk = match choice.cost {
        Some(cost) => format!("{}B", short(cost.disk)),
        None => "not possible".to_owned(),
    };
    vec![student.to_owned(), format!("{}{mark}", choice.name), disk, time]
}

/// The device; none where a GPU is chosen that is not here, which is no reason not to plan for it.
fn open(device: &DeviceArgs) -> experiment::Result<Option<Arc<dyn Device>>> {
    match device.open() {
        Ok(device) => Ok(Some(device)),
        Err(error)
            if matches!(device.device, DeviceChoice::Cuda(_))
                && error.find::<DeviceError>().is_some() =>
        {
            console::warn(format_args!(
                "{error}; what follows is estimated from sizes alone, without times"
            ));
            Ok(None)
        }
        Err(error) => Err(error),
    }
}
