//! Accounts, refusals and settled cells as Python sees them.

use pyo3::exceptions::{PyMemoryError, PyValueError};
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyList, PyTuple};
use tokenmill_core::limiter::{Level, retry_after_ms};
use tokenmill_core::wallet::{
    Allowance, Header, NANOS_MAX, NoRoom, Price, Record, Refusal, Request, Terms, View,
    write_limit_headers,
};
use tokenmill_io::forward::Admission;

use crate::keys::KeyEntry;

/// Bytes of a record of `settled_cells`.
pub const CELL_BYTES: usize = 192;

/// Its `struct` format.
pub const CELL_FORMAT: &str = "<15q3I2H4B12s40x";

/// Bytes of a record of `put_accounts`: `<QqIIIHB1x`.
const ACCOUNT_BYTES: usize = 32;

/// Why a request is not admitted.
#[pyclass(eq, eq_int, hash, frozen, from_py_object, module = "tokenmill._native")]
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub enum RefusalKind {
    #[pyo3(name = "NO_ACCOUNT")]
    NoAccount,
    #[pyo3(name = "DISABLED")]
    Disabled,
    #[pyo3(name = "REQUESTS")]
    Requests,
    #[pyo3(name = "TOKENS")]
    Tokens,
    #[pyo3(name = "NEVER_FITS")]
    NeverFits,
    #[pyo3(name = "CONCURRENCY")]
    Concurrency,
    #[pyo3(name = "BALANCE")]
    Balance,
    #[pyo3(name = "NO_CELL")]
    NoCell,
    #[pyo3(name = "OVERLOADED")]
    Overloaded,
}

/// A request that is not admitted.
#[pyclass(frozen, get_all, module = "tokenmill._native")]
pub struct Refused {
    kind: RefusalKind,
    retry_after_ms: u64,
    missing_nanos: i64,
}

#[pymethods]
impl Refused {
    #[new]
    fn new(kind: RefusalKind, retry_after_ms: u64, missing_nanos: i64) -> Self {
        Self {
            kind,
            retry_after_ms,
            missing_nanos,
        }
    }
}

impl Refused {
    /// No engine can serve it in time.
    pub fn overloaded(retry_after_ms: u64) -> Self {
        Self {
            kind: RefusalKind::Overloaded,
            retry_after_ms,
            missing_nanos: 0,
        }
    }
}

impl From<Refusal> for Refused {
    fn from(refusal: Refusal) -> Self {
        let (kind, wait_ns, missing_nanos) = match refusal {
            Refusal::NoAccount => (RefusalKind::NoAccount, 0, 0),
            Refusal::Disabled => (RefusalKind::Disabled, 0, 0),
            Refusal::Requests { wait_ns } => (RefusalKind::Requests, wait_ns, 0),
            Refusal::Tokens { wait_ns } => (RefusalKind::Tokens, wait_ns, 0),
            Refusal::NeverFits { .. } => (RefusalKind::NeverFits, 0, 0),
            Refusal::Concurrency => (RefusalKind::Concurrency, 0, 0),
            Refusal::Balance { missing } => (RefusalKind::Balance, 0, missing),
            Refusal::NoCell => (RefusalKind::NoCell, 0, 0),
        };
        Self {
            kind,
            retry_after_ms: if wait_ns == 0 {
                0
            } else {
                retry_after_ms(wait_ns)
            },
            missing_nanos,
        }
    }
}

/// What a route's tokens cost and what its cells say of it.
#[pyclass(frozen, module = "tokenmill._native")]
pub struct Tariff {
    model: u64,
    service_class: u8,
    endpoint: u8,
    pub price: Price,
}

#[pymethods]
impl Tariff {
    #[new]
    #[pyo3(signature = (
        *, model, service_class, endpoint, prompt_nanos, cached_nanos, completion_nanos
    ))]
    fn new(
        model: u64,
        service_class: u8,
        endpoint: u8,
        prompt_nanos: u64,
        cached_nanos: u64,
        completion_nanos: u64,
    ) -> Self {
        Self {
            model,
            service_class,
            endpoint,
            price: Price {
                prompt: prompt_nanos,
                cached: cached_nanos,
                completion: completion_nanos,
            },
        }
    }
}

/// Who pays for one request, and how much it may take.
#[pyclass(frozen, module = "tokenmill._native")]
pub struct Payer {
    account_id: u64,
    key_id: u64,
    tokens_estimate: u64,
    reserve: i64,
    prompt_tokens_min: u32,
    enforce: bool,
    tariff: Py<Tariff>,
}

#[pymethods]
impl Payer {
    #[new]
    #[pyo3(signature = (
        entry, tariff, *, prompt_tokens_max, completion_tokens_max, tokens_estimate,
        prompt_tokens_min, enforce
    ))]
    fn new(
        entry: &KeyEntry,
        tariff: Py<Tariff>,
        prompt_tokens_max: u64,
        completion_tokens_max: u64,
        tokens_estimate: u64,
        prompt_tokens_min: u32,
        enforce: bool,
    ) -> Self {
        let price = tariff.get().price;
        Self {
            account_id: entry.account_id,
            key_id: entry.key_id,
            tokens_estimate,
            reserve: price.worst(prompt_tokens_max, completion_tokens_max),
            prompt_tokens_min,
            enforce,
            tariff,
        }
    }

    #[getter]
    fn reserve_nanos(&self) -> i64 {
        self.reserve
    }

    #[getter]
    fn tokens_estimate(&self) -> u64 {
        self.tokens_estimate
    }
}

impl Payer {
    pub fn price(&self) -> Price {
        self.tariff.get().price
    }

    pub fn admission(&self, request_id: &str, is_streamed: bool) -> Admission {
        let tariff = self.tariff.get();
        Admission {
            request: Request {
                account_id: self.account_id,
                key_id: self.key_id,
                model: tariff.model,
                price: tariff.price,
                service_class: tariff.service_class,
                endpoint: tariff.endpoint,
                is_streamed,
                reserve: self.reserve,
                tokens_estimate: self.tokens_estimate,
                request_id: request_id_bytes(request_id),
                ..Request::default()
            },
            prompt_tokens_min: self.prompt_tokens_min,
            enforce: self.enforce,
        }
    }
}

/// The bytes behind `req_`, which is followed by 24 hexadecimal digits; zeros for other ids.
fn request_id_bytes(request_id: &str) -> [u8; 12] {
    let digits = request_id.strip_prefix("req_").unwrap_or_default();
    let number = match digits.len() {
        24 => u128::from_str_radix(digits, 16).unwrap_or(0),
        _ => 0,
    };
    let mut bytes = [0; 12];
    bytes.copy_from_slice(&number.to_be_bytes()[4..]);
    bytes
}

/// An account at one moment.
#[pyclass(frozen, get_all, module = "tokenmill._native")]
pub struct AccountView {
    available_nanos: i64,
    in_flight: u16,
    is_enabled: bool,
    concurrency_max: u32,
    weight: u16,
    requests_per_min: u32,
    requests_remaining: u32,
    requests_reset_ms: u64,
    tokens_per_min: u32,
    tokens_remaining: u32,
    tokens_reset_ms: u64,
}

impl From<View> for AccountView {
    fn from(view: View) -> Self {
        let remaining = |each: Option<Allowance>| each.map_or(0, |each| each.level.remaining);
        let reset_ms = |each: Option<Allowance>| each.map_or(0, |each| each.level.reset_ms());
        Self {
            available_nanos: view.available,
            in_flight: view.in_flight,
            is_enabled: view.terms.is_enabled,
            concurrency_max: view.terms.concurrency_max,
            weight: view.terms.weight,
            requests_per_min: view.terms.requests_per_min,
            requests_remaining: remaining(view.requests),
            requests_reset_ms: reset_ms(view.requests),
            tokens_per_min: view.terms.tokens_per_min,
            tokens_remaining: remaining(view.tokens),
            tokens_reset_ms: reset_ms(view.tokens),
        }
    }
}

/// Checks an opening balance or a credit.
pub fn check_nanos(nanos: i64) -> PyResult<i64> {
    if (-NANOS_MAX..=NANOS_MAX).contains(&nanos) {
        return Ok(nanos);
    }
    let message = format!("an amount is at most {NANOS_MAX} nanos either way, not {nanos}");
    Err(PyValueError::new_err(message))
}

pub fn no_room(full: NoRoom) -> PyErr {
    PyMemoryError::new_err(format!(
        "the hot segment has room for account numbers 1 to {}: raise segment.accounts_max and \
         start again",
        full.accounts_max - 1
    ))
}

/// The records of `put_accounts`: account, terms, opening balance.
pub fn unpack_accounts(packed: &[u8]) -> PyResult<Vec<(u64, Terms, i64)>> {
    let (records, rest) = packed.as_chunks::<ACCOUNT_BYTES>();
    if !rest.is_empty() {
        let left = rest.len();
        let message =
            format!("packed accounts are {ACCOUNT_BYTES} bytes each; {left} are left over");
        return Err(PyValueError::new_err(message));
    }
    records.iter().map(unpack_account).collect()
}

fn unpack_account(packed: &[u8; ACCOUNT_BYTES]) -> PyResult<(u64, Terms, i64)> {
    let eight = |at: usize| u64::from_le_bytes(std::array::from_fn(|byte| packed[at + byte]));
    let four = |at: usize| u32::from_le_bytes(std::array::from_fn(|byte| packed[at + byte]));
    let terms = Terms {
        requests_per_min: four(16),
        tokens_per_min: four(20),
        concurrency_max: four(24),
        weight: u16::from_le_bytes([packed[28], packed[29]]),
        is_enabled: packed[30] != 0,
    };
    Ok((eight(0), terms, check_nanos(eight(8).cast_signed())?))
}

/// Appends one record, as `CELL_FORMAT` says.
pub fn pack_record(record: &Record, packed: &mut Vec<u8>) {
    let request = &record.request;
    let from = packed.len();
    for number in [
        record.ticket,
        record.reference,
        request.account_id,
        request.key_id,
        request.model,
        record.amount.cast_unsigned(),
        request.reserve.cast_unsigned(),
        request.price.prompt,
        request.price.cached,
        request.price.completion,
        request.began_wall_ms,
        record.ended_wall_ms,
        if record.first_byte_ms == u32::MAX {
            u64::MAX // -1
        } else {
            record.first_byte_ms.into()
        },
        record.duration_ms.into(),
        request.tokens_estimate,
    ] {
        packed.extend_from_slice(&number.to_le_bytes());
    }
    let tokens = record.tokens;
    for number in [tokens.prompt, tokens.cached, tokens.completion] {
        packed.extend_from_slice(&number.to_le_bytes());
    }
    packed.extend_from_slice(&record.status.to_le_bytes());
    packed.extend_from_slice(&record.engine.to_le_bytes());
    packed.extend_from_slice(&[
        record.kind as u8,
        request.service_class,
        request.endpoint,
        record.flags,
    ]);
    packed.extend_from_slice(&request.request_id);
    packed.resize(from + CELL_BYTES, 0);
}

/// The tickets at the beginning of each record.
pub fn tickets(packed: &[u8]) -> PyResult<Vec<u64>> {
    let (records, rest) = packed.as_chunks::<CELL_BYTES>();
    if !rest.is_empty() {
        let left = rest.len();
        let message = format!("packed cells are {CELL_BYTES} bytes each; {left} are left over");
        return Err(PyValueError::new_err(message));
    }
    let ticket =
        |record: &[u8; CELL_BYTES]| u64::from_le_bytes(std::array::from_fn(|byte| record[byte]));
    Ok(records.iter().map(ticket).collect())
}

/// The limit headers of an account, if it is there.
pub fn view_headers<'py>(
    py: Python<'py>,
    view: Option<&View>,
    wall_s: u64,
) -> PyResult<Bound<'py, PyList>> {
    let headers = view.map(|view| view.limit_headers(wall_s));
    header_list(py, headers.unwrap_or_default())
}

/// The limit headers for limits that are kept elsewhere: limit, what remains, ms to the reset.
#[pyfunction]
#[pyo3(signature = (wall_s, *, requests, tokens))]
pub fn limit_headers(
    py: Python<'_>,
    wall_s: u64,
    requests: (u32, u32, u64),
    tokens: (u32, u32, u64),
) -> PyResult<Bound<'_, PyList>> {
    let allowance = |(limit, remaining, reset_ms): (u32, u32, u64)| {
        let reset_ns = reset_ms.saturating_mul(1_000_000);
        let level = Level {
            remaining,
            reset_ns,
        };
        (limit > 0).then_some(Allowance { limit, level })
    };
    let headers = write_limit_headers(allowance(requests), allowance(tokens), wall_s);
    header_list(py, headers)
}

fn header_list(py: Python<'_>, found: Vec<Header>) -> PyResult<Bound<'_, PyList>> {
    let headers = PyList::empty(py);
    for (name, value) in found {
        let pair = [name.as_bytes(), value.as_bytes()].map(|each| PyBytes::new(py, each));
        headers.append(PyTuple::new(py, pair)?)?;
    }
    Ok(headers)
}
