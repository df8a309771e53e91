//! Engines in the hot segment.

use pyo3::prelude::*;

use super::Segment;
use crate::standings::EngineHealth;

#[pymethods]
impl Segment {
    #[getter]
    fn fleet_generation(&self) -> u64 {
        self.inner.fleet_generation()
    }

    fn publish_fleet(&self, generation: u64) {
        self.inner.publish_fleet(generation);
    }

    #[getter]
    fn engines_max(&self) -> usize {
        self.inner.layout().sizes().engines_max
    }

    fn engine_in_flight(&self, engine: usize) -> PyResult<u64> {
        let engine = self.checked_engine(engine)?;
        Ok(self.inner.engine_in_flight(engine))
    }

    fn begin_engine(&self, engine: usize, has_returned: bool) -> PyResult<()> {
        self.inner
            .begin_engine(self.checked_engine(engine)?, has_returned);
        Ok(())
    }

    #[pyo3(signature = (engine, *, running, waiting, cache_permille))]
    fn note_engine_metrics(
        &self,
        engine: usize,
        running: u64,
        waiting: u64,
        cache_permille: u64,
    ) -> PyResult<()> {
        let engine = self.checked_engine(engine)?;
        self.inner
            .note_engine_metrics(engine, running, waiting, cache_permille);
        Ok(())
    }

    fn engine_health(&self, engine: usize) -> PyResult<EngineHealth> {
        Ok(self
            .inner
            .engine_health(self.checked_engine(engine)?)
            .into())
    }

    fn note_engine_others(&self, engine: usize, requests: u64) -> PyResult<()> {
        let engine = self.checked_engine(engine)?;
        self.inner.note_engine_others(engine, requests);
        Ok(())
    }

    fn engine_totals(&self, engine: usize) -> PyResult<Vec<u64>> {
        Ok(self.inner.engine_totals(self.checked_engine(engine)?))
    }

    fn clear_engine_totals(&self, engine: usize) -> PyResult<()> {
        self.inner.clear_engine_totals(self.checked_engine(engine)?);
        Ok(())
    }
}
