//! Where a teacher cache must not be, and which one is of no use.

use std::path::Path;

use engine::Arithmetic;
use serde_json::{Value, json};
use train::settings::SignalKind;
use train::signals::cache::{Manifest, Rounding};
use train::{DistillSettings, TrainSettings};

use crate::error::{Context, Result, wrong_usage};
use crate::outputs;

/// Refuses a cache in one of the folders that training reads or replaces, whose contents it would
/// change, and one that is the output folder itself, whose files it would be mixed with.
///
/// # Errors
/// [`WrongUsage`](crate::ExperimentError::WrongUsage) with the folder.
pub fn check<'a>(
    distill: &DistillSettings,
    output: &Path,
    mut folders: impl Iterator<Item = &'a Path>,
) -> Result<()> {
    let Some(cache) = distill.cache.as_ref().filter(|_| distill.signal != SignalKind::Online)
    else {
        return Ok(());
    };
    let place = outputs::place(cache);
    let problem = if place == outputs::place(output) {
        "is the output folder".to_owned()
    } else if let Some(folder) = folders.find(|folder| place.starts_with(outputs::place(folder))) {
        format!("is in the model folder {}", folder.display())
    } else {
        return outputs::check_no_run_part(cache);
    };
    wrong_usage(format_args!("the teacher cache {} {problem}", cache.display())).advise(
        "name a folder of its own with `cache`, or none to have it in the output folder's \
         teachers/",
    )
}

/// Refuses a cache that is there already and was filled with other settings, or in another
/// precision than the device's, as far as that is known.
///
/// # Errors
/// [`WrongUsage`](crate::ExperimentError::WrongUsage) with the folder and both settings.
pub fn check_contents(
    distill: &DistillSettings,
    train: &TrainSettings,
    arithmetic: Option<Arithmetic>,
) -> Result<()> {
    let named = distill.cache.as_ref().filter(|_| distill.signal != SignalKind::Online);
    let Some(cache) = named else { return Ok(()) };
    // What cannot be read is refused with its reason where the cache is opened.
    let Ok(Some(found)) = Manifest::read(&cache.join("manifest.json")) else { return Ok(()) };
    check_settings(cache, &found, distill, train)?;
    arithmetic.map_or(Ok(()), |arithmetic| check_precision(cache, &found, arithmetic))
}

/// What the settings state of a cache's contents; the teachers and the text are looked at when it
/// is opened.
fn check_settings(
    cache: &Path,
    found: &Manifest,
    distill: &DistillSettings,
    train: &TrainSettings,
) -> Result<()> {
    let sampling = found.sampling.as_ref();
    let keys = [
        ("signal", json!(found.signal), json!(distill.signal)),
        ("codec", json!(found.codec), json!(distill.codec)),
        ("samples", json!(sampling.map(|of| of.samples)), json!(distill.samples)),
        ("temperature", json!(sampling.map(|of| of.temperature)), json!(distill.temperature)),
        ("sequence_length", json!(found.sequence_length), json!(train.sequence_length)),
    ];
    // A kind of outputs has no such setting where it is null.
    let differs = |(_, found, wanted): &&(_, Value, Value)| !found.is_null() && found != wanted;
    let Some((key, found, wanted)) = keys.iter().find(differs) else { return Ok(()) };
    let cache = cache.display();
    wrong_usage(format_args!(
        "the teacher cache {cache} was filled with {key} = {found}, and this is {key} = {wanted}"
    ))
    .advise(format!("set {key} = {found}, or name another folder with `cache`"))
}

fn check_precision(cache: &Path, found: &Manifest, arithmetic: Arithmetic) -> Result<()> {
    let wanted = Rounding::of(arithmetic);
    if found.arithmetic == wanted {
        return Ok(());
    }
    let [found, wanted] = [found.arithmetic, wanted].map(Rounding::name);
    wrong_usage(format_args!(
        "the teacher cache {} was filled with --precision {found}, and this is --precision \
         {wanted}",
        cache.display()
    ))
    .advise(format!("give --precision {found}, or name another folder with `cache`"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cache_is_refused_where_models_are_read_and_where_the_output_goes() {
        let folder = tempfile::tempdir().unwrap();
        let path = |inside: &str| folder.path().join(inside);
        std::fs::create_dir_all(path("teacher")).unwrap();
        let problem = |signal, cache: &str| {
            let settings = DistillSettings {
                signal,
                cache: Some(path(cache)),
                ..DistillSettings::new(vec!["teacher".into()])
            };
            let (teacher, later) = (path("teacher"), path("run/models/later"));
            let checked = check(&settings, &path("run"), [&*teacher, &*later].into_iter());
            checked.err().map(|error| error.to_string()).unwrap_or_default()
        };
        let hidden = |cache| problem(SignalKind::Hidden, cache);
        for cache in ["teacher", "teacher/kept", "teacher/./a/b"] {
            assert!(
                hidden(cache)
                    .contains(&format!("is in the model folder {}", path("teacher").display())),
                "{cache}"
            );
        }
        assert!(hidden("run/models/later/x").contains("models/later"));
        assert!(
            hidden("run").contains("is the output folder")
                && hidden("teacher/../run").contains("is the output")
        );
        for cache in ["kept", "teacher-kept", "run/kept", "run/teachers"] {
            assert_eq!(hidden(cache), "");
        }
        assert_eq!(problem(SignalKind::Online, "teacher"), "");
        #[cfg(unix)]
        {
            std::os::unix::fs::symlink(path("teacher"), path("link")).unwrap();
            assert!(hidden("link/kept").contains("is in the model folder"));
        }
    }
}
