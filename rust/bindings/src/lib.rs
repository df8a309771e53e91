//! The native module: parses arguments, leaves Python, calls, maps errors; decides nothing.

#[pyo3::pymodule]
mod _native {
    use pyo3::prelude::*;

    /// Version of the native module; equals the version of the Python package.
    #[pymodule_export]
    const VERSION: &str = env!("CARGO_PKG_VERSION");
}
