//! A whole answer: collected under its bound, read, and put in as one.

use std::sync::Arc;

use http::StatusCode;
use tokenmill_core::calls::rewrite_whole;
use tokenmill_core::usage::{quote, read_whole};

use super::Relaying;
use crate::forward::ending::{end_after_comment, end_of_whole, failed};
use crate::forward::error::{EndReason, ForwardError};
use crate::forward::events::{End, Whole};
use crate::forward::health::{Told, outcome_of, outcome_of_answer, told_by};
use crate::forward::request::AnswerKind;
use crate::forward::source::Piece;

/// An answer that says that the engine takes no requests now: another one may be asked instead.
pub(in crate::forward) struct TurnedAway<'a> {
    relaying: Relaying<'a>,
    body: Vec<u8>,
}

impl TurnedAway<'_> {
    /// Whether the engine does not hold the request's adapter, or is about to go with it.
    pub fn is_astray(&self) -> bool {
        let status = self.relaying.status;
        matches!(
            status,
            StatusCode::NOT_FOUND | StatusCode::SERVICE_UNAVAILABLE
        )
    }

    /// Nobody else can be asked: it is the answer.
    pub async fn accept(mut self) {
        self.relaying.put_whole(self.body);
        self.relaying.keep_link().await;
    }
}

impl<'a> Relaying<'a> {
    /// Collects a whole body, under its bound.
    pub(super) async fn collect(mut self) -> Option<TurnedAway<'a>> {
        let made_tokens = self.status.is_success();
        match self.read_body().await {
            Ok(body) => {
                let slot = self.engine.slot();
                let told = told_by(self.status, &body);
                match told {
                    Told::Refuses => self.journey.note_refusing(slot),
                    Told::IsBusy => {}
                    Told::Answered => {
                        let is_good = !self.status.is_server_error();
                        self.journey.note_outcome(slot, is_good);
                        let is_lack = self.status == StatusCode::NOT_FOUND;
                        if !(is_lack && self.journey.is_loadable) {
                            self.put_whole(body);
                            self.keep_link().await;
                            return None;
                        }
                    }
                }
                self.free(outcome_of_answer(self.status, told));
                Some(TurnedAway {
                    relaying: self,
                    body,
                })
            }
            Err(end) => {
                self.over(end.reason);
                self.journey.mailbox.put_end(End {
                    sent_tokens: made_tokens,
                    ..end
                });
                None
            }
        }
    }

    async fn read_body(&mut self) -> Result<Vec<u8>, End> {
        let bytes_max = self.journey.limits.answer_bytes_max;
        let too_large = || {
            let detail = format!("the answer is over {bytes_max} bytes");
            End::of(ForwardError::upstream(EndReason::TooLarge, detail), false)
        };
        let bytes_min = usize::try_from(self.source.bytes_min()).unwrap_or(usize::MAX);
        if bytes_min > bytes_max {
            return Err(too_large());
        }
        let mut body = Vec::with_capacity(bytes_min);
        loop {
            match self.next_piece().await {
                Piece::Data(data) => {
                    self.note_data(&data);
                    body.extend_from_slice(&data);
                }
                Piece::End => {
                    self.note_first_byte();
                    return Ok(body);
                }
                Piece::Quiet => {
                    if self.journey.kind == AnswerKind::Stream {
                        self.journey.mailbox.put_comment();
                    }
                }
                Piece::Failed(error) => return Err(failed(&error)),
                Piece::Stalled { had_byte } => return Err(self.stalled(had_byte)),
                Piece::Departed => return Err(self.departed()),
            }
            if body.len() > bytes_max {
                return Err(too_large());
            }
        }
    }

    fn put_whole(&mut self, body: Vec<u8>) {
        let answered = outcome_of_answer(self.status, Told::Answered);
        let mailbox = Arc::clone(&self.journey.mailbox);
        if mailbox.had_head() {
            self.free(answered);
            mailbox.put_end(end_after_comment(self.status, &body));
            return;
        }
        match self.whole(body) {
            Ok(whole) => {
                self.free(answered);
                mailbox.put_whole(whole);
            }
            Err(end) => {
                self.free(outcome_of(end.reason));
                mailbox.put_end(end);
            }
        }
    }

    /// The whole answer as our client gets it, or what is wrong with it.
    fn whole(&self, body: Vec<u8>) -> Result<Whole, End> {
        let mailbox = &self.journey.mailbox;
        let mut whole = Whole {
            status: self.status.as_u16(),
            body,
            first_byte_ns: self.first_byte_ns,
        };
        if self.status.is_success() {
            let model = self.journey.shape.model.as_deref().map(quote);
            match read_whole(&whole.body, model.as_deref()) {
                Ok(read) => {
                    mailbox.set_usage(read.usage);
                    if let Some(end) = end_of_whole(&read, &whole.body) {
                        return Err(end);
                    }
                    whole.body = read.rewritten.unwrap_or(whole.body);
                    if let Some(calls) = &self.journey.shape.calls
                        && let Ok(Some(body)) = rewrite_whole(&whole.body, calls)
                    {
                        whole.body = body;
                    }
                }
                Err(error) => {
                    let detail = format!("the answer is not a JSON object: {error:?}");
                    let error = ForwardError::upstream(EndReason::Malformed, detail);
                    return Err(End::of(error, true));
                }
            }
        }
        Ok(whole)
    }
}
