//! A study's trials as the rows of figures.

use report::Best;
use report::figures::{
    Confirmed, Ending, Figure, HistoryTrial, ImportanceBar, Kind, ParallelLine, Setting,
    SettingAxis, SlicePoint, confirm, history, importance, parallel, slices,
};
use report::format::is_or_are;

use crate::confirm::{ConfirmedRow, Verdict};
use crate::importance::{FEWEST_TRIALS, Importance, importance as importance_of};
use crate::space::{Parameter, Point, Prior, Space};
use crate::store::Direction;
use crate::sweep::Sweep;
use crate::trial::{Standing, Terms, Trial};

/// What the figures of a study show.
pub(super) struct Rows<'a> {
    trials: &'a [Trial],
    space: &'a Space,
    terms: Terms,
    /// What trials are compared by.
    metric: &'a str,
    seed: u64,
}

impl<'a> Rows<'a> {
    /// The rows of a study's trials.
    pub(super) fn new(sweep: &'a Sweep, trials: &'a [Trial]) -> Self {
        let recipe = &sweep.file.recipe;
        // Fine-tunings are compared by their scores on the task.
        let metric = match &recipe.finetune {
            Some(_) => "score",
            None => recipe.objective.metric.as_str(),
        };
        let (space, terms, seed) = (&sweep.file.space, sweep.terms(), recipe.seed);
        Self { trials, space, terms, metric, seed }
    }

    /// Which results are better.
    pub(super) fn direction(&self) -> Direction {
        self.terms.direction
    }

    fn goal(&self) -> Best {
        self.direction().best()
    }

    /// A trial's result, or its newest report.
    fn value(&self, trial: &Trial) -> Option<f64> {
        trial.row.value.or_else(|| self.terms.result(&trial.values()))
    }

    /// How a trial ended; one that waits at a rung is stopped for now. `None` of one that runs.
    fn ending(trial: &Trial) -> Option<Ending> {
        match Standing::of(trial) {
            Standing::Complete => Some(Ending::Complete),
            Standing::Stopped | Standing::Paused => Some(Ending::Stopped),
            Standing::Failed => Some(Ending::Failed),
            Standing::Running | Standing::Queued => None,
        }
    }

    fn axes(&self) -> Vec<SettingAxis> {
        let axis = |(key, parameter): (&String, &Parameter)| {
            let kind = match &parameter.prior {
                Prior::Categories { .. } => Kind::Names,
                Prior::Numeric(prior) if prior.shape().is_log() && !parameter.one_minus => {
                    Kind::Log
                }
                Prior::Numeric(_) => Kind::Linear,
            };
            SettingAxis::new(key.clone(), kind)
        };
        self.space.parameters().iter().map(axis).collect()
    }

    /// A trial's values of the parameters; none of those that take no part.
    fn settings(&self, trial: &Trial) -> Vec<Option<Setting>> {
        let settings = self.space.settings(&trial.stored);
        let setting = |key: &String| match settings.get(key)? {
            toml::Value::Integer(value) => Some(Setting::Number(*value as f64)),
            toml::Value::Float(value) => Some(Setting::Number(*value)),
            toml::Value::String(text) => Some(Setting::Name(text.clone())),
            other => Some(Setting::Name(other.to_string())),
        };
        self.space.parameters().keys().map(setting).collect()
    }

    /// All trials that ended, in their order.
    pub(super) fn history(&self, title: &str) -> Figure {
        let trial = |trial: &Trial| {
            let (number, value) = (trial.number(), self.value(trial));
            Some(HistoryTrial { number, value, ending: Self::ending(trial)? })
        };
        let rows: Vec<HistoryTrial> = self.trials.iter().filter_map(trial).collect();
        history(title, self.metric, self.goal(), &rows)
    }

    /// The importance of the parameters by the complete trials, or, where these are too few, by
    /// what as many trials reported after the same part of their training; `None` of too few.
    pub(super) fn importance(&self, title: &str) -> Option<Figure> {
        let complete = |trial: &Trial| {
            let is_complete = Self::ending(trial) == Some(Ending::Complete);
            trial.point.clone().zip(trial.row.value).filter(|_| is_complete)
        };
        let rows: Vec<(Point, f64)> = self.trials.iter().filter_map(complete).collect();
        if let Some(found) = importance_of(self.space, &rows, self.seed) {
            return Some(importance_figure(title, &found, format!("{} trials.", rows.len())));
        }
        let budget = self.common_budget()?;
        let early = |trial: &Trial| {
            let reports = self.terms.curve(trial, usize::MAX);
            let (_, cost) = *reports.iter().find(|(reached, _)| *reached >= budget)?;
            trial.point.clone().map(|point| (point, cost))
        };
        let early: Vec<(Point, f64)> = self.trials.iter().filter_map(early).collect();
        let found = importance_of(self.space, &early, self.seed)?;
        let after = match self.terms.by_share {
            true => format!("{:.0} % of their training", 100.0 * budget),
            false => format!("{budget:.2} epochs"),
        };
        let (count, complete) = (early.len(), rows.len());
        let are = is_or_are(complete as u64);
        let note = format!("{count} trials after {after}, as only {complete} {are} complete.");
        Some(importance_figure(title, &found, note))
    }

    /// The largest budget that enough trials with a point have reached.
    fn common_budget(&self) -> Option<f64> {
        let last = |trial: &Trial| Some(self.terms.curve(trial, usize::MAX).last()?.0);
        let with_point = self.trials.iter().filter(|trial| trial.point.is_some());
        let mut reached: Vec<f64> = with_point.filter_map(last).collect();
        reached.sort_by(|a, b| b.total_cmp(a));
        reached.get(FEWEST_TRIALS - 1).copied().filter(|budget| *budget > 0.0)
    }

    /// The result against each setting.
    pub(super) fn slices(&self, title: &str) -> Figure {
        let point = |trial: &Trial| {
            let (number, settings) = (trial.number(), self.settings(trial));
            let (value, ending) = (self.value(trial)?, Self::ending(trial)?);
            Some(SlicePoint { number, settings, value, ending })
        };
        let points: Vec<SlicePoint> = self.trials.iter().filter_map(point).collect();
        slices(title, self.metric, self.goal(), &self.axes(), &points)
    }

    /// Settings and results of complete trials: others have results of shorter trainings.
    pub(super) fn parallel(&self, title: &str) -> Figure {
        let line = |trial: &Trial| {
            let result = self.value(trial)?;
            let is_complete = Self::ending(trial) == Some(Ending::Complete);
            is_complete.then(|| ParallelLine {
                name: trial.number().to_string(),
                settings: self.settings(trial),
                result,
            })
        };
        let lines: Vec<ParallelLine> = self.trials.iter().filter_map(line).collect();
        parallel(title, &self.axes(), self.metric, self.goal(), &lines)
    }

    /// Results of a search against those with fresh seeds.
    pub(super) fn confirmed(&self, title: &str, rows: &[ConfirmedRow]) -> Figure {
        let row = |row: &ConfirmedRow| Confirmed {
            label: row.label.clone(),
            search: row.search,
            values: row.values.clone(),
            mean: row.mean,
            deviation: row.deviation,
            is_baseline: row.verdict == Verdict::Baseline,
        };
        confirm(title, self.metric, &rows.iter().map(row).collect::<Vec<_>>())
    }
}

/// The importance of parameters, with what it is computed from.
fn importance_figure(title: &str, found: &[Importance], by: String) -> Figure {
    let bar = |of: &Importance| ImportanceBar {
        parameter: of.parameter.clone(),
        importance: of.share,
        deviation: Some(of.deviation),
    };
    let figure = importance(title, &found.iter().map(bar).collect::<Vec<_>>());
    let caption = format!("By {by} Bars: one standard deviation between trees.");
    Figure { caption: format!("{caption} {}", figure.caption).trim_end().to_owned(), ..figure }
}
