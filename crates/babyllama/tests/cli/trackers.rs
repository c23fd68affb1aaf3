//! What runs leave for other tools: TensorBoard's event files.

use std::collections::BTreeMap;

use super::common::{RECIPE, Workspace};
use super::interruption::signalled;

/// A field of a protocol buffer: its number and its value, whose form follows from the number here.
fn fields(mut bytes: &[u8]) -> Vec<(u64, &[u8])> {
    let mut fields = Vec::new();
    while !bytes.is_empty() {
        let (key, rest) = varint(bytes);
        let (length, rest) = match key % 8 {
            0 => (rest.len() - varint(rest).1.len(), rest),
            1 => (8, rest),
            2 => {
                let (length, rest) = varint(rest);
                (length as usize, rest)
            }
            5 => (4, rest),
            other => panic!("no such form: {other}"),
        };
        fields.push((key / 8, &rest[..length]));
        bytes = &rest[length..];
    }
    fields
}

fn varint(bytes: &[u8]) -> (u64, &[u8]) {
    let length = 1 + bytes.iter().position(|byte| byte & 0x80 == 0).unwrap();
    let digits = bytes[..length].iter().rev();
    (digits.fold(0, |number, byte| number << 7 | u64::from(byte & 0x7f)), &bytes[length..])
}

/// The numbers of a model's event files under each tag, by their steps, as TensorBoard keeps them:
/// a mark drops what was there of its step and later ones. A file may end in a part of a record.
fn scalars(workspace: &Workspace, model: &str) -> BTreeMap<String, Vec<(u64, f32)>> {
    let mut tags: BTreeMap<String, Vec<(u64, f32)>> = BTreeMap::new();
    let names = workspace.names(model).into_iter();
    for name in names.filter(|name| name.starts_with("events.out.tfevents.")) {
        let bytes = workspace.bytes(&format!("{model}/{name}"));
        let mut rest = &bytes[..];
        while rest.len() >= 12 {
            let length = u64::from_le_bytes(rest[..8].try_into().unwrap()) as usize;
            let Some(event) = rest.get(12..12 + length) else { break };
            rest = rest.get(16 + length..).unwrap_or_default();
            let event = fields(event);
            let of = |number| event.iter().find(|field| field.0 == number).map(|field| field.1);
            let step = of(2).map_or(0, |step| varint(step).0);
            if of(7).is_some() {
                tags.values_mut().for_each(|points| points.retain(|point| point.0 < step));
            }
            for (_, value) in of(5).map(fields).unwrap_or_default() {
                let value = fields(value);
                let tag = String::from_utf8(value[0].1.to_vec()).unwrap();
                let number = f32::from_le_bytes(value[1].1.try_into().unwrap());
                tags.entry(tag).or_default().push((step, number));
            }
        }
    }
    tags
}

/// The numbers of a model's metrics under one key, by their steps, as [`scalars`] should find
/// them.
fn expected(workspace: &Workspace, model: &str, event: &str, key: &str) -> Vec<(u64, f32)> {
    let records = workspace.metrics(model).into_iter().filter(|record| record["event"] == event);
    let number =
        |record: serde_json::Value| Some((record["step"].as_u64()?, record[key].as_f64()? as f32));
    records.filter_map(number).collect()
}

#[test]
fn event_files_have_the_numbers_of_the_metrics_after_kills_too() {
    let workspace = Workspace::new();
    let recipe = RECIPE.replace("epochs = 2", "epochs = 10");
    workspace.write("small.toml", recipe.replace("checkpoint_steps = 5", "checkpoint_steps = 7"));
    let words = ["run", "small.toml"];
    let model = "runs/small/models/student";
    for step in [3, 40, 100] {
        signalled(&workspace, &words, model, step, "KILL");
    }
    workspace.babyllama("run small.toml").done();
    let found = scalars(&workspace, model);
    for (tag, event, key) in [
        ("train/loss", "step", "loss"),
        ("train/kl", "step", "kl"),
        ("train/cross_entropy", "step", "cross_entropy"),
        ("train/learning_rate", "step", "learning_rate"),
        ("train/gradient_norm", "step", "gradient_norm"),
        ("held_out/loss", "evaluation", "cross_entropy"),
    ] {
        assert_eq!(found[tag], expected(&workspace, model, event, key), "{tag}");
    }
    assert_eq!(found["tokens_per_second"].len(), found["train/loss"].len());
    let files = workspace.names(model);
    let files = files.iter().filter(|name| name.starts_with("events.out.tfevents."));
    assert_eq!(files.count(), 4, "one for each time that the training began");
    // Without teachers there is one loss.
    let teacher = scalars(&workspace, "runs/small/models/teacher");
    assert!(!teacher.contains_key("train/kl") && !teacher.contains_key("train/cross_entropy"));
    // They decide nothing.
    for name in workspace.names(model).iter().filter(|name| name.contains("tfevents")) {
        std::fs::remove_file(workspace.path(&format!("{model}/{name}"))).unwrap();
    }
    let again = workspace.babyllama("run small.toml").done();
    assert!(again.stdout.contains("Nothing to do"), "{}", again.stderr);
}
