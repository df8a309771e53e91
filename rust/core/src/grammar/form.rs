//! The typed normal form: for each JSON type the values that are allowed.
//!
//! Arrays and objects are unions of *shapes*; what stands inside them is an [`ExprId`], a schema
//! that is looked into only when somebody asks. The arrows go one way: a form knows no keyword.

use std::rc::Rc;

use super::document::NodeId;
use super::numbers::Numbers;
use super::texts::{self, TextsId};

/// The index of a schema expression in [`super::expressions::Expressions`].
pub type ExprId = u32;

/// Every value.
pub const ANY: ExprId = 0;
/// No value.
pub const NOTHING: ExprId = 1;

/// A schema built of schemas.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Expr {
    /// Every value.
    Any,
    /// No value.
    Nothing,
    /// The schema at a node, seen from a dynamic scope.
    Schema(NodeId, u32),
    /// One of these constants.
    Values(Rc<[NodeId]>),
    /// Outside of it.
    Not(ExprId),
    /// In all of them.
    And(Rc<[ExprId]>),
    /// In one of them at least.
    Or(Rc<[ExprId]>),
    /// A finished form, by its number.
    Part(u32),
    /// The first, where any of the others may stand too: in other branches of a union.
    Beside(ExprId, Rc<[ExprId]>),
}

/// How many items of an array fit a schema.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Tally {
    /// Only items from this index on count.
    pub from: u32,
    /// What is counted.
    pub expr: ExprId,
    /// At least so many.
    pub min: u32,
    /// At most so many.
    pub max: Option<u32>,
}

/// One shape of arrays.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct ArrayShape {
    /// The first items, one by one.
    pub prefix: Vec<ExprId>,
    /// All items after them.
    pub rest: ExprId,
    /// Fewest items.
    pub min: u32,
    /// Most items.
    pub max: Option<u32>,
    /// Counted items.
    pub tallies: Vec<Tally>,
    /// No two items are equal.
    pub unique: bool,
    /// Items below this index were looked at by some keyword.
    pub evaluated: u32,
    /// Items that fit these were looked at, wherever they are.
    pub evaluated_fits: Vec<ExprId>,
}

/// One shape of objects.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct ObjectShape {
    /// What the property of a name must be, if it is there.
    pub properties: Vec<(Rc<str>, ExprId)>,
    /// What every property with such a name must be.
    pub rules: Vec<(TextsId, ExprId)>,
    /// Some property with such a name is such a value.
    pub exists: Vec<(TextsId, ExprId)>,
    /// Names that must be there.
    pub required: Vec<Rc<str>>,
    /// Fewest properties.
    pub min: u32,
    /// Most properties.
    pub max: Option<u32>,
    /// Names that some keyword looked at.
    pub evaluated: TextsId,
    /// Some keyword declared properties here and none spoke of the others.
    pub declares: bool,
    /// Names in the order in which they are written. It is compared last: it is long and rarely
    /// the first to differ.
    pub order: Rc<[Rc<str>]>,
    /// Another order in which they may be written: that of a whole union, whose branches declare
    /// them one after the other. Empty outside of unions.
    pub union_order: Rc<[Rc<str>]>,
}

/// All values of a schema.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Form {
    /// `null`.
    pub null: bool,
    /// Bit 0: `false`; bit 1: `true`.
    pub bools: u8,
    /// Numbers.
    pub numbers: Numbers,
    /// Whether a schema calls them integers: then no fraction is written, not even a zero.
    pub integers: bool,
    /// Strings.
    pub strings: TextsId,
    /// Arrays: a union.
    pub arrays: Vec<Rc<ArrayShape>>,
    /// Objects: a union.
    pub objects: Vec<Rc<ObjectShape>>,
    /// Whether these are all values; if not, some are left out and there is no complement.
    pub exact: bool,
}

impl Default for ArrayShape {
    fn default() -> Self {
        Self {
            prefix: Vec::new(),
            rest: ANY,
            min: 0,
            max: None,
            tallies: Vec::new(),
            unique: false,
            evaluated: 0,
            evaluated_fits: Vec::new(),
        }
    }
}

impl ArrayShape {
    /// What the item at an index must be.
    pub fn item(&self, index: usize) -> ExprId {
        self.prefix.get(index).copied().unwrap_or(self.rest)
    }
}

impl Default for ObjectShape {
    fn default() -> Self {
        Self {
            order: Rc::default(),
            union_order: Rc::default(),
            properties: Vec::new(),
            rules: Vec::new(),
            exists: Vec::new(),
            required: Vec::new(),
            min: 0,
            max: None,
            evaluated: texts::NONE,
            declares: false,
        }
    }
}

impl ObjectShape {
    /// What was declared for a name.
    pub fn property(&self, name: &str) -> Option<ExprId> {
        self.properties
            .iter()
            .find(|one| &*one.0 == name)
            .map(|one| one.1)
    }

    /// Names in the order in which a reader of the schema meets them.
    pub fn order_met(&self) -> &Rc<[Rc<str>]> {
        if self.union_order.is_empty() {
            &self.order
        } else {
            &self.union_order
        }
    }

    /// Whether a name must be there.
    pub fn requires(&self, name: &str) -> bool {
        self.required.iter().any(|one| &**one == name)
    }
}

impl Form {
    /// Every value.
    pub fn any() -> Self {
        Self {
            null: true,
            bools: 3,
            numbers: Numbers::all(),
            integers: false,
            strings: texts::ALL,
            arrays: vec![Rc::new(ArrayShape::default())],
            objects: vec![Rc::new(ObjectShape::default())],
            exact: true,
        }
    }

    /// No value.
    pub fn nothing() -> Self {
        Self {
            null: false,
            bools: 0,
            numbers: Numbers::default(),
            integers: false,
            strings: texts::NONE,
            arrays: Vec::new(),
            objects: Vec::new(),
            exact: true,
        }
    }

    /// Whether it is seen at once that no value is in it.
    pub fn is_nothing(&self) -> bool {
        !self.null
            && self.bools == 0
            && self.numbers.is_empty()
            && self.strings == texts::NONE
            && self.arrays.is_empty()
            && self.objects.is_empty()
    }
}
