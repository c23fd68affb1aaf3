use super::*;

const GPT2: &str = "architecture = 'gpt2'\nhidden_size = 64\nnum_layers = 2\nnum_heads = 4\n";
const LLAMA: &str = "architecture = 'llama'\nhidden_size = 64\nnum_layers = 2\nnum_heads = 4\n";

fn section(text: &str) -> Result<ModelSection, String> {
    toml::from_str(text).map_err(|error: toml::de::Error| error.message().to_string())
}

fn shape(text: &str) -> Shape {
    match section(text).unwrap().start {
        Start::Random(shape) => *shape,
        Start::Folder(folder) => panic!("{folder:?}"),
    }
}

#[test]
fn gpt2_takes_the_family_defaults() {
    let shape = shape(&format!("{GPT2}[train]\nsequence_length = 32"));
    let config = shape.config_for(1000);
    assert_eq!((config.intermediate_size, config.max_positions, config.head_dim), (256, 64, 16));
    assert_eq!(
        (config.norm_epsilon, config.attention_dropout, config.tie_word_embeddings),
        (1e-5, 0.1, true)
    );
    assert_eq!((config.bos_token_id, config.pad_token_id), (Some(1), None));
    assert_eq!(config.eos_token_ids, [2]);
    assert_eq!(config.vocab_size, 1000);
}

#[test]
fn llama_takes_the_family_defaults() {
    let shape = shape(&format!("intermediate_size = 96\nnum_kv_heads = 2\n{LLAMA}"));
    let config = shape.config_for(1000);
    assert_eq!((config.intermediate_size, config.num_kv_heads, config.max_positions), (96, 2, 256));
    assert_eq!(
        (config.norm_epsilon, config.attention_dropout, config.tie_word_embeddings),
        (1e-6, 0.0, false)
    );
    assert_eq!(
        (config.rope_theta, config.initializer_range, config.pad_token_id),
        (10_000.0, 0.02, Some(0))
    );
}

#[test]
fn gptj_takes_the_family_defaults() {
    let gptj = GPT2.replace("gpt2", "gptj");
    let shape = shape(&gptj);
    let config = shape.config_for(1000);
    assert_eq!((config.intermediate_size, config.head_dim), (256, 16));
    assert_eq!((config.norm_epsilon, config.attention_dropout), (1e-5, 0.0));
    assert!(!config.tie_word_embeddings);
    // transformers' 64, of heads that have as many.
    assert_eq!(config.rotary_dim, Some(16));
    let rotary_dim = |more: &str| self::shape(&format!("{more}{gptj}")).config.rotary_dim;
    assert_eq!(rotary_dim("rotary_dim = 6\n"), Some(6));
    let wide = gptj.replace("hidden_size = 64", "hidden_size = 512");
    assert_eq!(self::shape(&wide).config.rotary_dim, Some(64));
    assert_eq!(self::shape(GPT2).config.rotary_dim, None);
}

#[test]
fn qwen3_takes_the_family_defaults_and_the_tokens_of_our_tokenizers() {
    let qwen3 = LLAMA.replace("llama", "qwen3");
    let missing = section(&qwen3).unwrap_err();
    assert!(missing.contains("`intermediate_size`; for Qwen3"), "{missing}");
    let config = shape(&format!("intermediate_size = 96\n{qwen3}")).config_for(1000);
    assert_eq!((config.norm_epsilon, config.head_dim, config.rotary_dim), (1e-6, 16, None));
    assert_eq!((config.bos_token_id, config.pad_token_id), (Some(1), Some(0)));
    assert_eq!(config.eos_token_ids, [2]);
}

#[test]
fn ltg_bert_takes_the_family_defaults() {
    let text = GPT2.replace("gpt2", "ltg-bert");
    let missing = section(&text).unwrap_err();
    assert!(missing.contains("`intermediate_size`; for LTG-BERT"), "{missing}");
    let text = format!("intermediate_size = 96\n{text}");
    let config = shape(&text).config_for(1000);
    assert_eq!((config.position_buckets, config.norm_epsilon), (Some(32), 1e-7));
    assert_eq!(config.position_heads, Some(PositionHeads::Halves));
    assert_eq!((config.attention_dropout, config.residual_dropout), (0.1, 0.1));
    assert!((config.initializer_range - 0.079_056_94).abs() < 1e-7);
    assert!(config.tie_word_embeddings && config.pad_token_id.is_none());
    let few = shape(&format!("position_buckets = 8\n{text}"));
    assert_eq!(few.config_for(1000).position_buckets, Some(8));
    let both = section("from = 'models/a'\nposition_buckets = 2").unwrap_err();
    assert!(both.contains("`from`") && both.contains("`position_buckets`"), "{both}");
}

#[test]
fn heads_may_have_a_width_of_their_own() {
    let llama = format!("intermediate_size = 96\nhead_dim = 24\n{LLAMA}");
    assert_eq!(shape(&llama).config_for(1000).head_dim, 24);
    let plain = toml::to_string(&section(GPT2).unwrap()).unwrap();
    assert!(!plain.contains("head_dim") && !plain.contains("rotary_dim"), "{plain}");
}

#[test]
fn a_switch_transformer_takes_the_defaults_of_its_body() {
    let text = GPT2.replace("gpt2", "switch");
    let gpt2 = shape(&text).config_for(1000);
    assert_eq!(gpt2.architecture, Architecture::SWITCH_GPT2);
    assert_eq!(gpt2.experts, Some(Experts::default()));
    assert_eq!((gpt2.intermediate_size, gpt2.attention_dropout), (256, 0.1));
    assert!(section(&format!("{text}body = 'llama'")).unwrap_err().contains("intermediate"));
    let keys = "body = 'llama'\nintermediate_size = 96\nnum_experts = 4\nsparse_step = 2\n\
                router_jitter = 0\nz_loss = 0.5\nbalance_loss = 0.25\n";
    for (capacity, expected) in [
        ("{factor = 2}", Capacity::Factor(2.0)),
        ("{tokens = 7}", Capacity::Tokens(7)),
        ("'none'", Capacity::None),
    ] {
        let llama = shape(&format!("{text}{keys}capacity = {capacity}")).config_for(1000);
        assert_eq!(llama.architecture, Architecture::SWITCH_LLAMA);
        assert_eq!((llama.norm_epsilon, llama.pad_token_id), (1e-6, Some(0)));
        let expected = Experts {
            num_experts: 4,
            sparse_step: 2,
            capacity: expected,
            router_jitter: 0.0,
            z_loss: 0.5,
            balance_loss: 0.25,
        };
        assert_eq!(llama.experts, Some(expected));
    }
}

#[test]
fn keys_of_experts_are_checked() {
    let text = GPT2.replace("gpt2", "switch");
    let message = |keys: &str| section(&format!("{text}{keys}")).unwrap_err();
    for capacity in ["'half'", "{factor = 1, tokens = 2}", "{share = 1}", "3", "{tokens = -1}"] {
        let found = message(&format!("capacity = {capacity}"));
        assert!(found.contains("{factor = 1.25}, {tokens = 64} or \"none\""), "{found}");
    }
    assert!(message("body = 't5'").contains("`gpt2` or `llama`"));
    for key in ["body = 'gpt2'", "num_experts = 2", "capacity = 'none'", "z_loss = 0"] {
        let name = key.split(' ').next().unwrap();
        let found = section(&format!("{GPT2}{key}")).unwrap_err();
        assert!(found.contains(&format!("has `{name}`, but GPT-2 has no experts")), "{found}");
    }
    let both = section("from = 'models/a'\nnum_experts = 2").unwrap_err();
    assert!(both.contains("`from`") && both.contains("`num_experts`"), "{both}");
    let named = section(&text.replace("switch", "switch_llama")).unwrap_err();
    assert!(named.contains("`switch`"), "{named}");
}

#[test]
fn what_is_missing_or_too_much_is_named() {
    assert!(section(LLAMA).unwrap_err().contains("`intermediate_size`"));
    assert!(section("architecture = 'gpt2'").unwrap_err().contains("`hidden_size`"));
    assert!(section("").unwrap_err().contains("`architecture`"));
    for other in ["opt", "roberta"] {
        let message = section(&GPT2.replace("gpt2", other)).unwrap_err();
        assert!(
            message.contains(
                "one of `elc-bert`, `gpt-bert`, `gpt2`, `gptj`, `llama`, `ltg-bert`, `qwen3`, \
                 `switch`, `t5`"
            ),
            "{message}"
        );
    }
    let both = section("from = 'models/a'\nnum_layers = 2").unwrap_err();
    assert!(both.contains("`from`") && both.contains("`num_layers`"), "{both}");
}

#[test]
fn elc_bert_and_gpt_bert_take_the_family_defaults() {
    let of = |name: &str, more: &str| {
        let text = GPT2.replace("gpt2", name);
        shape(&format!("intermediate_size = 96\n{more}{text}")).config_for(1000)
    };
    let elc = of("elc-bert", "");
    assert_eq!((elc.elc_variant, elc.position_heads), (Some(ElcVariant::Base), None));
    let zero = of("elc-bert", "elc_variant = 'zero'\n");
    assert_eq!(zero.elc_variant, Some(ElcVariant::Zero));
    let gpt_bert = of("gpt-bert", "");
    assert_eq!((gpt_bert.norm_epsilon, gpt_bert.position_buckets), (1e-5, Some(32)));
    assert!(gpt_bert.tie_word_embeddings && gpt_bert.elc_variant.is_none());
    assert!((gpt_bert.initializer_range - 0.079_057).abs() < 1e-6);
    let wet = of("elc-bert", "residual_dropout = 0.3\n");
    assert_eq!([wet.embedding_dropout, wet.attention_dropout], [0.3, 0.1], "one key for two");
    let t5 = of("t5", "residual_dropout = 0.3\n");
    assert_eq!([t5.embedding_dropout, t5.attention_dropout], [0.3, 0.3], "one key for all");
    [elc, zero, gpt_bert, wet].iter().for_each(|config| config.validate().unwrap());
}

#[test]
fn sections_survive_writing_and_reading() {
    for text in [
        GPT2,
        "from = 'models/a'",
        &format!("head_dim = 6\nrotary_dim = 4\n{}", GPT2.replace("gpt2", "gptj")),
        &GPT2.replace("gpt2", "switch"),
        &format!(
            "elc_variant = 'zero'\nintermediate_size = 96\n{}",
            GPT2.replace("gpt2", "elc-bert")
        ),
        &GPT2.replace("gpt2", "t5"),
        &format!("feed_forward = 'gated_gelu'\n{}", GPT2.replace("gpt2", "t5")),
        &format!(
            "{}intermediate_size = 96\n[train]\nmasked = {{ share = 0.3 }}",
            GPT2.replace("gpt2", "ltg-bert")
        ),
        &format!(
            "{}body = 'llama'\nintermediate_size = 96\ncapacity = 'none'",
            GPT2.replace("gpt2", "switch")
        ),
        &format!("{GPT2}norm_epsilon = 1e-5\n[distill]\nteachers = ['a']"),
    ] {
        let first = section(text).unwrap();
        let written = toml::to_string(&first).unwrap();
        assert_eq!(section(&written).unwrap(), first, "{written}");
        assert!(!written.contains("0.10000000"), "single precision must not show: {written}");
    }
}

#[test]
fn t5_takes_the_family_defaults() {
    let text = GPT2.replace("gpt2", "t5");
    let config = shape(&text).config_for(1000);
    let own = config.encoder_decoder.unwrap();
    assert_eq!((own.decoder_layers, own.max_distance, own.is_gated), (2, 128, false));
    assert_eq!((config.position_buckets, config.norm_epsilon), (Some(32), 1e-6));
    assert_eq!((own.decoder_start_token_id, config.pad_token_id), (1, Some(0)));
    assert_eq!((config.residual_dropout, config.initializer_range), (0.1, 1.0));
    assert!(config.position_heads.is_none() && config.tie_word_embeddings);
    config.validate().unwrap();
    let keys = "decoder_layers = 3\nmax_distance = 40\nfeed_forward = 'gated_gelu'\n";
    let own = shape(&format!("{keys}{text}")).config_for(1000).encoder_decoder.unwrap();
    assert_eq!((own.decoder_layers, own.max_distance, own.is_gated), (3, 40, true));
    let other = section(&format!("decoder_layers = 3\n{GPT2}")).unwrap_err();
    assert!(other.contains("has `decoder_layers`, but GPT-2 is no encoder-decoder"), "{other}");
    let both = section("from = 'models/a'\nmax_distance = 2").unwrap_err();
    assert!(both.contains("`from`") && both.contains("`max_distance`"), "{both}");
}
