//! The compiler's settings: bounds with their reasons, whitespace.

/// Which blanks the grammar allows between tokens of JSON.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Default)]
pub enum Whitespace {
    /// None at all.
    Compact,
    /// At most one space after `,` and `:`; takes both common serialisations.
    #[default]
    Single,
}

/// What the caller may choose. Every bound has a refusal that names it.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Options {
    /// Blanks between tokens.
    pub whitespace: Whitespace,
    /// Objects that declare properties refuse others unless the schema says otherwise.
    pub closed_objects: bool,
    /// Free strings and undeclared names can be read in one way only. llguidance pays for each way
    /// to read a text, xgrammar for each state in which almost any character may come.
    pub deterministic: bool,
    /// Bytes of schema text. 1 MiB: the largest schemas in the wild are about half of it.
    pub schema_bytes_max: usize,
    /// Nesting of the schema text; real ones stay under 40, the stack would take 1,000.
    pub depth_max: usize,
    /// Normal-form work: alternatives that are made, by the names in them, compared or told apart;
    /// stops exponential products. Of two thousand schemas found in the wild seven need more.
    pub alternatives_max: usize,
    /// Rules of the grammar; each costs an engine about 15 µs to load.
    pub rules_max: usize,
    /// States of one automaton.
    pub states_max: usize,
    /// Steps of one compilation, of whatever kind, of about five nanoseconds. Of two thousand
    /// schemas found in the wild none needs half of them.
    pub steps_max: usize,
    /// Bytes of grammar text. Engines take seconds to load more; of two thousand schemas found in
    /// the wild six need it.
    pub text_bytes_max: usize,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            whitespace: Whitespace::default(),
            closed_objects: false,
            deterministic: false,
            schema_bytes_max: 1 << 20,
            depth_max: 96,
            alternatives_max: 20_000,
            rules_max: 60_000,
            states_max: 6_000,
            steps_max: 16_000_000,
            text_bytes_max: 512 << 10,
        }
    }
}
