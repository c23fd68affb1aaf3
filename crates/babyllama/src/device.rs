//! Opens the device that the command line selects.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use engine::open::{self, DeviceOptions};
use engine::{Arithmetic, Device, DeviceChoice};

use experiment::recipe::Precision as RecipePrecision;

use crate::args::{DeviceArgs, Precision};
use crate::console::{self, Style};

impl DeviceArgs {
    /// What the device's products read, unless `auto` finds no GPU.
    pub fn arithmetic(&self) -> Arithmetic {
        self.precision.map(Into::into).unwrap_or(match self.device {
            DeviceChoice::Cpu => Arithmetic::F32,
            DeviceChoice::Cuda(_) | DeviceChoice::Auto => Arithmetic::Bf16,
        })
    }

    /// What the device's products read, where that is certain before the device is opened: `auto`
    /// may find a GPU or not.
    pub fn known_arithmetic(&self) -> Option<Arithmetic> {
        let is_known = self.precision.is_some() || self.device != DeviceChoice::Auto;
        is_known.then(|| self.arithmetic())
    }

    /// These choices with the precision that a recipe names, where the command line names none.
    pub fn or_precision(&self, recipe: Option<RecipePrecision>) -> Self {
        let of_recipe = || {
            recipe.map(|precision| match precision {
                RecipePrecision::F32 => Precision::F32,
                RecipePrecision::Bf16 => Precision::Bf16,
                RecipePrecision::Bf16x3 => Precision::Bf16x3,
            })
        };
        Self { precision: self.precision.or_else(of_recipe), ..self.clone() }
    }

    /// A line on a faster precision of this CPU, where it has one and no precision was chosen.
    pub fn faster_precision(&self) -> Option<String> {
        /// Less is not worth a line.
        const WORTH: f64 = 1.5;
        if self.device != DeviceChoice::Cpu || self.precision.is_some() {
            return None;
        }
        let speedup = engine::cpu::bf16_speedup().filter(|speedup| *speedup >= WORTH)?;
        Some(format!(
            "this CPU multiplies bf16 {speedup:.1} times as fast as f32: see --precision bf16"
        ))
    }

    /// Opens the device, and shows which it is where that is not plainly the CPU in f32.
    ///
    /// # Errors
    /// When there is no such GPU, or something that it needs is missing.
    pub fn open(&self) -> experiment::Result<Arc<dyn Device>> {
        let device = self.open_quietly()?;
        if self.device != DeviceChoice::Cpu
            || matches!(self.precision, Some(Precision::Bf16 | Precision::Bf16x3))
        {
            console::note_unless_quiet(format_args!("on {}", device.name()));
        }
        Ok(device)
    }

    /// Opens the device for training, with all that there is to show about it where text is shown.
    ///
    /// # Errors
    /// As for [`open`](Self::open).
    pub fn open_for_training(&self, style: Style) -> experiment::Result<Arc<dyn Device>> {
        if !matches!(style, Style::Text) {
            return self.open_quietly();
        }
        if let Some(line) = self.faster_precision() {
            console::note(line);
        }
        self.open()
    }

    /// Opens the device.
    fn open_quietly(&self) -> experiment::Result<Arc<dyn Device>> {
        Ok(open::open(&DeviceOptions {
            choice: self.device,
            arithmetic: self.precision.map(Into::into),
            kernel_cache: kernel_cache(|name| std::env::var_os(name)),
            without_graphs: self.no_graphs,
        })?)
    }
}

/// Where compiled kernels are kept: in the user's cache folder, if the environment names one.
fn kernel_cache(variable: impl Fn(&str) -> Option<OsString>) -> Option<PathBuf> {
    let folder =
        |name| variable(name).map(PathBuf::from).filter(|folder: &PathBuf| folder.is_absolute());
    let cache = folder("XDG_CACHE_HOME").or_else(|| folder("HOME").map(|home| home.join(".cache")));
    cache.map(|cache| cache.join(Path::new("babyllama/kernels")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kernels_are_kept_where_the_user_keeps_caches() {
        let with = |variables: &'static [(&str, &str)]| {
            let value = |name: &str| variables.iter().find(|(known, _)| *known == name);
            kernel_cache(|name| value(name).map(|(_, value)| value.into()))
        };
        let path = |text: &str| Some(PathBuf::from(text));
        assert_eq!(
            with(&[("HOME", "/home/a"), ("XDG_CACHE_HOME", "/c")]),
            path("/c/babyllama/kernels")
        );
        assert_eq!(with(&[("HOME", "/home/a")]), path("/home/a/.cache/babyllama/kernels"));
        // The standard has relative folders ignored.
        assert_eq!(
            with(&[("HOME", "/h"), ("XDG_CACHE_HOME", "c")]),
            path("/h/.cache/babyllama/kernels")
        );
        assert_eq!(with(&[("HOME", "")]), None);
        assert_eq!(with(&[]), None);
    }
}
