//! The formats of JSON Schema as automata, made once a process.
//!
//! Where a specification goes beyond what is worth its states (quoted local parts, IP literals,
//! names of more than 63 characters), the set here is a part of it: sound for generation, marked
//! as not exact, and refused where its opposite is needed.

use std::sync::{Arc, OnceLock};

use super::automaton::Automaton;
use super::pattern_search::texts_equal_to;
use super::work::Work;

/// States of the largest table entry, with room.
const STATES_MAX: usize = 4_000;

/// What is known about one format.
#[derive(Debug)]
pub struct Format {
    /// Its name.
    pub name: &'static str,
    /// Whether the set is all of the format.
    pub exact: bool,
    /// The longest text of the set; longer ones may be of the format.
    length_max: Option<u32>,
    pattern: fn() -> String,
    /// A pattern that every text of the format matches, where the set is not all of it.
    outer: &'static str,
    automaton: OnceLock<Arc<Automaton>>,
    outer_automaton: OnceLock<Arc<Automaton>>,
}

impl Format {
    const fn exact(name: &'static str, pattern: fn() -> String) -> Self {
        Self {
            name,
            exact: true,
            length_max: None,
            pattern,
            outer: "",
            automaton: OnceLock::new(),
            outer_automaton: OnceLock::new(),
        }
    }

    const fn part(
        name: &'static str,
        pattern: fn() -> String,
        length_max: Option<u32>,
        outer: &'static str,
    ) -> Self {
        Self {
            name,
            exact: false,
            length_max,
            pattern,
            outer,
            automaton: OnceLock::new(),
            outer_automaton: OnceLock::new(),
        }
    }

    /// The texts of the format that are taken.
    pub fn automaton(&self) -> Arc<Automaton> {
        let make = || {
            let never = |_| Automaton::constant(false);
            let made = texts_equal_to(&(self.pattern)(), &Work::of_states(STATES_MAX))
                .unwrap_or_else(never);
            let Some(max) = self.length_max else {
                return Arc::new(made);
            };
            let short = Automaton::of_length(0, Some(max));
            let bounded = made.intersection(&short, &Work::of_states(STATES_MAX));
            Arc::new(bounded.unwrap_or_else(|_| Automaton::constant(false)))
        };
        Arc::clone(self.automaton.get_or_init(make))
    }

    /// Texts among which all of the format are; what is outside is surely not of the format.
    pub fn outer_automaton(&self) -> Arc<Automaton> {
        if self.exact {
            return self.automaton();
        }
        let make = || {
            let made = texts_equal_to(self.outer, &Work::of_states(STATES_MAX));
            Arc::new(made.unwrap_or_else(|_| Automaton::constant(true)))
        };
        Arc::clone(self.outer_automaton.get_or_init(make))
    }
}

/// The format with a name; none where the name is not one of JSON Schema's.
pub fn known(name: &str) -> Option<&'static Format> {
    FORMATS.iter().find(|format| format.name == name)
}

/// Makes the automata of all formats.
pub(super) fn prepare() {
    for format in &FORMATS {
        format.automaton();
        format.outer_automaton();
    }
}

/// The names of all formats that are asserted.
pub fn names() -> impl Iterator<Item = &'static str> {
    FORMATS.iter().map(|format| format.name)
}

static FORMATS: [Format; 19] = [
    Format::exact("date-time", || format!("{}[Tt]({})", date(), time())),
    Format::exact("date", date),
    Format::exact("time", time),
    Format::exact("duration", duration),
    Format::exact("uuid", || {
        "[0-9a-fA-F]{8}-([0-9a-fA-F]{4}-){3}[0-9a-fA-F]{12}".to_owned()
    }),
    Format::exact("ipv4", ipv4),
    Format::exact("ipv6", ipv6),
    Format::part("hostname", hostname, Some(63), r"[A-Za-z0-9._-]*"),
    Format::part("idn-hostname", hostname, Some(63), r"[^ ]*"),
    Format::part("email", email, Some(64), r"[\s\S]*@[\s\S]*"),
    Format::part("idn-email", email, Some(64), r"[\s\S]*@[\s\S]*"),
    Format::part("uri", || uri(""), None, r"[A-Za-z][A-Za-z0-9+.-]*:[^ ]*"),
    Format::part(
        "iri",
        || uri(BEYOND_ASCII),
        None,
        r"[A-Za-z][A-Za-z0-9+.-]*:[^ ]*",
    ),
    Format::part("uri-reference", || uri_reference(""), None, "[^ ]*"),
    Format::part(
        "iri-reference",
        || uri_reference(BEYOND_ASCII),
        None,
        "[^ ]*",
    ),
    Format::part("uri-template", uri_template, None, r"[\s\S]*"),
    Format::exact("json-pointer", || "(/([^~/]|~[01])*)*".to_owned()),
    Format::exact("relative-json-pointer", || {
        "(0|[1-9][0-9]*)(#|(/([^~/]|~[01])*)*)".to_owned()
    }),
    Format::part("regex", regex, None, r"[\s\S]*"),
];

/// Letters that an IRI may have beyond a URI's (RFC 3987, the basic plane's).
const BEYOND_ASCII: &str = r"\u00a0-\ud7ff\uf900-\ufdcf\ufdf0-\uffef";

/// RFC 3339 `full-date`, with the days of each month and leap years.
fn date() -> String {
    let leap = "([0-9]{2}(0[48]|[2468][048]|[13579][26])|([02468][048]|[13579][26])00)";
    let long = "-(0[13578]|1[02])-(0[1-9]|[12][0-9]|3[01])";
    let short = "-(0[469]|11)-(0[1-9]|[12][0-9]|30)";
    let february = "-02-(0[1-9]|1[0-9]|2[0-8])";
    format!("([0-9]{{4}}({long}|{short}|{february})|{leap}-02-29)")
}

/// RFC 3339 `full-time`; the leap second only where it can be, at the end of a UTC day.
fn time() -> String {
    let offset = "([Zz]|[+-]([01][0-9]|2[0-3]):[0-5][0-9])";
    let plain = "([01][0-9]|2[0-3]):[0-5][0-9]:[0-5][0-9]";
    format!(r"({plain}(\.[0-9]+)?{offset}|23:59:60(\.[0-9]+)?([Zz]|[+-]00:00))")
}

/// RFC 3339, appendix A.
fn duration() -> String {
    let time = "T([0-9]+H([0-9]+M([0-9]+S)?)?|[0-9]+M([0-9]+S)?|[0-9]+S)";
    let date = "([0-9]+Y([0-9]+M([0-9]+D)?)?|[0-9]+M([0-9]+D)?|[0-9]+D)";
    format!("P([0-9]+W|{date}({time})?|{time})")
}

fn ipv4() -> String {
    let part = "(25[0-5]|2[0-4][0-9]|1[0-9]{2}|[1-9]?[0-9])";
    format!(r"{part}(\.{part}){{3}}")
}

/// RFC 4291, section 2.2, without zones.
fn ipv6() -> String {
    let h = "[0-9a-fA-F]{1,4}";
    let last = format!("({h}:{h}|{})", ipv4());
    let mut all = vec![format!("({h}:){{6}}{last}"), format!("::({h}:){{5}}{last}")];
    for before in 0..=4 {
        let after = 4 - before;
        let head = format!("({h}(:{h}){{0,{before}}})?");
        let tail = match after {
            0 => last.clone(),
            _ => format!("({h}:){{{after}}}{last}"),
        };
        all.push(format!("{head}::{tail}"));
    }
    all.push(format!("({h}(:{h}){{0,5}})?::{h}"));
    all.push(format!("({h}(:{h}){{0,6}})?::"));
    format!("({})", all.join("|"))
}

/// Labels without two dashes in a row, which only encoded international names have.
fn hostname() -> String {
    let label = "[A-Za-z0-9]+(-[A-Za-z0-9]+)*";
    format!(r"{label}(\.{label})*")
}

fn email() -> String {
    let atom = "[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+";
    format!(r"{atom}(\.{atom})*@{}", hostname())
}

fn path_character(more: &str) -> String {
    format!("([A-Za-z0-9._~!$&'()*+,;=:@{more}-]|%[0-9A-Fa-f]{{2}})")
}

fn authority(more: &str) -> String {
    let user = format!("([A-Za-z0-9._~!$&'()*+,;=:{more}-]|%[0-9A-Fa-f]{{2}})");
    let name = format!("([A-Za-z0-9._~!$&'()*+,;={more}-]|%[0-9A-Fa-f]{{2}})");
    format!("({user}*@)?{name}*(:[0-9]*)?")
}

fn ending(more: &str) -> String {
    let character = format!("({}|[/?])", path_character(more));
    format!(r"(\?{character}*)?(#{character}*)?")
}

fn uri(more: &str) -> String {
    let (c, authority, ending) = (path_character(more), authority(more), ending(more));
    let path = format!("(//{authority}(/{c}*)*|/({c}+(/{c}*)*)?|({c}+(/{c}*)*)?)");
    format!("[A-Za-z][A-Za-z0-9+.-]*:{path}{ending}")
}

fn uri_reference(more: &str) -> String {
    let (c, authority, ending) = (path_character(more), authority(more), ending(more));
    let first = format!("([A-Za-z0-9._~!$&'()*+,;=@{more}-]|%[0-9A-Fa-f]{{2}})+");
    let relative = format!("(//{authority}(/{c}*)*|/({c}+(/{c}*)*)?|({first}(/{c}*)*)?){ending}");
    format!("({}|{relative})", uri(more))
}

/// RFC 6570: literals and expressions.
fn uri_template() -> String {
    let name = r"[A-Za-z0-9_]+(\.[A-Za-z0-9_]+)*(\*|:[1-9][0-9]{0,3})?";
    let literal = r"[A-Za-z0-9._~:/?#\[\]@!$&()*+,;=-]|%[0-9A-Fa-f]{2}";
    format!(r"({literal}|\{{[+#./;?&]?{name}(,{name})*\}})*")
}

/// Regular expressions with groups in groups, as every dialect of ECMA-262 reads them: nothing that
/// only some take, such as a bare `}`, `\\-` outside of a class, or an empty alternative.
fn regex() -> String {
    let single = r"[A-Za-z0-9 _.,:;<>=!@#%~'/$*+?()\u00a0-\uffff]";
    let range = "([a-y]-z|[A-Y]-Z|[0-8]-9|a-[b-y]|A-[B-Y]|0-[1-8])";
    let escape = r"\\([dDwWsSnrtfv.^$|?*+()\[\]{}\\/]|x[0-9A-Fa-f]{2}|u[0-9A-Fa-f]{4})";
    let class = format!(r"\[\^?(({single}|{range}|{escape}|\\-)+-?|-)\]");
    let plain = r#"[A-Za-z0-9 _:;,<>=!@#%&~'"/.\u00a0-\uffff-]"#;
    let rising = "0,[1-9]|1,[1-9]|2,[2-9]|[3-9],9|[0-9],[1-9][0-9]{1,2}|[1-9][0-9],[1-9][0-9]{2}";
    let count = format!(r"\{{([0-9]{{1,3}},?|{rising})\}}");
    let times = format!(r"([*+?]|{count})\??");
    let mark = r"[\^$]|\\[bB]";
    let mut inner = String::new();
    for _ in 0..3 {
        let group = if inner.is_empty() {
            String::new()
        } else {
            format!(r"|\((\?:)?{inner}\)")
        };
        let part = format!("(({plain}|{escape}|{class}{group})({times})?|{mark})");
        inner = format!(r"{part}(\|?{part})*");
    }
    format!("({inner})?")
}

#[cfg(test)]
mod tests {
    use super::known;

    fn fits(name: &str, text: &str) -> bool {
        known(name).unwrap().automaton().contains(text)
    }

    #[test]
    fn every_format_has_texts() {
        for name in super::names() {
            assert!(!known(name).unwrap().automaton().is_none(), "{name}");
        }
    }

    #[test]
    fn dates_know_their_months() {
        for text in ["2024-02-29", "2000-02-29", "2023-12-31", "1900-02-28"] {
            assert!(fits("date", text), "{text}");
        }
        for text in [
            "2023-02-29",
            "1900-02-29",
            "2023-04-31",
            "2023-13-01",
            "2023-00-10",
        ] {
            assert!(!fits("date", text), "{text}");
        }
    }

    #[test]
    fn times_have_leap_seconds_at_the_end_of_a_day() {
        assert!(fits("time", "23:59:60Z") && fits("time", "08:30:06.28+02:00"));
        assert!(!fits("time", "22:59:60Z") && !fits("time", "24:00:00Z"));
        assert!(fits("date-time", "1985-04-12T23:20:50.52Z"));
    }

    #[test]
    fn addresses_are_read_as_the_rfcs_do() {
        for text in [
            "::1",
            "::",
            "1::",
            "::ffff:192.168.0.1",
            "1:2:3:4:5:6:7:8",
            "1::8",
            "fe80::1",
        ] {
            assert!(fits("ipv6", text), "{text}");
        }
        for text in [
            "1:2:3:4:5:6:7",
            "1::2::3",
            ":1",
            "12345::",
            "1:2:3:4:5:6:7:8:9",
            "::1%e0",
        ] {
            assert!(!fits("ipv6", text), "{text}");
        }
        assert!(fits("ipv4", "255.0.10.1") && !fits("ipv4", "256.1.1.1"));
    }

    #[test]
    fn uris_need_a_scheme() {
        assert!(fits("uri", "http://a.b/c?d#e") && fits("uri", "urn:x:y"));
        assert!(!fits("uri", "//a/b") && !fits("uri", "http://a b"));
        assert!(fits("uri-reference", "//a/b") && fits("uri-reference", "a/b?c"));
        assert!(fits("uri-template", "/a/{b}/c{?d,e*}"));
    }

    #[test]
    fn regular_expressions_are_those_of_every_dialect() {
        for text in [
            "",
            "^[a-zA-Z0-9_]{3,16}$",
            r"^$|(^(?:\S+\s+){0,99}\S+$)",
            r"[\w.-]+@\w+\.(com|org)",
            r"^[^\]a-f]*?\b$",
        ] {
            assert!(fits("regex", text), "{text}");
        }
        for text in [
            "(",
            "a)",
            "*a",
            "a**",
            "[z-a]",
            "a{3,2}",
            r"\",
            "[",
            "^*",
            "a{1,2}{3}",
            "(?<a",
        ] {
            assert!(!fits("regex", text), "{text}");
        }
    }
}
