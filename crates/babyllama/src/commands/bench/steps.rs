//! Whole training steps, timed; and where their time goes.

use std::sync::Arc;
use std::time::Instant;

use engine::ops::optimizer::KERNELS;
use engine::{Device, LaunchStats, OperationTime, Profiler};
use report::format::{decimal, grouped, percent, short};
use report::{Align, Table};
use serde::Serialize;
use train::step::{StepLoss, Trainer};

use super::Report;
use super::machine::{DeviceUse, Machine};
use super::presets::Subject;
use super::process;
use super::products::{ProductPeak, dense_peak};
use super::tokens::Batches;
use crate::args::bench::{PROFILED_STEPS, StepArgs, TeacherSignal};
use crate::progress::Progress;

/// Steps before those that are timed once more: from then on their kernels go in graphs again.
const WARM: usize = 5;

/// The middle and the best of several measurements.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Spread {
    pub median: f64,
    pub best: f64,
}

impl Spread {
    /// The middle and the best of times, of which the shortest is the best.
    pub fn of_seconds(seconds: &[f64]) -> Self {
        let mut sorted = seconds.to_vec();
        sorted.sort_by(f64::total_cmp);
        let middle = sorted.len() / 2;
        let median = if sorted.len() % 2 == 1 {
            sorted[middle]
        } else {
            (sorted[middle - 1] + sorted[middle]) / 2.0
        };
        Self { median, best: sorted[0] }
    }

    /// The speeds of `work` done in these times.
    pub fn per_second(self, work: f64) -> Self {
        Self { median: work / self.median, best: work / self.best }
    }

    fn divided_by(self, whole: f64) -> Self {
        Self { median: self.median / whole, best: self.best / whole }
    }
}

/// What one kind of operation takes of a step.
#[derive(Clone, Debug, Serialize)]
pub struct OperationShare {
    pub name: String,
    pub calls_per_step: f64,
    pub seconds_per_step: f64,
    /// Share of the profiled steps' time.
    pub share: f64,
    /// Speed of the operation's matrix products in GFLOP/s, where it has any.
    pub gflops: Option<f64>,
}

/// What measured steps showed.
#[derive(Debug, Serialize)]
pub struct StepReport {
    pub machine: Machine,
    pub model: String,
    pub teachers: Vec<String>,
    /// The kind of teacher outputs, if the student has teachers.
    pub teacher_signal: Option<TeacherSignal>,
    pub parameters: usize,
    pub tokens_per_step: usize,
    pub sequence_length: usize,
    /// The objective and the time of every timed step, in order.
    pub losses: Vec<f64>,
    pub seconds: Vec<f64>,
    pub seconds_per_step: Spread,
    pub tokens_per_second: Spread,
    pub gflops: Spread,
    /// Whether the timed steps read their teacher outputs from the cache's file.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub reads_teacher_file: bool,
    /// Speed of the timed steps when they are taken again with their teacher outputs in the
    /// device's memory, as in all later epochs; none where the outputs do not stay there.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tokens_per_second_from_device: Option<Spread>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub seconds_per_step_from_device: Option<Spread>,
    /// Bytes; none where the system does not report it.
    pub peak_memory: Option<u64>,
    /// Use of the device's own memory, after the timed steps; the pool gives nothing back
    /// meanwhile.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub device_memory: Option<DeviceUse>,
    /// How the timed steps' kernels were started, on a device where that is the host's work.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub launches_per_step: Option<LaunchesPerStep>,
    /// Requests for new memory for tensors during all timed steps.
    pub fresh_allocations: u64,
    pub page_faults_per_step: Option<f64>,
    pub product_peak: Option<ProductPeak>,
    /// The steps' share of the product peak.
    pub share_of_peak: Option<Spread>,
    /// The best of some large square products, in GFLOP/s, on a device with memory of its own.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub dense_peak_gflops: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub share_of_dense_peak: Option<Spread>,
    /// Name of the optimizer.
    pub optimizer: &'static str,
    /// Share of the profiled steps that the optimizer's kernels take, the gradient's norm
    /// included.
    pub optimizer_share: Option<f64>,
    /// The profiled operations, the longest first; empty where the steps alone are measured.
    pub operations: Vec<OperationShare>,
}

/// Kernels and products of a step, by how they were started.
#[derive(Clone, Debug, Serialize)]
pub struct LaunchesPerStep {
    pub alone: f64,
    pub in_graphs: f64,
    pub graphs: f64,
    /// Why some could not go in graphs, if so.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub refused: Option<String>,
}

impl LaunchesPerStep {
    fn between(before: LaunchStats, after: LaunchStats, steps: u32) -> Self {
        let per_step = |before: u64, after: u64| (after - before) as f64 / steps.max(1) as f64;
        Self {
            alone: per_step(before.alone, after.alone),
            in_graphs: per_step(before.in_graphs, after.in_graphs),
            graphs: per_step(before.graphs, after.graphs),
            refused: after.refused,
        }
    }

    fn line(&self) -> String {
        let all = self.alone + self.in_graphs;
        let (share, graphs) = (percent(Some(self.in_graphs / all)), decimal(Some(self.graphs), 1));
        let refused =
            self.refused.as_ref().map_or(String::new(), |why| format!("; not others: {why}"));
        format!(
            "{} kernels a step, {share} of them in {graphs} graphs{refused}",
            decimal(Some(all), 0)
        )
    }
}

/// Takes a trainer's steps, whose tensors are on the profiler.
pub fn measure(
    subject: &Subject,
    args: &StepArgs,
    profiler: &Arc<Profiler>,
    trainer: Trainer,
    batches: Batches,
) -> anyhow::Result<StepReport> {
    let parameters = trainer.model.parameters().layout().length();
    let mut steps = Steps { batches, trainer, taken: 0, subject };
    let total = (args.warmup + args.steps) as u64;
    let mut progress = Progress::begin(&subject.name, "steps", total, 0);
    for _ in 0..args.warmup {
        steps.take()?;
        progress.update(steps.taken as u64, "warming up");
    }
    let (allocations, faults, launches) =
        (profiler.fresh_allocations(), process::page_faults(), profiler.launch_stats());
    let (mut seconds, mut losses) = (Vec::new(), Vec::new());
    for _ in 0..args.steps {
        let (loss, time) = steps.take()?;
        losses.push(loss.loss);
        seconds.push(time);
        progress.update(steps.taken as u64, "");
    }
    let fresh_allocations = profiler.fresh_allocations() - allocations;
    let faults = process::page_faults().zip(faults).map(|(after, before)| after - before);
    let launches = launches.zip(profiler.launch_stats());
    let launches_per_step =
        launches.map(|(before, after)| LaunchesPerStep::between(before, after, args.steps));
    let (peak_memory, device_memory) = (process::peak_memory(), DeviceUse::of(&**profiler));
    progress.finish(total, "");
    let reads_teacher_file =
        steps.trainer.has_teacher_cache() && !steps.batches.repeat_within(total as usize);
    let operations = if args.only_steps { Vec::new() } else { steps.profile(profiler)? };
    let from_device = match reads_teacher_file && steps.stays_on_device() {
        true => Some(Spread::of_seconds(&steps.take_again(args.steps)?)),
        false => None,
    };
    let optimizer_share = (!args.only_steps).then(|| optimizer_share(&operations));
    drop(steps);
    profiler.trim();
    let device: Arc<dyn Device> = profiler.clone();
    let peak = (!args.only_steps).then(|| ProductPeak::measure(subject, &device));
    let dense = if args.only_steps { None } else { dense_peak(&device).map(|(gflops, _)| gflops) };
    let spread = Spread::of_seconds(&seconds);
    let gflops =
        spread.per_second(subject.flops_per_token() * subject.tokens_per_step as f64 / 1e9);
    Ok(StepReport {
        machine: Machine::with(&**profiler),
        model: subject.name.clone(),
        teachers: subject.teachers.iter().map(|(name, _)| name.clone()).collect(),
        teacher_signal: subject.signal,
        parameters,
        tokens_per_step: subject.tokens_per_step,
        sequence_length: subject.settings.sequence_length,
        losses,
        seconds_per_step: spread,
        tokens_per_second: spread.per_second(subject.tokens_per_step as f64),
        gflops,
        reads_teacher_file,
        tokens_per_second_from_device: from_device
            .map(|seconds| seconds.per_second(subject.tokens_per_step as f64)),
        seconds_per_step_from_device: from_device,
        peak_memory,
        device_memory,
        launches_per_step,
        fresh_allocations,
        page_faults_per_step: faults.map(|faults| faults as f64 / seconds.len() as f64),
        share_of_dense_peak: dense.map(|dense| gflops.divided_by(dense)),
        dense_peak_gflops: dense,
        share_of_peak: peak.as_ref().map(|peak| gflops.divided_by(peak.gflops)),
        product_peak: peak,
        optimizer: subject.settings.optimizer.name(),
        optimizer_share,
        operations,
        seconds,
    })
}

/// A training run of measured steps.
struct Steps<'a> {
    subject: &'a Subject,
    batches: Batches,
    trainer: Trainer,
    taken: usize,
}

impl Steps<'_> {
    /// One step, and its seconds.
    fn take(&mut self) -> anyhow::Result<(StepLoss, f64)> {
        let start = Instant::now();
        let batch = self.batches.step(self.taken);
        self.trainer.set_next(Some(self.batches.first_origin(self.taken + 1)));
        let rate = self.subject.settings.learning_rate;
        let loss = self.trainer.step(&batch, self.taken as u64 + 1, rate)?;
        self.trainer.model.device().synchronise();
        self.taken += 1;
        Ok((loss, start.elapsed().as_secs_f64()))
    }

    /// The seconds of the first steps, taken once more when every sequence has been read.
    fn take_again(&mut self, steps: u32) -> anyhow::Result<Vec<f64>> {
        let end = self.batches.steps_to_the_end();
        while self.taken < end + WARM {
            self.take()?;
        }
        (0..steps).map(|_| Ok(self.take()?.1)).collect()
    }

    fn stays_on_device(&mut self) -> bool {
        self.trainer.student().1.is_some_and(|distill| distill.signals.stays_on_device())
    }

    /// A few more steps, with their time by operation.
    fn profile(&mut self, profiler: &Profiler) -> anyhow::Result<Vec<OperationShare>> {
        let mut seconds = 0.0;
        profiler.start();
        for _ in 0..PROFILED_STEPS {
            seconds += self.take()?.1;
        }
        profiler.stop();
        Ok(shares(&profiler.snapshot(), seconds))
    }
}

/// Each operation's part of the profiled steps, and what is left over.
fn shares(times: &[OperationTime], seconds: f64) -> Vec<OperationShare> {
    let steps = PROFILED_STEPS as f64;
    let share = |time: &OperationTime| OperationShare {
        name: time.name.to_owned(),
        calls_per_step: time.calls as f64 / steps,
        seconds_per_step: time.seconds / steps,
        share: time.seconds / seconds,
        gflops: (time.flops > 0.0).then(|| time.flops / time.seconds / 1e9),
    };
    let mut shares: Vec<_> = times.iter().map(share).collect();
    let rest = seconds - times.iter().map(|time| time.seconds).sum::<f64>();
    shares.push(OperationShare {
        name: "between operations".to_owned(),
        calls_per_step: 0.0,
        seconds_per_step: rest / steps,
        share: rest / seconds,
        gflops: None,
    });
    shares
}

/// The part of the operations that are an optimizer's.
fn optimizer_share(operations: &[OperationShare]) -> f64 {
    let own = operations.iter().filter(|operation| KERNELS.contains(&operation.name.as_str()));
    own.map(|operation| operation.share).sum()
}

impl StepReport {
    fn head(&self) -> String {
        let sequences = self.tokens_per_step / self.sequence_length;
        let teachers = match self.teacher_signal {
            Some(signal) => {
                format!(", teachers {} ({})", self.teachers.join(" and "), signal.name())
            }
            None => String::new(),
        };
        let parameters = grouped(self.parameters as u64);
        format!(
            "{}, {parameters} parameters, {sequences} sequences of {} tokens a step{teachers}\n{}",
            self.model,
            self.sequence_length,
            self.machine.line()
        )
    }

    fn speeds(&self) -> Table {
        let mut table =
            Table::new([("", Align::Left), ("median", Align::Right), ("best", Align::Right)]);
        let mut row = |name: &str, spread: Spread, show: &dyn Fn(f64) -> String| {
            table.push(vec![name.to_owned(), show(spread.median), show(spread.best)]);
        };
        row("tokens/s", self.tokens_per_second, &|speed| {
            decimal(Some(speed), if speed < 100.0 { 1 } else { 0 })
        });
        row("seconds a step", self.seconds_per_step, &|seconds| decimal(Some(seconds), 3));
        if let Some(speed) = self.tokens_per_second_from_device {
            row("tokens/s, outputs on the device", speed, &|speed| decimal(Some(speed), 0));
        }
        if let Some(seconds) = self.seconds_per_step_from_device {
            row("seconds a step, the same", seconds, &|seconds| decimal(Some(seconds), 3));
        }
        let unit = self.machine.unit();
        row(unit.name, self.gflops, &|speed| unit.show(Some(speed), 1));
        if let Some(share) = self.share_of_dense_peak {
            row("of the dense product peak", share, &|share| percent(Some(share)));
        }
        if let Some(share) = self.share_of_peak {
            row("of the product peak", share, &|share| percent(Some(share)));
        }
        table
    }

    fn facts(&self) -> String {
        let memory = match self.peak_memory {
            Some(bytes) => format!("{}B", short(bytes as f64)),
            None => "not reported by this system".to_owned(),
        };
        let faults = decimal(self.page_faults_per_step, 0);
        let unit = self.machine.unit();
        let peak = |name: &str, peak: Option<f64>| match peak {
            Some(peak) => format!("{name}: {} {}\n", unit.show(Some(peak), 0), unit.name),
            None => String::new(),
        };
        let dense = peak("dense product peak, large squares", self.dense_peak_gflops);
        let peak = peak(
            "product peak at these shapes",
            self.product_peak.as_ref().map(|peak| peak.gflops),
        );
        let on_device =
            self.device_memory.map_or(String::new(), |memory| format!("{}\n", memory.line()));
        let launches = self
            .launches_per_step
            .as_ref()
            .map_or(String::new(), |launches| format!("{}\n", launches.line()));
        let teachers = match (self.reads_teacher_file, self.seconds_per_step_from_device) {
            (false, _) => "",
            (true, None) => "teacher outputs read from the cache's file\n",
            (true, Some(_)) => {
                "teacher outputs read from the cache's file; \"on the device\": in its memory, as \
                 in all later epochs\n"
            }
        };
        let allocations = self.fresh_allocations;
        format!(
            "{teachers}{dense}{peak}{on_device}{launches}peak memory: {memory}; {allocations} \
             allocations in all, {faults} page faults a step\n"
        )
    }

    fn operations(&self) -> String {
        if self.operations.is_empty() {
            return String::new();
        }
        let unit = self.machine.unit();
        let heads = ["calls", "ms a step", "share", unit.name].map(|head| (head, Align::Right));
        let mut table = Table::new([("operation", Align::Left)].into_iter().chain(heads));
        for operation in &self.operations {
            table.push(vec![
                operation.name.clone(),
                decimal(Some(operation.calls_per_step), 0),
                decimal(Some(1000.0 * operation.seconds_per_step), 1 + unit.more_decimals),
                percent(Some(operation.share)),
                unit.show(operation.gflops, 0),
            ]);
        }
        let share = percent(self.optimizer_share);
        format!("\n{}\noptimizer ({}): {share} of a step\n", table.to_text(), self.optimizer)
    }
}

impl Report for StepReport {
    fn text(&self) -> String {
        format!(
            "{}\n\n{}\n{}{}",
            self.head(),
            self.speeds().to_text(),
            self.facts(),
            self.operations()
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_middle_of_an_even_number_lies_between_two() {
        let spread = Spread::of_seconds(&[4.0, 1.0, 2.0, 10.0]);
        assert_eq!((spread.median, spread.best), (3.0, 1.0));
        assert_eq!(Spread::of_seconds(&[3.0, 1.0, 2.0]).median, 2.0);
        let speed = spread.per_second(12.0);
        assert_eq!((speed.median, speed.best), (4.0, 12.0));
    }

    #[test]
    fn shares_make_a_whole() {
        let time = |name, seconds, flops| OperationTime { name, calls: 4, seconds, flops };
        let shares = shares(&[time("linear", 6.0, 3e9), time("adamw", 1.0, 0.0)], 8.0);
        assert_eq!(shares.iter().map(|share| share.share).sum::<f64>(), 1.0);
        assert_eq!((shares[0].gflops, shares[1].gflops), (Some(0.5), None));
        assert_eq!(optimizer_share(&shares), 0.125);
        assert_eq!((shares[0].calls_per_step, shares[0].seconds_per_step), (2.0, 3.0));
        assert_eq!(
            (shares[2].name.as_str(), shares[2].seconds_per_step),
            ("between operations", 0.5)
        );
    }
}
