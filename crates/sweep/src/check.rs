//! Whether a study is what its recipe makes of it: every proposal is computed again from what was
//! there when it was made.

use crate::error::Result;
use crate::sweep::Sweep;
use crate::trial::Trial;

/// What a check found.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Checked {
    /// Proposals that were computed again and are the same to the bit.
    pub same: usize,
    /// Trials that this program did not propose.
    pub foreign: Vec<u64>,
    /// Trials whose point is another, each with the first difference.
    pub differs: Vec<(u64, String)>,
}

impl Sweep {
    /// Computes every proposal again.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub fn check(&mut self) -> Result<Checked> {
        let parts = self.parts()?;
        let trials = self.trials()?;
        let mut found = Checked::default();
        for trial in &trials {
            let Some(proposal) = trial.proposal() else {
                found.foreign.push(trial.number());
                continue;
            };
            // Of an enqueued point some values were given, which are not stored apart.
            if proposal.given && proposal.index.is_none() {
                found.foreign.push(trial.number());
                continue;
            }
            let (number, seen) = (trial.number(), proposal.seen.clone());
            let again = parts.propose_from(number, &trials, seen, proposal.index, trial.start());
            let difference = match again {
                Err(error) => Some(error.to_string()),
                Ok((_, again)) if again.model_hash != proposal.model_hash => {
                    Some("what it followed from is no longer the same".to_owned())
                }
                Ok((stored, _)) => difference(trial, &stored),
            };
            match difference {
                None => found.same += 1,
                Some(difference) => found.differs.push((number, difference)),
            }
        }
        Ok(found)
    }
}

fn difference(trial: &Trial, again: &[crate::space::Stored]) -> Option<String> {
    if again.len() != trial.stored.len() {
        return Some(format!("it has {} values, not {}", trial.stored.len(), again.len()));
    }
    let pairs = again.iter().zip(&trial.stored);
    let mut different = pairs.filter(|(again, stored)| {
        again.name != stored.name || again.value.to_bits() != stored.value.to_bits()
    });
    different.next().map(|(again, stored)| {
        format!("`{}` is {} and would be {}", stored.name, stored.value, again.value)
    })
}
