//! What is refused because it makes no sense.

use super::*;

#[test]
fn shapes_must_fit() {
    let cases = [
        (
            "small.hidden_size=66",
            "`models.small.hidden_size` is 66, which num_heads = 4 does not divide",
        ),
        (
            "student.num_kv_heads=3",
            "`models.student.num_heads` is 4, which num_kv_heads = 3 does not divide",
        ),
        (
            "small.num_kv_heads=2",
            "`models.small.num_kv_heads` is 2; GPT-2 shares no heads, so it must equal num_heads \
             = 4",
        ),
        ("student.num_heads=64", "`models.student.num_heads` = 64 leaves 1 channels a head"),
        ("student.num_layers=0", "`models.student.num_layers` is 0; the smallest that works is 1"),
        (
            "small.attention_dropout=1.0",
            "`models.small.attention_dropout` is 1; it must be at least 0 and below 1",
        ),
        (
            "student.residual_dropout=0.1",
            "`models.student.residual_dropout` is 0.1; LLaMA has none but attention_dropout",
        ),
        ("student.embedding_dropout=nan", "`models.student.embedding_dropout` is NaN"),
        ("small.norm_epsilon=0", "`models.small.norm_epsilon` is 0; it must be larger than 0"),
        (
            "small.rotary_dim=2",
            "`models.small.rotary_dim` is 2; GPT-2 has no such key, so leave it out",
        ),
        (
            "small.head_dim=2",
            "`models.small.head_dim` is 2; GPT-2's heads have hidden_size / num_heads = 16",
        ),
        (
            "student.head_dim=3",
            "`models.student.head_dim` is 3; rotary positions need an even number",
        ),
        ("small.rope_theta=nan", "`models.small.rope_theta` is NaN"),
        (
            "small.max_positions=127",
            "`models.small.max_positions` is 127, fewer than train.sequence_length = 128",
        ),
    ];
    for (text, start) in cases {
        let message = refusal(text);
        assert!(message.starts_with(start), "{message}");
    }
}

#[test]
fn channels_with_positions_are_pairs_within_a_head() {
    let base = BASE.replace("'gpt2'", "'gptj'");
    for (text, start) in [
        (
            "small.rotary_dim=3",
            "`models.small.rotary_dim` is 3; channels turn in pairs, so it must be even",
        ),
        (
            "small.rotary_dim=64",
            "`models.small.rotary_dim` is 64; it must be at most the 16 channels of a head",
        ),
        (
            "small.rope_theta=500",
            "`models.small.rope_theta` is 500; GPT-J has no such key, so leave it out",
        ),
    ] {
        let message = load_with(&base, &[text]).unwrap_err();
        assert!(message.contains(start), "{message}");
    }
    load_with(&base, &["small.rotary_dim=6"]).unwrap();
}

#[test]
fn training_settings_must_make_sense() {
    let cases = [
        ("epochs=0", "is 0; it must be larger than 0 and at most a million"),
        ("epochs=inf", "is inf; it must be larger than 0 and at most a million"),
        ("batch_size=0", "is 0; it must be between 1 and 16777216"),
        ("micro_batch_size=33", "is 33; it must be at most batch_size"),
        ("sequence_length=1", "is 1; it must be between 2 and 16777216"),
        ("learning_rate=-1e-3", "is -0.001; it must be 0, or between 1e-30 and 1e30"),
        ("warmup_ratio=1.5", "is 1.5; it must be between 0 and 1"),
        ("weight_decay=-1", "is -1; it must be 0, or between 1e-30 and 1e30"),
        ("weight_decay_epochs=0", "is 0; it must be between 1e-30 and 1e30"),
        ("cooldown_share=1.5", "is 1.5; it must be between 0 and 1"),
        ("cycle_epochs=0", "is 0; it must be between 1e-30 and 1e30"),
        ("adam_beta1=1.0", "is 1; it must be at least 0 and below 1"),
        ("adam_beta2=nan", "is NaN; it must be at least 0 and below 1"),
        ("adam_epsilon=0", "is 0; it must be between 1e-30 and 1e30"),
        ("max_grad_norm=-1", "is -1; it must be 0, or between 1e-30 and 1e30"),
    ];
    for (text, problem) in cases {
        let key = text.split('=').next().unwrap();
        assert_eq!(
            refusal(&format!("student.train.{text}")),
            format!("`models.student.train.{key}` {problem}")
        );
    }
}

#[test]
fn optimizers_and_parameter_groups_are_part_of_a_recipe() {
    let groups = "student.train.groups=[{pattern='model.embed*', learning_rate_factor=0.1}, \
                  {role='matrix', optimizer='adamw_hf', weight_decay=0.2}]";
    let recipe = load_with(BASE, &["student.train.optimizer=adamw_hf", groups]).unwrap();
    let train = &recipe.models["student"].train;
    assert_eq!(train.optimizer.name(), "adamw_hf");
    let [first, second] = &train.groups[..] else { panic!("{:?}", train.groups) };
    assert_eq!((first.learning_rate_factor, first.optimizer, first.role), (0.1, None, None));
    assert_eq!((&second.pattern[..], second.weight_decay), ("*", Some(0.2)));
    let written = recipe.resolved().unwrap();
    assert!(written.contains("[[models.student.train.groups]]"), "{written}");
    assert_eq!(load_with(&written, &[]).unwrap(), recipe, "{written}");
    // Without groups and options nothing of them is written.
    let plain = load_with(BASE, &[]).unwrap().resolved().unwrap();
    assert!(!plain.contains("groups") && !plain.contains("optimizer_options"), "{plain}");
    let choices = train::optimizers::OptimizerKind::names().join(", ");
    assert_eq!(
        refusal("student.train.optimizer=sgd"),
        format!("`models.student.train.optimizer` cannot be \"sgd\"; choices: {choices}")
    );
    for (text, problem) in [
        (
            "optimizer_options.momentum=0.9",
            "`models.student.train.optimizer_options` is momentum = 0.9; adamw has no options",
        ),
        (
            "groups=[{learning_rate_factor=-1}]",
            "`models.student.train.groups[0].learning_rate_factor` is -1; it must be 0, or \
             between 1e-30 and 1e30",
        ),
        (
            "groups=[{}, {pattern='nothing.*', role='bias'}]",
            "`models.student.train.groups[1]` is \"nothing.*\" of role bias; no parameter of the \
             model is in this group",
        ),
        (
            "groups=[{role='weight'}]",
            "`models.student.train.groups[0].role` cannot be \"weight\"; choices: embedding, \
             positions, token_types, matrix, output, bias, norm_gain, mixture",
        ),
    ] {
        assert_eq!(refusal(&format!("student.train.{text}")), problem);
    }
}

#[test]
fn teachers_must_stand_above() {
    let cases = [
        (
            "temperature=0",
            "`models.student.distill.temperature` is 0; it must be between 0.001 and 1000",
        ),
        (
            "temperature=1e-320",
            "`models.student.distill.temperature` is 1e-320; it must be between 0.001 and 1000",
        ),
        (
            "weights=[1e308]",
            "`models.student.distill.weights` is [1e308]; each must be between 1e-30 and 1e30",
        ),
        ("alpha=1.5", "`models.student.distill.alpha` is 1.5; it must be between 0 and 1"),
        ("teachers=[]", "`models.student.distill.teachers` is empty; name at least one"),
        ("teachers=['student']", "`models.student.distill.teachers[0]` is the student itself"),
        (
            "teachers=['small', 'small']",
            "`models.student.distill.teachers[1]` names \"small\" a second time",
        ),
        (
            "teachers=['smal']",
            "`models.student.distill.teachers[0]` is \"smal\", neither a model above nor a \
             folder; did you mean `small`?",
        ),
    ];
    for (text, problem) in cases {
        let message = refusal(&format!("student.distill.{text}"));
        assert!(message.starts_with(problem), "{message}");
    }
    let circle = refusal("small.distill.teachers=['student']");
    assert!(circle.contains("stands below its student; move [models.student] above"), "{circle}");
    let folder = tempfile::tempdir().unwrap();
    let text = format!("student.distill.teachers=['{}']", folder.path().display());
    assert!(load_with(BASE, &[&text]).is_ok());
}

#[test]
fn a_teacher_reads_as_far_as_its_student() {
    let overrides = ["small.train.sequence_length=16", "small.max_positions=32"];
    let message = load_with(BASE, &overrides).unwrap_err();
    let expected = "--set small.train.sequence_length=16: \
                    `models.student.distill.teachers[0]` is \"small\" with max_positions = 32, \
                    fewer than the student's sequence_length = 64";
    assert_eq!(message, expected);
}

#[test]
fn the_other_tables_must_make_sense() {
    let cases = [
        ("name=a/b", "`name` is no name"),
        ("corpus.words=0", "`corpus.words` is 0; it must be the number of words to write"),
        (
            "corpus.validation_fraction=1",
            "`corpus.validation_fraction` is 1; it must be between 0 and 1",
        ),
        (
            "corpus.pairs_per_paradigm=0",
            "`corpus.pairs_per_paradigm` is 0; the smallest that works is 1",
        ),
        ("corpus.source=''", "`corpus.source` is empty"),
        (
            "tokenizer.vocab_size=100",
            "`tokenizer.vocab_size` is 100; the smallest that works is 259",
        ),
        (
            "tokenizer.vocab_size=99999999",
            "`tokenizer.vocab_size` is 99999999; the largest that works is 16777216",
        ),
        ("corpus.words=9000000000000000000", "`corpus.words` is 9000000000000000000; of the"),
        ("corpus.pairs_per_paradigm=9000000", "`corpus.pairs_per_paradigm` is 9000000; the"),
        ("evaluate.ensembles=[['small']]", "`evaluate.ensembles[0]` has fewer than two models"),
        (
            "evaluate.ensembles=[['small', 'studnt']]",
            "`evaluate.ensembles[0][1]` is \"studnt\", no model of this recipe; did you mean \
             `student`?",
        ),
        (
            "evaluate.ensembles=[['small', 'small']]",
            "`evaluate.ensembles[0][1]` names \"small\" a second time",
        ),
        ("evaluate.rules=2025", "`evaluate.rules` cannot be \"2025\"; choices: 2023, 2024"),
    ];
    for (text, start) in cases {
        let message = refusal(text);
        assert!(message.starts_with(start), "{message}");
    }
    let long = refusal(&format!("name={}", "a".repeat(101)));
    assert_eq!(long, "`name` is a name of 101 letters; it may have 100");
    let message =
        load_with(BASE, &["corpus.source=data", "corpus.validation=builtin"]).unwrap_err();
    assert!(
        message.starts_with(
            "--set corpus.validation=builtin: `corpus.validation` is \"builtin\" while"
        ),
        "{message}"
    );
    let message = load_with(&BASE.replace("models.small", "models.corpus"), &[]).unwrap_err();
    assert!(
        message.starts_with("trial.toml:3: `models.corpus` is a name that recipes keep"),
        "{message}"
    );
    let message = load_with(&BASE.replace("models.small", "models.\"a b\""), &[]).unwrap_err();
    assert!(message.starts_with("trial.toml:3: `models.a b` is no name"), "{message}");
}

#[test]
fn a_model_starts_from_a_folder_or_a_shape() {
    let recipe = load_with("[models.a]\nfrom = 'models/x'\n", &[]).unwrap();
    assert_eq!(recipe.models["a"].start, Start::Folder("models/x".into()));
    assert!(recipe.resolved().unwrap().contains("from = \"models/x\""));
    let message = load_with(BASE, &["small.from=models/x"]).unwrap_err();
    assert!(message.contains("`models.small` has both `from` and `architecture`"), "{message}");
}
