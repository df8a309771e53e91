//! Grammars that clients write: read, weighed, and written anew for an engine.
//!
//! What an engine pays for a grammar is decided by shapes that look harmless: a counter multiplies
//! what it counts, and a repeated rule in which almost any character may come is tried for each
//! token of the vocabulary. So counters are bounded by what they stand for, and a repetition of a
//! rule becomes a rule that ends in itself, which says the same.

mod turns;
mod weight;
mod writer;

use self::writer::Writer;
use super::ebnf::Grammar;
use super::refusal::{Refusal, Result};

/// Bytes of text; hand-written grammars have a few thousand.
const TEXT_BYTES_MAX: usize = 64 << 10;
/// Rules; each costs an engine about 15 µs to load.
const RULES_MAX: usize = 2_000;

/// A client's grammar as an engine gets it: a rule a line, the start rule `root`.
///
/// Cost: a few passes over the text, and one over as many characters as may be counted.
///
/// # Errors
/// Invalid with the line, or too large with the bound.
pub fn written_anew(text: &str) -> Result<String> {
    if text.len() > TEXT_BYTES_MAX {
        return Err(Refusal::too_large("grammar_bytes_max", TEXT_BYTES_MAX));
    }
    if !text.contains("::=") {
        return Err(Refusal::invalid("", "there is no `::=` in it"));
    }
    let grammar = Grammar::parse(text, RULES_MAX)?;
    weight::refuse_heavy(&grammar)?;
    turns::refuse_endless(&grammar)?;
    turns::refuse_empty(&grammar)?;
    Ok(Writer::new(&grammar).written())
}

#[cfg(test)]
mod tests {
    use super::written_anew;

    #[test]
    fn a_grammar_is_written_a_rule_a_line() {
        let text =
            "# a list\nroot ::= \"[\" (item (\",\" item)*)? \"]\"\nitem ::= [a-z]{2,3}\n  | \"é\"";
        let written = written_anew(text).unwrap();
        let wanted = [
            "m0 ::= \"\" | \",\" r1 m0",
            "root ::= \"[\" (r1 m0)? \"]\"",
            "r1 ::= [a-z]{2,3} | \"\\u00e9\"",
        ];
        assert_eq!(written.lines().collect::<Vec<_>>(), wanted);
    }

    #[test]
    fn a_repeated_rule_ends_in_itself() {
        let text = r#"root ::= "\"" char+ "\""
char ::= [^"\\] | "\\" ["\\]"#;
        let written = written_anew(text).unwrap();
        assert!(
            written.contains("root ::= \"\\\"\" r1 m0 \"\\\"\"\n"),
            "{written}"
        );
        assert!(written.starts_with("m0 ::= \"\" | ["), "{written}");
    }

    #[test]
    fn what_an_engine_would_choke_on_is_refused() {
        for (text, words) in [
            ("start: \"a\"", "no `::=`"),
            ("root ::= [^a]{0,1000}", "wide_classes_max"),
            ("root ::= c{0,100}\nc ::= [^a] | \"b\"", "wide_classes_max"),
            ("root ::= ((\"a\"{0,300}){0,300}){0,300}", "characters_max"),
            (
                "root ::= a{9}\na ::= b{9}\nb ::= c{9}\nc ::= \"x\"{9} d{9}\nd ::= \"y\"{9}",
                "characters_max",
            ),
            ("root ::= a{2}\na ::= \"x\" a | \"\"", "nested_max"),
            ("root ::= root \"a\"", "never comes to an end"),
            ("root ::= (root root)*", "what may be empty"),
            (
                "root ::= a | \"x\"\na ::= b b\nb ::= root?",
                "can stand for itself",
            ),
            ("root ::= \"a\"\nroot ::= \"b\"", "defined twice"),
        ] {
            let refusal = written_anew(text).unwrap_err();
            assert!(refusal.reason.contains(words), "{text}: {}", refusal.reason);
        }
        assert!(written_anew(&"root ::= \"a\" ".repeat(9_000)).is_err());
        // each rule repeats the next one twice: spread out, that would double each time
        let mut chain = "root ::= r0\n".to_owned();
        for at in 0..900 {
            let next = at + 1;
            chain.extend([
                format!("r{at} ::= (r{next} | \"a\")*"),
                format!(" r{next}* \"b\"\n"),
            ]);
        }
        chain += "r900 ::= \"c\"";
        let written = written_anew(&chain).unwrap();
        assert!(written.len() < 1 << 20);
    }

    fn lines(places: impl Iterator<Item = usize>, line: impl Fn(usize) -> String) -> String {
        places.map(line).collect::<Vec<_>>().join("\n")
    }

    #[test]
    fn what_weighs_nothing_cannot_be_walked_for_ever() {
        let blank = "\"\" ".repeat(10_000);
        let doubling = lines(1..12, |at| format!("l{at} ::= l{} l{}", at - 1, at - 1));
        let heavy = lines(0..1_500, |at| format!("h{at} ::= l11{{0,2}}"));
        for start in ["\"a\"", &blank] {
            let text = format!("root ::= l0\nl0 ::= {start}\n{doubling}\n{heavy}");
            let refusal = written_anew(&text).unwrap_err();
            assert!(
                refusal.reason.contains("characters_max"),
                "{}",
                refusal.reason
            );
        }
    }

    #[test]
    fn a_long_chain_of_rules_is_written_either_way_round() {
        let link = |at: usize| format!("r{at} ::= \"x\" r{}", at + 1);
        for links in [lines(0..1_900, link), lines((0..1_900).rev(), link)] {
            let text = format!("root ::= r0\n{links}\nr1900 ::= \"y\"");
            assert_eq!(written_anew(&text).unwrap().lines().count(), 1_902);
        }
    }
}
