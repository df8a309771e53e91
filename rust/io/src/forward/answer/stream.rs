//! A stream on its way through: everything that is ready is read and put in at once.
//!
//! Which bytes come out of it is decided in `tokenmill_core::sse`; here is only when to wait, when
//! to stop, and what the end is called.

use tokenmill_core::sse::{AnswerStream, StreamEnd, Verdict};
use tokenmill_core::usage::Usage;
use tokio::time::timeout;

use super::Relaying;
use crate::forward::ending::{end_of, failed};
use crate::forward::error::{EndReason, ForwardError};
use crate::forward::events::End;
use crate::forward::mailbox::Put;
use crate::forward::source::Piece;

/// Frames put in at once; a longer burst is cut, so that the client gets its beginning earlier.
const PUT_BYTES: usize = 32 * 1024;

/// What the bytes go through.
pub(super) enum Through {
    Stream(Box<AnswerStream>),
    Plain,
}

impl Through {
    fn feed(&mut self, data: &[u8], out: &mut Vec<u8>) -> Option<StreamEnd> {
        match self {
            Self::Stream(stream) => match stream.feed(data, out) {
                Verdict::More => None,
                Verdict::End(end) => Some(end),
            },
            Self::Plain => {
                out.extend_from_slice(data);
                None
            }
        }
    }

    fn finish(&mut self) -> StreamEnd {
        match self {
            Self::Stream(stream) => stream.finish(),
            Self::Plain => StreamEnd::Complete,
        }
    }

    fn usage(&self) -> (Usage, bool) {
        match self {
            Self::Stream(stream) => (stream.usage(), stream.sent_tokens()),
            Self::Plain => (Usage::default(), false),
        }
    }
}

impl Relaying<'_> {
    /// Passes bytes on while they come.
    pub(super) async fn relay(mut self, mut through: Through) {
        let mut frames = Vec::new();
        loop {
            let first = self.next_piece().await;
            let end = self.take_ready(first, &mut through, &mut frames).await;
            let is_over = end.is_some();
            let is_clean = end
                .as_ref()
                .is_some_and(|end| end.reason == EndReason::Complete);
            self.put(&through, &mut frames, end);
            if is_clean {
                return self.keep_link().await;
            }
            if is_over || !self.has_room(&through).await {
                return;
            }
        }
    }

    /// Takes the first piece and all that are ready behind it; the end, if one is among them.
    async fn take_ready(
        &mut self,
        first: Piece,
        through: &mut Through,
        frames: &mut Vec<u8>,
    ) -> Option<End> {
        let mut next = Some(first);
        while let Some(piece) = next {
            let end = match piece {
                Piece::Data(data) => {
                    self.note_data(&data);
                    through.feed(&data, frames)
                }
                Piece::End => Some(through.finish()),
                Piece::Quiet => {
                    if frames.is_empty() {
                        self.journey.mailbox.put_comment();
                    }
                    return None;
                }
                Piece::Failed(error) => return Some(failed(&error)),
                Piece::Stalled { had_byte } => return Some(self.stalled(had_byte)),
                Piece::Departed => return Some(self.departed()),
            };
            if let Some(end) = end {
                return Some(end_of(end));
            }
            if frames.len() >= PUT_BYTES {
                return None;
            }
            next = self.source.next_ready().await;
        }
        None
    }

    fn put(&mut self, through: &Through, frames: &mut Vec<u8>, end: Option<End>) {
        if !frames.is_empty() {
            self.source.note_relayed();
        }
        if let Some(end) = &end {
            self.over(end.reason);
        }
        let (usage, sent_tokens) = through.usage();
        self.journey.mailbox.put(Put {
            head: self.head_fields(),
            frames,
            usage,
            sent_tokens,
            end,
        });
    }

    /// Waits until our client has read; `false` when it did not, and the relay has ended so.
    async fn has_room(&mut self, through: &Through) -> bool {
        let mailbox = &self.journey.mailbox;
        let limits = &self.journey.limits;
        if !mailbox.is_full(limits.buffer_bytes_max) {
            return true;
        }
        let room = mailbox.room(limits.buffer_bytes_max);
        if timeout(limits.reader_stall, room).await.is_err() {
            self.over(EndReason::ReaderStalled);
            let detail = "the client did not read what was sent";
            let error = ForwardError::downstream(EndReason::ReaderStalled, detail);
            mailbox.put_end(End::of(error, through.usage().1));
            return false;
        }
        self.source.note_pause();
        true
    }
}
