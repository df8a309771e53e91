//! The drafts of JSON Schema and what each one's keywords mean.

/// A published draft.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Draft {
    /// Draft 4 (2013).
    Draft4,
    /// Draft 6 (2017).
    Draft6,
    /// Draft 7 (2018).
    Draft7,
    /// Draft 2019-09.
    Draft2019,
    /// Draft 2020-12, the default.
    Draft2020,
}

impl Draft {
    /// The draft that a `$schema` names; none where it is not one of ours.
    pub fn of_uri(uri: &str) -> Option<Self> {
        let name = uri.trim_end_matches('#').trim_end_matches('/');
        let name = name.split_once("://").map_or(name, |parts| parts.1);
        match name.strip_prefix("json-schema.org/")? {
            "draft-04/schema" | "draft-03/schema" => Some(Self::Draft4),
            "draft-06/schema" => Some(Self::Draft6),
            "draft-07/schema" => Some(Self::Draft7),
            "draft/2019-09/schema" => Some(Self::Draft2019),
            "draft/2020-12/schema" | "schema" => Some(Self::Draft2020),
            _ => None,
        }
    }

    /// The keyword that names a resource.
    pub const fn id_keyword(self) -> &'static str {
        match self {
            Self::Draft4 => "id",
            _ => "$id",
        }
    }

    /// Whether `$ref` hides the keywords beside it.
    pub fn ref_hides_siblings(self) -> bool {
        self <= Self::Draft7
    }
}

/// Keywords whose value is one schema.
pub const SINGLE: &[&str] = &[
    "not",
    "if",
    "then",
    "else",
    "items",
    "additionalItems",
    "additionalProperties",
    "contains",
    "propertyNames",
    "unevaluatedProperties",
    "unevaluatedItems",
    "contentSchema",
];

/// Keywords whose value is a list of schemas; `items` too in drafts before 2020-12.
pub const LISTS: &[&str] = &["allOf", "anyOf", "oneOf", "prefixItems", "items"];

/// Keywords whose value is a map of schemas.
pub const MAPS: &[&str] = &[
    "properties",
    "patternProperties",
    "$defs",
    "definitions",
    "dependentSchemas",
    "dependencies",
];
