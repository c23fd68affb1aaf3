//! Decoding of tokens that come one after the other: the pieces together are the text of all.

use super::Tokenizer;

/// Tokens that are decoded once more as the context of the next one. Decoders strip the space in
/// front of what they get, so that no token can be decoded alone.
const CONTEXT: usize = 6;

/// How U+FFFD, which stands for bytes that are no whole character yet, is written.
const INCOMPLETE: char = '\u{FFFD}';

impl Tokenizer {
    /// Whether a token is a special one, which is no part of a text that is shown.
    pub fn is_special(&self, id: u32) -> bool {
        self.inner.get_added_tokens_decoder().get(&id).is_some_and(|token| token.special)
    }
}

/// Makes pieces of text from tokens, as the streamers of transformers and text-generation-inference
/// do: a piece is what a token adds to the text of the few tokens before it.
pub struct TextStream<'a> {
    tokenizer: &'a Tokenizer,
    ids: Vec<u32>,
    /// Where the context begins among `ids`.
    context: usize,
    /// The tokens before this one have been given out.
    given: usize,
}

impl<'a> TextStream<'a> {
    /// A stream after `prompt`, whose own text is not given out.
    pub fn new(tokenizer: &'a Tokenizer, prompt: &[u32]) -> Self {
        let given = prompt.len();
        Self { tokenizer, ids: prompt.to_vec(), context: given.saturating_sub(CONTEXT), given }
    }

    /// What a token adds; nothing while a character is not whole.
    pub fn push(&mut self, id: u32) -> String {
        self.ids.push(id);
        let (before, text) = self.texts();
        if text.len() <= before.len() || text.ends_with(INCOMPLETE) {
            return String::new();
        }
        let piece = self.piece(&before, &text);
        self.context = self.given;
        self.given = self.ids.len();
        piece
    }

    /// The rest of the text: bytes at the end that are no whole character.
    pub fn finish(self) -> String {
        let (before, text) = self.texts();
        self.piece(&before, &text)
    }

    /// The text of the context, and that of the context and what was not given out yet.
    fn texts(&self) -> (String, String) {
        let decode = |end: usize| self.tokenizer.decode(&self.ids[self.context..end]);
        (decode(self.given), decode(self.ids.len()))
    }

    /// What the text has behind that of the context. Bytes that are no character can make the ones
    /// before them none either; then the new tokens are decoded alone.
    fn piece(&self, before: &str, text: &str) -> String {
        match text.strip_prefix(before) {
            Some(piece) => piece.to_owned(),
            None => self.tokenizer.decode(&self.ids[self.given..]),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::small;
    use super::*;

    /// A tokenizer of SentencePiece's kind, whose decoder strips the space in front.
    fn metaspace() -> Tokenizer {
        let json = serde_json::json!({
            "version": "1.0",
            "added_tokens": [],
            "normalizer": null,
            "pre_tokenizer": {"type": "Metaspace", "replacement": "▁", "prepend_scheme": "first"},
            "post_processor": null,
            "decoder": {"type": "Sequence", "decoders": [
                {"type": "Replace", "pattern": {"String": "▁"}, "content": " "},
                {"type": "ByteFallback"},
                {"type": "Fuse"},
                {"type": "Strip", "content": " ", "start": 1, "stop": 0},
            ]},
            "model": {
                "type": "BPE", "unk_token": null, "byte_fallback": true, "merges": [],
                "vocab": {"▁": 0, "a": 1, "b": 2, "▁a": 3, "<0xC3>": 4, "<0xA9>": 5},
            },
        });
        Tokenizer::from_json(json.to_string()).unwrap()
    }

    fn stream(tokenizer: &Tokenizer, prompt: &[u32], ids: &[u32]) -> String {
        let mut stream = TextStream::new(tokenizer, prompt);
        let pieces: String = ids.iter().map(|&id| stream.push(id)).collect();
        pieces + &stream.finish()
    }

    #[test]
    fn the_pieces_are_the_whole_text() {
        let tokenizer = metaspace();
        let ids = [3, 3, 1, 0, 2, 3, 4, 5, 3, 3, 3, 3, 3, 3, 2];
        for cut in 0..=ids.len() {
            let (prompt, rest) = ids.split_at(cut);
            let expected = tokenizer.decode(&ids);
            let found = tokenizer.decode(prompt) + &stream(&tokenizer, prompt, rest);
            // Between the bytes of a character neither half is whole.
            if cut != 7 {
                assert_eq!(found, expected, "after {cut}");
            }
        }
        assert_eq!(stream(&tokenizer, &[1], &[3, 3]), " a a");
    }

    #[test]
    fn characters_of_several_tokens_come_whole() {
        let tokenizer = small();
        let text = "the quick café dog";
        let ids = tokenizer.encode(text).unwrap();
        assert_eq!(stream(&tokenizer, &[], &ids), text);
        assert!(tokenizer.is_special(2) && !tokenizer.is_special(ids[0]));
        let tokenizer = metaspace();
        let mut stream = TextStream::new(&tokenizer, &[1]);
        assert_eq!((stream.push(4), stream.push(5)), (String::new(), "é".to_owned()));
        // The byte fallback makes three of a character and a half.
        assert_eq!(stream.push(4), "");
        assert_eq!(stream.push(1), "\u{FFFD}a");
        assert_eq!((stream.push(4), stream.finish()), (String::new(), "\u{FFFD}".to_owned()));
    }
}
