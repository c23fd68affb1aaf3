//! Language models: their configurations, forward passes, initialisation and Hugging Face folders.

pub mod config;
