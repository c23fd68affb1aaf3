//! The roles of special tokens: which one begins a text, ends it, or stands for a hidden word.

use std::collections::BTreeMap;

use serde_json::Value;

use super::Tokenizer;

/// A role that a special token plays.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Role {
    /// Begins a text of a model that predicts the next token.
    Begin,
    /// Ends a text of a model that predicts the next token.
    End,
    /// Fills a batch.
    Padding,
    /// Begins a text of a masked model.
    Classifier,
    /// Ends a text of a masked model.
    Separator,
    /// Stands for a hidden token.
    Mask,
    /// Stands for what has no token.
    Unknown,
}

impl Role {
    const ALL: [Role; 7] = [
        Role::Begin,
        Role::End,
        Role::Padding,
        Role::Classifier,
        Role::Separator,
        Role::Mask,
        Role::Unknown,
    ];

    /// The key of `tokenizer_config.json` and `special_tokens_map.json`.
    pub fn key(self) -> &'static str {
        match self {
            Role::Begin => "bos_token",
            Role::End => "eos_token",
            Role::Padding => "pad_token",
            Role::Classifier => "cls_token",
            Role::Separator => "sep_token",
            Role::Mask => "mask_token",
            Role::Unknown => "unk_token",
        }
    }

    /// The usual tokens of the role, for folders without that information.
    fn usual(self) -> &'static [&'static str] {
        match self {
            Role::Begin => &["<s>", "<|endoftext|>"],
            Role::End => &["</s>", "<|endoftext|>"],
            Role::Padding => &["<pad>"],
            Role::Classifier => &["<s>"],
            Role::Separator => &["</s>"],
            Role::Mask => &["<mask>"],
            Role::Unknown => &["<unk>"],
        }
    }
}

/// The tokens that a folder names for roles.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Roles(BTreeMap<Role, String>);

impl Roles {
    /// Those that any of the files' contents name; an earlier file counts before a later one.
    pub(super) fn of(files: &[&Value]) -> Self {
        let named = |role: Role| {
            files.iter().find_map(|file| content(&file[role.key()])).map(|token| (role, token))
        };
        Self(Role::ALL.into_iter().filter_map(named).collect())
    }

    fn get(&self, role: Role) -> Option<&str> {
        self.0.get(&role).map(String::as_str)
    }

    /// The tokens that are named; where none is, all usual ones.
    pub(super) fn tokens(&self) -> Vec<&str> {
        match self.0.is_empty() {
            true => Role::ALL.into_iter().flat_map(Role::usual).copied().collect(),
            false => self.0.values().map(String::as_str).collect(),
        }
    }
}

/// A special token's text: as it is, or in an object with how it is looked for.
fn content(token: &Value) -> Option<String> {
    token.as_str().or_else(|| token["content"].as_str()).map(str::to_owned)
}

impl Tokenizer {
    /// The token that plays a role, with its id: the one that the folder names, or a usual one that
    /// the vocabulary has.
    pub fn role(&self, role: Role) -> Option<(&str, u32)> {
        let candidates = self.roles.get(role).into_iter().chain(role.usual().iter().copied());
        candidates.into_iter().find_map(|token| self.token_id(token).map(|id| (token, id)))
    }

    /// The tokens of the roles that are known.
    pub(super) fn known_roles(&self) -> impl Iterator<Item = (Role, &str)> {
        // A text has ends for any model; what only masked models need is there when it is named.
        let always = [Role::Begin, Role::End, Role::Padding];
        let asked = Role::ALL
            .into_iter()
            .filter(move |role| always.contains(role) || self.roles.get(*role).is_some());
        asked.filter_map(|role| self.role(role).map(|(token, _)| (role, token)))
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::tests::small;
    use super::*;

    fn with_roles(file: Value) -> Tokenizer {
        Tokenizer { roles: Roles::of(&[&file]), ..small() }
    }

    #[test]
    fn a_folder_names_its_tokens_and_the_usual_ones_serve_where_it_does_not() {
        let plain = small();
        assert_eq!(
            (plain.role(Role::Begin), plain.role(Role::End)),
            (Some(("<s>", 1)), Some(("</s>", 2)))
        );
        assert_eq!((plain.role(Role::Mask), plain.role(Role::Padding)), (None, Some(("<pad>", 0))));
        // OPT begins texts with the token that ends them.
        let opt = with_roles(
            json!({"bos_token": "</s>", "eos_token": {"content": "</s>", "lstrip": false}}),
        );
        assert_eq!(
            (opt.role(Role::Begin), opt.role(Role::End)),
            (Some(("</s>", 2)), Some(("</s>", 2)))
        );
        let absent = with_roles(json!({"bos_token": "<|endoftext|>", "pad_token": null}));
        assert_eq!(
            (absent.role(Role::Begin), absent.role(Role::Padding)),
            (Some(("<s>", 1)), Some(("<pad>", 0)))
        );
        let names: Vec<_> = absent.known_roles().collect();
        assert_eq!(names, [(Role::Begin, "<s>"), (Role::End, "</s>"), (Role::Padding, "<pad>")]);
    }

    #[test]
    fn of_two_files_the_first_counts() {
        let (first, second) =
            (json!({"eos_token": "a"}), json!({"eos_token": "b", "mask_token": "c"}));
        let roles = Roles::of(&[&first, &second]);
        assert_eq!(
            (roles.get(Role::End), roles.get(Role::Mask), roles.get(Role::Begin)),
            (Some("a"), Some("c"), None)
        );
        assert_eq!(roles.tokens(), ["a", "c"]);
        assert!(Roles::of(&[&Value::Null]).tokens().contains(&"<|endoftext|>"));
    }
}
