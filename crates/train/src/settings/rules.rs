//! What settings of training and fine-tuning may be. The limits are far beyond any use and keep
//! sums and products of sizes within what integers hold, and numbers within single precision.

use std::borrow::Cow;
use std::fmt::Display;

use super::SettingError;

/// The most sequences of a step, tokens of a sequence, and the like.
const LARGEST_COUNT: usize = 1 << 24;

/// The most tokens of a step.
const MOST_TOKENS: usize = 1 << 30;

/// Numbers that steps use in single precision are 0 or between these, so that they
/// neither vanish nor overflow.
const SINGLE_PRECISION: (f64, f64) = (1e-30, 1e30);

/// An error that names the setting, its value and the rule, unless the rule holds.
pub(crate) fn require(
    holds: bool,
    setting: &str,
    value: &dyn Display,
    rule: impl Into<Cow<'static, str>>,
) -> Result<(), SettingError> {
    match holds {
        true => Ok(()),
        false => Err(SettingError {
            setting: setting.to_owned(),
            value: value.to_string(),
            rule: rule.into(),
        }),
    }
}

/// A number in a message, without long rows of zeros.
pub(crate) fn shown(value: f64) -> String {
    let is_plain = value == 0.0 || (1e-6..1e15).contains(&value.abs()) || !value.is_finite();
    if is_plain { value.to_string() } else { format!("{value:e}") }
}

/// A count from 1 up.
pub(crate) fn count(setting: &str, value: usize) -> Result<(), SettingError> {
    let rule = "it must be between 1 and 16777216";
    require((1..=LARGEST_COUNT).contains(&value), setting, &value, rule)
}

/// Sequences of a step and tokens of each: a sequence of one token predicts nothing.
pub(crate) fn batch(sequences: usize, length: usize) -> Result<(), SettingError> {
    count("batch_size", sequences)?;
    let rule = "it must be between 2 and 16777216";
    require((2..=LARGEST_COUNT).contains(&length), "sequence_length", &length, rule)?;
    let rule = "a step would have more than 1073741824 tokens";
    require(sequences.saturating_mul(length) <= MOST_TOKENS, "batch_size", &sequences, rule)
}

/// Passes over the data.
pub(crate) fn epochs(value: f64) -> Result<(), SettingError> {
    let rule = "it must be larger than 0 and at most a million";
    require(value > 0.0 && value <= 1e6, "epochs", &shown(value), rule)
}

/// A number that steps use in single precision: 0, or one that is neither too small nor too large
/// for it.
pub(crate) fn number(setting: &str, value: f64) -> Result<(), SettingError> {
    let (smallest, largest) = SINGLE_PRECISION;
    let holds = value == 0.0 || (smallest..=largest).contains(&value);
    require(holds, setting, &shown(value), "it must be 0, or between 1e-30 and 1e30")
}

/// A number above 0 that steps use in single precision: neither too small nor too large for it.
pub(crate) fn positive(setting: &str, value: f64) -> Result<(), SettingError> {
    let (smallest, largest) = SINGLE_PRECISION;
    let holds = (smallest..=largest).contains(&value);
    require(holds, setting, &shown(value), "it must be between 1e-30 and 1e30")
}

/// A share of a whole.
pub(crate) fn share(setting: &str, value: f64) -> Result<(), SettingError> {
    require((0.0..=1.0).contains(&value), setting, &shown(value), "it must be between 0 and 1")
}

/// The decay of an average.
pub(crate) fn decay(setting: &str, value: f64) -> Result<(), SettingError> {
    let rule = "it must be at least 0 and below 1";
    require((0.0..1.0).contains(&value), setting, &shown(value), rule)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn limits_are_where_single_precision_and_integers_end() {
        for bad in [-1.0, 1e-320, 1e300, f64::NAN, f64::INFINITY] {
            assert!(number("x", bad).is_err() && positive("x", bad).is_err(), "{bad}");
        }
        assert!(number("x", 0.0).is_ok() && positive("x", 0.0).is_err());
        assert!(number("x", 1e-12).is_ok() && positive("x", 1e4).is_ok());
        assert!(batch(1, 2).is_ok() && batch(1 << 20, 1 << 10).is_ok());
        for (sequences, length) in
            [(0, 128), (1, 1), (1 << 20, 1 << 11), (usize::MAX, 2), (2, usize::MAX)]
        {
            assert!(batch(sequences, length).is_err(), "{sequences} of {length}");
        }
        assert_eq!([1e-320, -0.5, 3e20].map(shown), ["1e-320", "-0.5", "3e20"]);
        let error = epochs(f64::INFINITY).unwrap_err().to_string();
        assert_eq!(error, "`epochs` is inf; it must be larger than 0 and at most a million");
    }
}
