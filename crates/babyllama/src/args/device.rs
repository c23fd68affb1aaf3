//! What every command that runs a model understands: where it runs.

use std::str::FromStr;

use clap::{Args, ValueEnum};
use engine::{Arithmetic, DeviceChoice};

#[derive(Clone, Debug, Args)]
pub struct DeviceArgs {
    /// Where models run: cpu, cuda (an NVIDIA GPU, the first one), cuda:N, or auto (a GPU where
    /// there is one).
    #[arg(
        long,
        global = true,
        value_name = "DEVICE",
        env = "BABYLLAMA_DEVICE",
        default_value = "cpu",
        value_parser = device_choice,
        display_order = 101
    )]
    pub device: DeviceChoice,
    /// What products read [default: bf16 on a GPU, f32 on the CPU]; weights, sums and losses are
    /// f32 in any case.
    #[arg(long, global = true, value_enum, value_name = "FORMAT", display_order = 102)]
    pub precision: Option<Precision>,
    /// Start a GPU's kernels one by one, not as graphs; to the same bits.
    #[arg(long, global = true, display_order = 103)]
    pub no_graphs: bool,
}

impl DeviceArgs {
    /// These choices as command line arguments, for another process.
    pub fn to_arguments(&self) -> Vec<String> {
        let device = match self.device {
            DeviceChoice::Cpu => "cpu".to_owned(),
            DeviceChoice::Cuda(number) => format!("cuda:{number}"),
            DeviceChoice::Auto => "auto".to_owned(),
        };
        let mut arguments = vec!["--device".to_owned(), device];
        if let Some(precision) = self.precision.and_then(|precision| precision.to_possible_value())
        {
            arguments.extend(["--precision".to_owned(), precision.get_name().to_owned()]);
        }
        if self.no_graphs {
            arguments.push("--no-graphs".to_owned());
        }
        arguments
    }
}

/// A device by its name; an empty variable of the environment is as good as none.
fn device_choice(name: &str) -> Result<DeviceChoice, <DeviceChoice as FromStr>::Err> {
    if name.is_empty() { "cpu" } else { name }.parse()
}

/// Numbers that products read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Precision {
    /// The fast way, where the device has instructions for it.
    Bf16,
    /// f32 as three products of bf16: nearly exact, for a CPU with AMX tiles.
    Bf16x3,
    /// The exact way.
    F32,
}

impl From<Precision> for Arithmetic {
    fn from(precision: Precision) -> Self {
        match precision {
            Precision::Bf16 => Self::Bf16,
            Precision::Bf16x3 => Self::Bf16x3,
            Precision::F32 => Self::F32,
        }
    }
}
