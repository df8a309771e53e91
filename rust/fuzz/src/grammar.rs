//! Law: the compiler ends within its bounds and never panics, whatever the bytes; a text that it
//! makes is read back as a grammar, the same each time, and what is drawn from it is JSON.

use tokenmill_core::grammar::checks::{Bounds, check};
use tokenmill_core::grammar::compile;
use tokenmill_core::grammar::ebnf::Grammar;
use tokenmill_core::grammar::lark::lark;
use tokenmill_core::grammar::limits::Options;
use tokenmill_core::grammar::sample::Sampler;
use tokenmill_core::grammar::text_tokens::renamed;

const BOUNDS: Bounds = Bounds {
    schema_bytes_max: 4_096,
    schema_depth_max: 16,
    schema_nodes_max: 200,
    enum_values_max: 50,
    regex_bytes_max: 128,
};

/// The bytes are a schema.
pub fn run(input: &[u8]) {
    let options = Options {
        alternatives_max: 500,
        states_max: 500,
        rules_max: 5_000,
        ..Options::default()
    };
    if check(input, &BOUNDS).is_err() {
        // Others, such as the command line, compile what is not checked.
        let _ = compile(&input[..input.len().min(512)], &options);
        return;
    }
    let Ok(made) = compile(input, &options) else {
        return;
    };
    assert_eq!(Ok(&made), compile(input, &options).as_ref(), "it differs");
    let Ok(grammar) = Grammar::parse(&made.text, usize::MAX) else {
        panic!("it cannot be read: {}", made.text);
    };
    let rules = |text: &str| text.matches(" ::= ").count();
    assert_eq!(
        rules(&renamed(&made.text, "t_")),
        rules(&made.text),
        "a rule is lost"
    );
    assert_eq!(lark(&made.text).lines().count(), made.text.lines().count());
    let Some(mut sampler) = Sampler::new(grammar, input.len() as u64) else {
        panic!("it has no text: {}", made.text);
    };
    let drawn = sampler.draw(100);
    assert!(
        serde_json::from_str::<serde_json::Value>(&drawn).is_ok(),
        "no JSON: {drawn}"
    );
}
