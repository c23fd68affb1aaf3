//! The roles of special tokens: which one begins a text, ends it, or stands for a hidden word.

use std::collections::BTreeMap;

use serde_json::Value;

use super::Tokenizer;
use super::classes::Class;

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

    /// Whether texts have the token around them, whatever the model.
    fn is_of_texts(self) -> bool {
        matches!(self, Role::Begin | Role::End | Role::Padding)
    }

    /// The usual tokens of the role, for folders without that information.
    fn usual(self) -> &'static [&'static str] {
        match self {
            Role::Begin => &["<s>", "<|endoftext|>"],
            Role::End => &["</s>", "<|endoftext|>"],
            Role::Padding => &["<pad>"],
            Role::Classifier => &["<s>", "[CLS]"],
            Role::Separator => &["</s>", "[SEP]"],
            Role::Mask => &["<mask>", "[MASK]"],
            Role::Unknown => &["<unk>"],
        }
    }
}

/// The tokens that a folder names for roles.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Roles {
    /// None for a role that the files deny a token.
    named: BTreeMap<Role, Option<String>>,
    /// What has the roles that the files do not name; without it the usual tokens have them.
    class: Option<Class>,
}

impl Roles {
    /// The roles that files name, the first that has a role's key counts; null there means that no
    /// token has the role. `class` has the others.
    ///
    /// # Errors
    /// When a value is neither a token nor null.
    pub(super) fn of(files: &[&Value], class: Class) -> Result<Self, String> {
        let mut named = BTreeMap::new();
        for role in Role::ALL {
            let stated = files.iter().find_map(|file| file.get(role.key()));
            match stated {
                None => {}
                Some(Value::Null) => drop(named.insert(role, None)),
                Some(value) => match content(value) {
                    Some(token) => drop(named.insert(role, Some(token))),
                    None => return Err(format!("`{}` is {value}, not a token", role.key())),
                },
            }
        }
        Ok(Self { named, class: Some(class) })
    }

    /// These roles, with `class` for those that no file names; nothing changes where these have no
    /// class.
    pub(super) fn of_class(self, class: Class) -> Self {
        Self { class: self.class.map(|_| class), ..self }
    }

    /// The tokens that may have a role, the first that the vocabulary has.
    fn candidates(&self, role: Role) -> Vec<&str> {
        let usual = match self.class {
            // What pipelines put before texts, where these end, and what fills batches is stated
            // by files and class alone; a masked model has no use without its tokens.
            Some(_) if role.is_of_texts() => &[],
            _ => role.usual(),
        };
        let stated = match (self.named.get(&role), self.class) {
            (Some(None), _) => return Vec::new(),
            (Some(named), _) => named.as_deref(),
            (None, class) => class.and_then(|class| class.default_token(role)),
        };
        stated.into_iter().chain(usual.iter().copied()).collect()
    }

    /// Whether the files name a token for a role.
    fn is_named(&self, role: Role) -> bool {
        self.named.get(&role).is_some_and(Option::is_some)
    }

    /// The tokens that have a role by the files.
    pub(super) fn named(&self) -> impl Iterator<Item = &str> {
        self.named.values().flatten().map(String::as_str)
    }

    /// The tokens that are named; where none is, all usual ones.
    pub(super) fn tokens(&self) -> Vec<&str> {
        match self.named.is_empty() {
            true => Role::ALL.into_iter().flat_map(Role::usual).copied().collect(),
            false => self.named().collect(),
        }
    }
}

/// A special token's text: as it is, or in an object with how it is looked for.
pub(super) fn content(token: &Value) -> Option<String> {
    token.as_str().or_else(|| token["content"].as_str()).map(str::to_owned)
}

impl Tokenizer {
    /// The token that plays a role, with its id: the one that the folder's files name, or else its
    /// class; a usual one that the vocabulary has where the folder names no roles at all.
    pub fn role(&self, role: Role) -> Option<(&str, u32)> {
        let candidates = self.roles.candidates(role);
        candidates.into_iter().find_map(|token| self.token_id(token).map(|id| (token, id)))
    }

    /// The id alone of the token that plays a role.
    pub fn role_id(&self, role: Role) -> Option<u32> {
        self.role(role).map(|(_, id)| id)
    }

    /// The token of a role that the vocabulary does not have. Transformers gives it the next id,
    /// for which the model has no embedding.
    pub fn role_outside(&self, role: Role) -> Option<&str> {
        match self.role(role) {
            Some(_) => None,
            None => self.roles.candidates(role).first().copied(),
        }
    }

    /// The tokens of the roles that are known.
    pub(super) fn known_roles(&self) -> impl Iterator<Item = (Role, &str)> {
        // A text has ends for any model; what only masked models need is there when it is named.
        let always = [Role::Begin, Role::End, Role::Padding];
        let asked = Role::ALL
            .into_iter()
            .filter(move |role| always.contains(role) || self.roles.is_named(*role));
        asked.filter_map(|role| self.role(role).map(|(token, _)| (role, token)))
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::tests::small;
    use super::*;

    fn with_roles(file: Value) -> Tokenizer {
        Tokenizer { roles: Roles::of(&[&file], Class::Generic).unwrap(), ..small() }
    }

    #[test]
    fn a_folder_names_its_tokens() {
        let plain = small();
        assert_eq!(
            (plain.role(Role::Begin), plain.role(Role::End)),
            (Some(("<s>", 1)), Some(("</s>", 2))),
            "the usual ones serve where nothing is named"
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
        let names: Vec<_> = opt.known_roles().collect();
        assert_eq!(names, [(Role::Begin, "</s>"), (Role::End, "</s>")]);
    }

    /// Expectations: `bos_token_id` and `eos_token_id` of transformers 5.24, where an id beyond the
    /// vocabulary is none here.
    #[test]
    fn roles_that_no_file_names_are_the_classs() {
        let roles = |file: Value, class: &str| {
            let class = super::super::classes::of(&json!({ "tokenizer_class": class }), None);
            let roles = Roles::of(&[&file], class.unwrap()).unwrap();
            let tokenizer = Tokenizer { roles, ..small() };
            let id = |role| tokenizer.role_id(role);
            let outside = tokenizer.role_outside(Role::Begin).map(str::to_owned);
            (id(Role::Begin), id(Role::End), outside)
        };
        let generic = |file| roles(file, "PreTrainedTokenizerFast");
        let end = json!({"eos_token": "</s>"});
        assert_eq!(generic(end.clone()), (None, Some(2), None));
        assert_eq!(generic(json!({})), (None, None, None));
        let null = json!({"bos_token": null, "eos_token": null});
        for class in ["PreTrainedTokenizerFast", "GPT2Tokenizer", "LlamaTokenizerFast"] {
            assert_eq!(roles(null.clone(), class), (None, None, None), "{class}");
        }
        assert_eq!(roles(end.clone(), "LlamaTokenizerFast"), (Some(1), Some(2), None));
        let outside = Some("<|endoftext|>".to_owned());
        assert_eq!(roles(end, "GPT2Tokenizer"), (None, Some(2), outside));
        let named = json!({"bos_token": "<|begin|>", "eos_token": "</s>"});
        assert_eq!(generic(named), (None, Some(2), Some("<|begin|>".to_owned())));
    }

    #[test]
    fn of_two_files_the_first_counts() {
        let (first, second) =
            (json!({"eos_token": "a"}), json!({"eos_token": "b", "mask_token": "c"}));
        let roles = Roles::of(&[&first, &second], Class::Generic).unwrap();
        assert_eq!(roles.candidates(Role::End), ["a"]);
        assert_eq!(roles.candidates(Role::Mask), ["c", "<mask>", "[MASK]"]);
        assert!(roles.candidates(Role::Begin).is_empty());
        assert_eq!(roles.tokens(), ["a", "c"]);
        assert!(Roles::default().tokens().contains(&"<|endoftext|>"));
    }
}
