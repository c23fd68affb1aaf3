//! Products in bf16 and bf16x3 on the CPU.

use super::common::{STUDENT, Workspace, sentences};

fn models(run: &str) -> [String; 2] {
    ["teacher", "student"].map(|model| format!("{run}/models/{model}"))
}

#[test]
#[cfg(unix)]
fn bits_depend_neither_on_threads_nor_on_a_kill() {
    for precision in ["bf16", "bf16x3"] {
        let workspace = Workspace::new();
        workspace.write("small.toml", super::interruption::longer_recipe());
        let run = |output: &str, rest: &str| {
            let line = format!("run small.toml --precision {precision} --output {output} {rest}");
            workspace.babyllama(&line).done()
        };
        let first = run("runs/two", "--threads 2");
        assert!(first.stderr.contains(&format!("on cpu ({precision} by ")), "{}", first.stderr);
        run("runs/one", "--threads 1");
        let words = ["run", "small.toml", "--precision", precision, "--output", "runs/killed"];
        for (model, step) in models("runs/killed").iter().zip([9, 110]) {
            super::interruption::signalled(&workspace, &words, model, step, "KILL");
        }
        workspace.babyllama(&words.join(" ")).done();
        for output in ["runs/one", "runs/killed"] {
            for (other, model) in models(output).iter().zip(models("runs/two")) {
                let weights = |model: &str| workspace.weights(&format!("{model}/final"));
                assert!(weights(other) == weights(&model), "{precision}: {other}");
            }
        }
    }
}

#[test]
fn losses_stay_near_those_of_f32() {
    let workspace = Workspace::new();
    let train = |precision: &str| {
        let line = format!("run small.toml --precision {precision} --output runs/{precision}");
        workspace.babyllama(&line).done();
        models(&format!("runs/{precision}")).map(|model| workspace.losses(&model))
    };
    let exact = train("f32");
    for (precision, tolerance) in [("bf16", 5e-3), ("bf16x3", 1e-3)] {
        for (exact, found) in exact.iter().zip(train(precision)) {
            assert_eq!(exact.len(), found.len());
            let steps = exact.iter().zip(&found).take(100);
            let worst = steps.map(|(e, f)| (f / e - 1.0).abs()).fold(0.0, f64::max);
            assert!(worst > 0.0 && worst < tolerance, "{precision}: {worst}");
        }
    }
}

#[test]
fn a_recipe_names_its_precision_and_the_command_line_counts_more() {
    let workspace = Workspace::new();
    let recipe = workspace.text("small.toml");
    workspace.write("rounded.toml", format!("precision = \"bf16\"\n{recipe}"));
    let line = "run rounded.toml --output runs/rounded --only teacher";
    let finished = workspace.babyllama(line).done();
    assert!(finished.stderr.contains("on cpu (bf16 by "), "{}", finished.stderr);
    let plan = workspace.babyllama("plan rounded.toml").done();
    assert!(plan.stdout.contains("cpu (bf16 by "), "{}", plan.stdout);
    assert!(!plan.stdout.contains("--precision bf16"), "{}", plan.stdout);
    let exact = workspace.babyllama("plan rounded.toml --precision f32").done();
    assert!(!exact.stdout.contains("bf16 by "), "{}", exact.stdout);

    workspace.write("wrong.toml", format!("precision = \"bf15\"\n{recipe}"));
    let refusal = workspace.babyllama("run wrong.toml").refused(2);
    refusal.names(&["precision", "bf15"]);
}

#[test]
#[cfg(unix)]
fn a_checkpoint_of_other_products_continues_with_a_note() {
    let workspace = Workspace::new();
    workspace.write("small.toml", super::interruption::longer_recipe());
    let words = ["run", "small.toml", "--precision", "bf16"];
    super::interruption::signalled(&workspace, &words, &models("runs/small")[0], 20, "TERM");
    let line = "run small.toml --precision f32 --only teacher";
    let finished = workspace.babyllama(line).done();
    assert!(
        finished.stderr.contains("teacher  was multiplied with bf16 by "),
        "{}",
        finished.stderr
    );
}

#[test]
fn a_cache_of_another_precision_or_other_settings_is_refused_before_anything_runs() {
    let workspace = Workspace::new();
    let kept = "--set student.distill.signal=hidden --set student.distill.cache=kept";
    workspace.babyllama(&format!("cache-teachers small.toml {kept}")).done();
    std::fs::remove_dir_all(workspace.path("runs")).unwrap();
    for line in ["run small.toml", "run small.toml --dry-run", "plan small.toml"] {
        let refusal = workspace.babyllama(&format!("{line} {kept} --precision bf16")).refused(2);
        let cause = "the teacher cache kept was filled with --precision f32, and this is \
                     --precision bf16";
        refusal.names(&["model student", cause]).advises("--precision f32");
    }
    for (key, cause) in [
        ("distill.codec=bf16", "codec = \"f32\", and this is codec = \"bf16\""),
        ("distill.signal=sampled", "signal = \"hidden\", and this is signal = \"sampled\""),
        ("train.sequence_length=8", "sequence_length = 16, and this is sequence_length = 8"),
    ] {
        for line in ["run small.toml", "run small.toml --dry-run", "plan small.toml"] {
            let line = format!("{line} {kept} --set student.{key}");
            let cause = format!("the teacher cache kept was filled with {cause}");
            workspace.babyllama(&line).refused(2).names(&["model student", &cause]);
        }
    }
    assert!(!workspace.path("runs").exists());
    let again = workspace.babyllama(&format!("cache-teachers small.toml {kept}")).done();
    assert!(again.stderr.contains("0 of "), "{}", again.stderr);
}

#[test]
fn everything_that_reads_a_model_takes_every_precision() {
    let workspace = Workspace::trained();
    workspace.write("text/heldout.txt", sentences(40, 6));
    for precision in ["bf16", "bf16x3"] {
        for line in [
            format!("evaluate blimp {STUDENT} --data pairs --output scores-{precision}"),
            format!("evaluate loss {STUDENT} --data text --sequence-length 32"),
            format!("generate {STUDENT} --prompt a --max-tokens 5"),
            "cache-teachers small.toml --set student.distill.signal=hidden".to_owned(),
            "cache-teachers small.toml --set student.distill.signal=sampled".to_owned(),
        ] {
            workspace.babyllama(&format!("{line} --precision {precision}")).done();
        }
        let loss = format!("evaluate loss {STUDENT} --data text --sequence-length 32");
        let line = format!("{loss} --precision {precision} --json loss.json");
        workspace.babyllama(&line).done();
        assert_eq!(workspace.json("loss.json")[0]["precision"], precision);
    }
}

/// The masked model is RoBERTa, whose residual stream is the output of norms.
#[test]
fn a_masked_model_is_scored_in_every_precision() {
    let workspace = Workspace::new();
    super::brought::bring_roberta(&workspace, "roberta");
    let score = |precision: &str| {
        let line = format!(
            "evaluate blimp roberta --data pairs --output {precision} --precision {precision}"
        );
        workspace.babyllama(&line).done();
        workspace.text(&format!("{precision}/roberta/pairs/predictions.jsonl"))
    };
    let [exact, rounded, split] = ["f32", "bf16", "bf16x3"].map(score);
    for precision in ["f32", "bf16"] {
        let record = workspace.json(&format!("{precision}/roberta/pairs/data.json"));
        assert_eq!(record["precision"], precision);
    }
    assert!(exact != rounded && exact != split);
}

#[test]
fn scores_of_another_precision_are_not_taken_for_these() {
    let workspace = Workspace::trained();
    let pairs = workspace.bytes("pairs/agreement.jsonl");
    workspace.write("benchmarks/blimp_filtered/agreement.jsonl", pairs);
    let score = |precision: &str| {
        let line = format!(
            "evaluate all {STUDENT} --data benchmarks --output scores --precision {precision}"
        );
        workspace.babyllama(&line).done();
        workspace.text("scores/student/blimp_filtered/predictions.jsonl")
    };
    let [exact, rounded, again] = ["f32", "bf16", "f32"].map(score);
    assert!(exact != rounded && exact == again);
}
