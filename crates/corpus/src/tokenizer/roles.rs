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
    pub(super) const ALL: [Role; 7] = [
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
pub(super) struct Roles(BTreeMap<Role, Option<String>>);

impl Roles {
    /// The roles that files name, the first that has a role's key counts; null there means that no
    /// token has the role.
    ///
    /// # Errors
    /// When a value is neither a token nor null.
    pub(super) fn of(files: &[&Value]) -> Result<Self, String> {
        let mut roles = BTreeMap::new();
        for role in Role::ALL {
            let stated = files.iter().find_map(|file| file.get(role.key()));
            match stated {
                None => {}
                Some(Value::Null) => drop(roles.insert(role, None)),
                Some(value) => match content(value) {
                    Some(token) => drop(roles.insert(role, Some(token))),
                    None => return Err(format!("`{}` is {value}, not a token", role.key())),
                },
            }
        }
        Ok(Self(roles))
    }

    /// The token of a role, `Some(None)` where the files deny it one.
    fn get(&self, role: Role) -> Option<Option<&str>> {
        self.0.get(&role).map(Option::as_deref)
    }

    /// The tokens that have a role by the files.
    pub(super) fn named(&self) -> impl Iterator<Item = &str> {
        self.0.values().flatten().map(String::as_str)
    }

    /// The tokens that are named; where none is, all usual ones.
    pub(super) fn tokens(&self) -> Vec<&str> {
        match self.0.is_empty() {
            true => Role::ALL.into_iter().flat_map(Role::usual).copied().collect(),
            false => self.named().collect(),
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
        let named = match self.roles.get(role) {
            Some(None) => return None,
            named => named.flatten(),
        };
        let candidates = named.into_iter().chain(role.usual().iter().copied());
        candidates.into_iter().find_map(|token| self.token_id(token).map(|id| (token, id)))
    }

    /// The tokens of the roles that are known.
    pub(super) fn known_roles(&self) -> impl Iterator<Item = (Role, &str)> {
        // A text has ends for any model; what only masked models need is there when it is named.
        let always = [Role::Begin, Role::End, Role::Padding];
        let asked = Role::ALL
            .into_iter()
            .filter(move |role| always.contains(role) || self.roles.get(*role).flatten().is_some());
        asked.filter_map(|role| self.role(role).map(|(token, _)| (role, token)))
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::tests::small;
    use super::*;

    fn with_roles(file: Value) -> Tokenizer {
        Tokenizer { roles: Roles::of(&[&file]).unwrap(), ..small() }
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
            (Some(("<s>", 1)), None),
            "null means that there is none"
        );
        let names: Vec<_> = absent.known_roles().collect();
        assert_eq!(names, [(Role::Begin, "<s>"), (Role::End, "</s>")]);
    }

    #[test]
    fn of_two_files_the_first_counts() {
        let (first, second) =
            (json!({"eos_token": "a"}), json!({"eos_token": "b", "mask_token": "c"}));
        let roles = Roles::of(&[&first, &second]).unwrap();
        assert_eq!(
            (roles.get(Role::End), roles.get(Role::Mask), roles.get(Role::Begin)),
            (Some(Some("a")), Some(Some("c")), None)
        );
        assert_eq!(roles.tokens(), ["a", "c"]);
        assert!(Roles::of(&[&Value::Null]).unwrap().tokens().contains(&"<|endoftext|>"));
    }
}
