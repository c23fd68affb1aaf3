//! Draws the figures of docs/STUDY.md from its numbers in docs/study:
//!
//!     cargo run --release -p report --example study_figures

use std::error::Error;
use std::path::{Path, PathBuf};

use report::figures::{
    Axis, Bar, Curve, Figure, FitPoint, Mark, Palette, ScalingPoint, Violin, ViolinScore, bars,
    curves, fit, scaling, violin,
};
use serde::Deserialize;
use serde::de::DeserializeOwned;

fn main() -> Result<(), Box<dyn Error>> {
    let folder = study_folder();
    for figure in Study::read(&folder)?.figures() {
        std::fs::write(folder.join(format!("{}.svg", figure.name)), on_white(&figure))?;
    }
    Ok(())
}

/// docs/study of the repository.
fn study_folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/study")
}

/// The drawing on white paper: a page shows a linked SVG on a background of its own color, in
/// black ink.
fn on_white(figure: &Figure) -> String {
    let paper = "<rect width=\"100%\" height=\"100%\" fill=\"white\"/>";
    let title = "</title>\n";
    figure.svg.replacen(title, &format!("{title}{paper}\n"), 1)
}

/// The loss and the scores of a model, with the settings in which it differs from its recipe.
#[derive(Clone, Deserialize)]
struct Run {
    /// Its name in the recipe, which ends with the seed; runs of the decay have none.
    model: Option<String>,
    seed: Option<u64>,
    loss: f64,
    blimp: Option<f64>,
    supplement: Option<f64>,
    optimizer: Option<String>,
    learning_rate: Option<f64>,
    weight_decay_epochs: Option<f64>,
    epochs: Option<f64>,
    /// The held-out loss after each epoch.
    #[serde(default)]
    held_out: Vec<f64>,
    /// 10¹² FLOPs that its teachers have cost.
    #[serde(default)]
    teraflops_before: f64,
    /// 10¹² FLOPs of each of its epochs.
    #[serde(default)]
    teraflops_of_epoch: f64,
}

impl Run {
    /// The name without the seed, with the settings that are not the recipe's.
    fn kind(&self) -> String {
        let model = self.model.as_deref().unwrap_or("plain");
        let stem = match model.rsplit_once('-') {
            Some((stem, seed)) if seed.parse::<u64>().is_ok() => stem,
            _ => model,
        };
        let epochs = self.epochs.map(|epochs| format!(", {epochs} epochs"));
        let tau = self.weight_decay_epochs.map(|tau| format!(", tau {tau}"));
        let rate = self.learning_rate.map(|rate| format!(", rate {rate}"));
        [epochs, tau, rate].into_iter().flatten().fold(stem.to_owned(), |name, part| name + &part)
    }

    /// The seed, which most have at the end of the name.
    fn seed(&self) -> Option<u64> {
        let of_name = |name: &String| name.rsplit_once('-')?.1.parse().ok();
        self.seed.or_else(|| self.model.as_ref().and_then(of_name))
    }
}

/// A file of docs/study, or a part of one.
#[derive(Deserialize)]
struct Runs {
    runs: Vec<Run>,
}

/// Scores of several models together.
#[derive(Deserialize)]
struct Ensemble {
    blimp: f64,
    supplement: f64,
}

#[derive(Deserialize)]
struct Students {
    runs: Vec<Run>,
    ensembles: std::collections::BTreeMap<String, Ensemble>,
}

#[derive(Deserialize)]
struct Tenth {
    runs: Vec<Run>,
    other_objectives: Runs,
    further_objectives: Runs,
    offset_students: Runs,
    longer_students: Runs,
    longer_twins: Runs,
}

/// Reads a file of docs/study.
fn read<T: DeserializeOwned>(path: &Path) -> Result<T, Box<dyn Error>> {
    let named = |problem: String| format!("{}: {problem}", path.display());
    let text = std::fs::read_to_string(path).map_err(|error| named(error.to_string()))?;
    Ok(serde_json::from_str(&text).map_err(|error| named(error.to_string()))?)
}

/// All numbers of docs/study.
struct Study {
    decay: Vec<Run>,
    /// Settings of the baseline one by one, on a tenth of the text.
    levers: Vec<Run>,
    teachers: Vec<Run>,
    students: Students,
    tenth: Vec<Run>,
}

impl Study {
    fn read(folder: &Path) -> Result<Self, Box<dyn Error>> {
        let tenth: Tenth = read(&folder.join("tenth.json"))?;
        let further = [tenth.other_objectives, tenth.further_objectives, tenth.offset_students];
        let further = further.into_iter().flat_map(|part| part.runs).collect();
        Ok(Self {
            decay: read::<Runs>(&folder.join("decay.json"))?.runs,
            levers: read::<Runs>(&folder.join("levers.json"))?.runs,
            teachers: read::<Runs>(&folder.join("teachers.json"))?.runs,
            students: read(&folder.join("students.json"))?,
            tenth: [tenth.longer_twins.runs, tenth.runs, tenth.longer_students.runs, further]
                .concat(),
        })
    }

    fn figures(&self) -> Vec<Figure> {
        let palette = &Palette::default();
        vec![
            self.weight_decay(palette),
            self.levers(palette),
            self.blimp_against_loss(palette),
            self.compute(palette),
            self.differences(palette),
            self.spread(palette),
        ]
    }

    /// The losses of the baseline by learning rate and memory of the weights.
    fn weight_decay(&self, palette: &Palette) -> Figure {
        let best = (3e-3, 0.5);
        let adamw = self.decay.iter().filter(|run| run.optimizer.as_deref() == Some("adamw"));
        let of_best = self.teachers.iter().filter(|run| is_of_student_size(run));
        let settings = |run: &Run| Some((run.learning_rate?, run.weight_decay_epochs?));
        let mut cells: Vec<((f64, f64), Vec<f64>)> = Vec::new();
        let measured = adamw.filter_map(|run| Some((settings(run)?, run.loss)));
        // Those settings were trained again with six seeds.
        let measured = measured.filter(|(settings, _)| *settings != best);
        for (settings, loss) in measured.chain(of_best.map(|run| (best, run.loss))) {
            match cells.iter_mut().find(|(known, _)| *known == settings) {
                Some((_, losses)) => losses.push(loss),
                None => cells.push((settings, vec![loss])),
            }
        }
        cells.sort_by(|a, b| a.0.0.total_cmp(&b.0.0));
        let point = |((rate, tau), losses): &((f64, f64), Vec<f64>)| ScalingPoint {
            series: format!("learning rate {rate}"),
            words: *tau,
            loss: mean(losses),
            deviation: deviation(losses),
        };
        let points: Vec<ScalingPoint> = cells.iter().map(point).collect();
        scaling("Weight decay", "tau (epochs)", "held-out loss", &points, palette)
    }

    /// What each lever of the baseline changes; far above all others are too few epochs.
    fn levers(&self, palette: &Palette) -> Figure {
        let near = |run: &&Run| run.kind() != "three-epochs";
        let runs: Vec<Run> = self.levers.iter().filter(near).cloned().collect();
        let value = "held-out loss, difference from the baseline";
        bars("Levers of the baseline", value, &difference_bars("100,000 words", &runs), palette)
    }

    /// All models of a million words with both.
    fn blimp_against_loss(&self, palette: &Palette) -> Figure {
        let students = self.students.runs.iter();
        let kinds = [
            ("baseline, decay varied", self.decay.iter().collect::<Vec<_>>()),
            ("twins and teachers", self.teachers.iter().chain(students).collect()),
        ];
        let point = |kind: &str, run: &Run| {
            let kind = if run.kind().starts_with("two") { "students" } else { kind };
            let (model, group) = (kind.to_owned(), String::new());
            run.blimp.map(|y| FitPoint { model, group, x: run.loss, y })
        };
        let points = kinds.iter().flat_map(|(kind, runs)| runs.iter().map(|run| point(kind, run)));
        let points: Vec<FitPoint> = points.flatten().collect();
        let title = "BLiMP against held-out loss";
        fit(title, "held-out loss", "BLiMP filtered (%)", &points, palette)
    }

    /// Held-out losses along trainings, over all work that they and their teachers have cost.
    fn compute(&self, palette: &Palette) -> Figure {
        let followed = self.students.runs.iter().filter(|run| !run.held_out.is_empty());
        let curve = |run: &Run| Curve {
            name: run.model.clone().unwrap_or_default(),
            model: run.kind(),
            is_held_out: true,
            points: (1..)
                .zip(&run.held_out)
                .map(|(epoch, &loss)| {
                    let teraflops =
                        run.teraflops_before + f64::from(epoch) * run.teraflops_of_epoch;
                    (teraflops / 1000.0, loss)
                })
                .filter(|point| point.1 < HIGHEST_LOSS)
                .collect(),
        };
        let lines: Vec<Curve> = followed.map(curve).collect();
        let (x, y) = (Axis::linear("10¹⁵ FLOPs with teachers"), Axis::linear("held-out loss"));
        curves("Held-out loss against compute", &x, &y, &lines, palette)
    }

    /// The paired differences from the twin, of what has three seeds.
    fn differences(&self, palette: &Palette) -> Figure {
        let twins: Vec<Run> =
            self.teachers.iter().filter(|run| run.kind() == "plain").cloned().collect();
        let million: Vec<Run> = [twins, self.students.runs.clone()].concat();
        let rows = [("1,000,000 words", &million), ("100,000 words", &self.tenth)];
        let bars_of = rows.iter().flat_map(|(series, runs)| difference_bars(series, runs));
        let all: Vec<Bar> = bars_of.collect();
        let value = "held-out loss, difference from the twin";
        bars("Difference from the twin", value, &all, palette)
    }

    /// BLiMP of models that differ in their seeds, or in the machine, alone.
    fn spread(&self, palette: &Palette) -> Figure {
        let all: Vec<&Run> = self.teachers.iter().chain(&self.students.runs).collect();
        let of = |kinds: &[&str], score: fn(&Run) -> Option<f64>| -> Vec<ViolinScore> {
            let runs = all
                .iter()
                .filter(|run| kinds.contains(&run.kind().as_str()) && is_of_student_size(run));
            let one = |run: &&Run| {
                let model = run.model.clone().unwrap_or_default();
                Some(ViolinScore { model, seed: run.seed()?, score: score(run)? })
            };
            runs.filter_map(one).collect()
        };
        let (undistilled, students) = (&["plain", "teacher"][..], &["two-long"][..]);
        let task = |task: &str, scores| Violin { task: task.to_owned(), scores };
        let violins = [
            task("undistilled", of(undistilled, |run| run.blimp)),
            task("students", of(students, |run| run.blimp)),
            task("undistilled, suppl.", of(undistilled, |run| run.supplement)),
            task("students, suppl.", of(students, |run| run.supplement)),
        ];
        let teachers = self.students.ensembles.get("teacher-4 + teacher-5");
        let mark = |task: &str, score| Mark {
            task: task.to_owned(),
            model: "the teachers' ensemble".to_owned(),
            score,
        };
        let marks: Vec<Mark> = teachers
            .into_iter()
            .flat_map(|ensemble| {
                [mark("students", ensemble.blimp), mark("students, suppl.", ensemble.supplement)]
            })
            .collect();
        violin("BLiMP over seeds", "right answers (%)", &violins, &marks, palette)
    }
}

/// The first epochs' losses would press all others together.
const HIGHEST_LOSS: f64 = 4.6;

/// Whether a model has the student's architecture: the papers' pair has names of its own.
fn is_of_student_size(run: &Run) -> bool {
    !matches!(run.model.as_deref(), Some("teacher-gpt2" | "teacher-llama"))
}

/// A bar for each kind that has three seeds of the twin, from the lowest: the mean of the paired
/// differences, with one standard deviation to both sides.
fn difference_bars(series: &str, runs: &[Run]) -> Vec<Bar> {
    let twin = |seed| runs.iter().find(|run| run.kind() == "plain" && run.seed() == Some(seed));
    let mut kinds: Vec<String> = Vec::new();
    for kind in runs.iter().map(Run::kind) {
        if kind != "plain" && !kinds.contains(&kind) {
            kinds.push(kind);
        }
    }
    let differences = |kind: &str| -> Vec<f64> {
        let of_kind = runs.iter().filter(|run| run.kind() == kind);
        of_kind.filter_map(|run| Some(run.loss - twin(run.seed()?)?.loss)).collect()
    };
    let bar = |kind: String| {
        let values = differences(&kind);
        let (middle, spread) = (mean(&values), deviation(&values)?);
        let interval = Some((middle - spread, middle + spread));
        let (series, mark) = (series.to_owned(), String::new());
        Some(Bar { row: kind, series, value: middle, interval, mark })
    };
    let mut all: Vec<Bar> = kinds.into_iter().filter_map(bar).collect();
    all.sort_by(|a, b| a.value.total_cmp(&b.value));
    all
}

fn mean(values: &[f64]) -> f64 {
    values.iter().sum::<f64>() / values.len() as f64
}

/// The standard deviation of a sample; of fewer than three values there is none.
fn deviation(values: &[f64]) -> Option<f64> {
    let middle = mean(values);
    let squares: f64 = values.iter().map(|value| (value - middle) * (value - middle)).sum();
    (values.len() >= 3).then(|| (squares / (values.len() - 1) as f64).sqrt())
}

#[test]
fn the_figures_of_the_study_are_those_of_its_numbers() {
    let folder = study_folder();
    let page = std::fs::read_to_string(folder.join("../STUDY.md")).unwrap();
    for figure in Study::read(&folder).unwrap().figures() {
        assert!(page.contains(&format!("](study/{}.svg)", figure.name)), "{}", figure.name);
        assert!(on_white(&figure).contains("fill=\"white\""), "{}", figure.name);
        let committed = std::fs::read_to_string(folder.join(format!("{}.svg", figure.name)));
        assert!(
            committed.is_ok_and(|committed| committed == on_white(&figure)),
            "{}.svg is out of date: cargo run --release -p report --example study_figures",
            figure.name
        );
    }
}
