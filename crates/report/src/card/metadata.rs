//! What a hub takes in a card's metadata.

/// The licences that Hugging Face's hub names (huggingface.co/docs/hub/repositories-licenses, as of
/// 2024, and what is known of later ones), in alphabetical order.
pub const LICENSES: [&str; 82] = [
    "afl-3.0",
    "agpl-3.0",
    "apache-2.0",
    "apple-amlr",
    "apple-ascl",
    "artistic-2.0",
    "bigcode-openrail-m",
    "bigscience-bloom-rail-1.0",
    "bigscience-openrail-m",
    "bsd",
    "bsd-2-clause",
    "bsd-3-clause",
    "bsd-3-clause-clear",
    "bsl-1.0",
    "c-uda",
    "cc",
    "cc-by-2.0",
    "cc-by-2.5",
    "cc-by-3.0",
    "cc-by-4.0",
    "cc-by-nc-2.0",
    "cc-by-nc-3.0",
    "cc-by-nc-4.0",
    "cc-by-nc-nd-3.0",
    "cc-by-nc-nd-4.0",
    "cc-by-nc-sa-2.0",
    "cc-by-nc-sa-3.0",
    "cc-by-nc-sa-4.0",
    "cc-by-nd-4.0",
    "cc-by-sa-3.0",
    "cc-by-sa-4.0",
    "cc0-1.0",
    "cdla-permissive-1.0",
    "cdla-permissive-2.0",
    "cdla-sharing-1.0",
    "creativeml-openrail-m",
    "deepfloyd-if-license",
    "ecl-2.0",
    "epl-1.0",
    "epl-2.0",
    "etalab-2.0",
    "eupl-1.1",
    "eupl-1.2",
    "fair-noncommercial-research-license",
    "gemma",
    "gfdl",
    "gpl",
    "gpl-2.0",
    "gpl-3.0",
    "grok2-community",
    "h-research",
    "intel-research",
    "isc",
    "lgpl",
    "lgpl-2.1",
    "lgpl-3.0",
    "lgpl-lr",
    "llama2",
    "llama3",
    "llama3.1",
    "llama3.2",
    "llama3.3",
    "llama4",
    "lppl-1.3c",
    "mit",
    "mpl-2.0",
    "ms-pl",
    "ncsa",
    "odbl",
    "odc-by",
    "ofl-1.1",
    "openmdw-1.0",
    "openrail",
    "openrail++",
    "osl-3.0",
    "other",
    "pddl",
    "postgresql",
    "unknown",
    "unlicense",
    "wtfpl",
    "zlib",
];

/// Whether a text has the form of a language's code: that of BCP 47 (RFC 5646, section 2.1), whose
/// first part is a code of ISO 639 and whose others are script, region, variants or extensions; or
/// a word that the hub has for texts of many languages or of none.
pub fn is_language(text: &str) -> bool {
    let mut parts = text.split('-');
    let first = parts.next().unwrap_or_default();
    let is_code = (2..=3).contains(&first.len()) && first.chars().all(|c| c.is_ascii_alphabetic());
    let is_part = |part: &str| {
        (1..=8).contains(&part.len()) && part.chars().all(|c| c.is_ascii_alphanumeric())
    };
    // What one letter or digit begins has parts of its own.
    let does_end = |text: &str| text.rsplit('-').next().is_some_and(|last| last.len() > 1);
    ["code", "multilingual"].contains(&text) || is_code && parts.all(is_part) && does_end(text)
}

/// Whether a text has the form of a data set's name on the hub, with or without its owner's.
pub fn is_dataset(text: &str) -> bool {
    const LONGEST: usize = 96;
    let is_letter = |c: char| c.is_ascii_alphanumeric() || ".-_".contains(c);
    let is_name = |name: &str| {
        let is_inner = |name: &str| !name.contains("--") && !name.contains("..");
        let has_ends = !name.starts_with(['.', '-']) && !name.ends_with(['.', '-']);
        !name.is_empty() && has_ends && is_inner(name) && name.chars().all(is_letter)
    };
    let parts: Vec<&str> = text.split('/').collect();
    text.len() <= LONGEST && parts.len() <= 2 && parts.into_iter().all(is_name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_of_languages_are_those_of_bcp_47() {
        let codes = [
            "en",
            "nds",
            "zh-Hant",
            "pt-BR",
            "sl-rozaj-biske",
            "de-1996",
            "es-419",
            "en-u-ca-gregory",
            "multilingual",
            "code",
        ];
        for code in codes {
            assert!(is_language(code), "{code}");
        }
        let others = [
            "",
            " ",
            "e",
            "english",
            "en_GB",
            "en-",
            "-en",
            "en--GB",
            "e2",
            "é",
            "en-x",
            "en\n",
            "en-toolongpart",
            "12",
            "en GB",
        ];
        for text in others {
            assert!(!is_language(text), "{text:?}");
        }
    }

    #[test]
    fn names_of_data_sets_are_those_of_the_hub() {
        for name in ["squad", "nilq/babylm-10M", "a.b_c-d/e"] {
            assert!(is_dataset(name), "{name}");
        }
        let others =
            ["", "/", "a/", "/a", "a/b/c", "a b", "-a", "a-", "a--b", "a..b", "é", "a/\u{202e}b"];
        for text in others {
            assert!(!is_dataset(text), "{text:?}");
        }
        assert!(is_dataset(&"a".repeat(96)) && !is_dataset(&"a".repeat(97)));
    }

    #[test]
    fn licences_are_in_order_and_have_no_other_letters() {
        assert!(LICENSES.is_sorted() && LICENSES.contains(&"other") && LICENSES.contains(&"mit"));
        let is_plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || ".-+".contains(c);
        assert!(LICENSES.iter().all(|name| name.chars().all(is_plain)));
    }
}
