//! Token counts out of an engine's answers, and the small changes made to them on their way.
//!
//! `scan` reads JSON once without building it (`literal`: its strings), `chunk` notes what matters
//! in one answer object (`template`: quicker, where it is like the one before), `meter` counts,
//! `splice` writes the object anew with the few spans changed that must be.

mod chunk;
mod literal;
mod meter;
mod scan;
mod splice;
mod template;
mod whole;

pub use chunk::{CHOICES_MAX, Choice, Chunk, Counts, Finish, Member};
pub use literal::{quote, unquote};
pub use meter::{Meter, Usage};
pub use scan::{DEPTH_MAX, Key, ScanError, Scanner, Span};
pub use splice::{Edit, Splice};
pub use template::Template;
pub use whole::{WholeAnswer, read_whole};
