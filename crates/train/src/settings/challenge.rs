//! The checkpoints that BabyLM's challenge asks for, by the words that a model has seen.

use serde::{Deserialize, Serialize};

/// A track of the challenge.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ChallengeTrack {
    /// Up to 10 million words of text, of which models see up to 100 million: 19 checkpoints.
    #[default]
    #[serde(alias = "strict-small")]
    StrictSmall,
    /// Up to 100 million words of text, of which models see up to a billion: 28 checkpoints.
    Strict,
}

impl ChallengeTrack {
    /// After how many millions of words there is a checkpoint: every one up to ten, every ten up to
    /// a hundred and, on the strict track, every hundred up to a thousand (README of
    /// github.com/babylm/evaluation-pipeline-2025).
    pub fn millions(self) -> Vec<u64> {
        let up_to_ten = 1..10;
        let up_to_a_hundred = (10..100).step_by(10);
        let last = match self {
            Self::StrictSmall => 100,
            Self::Strict => 1000,
        };
        up_to_ten.chain(up_to_a_hundred).chain((100..=last).step_by(100)).collect()
    }

    /// The names of the checkpoints, such as `chck_1M`.
    pub fn checkpoints(self) -> Vec<String> {
        self.millions().into_iter().map(checkpoint_name).collect()
    }

    /// The checkpoints, in millions of words, that are reached between `before` words and `seen`.
    /// The end of a training reaches one of which it has seen 99 %, since an epoch leaves out the
    /// last tokens of the text; of the track's last one nine tenths are enough, since ten epochs of
    /// a corpus that was cleaned, and of which a part is held out, have no more.
    pub fn reached(self, before: f64, seen: f64, is_end: bool) -> Vec<u64> {
        let all = self.millions();
        let enough = |millions: u64| match is_end {
            true if all.last() == Some(&millions) => 0.9,
            true => 0.99,
            false => 1.0,
        };
        let is_reached = |&&millions: &&u64| {
            let words = millions as f64 * 1e6;
            before < words && enough(millions) * words <= seen
        };
        all.iter().filter(is_reached).copied().collect()
    }
}

/// The name of the checkpoint after some millions of words.
pub(crate) fn checkpoint_name(millions: u64) -> String {
    format!("chck_{millions}M")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_track_has_the_checkpoints_of_the_pipeline() {
        let small = ChallengeTrack::StrictSmall.checkpoints();
        assert_eq!((small.len(), &*small[0], &*small[9]), (19, "chck_1M", "chck_10M"));
        assert_eq!(small[18], "chck_100M");
        let strict = ChallengeTrack::Strict.checkpoints();
        assert_eq!((strict.len(), &strict[..19], &*strict[27]), (28, &small[..], "chck_1000M"));
    }

    #[test]
    fn a_checkpoint_is_reached_once() {
        let track = ChallengeTrack::StrictSmall;
        assert!(track.reached(0.0, 9.9e5, false).is_empty());
        assert_eq!(track.reached(9.9e5, 1e6, false), [1]);
        assert!(track.reached(1e6, 1.5e6, false).is_empty());
        assert_eq!(track.reached(0.0, 3.1e6, false), [1, 2, 3]);
        // Ten epochs of ten million words, but for what their last sequences leave out.
        assert!(track.reached(9.98e7, 9.99e7, false).is_empty());
        assert_eq!(track.reached(9.98e7, 9.99e7, true), [100]);
        assert_eq!(track.reached(9.2e7, 9.3e7, true), [100]);
        assert!(track.reached(8.8e7, 8.9e7, true).is_empty());
        assert!(track.reached(1.9e6, 1.96e6, true).is_empty());
        assert_eq!(track.reached(1.9e6, 1.99e6, true), [2]);
    }
}
