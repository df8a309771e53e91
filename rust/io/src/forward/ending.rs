//! What the end of an answer is called: pure, from what was read to the relay's last event.

use http::StatusCode;
use tokenmill_core::sse::StreamEnd;
use tokenmill_core::usage::{WholeAnswer, read_whole};

use super::error::{EndReason, ForwardError};
use super::events::End;

/// The end of an answer whose connection failed.
pub(super) fn failed(error: &hyper::Error) -> End {
    End::of(ForwardError::of_answer(error), false)
}

/// What the end of a stream is called.
pub(super) fn end_of(end: StreamEnd) -> End {
    let (reason, detail) = match end {
        StreamEnd::Complete => (EndReason::Complete, String::new()),
        StreamEnd::Closed => (
            EndReason::Closed,
            "the stream ended before every choice had finished and [DONE] had come".to_owned(),
        ),
        StreamEnd::Aborted => (EndReason::Aborted, "a choice ended with abort".to_owned()),
        StreamEnd::ErrorEvent(json) => (EndReason::ErrorEvent, json),
        StreamEnd::NotUtf8 => (EndReason::Malformed, "an event is not UTF-8".to_owned()),
        StreamEnd::NotJson(error) => (
            EndReason::Malformed,
            format!("an event is not a JSON object: {error:?}"),
        ),
        StreamEnd::TooLarge(error) => (EndReason::TooLarge, format!("{error:?}")),
    };
    End {
        reason,
        detail,
        sent_tokens: false,
        retry_after_ms: 0,
    }
}

/// What is wrong with a JSON answer that came with a good status; `None` when nothing is.
pub(super) fn end_of_whole(read: &WholeAnswer, body: &[u8]) -> Option<End> {
    if read.is_error {
        let json = String::from_utf8_lossy(body).into_owned();
        return Some(End {
            detail: json,
            ..End::bare(EndReason::ErrorEvent, false)
        });
    }
    read.is_aborted.then(|| End::bare(EndReason::Aborted, true))
}

/// The end for a client that was told 200 by a comment before the engine answered otherwise.
pub(super) fn end_after_comment(status: StatusCode, body: &[u8]) -> End {
    let is_object = read_whole(body, None).is_ok();
    if !status.is_success() && is_object {
        let json = String::from_utf8_lossy(body).into_owned();
        return End {
            detail: json,
            ..End::bare(EndReason::ErrorEvent, false)
        };
    }
    End {
        detail: format!("the engine answered {status} and no event stream"),
        ..End::bare(EndReason::Malformed, status.is_success())
    }
}
