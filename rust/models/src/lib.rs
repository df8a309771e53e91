//! A crate of its own for `tests/shared`, the models of what processes share: it needs none of what
//! the other tests need, so the model checker's build stays small.
