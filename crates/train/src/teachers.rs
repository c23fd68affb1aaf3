//! The teachers of a student: frozen models whose logits are averaged (BabyLlama, section 3).

use engine::Var;
use engine::ops::language_model_loss::Projection;
use model::{Batch, Model};

use crate::error::TrainError;

/// Frozen models that read each batch anew.
#[derive(Default)]
pub struct Teachers {
    models: Vec<Model>,
}

/// What the teachers say of one batch.
pub struct TeacherStates<'a> {
    teachers: &'a Teachers,
    hidden: Vec<Var>,
}

impl Teachers {
    /// Teachers for a student of the given vocabulary, reading sequences of the given length.
    ///
    /// # Errors
    /// When a teacher's vocabulary has another size, or its positions do not reach. That the token ids mean the same is
    /// for the caller to compare, who knows the tokenizers.
    pub fn new(models: Vec<(String, Model)>, vocab_size: usize, sequence_length: usize) -> Result<Self, TrainError> {
        for (name, model) in &models {
            let config = model.config();
            if config.vocab_size != vocab_size {
                return Err(TrainError::TeacherVocabulary {
                    teacher: name.clone(),
                    teacher_size: config.vocab_size,
                    student_size: vocab_size,
                });
            }
            if config.max_positions < sequence_length {
                let (model, max_positions) = (format!("teacher {name}"), config.max_positions);
                return Err(TrainError::TooManyPositions { sequence_length, model, max_positions });
            }
        }
        Ok(Self { models: models.into_iter().map(|(_, model)| model).collect() })
    }

    /// Runs every teacher over a batch.
    pub fn read(&self, batch: &Batch) -> TeacherStates<'_> {
        TeacherStates { teachers: self, hidden: self.models.iter().map(|model| model.hidden_states(batch)).collect() }
    }
}

impl TeacherStates<'_> {
    /// Projections whose sum is the mean of the teachers' logits.
    pub fn projections(&self) -> Vec<Projection<'_>> {
        let share = 1.0 / self.hidden.len() as f32;
        self.teachers.models.iter().zip(&self.hidden).map(|(model, hidden)| model.projection(hidden, share)).collect()
    }
}
