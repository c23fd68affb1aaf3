//! Settings of a curriculum: the files of the corpus in buckets of rising difficulty.

use corpus::readability::Measure;
use documented::DocumentedFields;
use serde::{Deserialize, Serialize};

use super::{PhaseSettings, SettingError, TrainSettings, require, rules};

/// The most buckets of a training.
const MOST: usize = 1000;

/// A training in buckets of rising difficulty, of which each phase reads one more: the files of the
/// corpus by a measure of how hard they are to read, parted so that buckets have as many files
/// each, or one more in the first ones.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, DocumentedFields)]
#[serde(deny_unknown_fields)]
pub struct BucketSettings {
    /// What the files are ordered by, the easiest first.
    #[serde(default)]
    pub measure: Measure,
    /// How many buckets there are, and so phases.
    pub count: usize,
    /// Passes over the text of each phase: its own bucket and those before it.
    #[serde(default = "BucketSettings::default_epochs")]
    pub epochs: f64,
}

impl BucketSettings {
    /// Settings of `count` buckets with the defaults.
    pub fn new(count: usize) -> Self {
        Self { measure: Measure::default(), count, epochs: Self::default_epochs() }
    }

    fn default_epochs() -> f64 {
        3.0
    }

    /// Epochs of all phases, each of the text that it reads.
    pub fn total_epochs(&self) -> f64 {
        self.count as f64 * self.epochs
    }
}

impl TrainSettings {
    /// These settings with the phases that their buckets stand for, for files of this difficulty;
    /// unchanged where they have no buckets.
    ///
    /// # Errors
    /// When there are more buckets than files.
    pub fn with_buckets(&self, files: &[(String, f64)]) -> Result<Self, SettingError> {
        let Some(buckets) = self.buckets else { return Ok(self.clone()) };
        let is_read =
            |name: &String| self.sources.is_empty() || self.sources.iter().any(|of| of == name);
        let mut files: Vec<&(String, f64)> =
            files.iter().filter(|(name, _)| is_read(name)).collect();
        files.sort_by(|(a, first), (b, second)| first.total_cmp(second).then(a.cmp(b)));
        let (count, known) = (buckets.count, files.len());
        let rule = format!("the text has {known} files; take as many at most");
        require(count <= known, "buckets.count", &count, rule)?;
        let phase = |bucket: usize| PhaseSettings {
            name: Some(format!("bucket {bucket}")),
            epochs: Some(buckets.epochs),
            sources: Some(
                files[..(bucket * known).div_ceil(count)]
                    .iter()
                    .map(|(name, _)| name.clone())
                    .collect(),
            ),
            ..PhaseSettings::default()
        };
        Ok(Self { phases: (1..=count).map(phase).collect(), buckets: None, ..self.clone() })
    }
}

/// Refuses buckets outside their range, and what they cannot stand beside.
pub(super) fn check(settings: &TrainSettings) -> Result<(), SettingError> {
    let Some(buckets) = settings.buckets else { return Ok(()) };
    let within = |error: SettingError| error.within("buckets");
    rules::epochs(buckets.epochs).map_err(within)?;
    let rule = "it must be between 1 and 1000";
    require((1..=MOST).contains(&buckets.count), "buckets.count", &buckets.count, rule)?;
    let alone = settings.phases.is_empty();
    let rule = "they are phases of their own; remove one of the two";
    require(alone, "buckets", &"set beside phases", rule)?;
    let rule = "buckets state their own epochs; leave it out";
    require(settings.max_steps == 0, "max_steps", &settings.max_steps, rule)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::settings;

    fn settings(keys: &str) -> TrainSettings {
        serde_json::from_str(keys).unwrap()
    }

    #[test]
    fn each_phase_reads_one_bucket_more_the_easiest_first() {
        let train = settings(r#"{"buckets": {"count": 3, "epochs": 2}, "batch_size": 8}"#);
        let files = [("e", 3.0), ("a", 2.0), ("b", 1.0), ("d", 2.0), ("c", 5.0)]
            .map(|(name, difficulty)| (name.to_owned(), difficulty));
        let found = train.with_buckets(&files).unwrap();
        let sources: Vec<Vec<String>> =
            found.phases.iter().map(|phase| phase.sources.clone().unwrap()).collect();
        let expected = [&["b", "a"][..], &["b", "a", "d", "e"], &["b", "a", "d", "e", "c"]];
        assert_eq!(sources, expected);
        assert!(found.phases.iter().all(|phase| phase.epochs == Some(2.0)));
        assert_eq!((found.buckets, found.batch_size), (None, 8));
        assert_eq!(settings("{}").with_buckets(&files).unwrap(), settings("{}"));
        let some = TrainSettings { sources: vec!["c".into(), "e".into(), "a".into()], ..train };
        let found = some.with_buckets(&files).unwrap();
        assert_eq!(found.phases[1].sources, Some(vec!["a".to_owned(), "e".to_owned()]));
        let message = some.with_buckets(&files[..2]).unwrap_err().to_string();
        assert_eq!(message, "`buckets.count` is 3; the text has 2 files; take as many at most");
    }

    #[test]
    fn buckets_that_make_no_sense_are_refused_by_name() {
        for (keys, expected) in [
            (r#"{"buckets": {"count": 0}}"#, "`buckets.count` is 0; it must be between"),
            (r#"{"buckets": {"count": 2, "epochs": 0}}"#, "`buckets.epochs` is 0; it must be"),
            (
                r#"{"buckets": {"count": 2}, "phases": [{"epochs": 1.0}]}"#,
                "`buckets` is set beside phases; they are phases of their own",
            ),
            (r#"{"buckets": {"count": 2}, "max_steps": 3}"#, "`max_steps` is 3; buckets state"),
        ] {
            let message = settings::check(&settings(keys)).unwrap_err().to_string();
            assert!(message.contains(expected), "{message}");
        }
        let unknown = serde_json::from_str::<BucketSettings>(r#"{"measure": "x", "count": 2}"#);
        let message = unknown.unwrap_err().to_string();
        assert!(message.contains("flesch_reading_ease"), "{message}");
    }
}
