//! A sweep over three settings, and trials whose losses come from a formula.

use std::path::Path;

use sweep::overview::Standing;
use sweep::schedule::{Assigned, Next};
use sweep::stopping::Decision;
use sweep::store::{Address, Worker, default_address};
use sweep::sweep::{Draft, Sweep};
use sweep::trial::ReportPlace;
use tempfile::TempDir;
use toml::Value;

const SPACE: &str = "[space]\n'train.learning_rate' = { log_normal = [-6, 1] }\n\
                     'train.batch_size' = [8, 16, 32]\n\
                     'train.warmup_ratio' = { uniform = [0, 0.5] }\n";

/// Epochs of a trial.
pub(crate) const EPOCHS: u64 = 9;

/// A sweep in a folder of its own.
pub(crate) struct Search {
    pub(crate) folder: TempDir,
}

impl Search {
    pub(crate) fn new(keys: &str) -> Self {
        let search = Self { folder: tempfile::tempdir().unwrap() };
        search.create(keys).unwrap();
        search
    }

    pub(crate) fn write(&self, keys: &str) -> std::path::PathBuf {
        let path = self.folder.path().join("search.toml");
        let base = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../recipes/quickstart.toml");
        let text = format!(
            "name = 's'\nrecipe = '{}'\nmodel = 'undistilled'\n{keys}\n[set]\n\
             'models.undistilled.train.epochs' = {EPOCHS}\n{SPACE}",
            base.display()
        );
        std::fs::write(&path, text).unwrap();
        path
    }

    pub(crate) fn create(&self, keys: &str) -> sweep::Result<()> {
        let draft = Draft::read(&self.write(keys), &[])?;
        draft.create(&self.place(), &self.address())
    }

    pub(crate) fn place(&self) -> std::path::PathBuf {
        self.folder.path().join("s")
    }

    pub(crate) fn address(&self) -> Address {
        default_address(&self.place())
    }

    pub(crate) fn open(&self, name: &str) -> Sweep {
        Sweep::open(&self.place(), &self.address(), name).unwrap()
    }
}

pub(crate) fn worker(seconds: f64) -> Worker {
    Worker { name: "w".to_owned(), lease_seconds: seconds }
}

/// A loss that falls with the epochs towards what the settings allow.
fn loss(sweep: &Sweep, assigned: &Assigned, epoch: u64) -> f64 {
    let settings = sweep.assignment(&assigned.stored, assigned.seed).settings;
    let number = |key: &str| match &settings[key] {
        Value::Float(value) => *value,
        Value::Integer(value) => *value as f64,
        other => panic!("{other} is no number"),
    };
    let rate = number("train.learning_rate").ln() + 5.5;
    let batch = number("train.batch_size").log2() - 4.0;
    let warmup = number("train.warmup_ratio") - 0.1;
    let floor = 4.0 + 0.2 * rate * rate + 0.1 * batch * batch + 4.0 * warmup * warmup;
    floor + 2.0 / (epoch as f64) + 1e-3 * ((assigned.seed % 1000) as f64 / 1000.0)
}

/// Trains a trial from what it reported to a decision or its end; at most `most` epochs.
pub(crate) fn train(sweep: &mut Sweep, assigned: &Assigned, most: u64) {
    let mut places: Vec<ReportPlace> = assigned.reports.iter().map(|(place, _)| *place).collect();
    for _ in 0..most {
        let epoch = places.len() as u64 + 1;
        let share = epoch as f64 / EPOCHS as f64;
        places.push(ReportPlace { step: 10 * epoch, epoch: epoch as f64, share });
        let value = loss(sweep, assigned, epoch);
        match sweep.report(&assigned.lease, &places, value, 1.0).unwrap() {
            Decision::Continue if epoch == EPOCHS => {
                return sweep.complete(&assigned.lease, value, &[]).unwrap();
            }
            Decision::Continue => {}
            Decision::Pause(_) | Decision::Stop(_) => return,
        }
    }
}

pub(crate) fn work(sweep: &mut Sweep) {
    let worker = worker(60.0);
    while let Next::Train(assigned) = sweep.next(&worker).unwrap() {
        train(sweep, &assigned, u64::MAX);
    }
}

/// Everything about the trials of a study that does not follow from the clock.
pub(crate) fn contents(sweep: &mut Sweep) -> Vec<String> {
    let trials = sweep.trials().unwrap();
    let of = |trial: &sweep::trial::Trial| {
        let bits: Vec<u64> = trial.stored.iter().map(|stored| stored.value.to_bits()).collect();
        format!("{} {:?} {bits:?} {:?}", trial.number(), trial.row.state, trial.row.reports)
    };
    trials.iter().map(of).collect()
}

pub(crate) fn standings(sweep: &mut Sweep) -> [usize; 4] {
    let overview = sweep.overview().unwrap();
    [Standing::Complete, Standing::Stopped, Standing::Failed, Standing::Queued]
        .map(|standing| overview.count(standing))
}
