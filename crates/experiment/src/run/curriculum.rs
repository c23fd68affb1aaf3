//! Buckets of rising difficulty become phases, once the text is there to be measured.

use std::collections::BTreeMap;

use corpus::readability::{Readability, ReadingCounts};
use corpus::texts;
use train::{TokenSource, TrainSettings};

use super::Run;
use super::prepared::{Prepared, TRAIN};
use crate::error::{Context, Result};
use crate::identity::source_name;
use crate::stage::{Stage, Status};

impl Run<'_> {
    /// The settings of the models that have buckets and are not trained yet, with the phases that
    /// these stand for in the training text.
    pub(super) fn curricula(
        &self,
        text: &Prepared,
        stages: &[(String, Stage)],
    ) -> Result<BTreeMap<String, TrainSettings>> {
        let mut found = BTreeMap::new();
        let mut measured: Option<Vec<(String, Readability)>> = None;
        for (name, stage) in stages {
            let section = &self.recipe.models[name];
            if section.train.buckets.is_none() || self.stages.status(stage)? == Status::Done {
                continue;
            }
            let files = match &measured {
                Some(files) => files,
                None => measured.insert(self.readability(text)?),
            };
            let settings =
                in_buckets(&section.train, files).within(|| format!("models.{name}.train"))?;
            for phase in &settings.phases {
                let (bucket, sources) = (phase.name.as_deref(), phase.sources.as_deref());
                self.observer.note(format_args!(
                    "{name}  {}: {}",
                    bucket.unwrap_or_default(),
                    sources.unwrap_or_default().join(", ")
                ));
            }
            found.insert(name.clone(), settings);
        }
        Ok(found)
    }

    /// How hard each file of the training text is to read, by its name without ending; files
    /// without text are left out.
    fn readability(&self, text: &Prepared) -> Result<Vec<(String, Readability)>> {
        let should_stop = || self.observer.should_stop();
        let mut found = Vec::new();
        let sources = text.training.sources().iter();
        let read = sources.filter(|source| !source.tokens.is_empty());
        let read: Vec<&str> = read.map(|source| source.name.as_str()).collect();
        for file in texts::open_files(&text.folder.join(TRAIN))? {
            let name = source_name(file.name());
            if read.contains(&name.as_str()) {
                found.push((name, ReadingCounts::of(&should_stop, &file)?.readability()));
            }
        }
        Ok(found)
    }
}

/// Settings with the phases of their buckets, for files of this readability.
pub(crate) fn in_buckets(
    settings: &TrainSettings,
    files: &[(String, Readability)],
) -> std::result::Result<TrainSettings, train::TrainError> {
    let measure = settings.buckets.map(|buckets| buckets.measure).unwrap_or_default();
    let difficulty =
        |(name, found): &(String, Readability)| (name.clone(), found.difficulty(measure));
    let files: Vec<(String, f64)> = files.iter().map(difficulty).collect();
    Ok(settings.with_buckets(&files)?)
}
