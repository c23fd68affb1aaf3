//! This program's names for what W&B's users and Hugging Face's trainer call otherwise.

/// A setting of a recipe.
pub(super) struct Setting {
    /// The recipe's key, relative to the model.
    pub(super) key: String,
    /// The parameter is one minus the setting.
    pub(super) one_minus: bool,
    /// The setting is a whole number from here up.
    pub(super) whole_from: Option<i64>,
}

/// Other names of a setting, its key and where it begins if it is a whole number.
const SETTINGS: [(&[&str], &str, Option<i64>); 20] = [
    (&["lr", "learning_rate"], "train.learning_rate", None),
    (
        &["batch_size", "train_batch_size", "per_device_train_batch_size"],
        "train.batch_size",
        Some(1),
    ),
    (&["epochs", "num_epochs", "num_train_epochs", "max_epochs"], "train.epochs", Some(1)),
    (&["adam_beta1", "beta1"], "train.adam_beta1", None),
    (&["adam_beta2", "beta2"], "train.adam_beta2", None),
    (&["adam_epsilon", "adam_eps"], "train.adam_epsilon", None),
    (&["lr_scheduler_type", "lr_scheduler", "schedule"], "train.schedule", None),
    (&["weight_decay"], "train.weight_decay", None),
    (&["max_grad_norm", "grad_clip"], "train.max_grad_norm", None),
    (&["num_warmup_steps", "warmup_steps"], "train.warmup_steps", Some(0)),
    (&["warmup_ratio"], "train.warmup_ratio", None),
    (&["optimizer", "optim"], "train.optimizer", None),
    (&["seed"], "train.seed", Some(0)),
    (&["attention_dropout"], "attention_dropout", None),
    (&["residual_dropout"], "residual_dropout", None),
    (&["embedding_dropout"], "embedding_dropout", None),
    (&["hidden_size"], "hidden_size", Some(1)),
    (&["intermediate_size"], "intermediate_size", Some(1)),
    (&["num_layers", "num_hidden_layers"], "num_layers", Some(1)),
    (&["num_heads", "num_attention_heads"], "num_heads", Some(1)),
];

/// The setting that a parameter of W&B's file is; none where the name is not known.
pub(super) fn setting(name: &str) -> Option<Setting> {
    let known = |name: &str| {
        let known = |names: &[&str], key: &str| names.contains(&name) || key == name;
        SETTINGS.iter().find(|(names, key, _)| known(names, key))
    };
    if let Some((_, key, whole_from)) = known(name) {
        return Some(Setting { key: key.to_string(), one_minus: false, whole_from: *whole_from });
    }
    let (_, key, whole_from) = known(name.strip_prefix("one_minus_")?)?;
    let is_real = whole_from.is_none();
    is_real.then(|| Setting { key: key.to_string(), one_minus: true, whole_from: None })
}

/// This program's name of a metric.
pub(super) fn metric(name: &str) -> Option<&'static str> {
    const LOSS: [&str; 7] = [
        "validation_loss",
        "validation/loss",
        "eval/loss",
        "eval_loss",
        "val/loss",
        "val_loss",
        "valid_loss",
    ];
    LOSS.contains(&name).then_some("validation_loss")
}
