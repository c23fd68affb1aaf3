//! Figures of invented rows that look like those of real runs, for looking at and as golden files.

use base::rng::Rng;

use super::*;
use crate::Best;

fn uniform(purpose: &str, index: usize) -> f64 {
    f64::from(Rng::new(1, purpose).uniform(index as u64))
}

fn normal(purpose: &str, index: usize) -> f64 {
    f64::from(Rng::new(2, purpose).normal(index as u64))
}

fn loss(step: f64, floor: f64) -> f64 {
    floor + 6.5 * libm::exp(-step / 150.0) + 1.2 * libm::exp(-step / 1500.0)
}

fn curve_lines() -> Vec<Curve> {
    let models = ["teacher-llama", "teacher-gpt2", "babyllama-58m", "undistilled"];
    let mut lines = Vec::new();
    for (index, model) in models.iter().enumerate() {
        let floor = 2.6 + 0.15 * index as f64;
        let point =
            |step: usize| (step as f64, loss(step as f64, floor) + 0.05 * normal(model, step));
        let training = (1..6000).map(point).collect();
        let epochs = (1..=8).map(|epoch| epoch as f64 * 740.0);
        let held_out = epochs.map(|step| (step, loss(step, floor + 0.4))).collect();
        for (is_held_out, points) in [(false, training), (true, held_out)] {
            let model = (*model).to_owned();
            lines.push(Curve { name: model.clone(), model, is_held_out, points });
        }
    }
    lines
}

fn trials() -> Vec<(Vec<Option<Setting>>, f64, Ending)> {
    let of = |index: usize| {
        let [a, b, c, d] = ["a", "b", "c", "d"].map(|name| uniform(name, index));
        let optimizer = ["adamw", "muon", "lion"][(c * 3.0) as usize];
        let beta = (optimizer == "muon").then_some(Setting::Number(0.8 + 0.199 * d));
        let settings = vec![
            Some(Setting::Number(1e-4 * libm::pow(100.0, a))),
            Some(Setting::Name(optimizer.to_owned())),
            beta,
            Some(Setting::Number((b * 8.0).floor() + 1.0)),
        ];
        let value = 3.4 + 2.0 * (a - 0.6) * (a - 0.6) + 0.1 * c + 0.05 * normal("e", index).abs();
        let value = if index == 17 { 9.0 } else { value };
        let ending = match index % 5 {
            _ if index % 19 == 18 => Ending::Failed,
            1 | 3 if value > 3.55 => Ending::Stopped,
            _ => Ending::Complete,
        };
        (settings, value, ending)
    };
    (0..60).map(of).collect()
}

pub(super) fn gallery() -> Vec<Figure> {
    let palette = &Palette::default();
    let (step, loss) = (Axis::linear("step"), Axis::linear("loss (nats per token)"));
    let tasks = [
        "boolq", "cola", "mnli", "mnli-mm", "mrpc", "multirc", "qnli", "qqp", "rte", "sst2", "wsc",
    ];
    let scores = |task: &str, base: f64| {
        let score = |index| base + 4.0 * normal(task, index);
        let one = |index| ViolinScore {
            model: "model".to_owned(),
            seed: index as u64,
            score: score(index),
        };
        (0..40).map(one).collect::<Vec<ViolinScore>>()
    };
    let violins: Vec<Violin> = tasks
        .iter()
        .enumerate()
        .map(|(index, task)| Violin {
            task: (*task).to_owned(),
            scores: scores(task, 62.0 + 3.0 * (index % 8) as f64),
        })
        .collect();
    let models = ["BabyLlama-2 345M", "LTG-BERT", "Llama-345M"];
    let marks: Vec<Mark> = tasks
        .iter()
        .enumerate()
        .flat_map(|(index, task)| {
            models.iter().enumerate().map(move |(model, name)| Mark {
                task: (*task).to_owned(),
                model: (*name).to_owned(),
                score: 64.0 + 3.0 * (index % 8) as f64 + 1.5 * model as f64,
            })
        })
        .collect();
    let points: Vec<FitPoint> = (0..9)
        .map(|index| FitPoint {
            model: format!("{}{}", ["llama-", "gpt2-", "student-"][index % 3], index),
            group: if index < 6 { "this run" } else { "printed" }.to_owned(),
            x: 3.1 + 0.05 * index as f64,
            y: 71.0 - 1.3 * index as f64 + normal("fit", index),
        })
        .collect();
    let words: Vec<ScalingPoint> = ["LLaMA", "GPT-2"]
        .iter()
        .enumerate()
        .flat_map(|(series, name)| {
            [1e6, 3e6, 1e7, 3e7, 1e8].into_iter().enumerate().map(move |(index, words)| {
                ScalingPoint {
                    series: (*name).to_owned(),
                    words,
                    loss: 4.6 - 0.35 * index as f64 + 0.15 * series as f64,
                    deviation: Some(0.06 - 0.008 * index as f64),
                }
            })
        })
        .collect();
    let groups = [
        "anaphor agreement",
        "argument structure",
        "binding",
        "control/raising",
        "determiner-noun agreement",
        "ellipsis",
        "filler-gap",
        "irregular forms",
        "island effects",
        "NPI licensing",
        "quantifiers",
        "subject-verb agreement",
    ];
    let group_bars: Vec<Bar> = groups
        .iter()
        .enumerate()
        .flat_map(|(index, group)| {
            ["babyllama-58m", "undistilled"].iter().enumerate().map(move |(series, model)| {
                let value = 60.0 + 3.0 * (index % 9) as f64 - 2.0 * series as f64;
                Bar {
                    row: (*group).to_owned(),
                    series: (*model).to_owned(),
                    value,
                    interval: Some((value - 2.5, value + 2.5)),
                    mark: if series == 0 && index % 3 == 0 { "*" } else { "" }.to_owned(),
                }
            })
        })
        .collect();
    let axes = [
        SettingAxis::new("train.learning_rate", Kind::Log),
        SettingAxis::new("train.optimizer", Kind::Names),
        SettingAxis::new("train.momentum", Kind::Linear),
        SettingAxis::new("train.epochs", Kind::Linear),
    ];
    let trials = trials();
    let numbered = || trials.iter().cloned().zip(0_u64..);
    let lines: Vec<ParallelLine> = numbered()
        .filter(|((_, _, ending), _)| *ending == Ending::Complete)
        .map(|((settings, result, _), number)| ParallelLine {
            name: number.to_string(),
            settings,
            result,
        })
        .collect();
    let history_rows: Vec<HistoryTrial> = numbered()
        .map(|((_, value, ending), number)| HistoryTrial { number, value: Some(value), ending })
        .collect();
    let slice_rows: Vec<SlicePoint> = numbered()
        .map(|((settings, value, ending), number)| SlicePoint { number, settings, value, ending })
        .collect();
    let bars_of: Vec<ImportanceBar> = [
        ("train.learning_rate", 0.71, 0.05),
        ("train.optimizer", 0.12, 0.03),
        ("train.epochs", 0.03, 0.01),
        ("train.momentum", 0.01, 0.005),
    ]
    .map(|(name, importance, deviation)| ImportanceBar {
        parameter: name.to_owned(),
        importance,
        deviation: Some(deviation),
    })
    .to_vec();
    let confirmed: Vec<Confirmed> = [
        ("trial 12", 3.41, 3.47),
        ("trial 44", 3.43, 3.46),
        ("baseline (trial 0)", 3.52, 3.51),
        ("trial 7", 3.44, 3.53),
    ]
    .into_iter()
    .map(|(label, search, mean)| Confirmed {
        label: label.to_owned(),
        search: Some(search),
        values: vec![mean - 0.02, mean, mean + 0.02],
        mean: Some(mean),
        deviation: Some(0.02),
        is_baseline: label.starts_with("baseline"),
    })
    .collect();
    vec![
        curves("Loss", &step, &loss, &curve_lines(), palette),
        curves(
            "Loss, logarithmic",
            &Axis::log("step"),
            &Axis::log("loss"),
            &curve_lines(),
            palette,
        ),
        violin("Scores of fine-tunings", "score (%)", &violins, &marks, palette),
        fit("BLiMP against held-out loss", "held-out loss", "BLiMP (%)", &points, palette),
        scaling("Loss against words", "words", "held-out loss", &words, palette),
        bars("BLiMP by group", "accuracy (%)", &group_bars, palette),
        parallel("Settings and results", &axes, "held-out loss", Best::Lowest, &lines),
        history("History", "held-out loss", Best::Lowest, &history_rows),
        importance("Importance", &bars_of),
        slices("Slices", "held-out loss", Best::Lowest, &axes, &slice_rows),
        confirm("Confirmed", "held-out loss", &confirmed),
    ]
}

/// Writes the gallery into a folder, on light and on dark paper: to look at.
#[test]
#[ignore = "writes images to look at into the folder BABYLLAMA_FIGURES"]
fn figures_to_look_at() {
    let Some(folder) = std::env::var_os("BABYLLAMA_FIGURES") else { return };
    let folder = std::path::PathBuf::from(folder);
    let figures = gallery();
    write_folder(&folder, &figures, [], Formats { png: true }).unwrap();
    for figure in &figures {
        let dark = figure.to_png_in("#e0e0e0", (20, 22, 26)).unwrap();
        std::fs::write(folder.join(format!("{}-dark.png", figure.name)), dark).unwrap();
    }
}
