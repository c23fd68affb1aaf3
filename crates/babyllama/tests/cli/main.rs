//! The program from outside: what it prints, which files it leaves, how it ends.

mod ages;
mod bad_input;
mod bad_models;
mod begin_token;
mod bench;
mod brought;
mod browser;
mod browser_large;
mod browser_sweep;
mod builtin;
mod cards;
mod challenge;
mod challenge_aoa;
mod challenge_glue;
mod chromium;
mod commands;
mod common;
mod damage;
mod determinism;
mod devices;
mod encoder_decoder;
mod evaluate_all;
mod events;
mod ewok;
mod experts;
#[cfg(target_os = "linux")]
mod faults;
mod files;
mod finetune;
mod finished;
mod folders;
mod gpt_bert;
#[cfg(unix)]
mod interruption;
#[cfg(unix)]
mod levers;
mod limits;
mod masked;
mod over_seeds;
mod phases;
mod precision;
mod report;
mod report_damage;
mod report_figures;
mod report_scores;
mod run;
mod runs;
mod stale;
mod sweep;
#[cfg(unix)]
mod sweep_takeover;
mod teachers;
#[cfg(unix)]
mod trackers;
#[cfg(unix)]
mod watch;
