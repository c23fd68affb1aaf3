//! Which tokens of a text are scored, and what models read for it.

use super::question::Candidate;
use super::{ChallengeBackend, ChallengeTokenizer, PlacedToken, SpecialTokens};
use crate::error::EvalError;
use crate::scoring::{Reading, Request};

/// A text's tokens, and which of them are scored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct ScoredText {
    ids: Vec<u32>,
    /// Places of `ids`, in their order.
    scored: Vec<usize>,
}

impl ScoredText {
    /// The tokens that end behind `given` characters are scored. Special tokens around the text,
    /// which end at 0, are not.
    pub(super) fn new(tokens: &[PlacedToken], given: usize, backend: ChallengeBackend) -> Self {
        let needs_one_before = matches!(backend, ChallengeBackend::Causal | ChallengeBackend::Mntp);
        let is_scored =
            |place: &usize| tokens[*place].end > given && (*place > 0 || !needs_one_before);
        let ids = tokens.iter().map(|token| token.id).collect();
        Self { ids, scored: (0..tokens.len()).filter(is_scored).collect() }
    }

    /// The tokens of a candidate.
    ///
    /// # Errors
    /// When its text cannot be encoded.
    pub(super) fn of(
        candidate: &Candidate,
        backend: ChallengeBackend,
        tokenizer: &dyn ChallengeTokenizer,
    ) -> Result<Self, EvalError> {
        let tokens = tokenizer.encode_placed(&candidate.text)?;
        Ok(Self::new(&tokens, candidate.given, backend))
    }

    /// How many tokens there are.
    pub(super) fn len(&self) -> usize {
        self.ids.len()
    }

    /// How many tokens are scored.
    pub(super) fn count(&self) -> usize {
        self.scored.len()
    }

    /// What a model that predicts the next token is asked; none where no token is scored. Nothing
    /// behind the last scored token is read.
    pub(super) fn request(&self) -> Option<Request> {
        let (&first, &last) = (self.scored.first()?, self.scored.last()?);
        let (context, rest) = self.ids.split_at(first);
        let continuation = rest[..=last - first].to_vec();
        Some(Request { context: context.to_vec(), continuation })
    }

    /// What other models are asked: each scored token is hidden in turn.
    ///
    /// # Errors
    /// When the tokenizer has no token that stands for hidden ones.
    pub(super) fn readings(
        &self,
        backend: ChallengeBackend,
        special: SpecialTokens,
    ) -> Result<Vec<Reading>, EvalError> {
        let mask = special.mask.ok_or(EvalError::NoMaskedToken { role: "mask token" })?;
        let reading = |&place: &usize| {
            let mut read = self.ids.clone();
            let id = std::mem::replace(&mut read[place], mask);
            let hidden = |ids, source, place| {
                let targets = vec![(place, id)];
                Reading { source, ids, bidirectional: true, targets }
            };
            match backend {
                ChallengeBackend::Mntp => hidden(read, Vec::new(), place - 1),
                ChallengeBackend::EncDecMask => {
                    let decoded: Vec<u32> = special.begin.into_iter().chain([mask]).collect();
                    let last = decoded.len() - 1;
                    Reading { bidirectional: false, ..hidden(decoded, read, last) }
                }
                _ => hidden(read, Vec::new(), place),
            }
        };
        Ok(self.scored.iter().map(reading).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SPECIAL: SpecialTokens =
        SpecialTokens { begin: Some(1), mask: Some(3), classifier: None, end: None };

    /// `<s> ab c d </s>` of the text "ab c d", whose tokens carry the space before them.
    fn tokens() -> Vec<PlacedToken> {
        let token = |(id, end)| PlacedToken { id, end };
        [(1, 0), (10, 2), (11, 4), (12, 6), (2, 0)].map(token).to_vec()
    }

    fn request(tokens: &[PlacedToken], given: usize) -> Option<Request> {
        ScoredText::new(tokens, given, ChallengeBackend::Causal).request()
    }

    #[test]
    fn tokens_that_end_behind_the_given_text_are_scored() {
        let of = |context: &[u32], continuation: &[u32]| {
            Some(Request { context: context.to_vec(), continuation: continuation.to_vec() })
        };
        let tokens = tokens();
        assert_eq!(request(&tokens, 0), of(&[1], &[10, 11, 12]));
        // A token that ends where the scored part begins is given, one across is scored.
        assert_eq!(request(&tokens, 2), of(&[1, 10], &[11, 12]));
        assert_eq!(request(&tokens, 3), of(&[1, 10], &[11, 12]));
        assert_eq!(request(&tokens, 4), of(&[1, 10, 11], &[12]));
        assert_eq!(request(&tokens, 6), None);
        // Nothing predicts the first token where none is put before it.
        assert_eq!(request(&tokens[1..4], 0), of(&[10], &[11, 12]));
        assert_eq!(request(&tokens[1..2], 0), None);
    }

    #[test]
    fn hidden_tokens_are_predicted_where_the_back_end_reads_them() {
        let read = |backend, tokens: &[PlacedToken]| {
            let text = ScoredText::new(tokens, 2, backend);
            text.readings(backend, SPECIAL).unwrap()
        };
        let tokens = tokens();
        let mlm = read(ChallengeBackend::Mlm, &tokens);
        assert_eq!(mlm.len(), 2);
        assert_eq!(
            (&mlm[0].ids[..], &mlm[0].targets[..]),
            (&[1, 10, 3, 12, 2][..], &[(2, 11)][..])
        );
        assert!(mlm[0].bidirectional && mlm[0].source.is_empty());
        let mntp = read(ChallengeBackend::Mntp, &tokens);
        assert_eq!(
            (&mntp[1].ids[..], &mntp[1].targets[..]),
            (&[1, 10, 11, 3, 2][..], &[(2, 12)][..])
        );
        let decoder = read(ChallengeBackend::EncDecMask, &tokens);
        assert_eq!(
            (&decoder[1].source[..], &decoder[1].ids[..]),
            (&[1, 10, 11, 3, 2][..], &[1, 3][..])
        );
        assert_eq!((&decoder[1].targets[..], decoder[1].bidirectional), (&[(1, 12)][..], false));
        let without = SpecialTokens { mask: None, ..SPECIAL };
        let text = ScoredText::new(&tokens, 2, ChallengeBackend::Mlm);
        assert!(text.readings(ChallengeBackend::Mlm, without).is_err());
    }

    /// A masked model predicts the first token as any other.
    #[test]
    fn the_first_token_counts_where_both_sides_are_read() {
        let bare = &tokens()[1..4];
        let count = |backend| ScoredText::new(bare, 0, backend).count();
        assert_eq!([ChallengeBackend::Mlm, ChallengeBackend::Mntp].map(count), [3, 2]);
    }
}
