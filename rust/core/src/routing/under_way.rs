//! What a worker has under way with an engine, in one word that it adds to: requests, and how much
//! of their prompts the engine has not computed yet.

const REQUEST_BITS: u32 = 24;
/// Bytes of a prompt are counted in blocks of this size.
const BLOCK_BYTES: u64 = 64;

/// What such a word says.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct UnderWay {
    /// Requests in flight.
    pub requests: u64,
    /// Bytes of prompts for whose answers it is still waited.
    pub unread_bytes: u64,
}

impl UnderWay {
    /// As it lies in a word. What was taken off too often counts as nothing: a worker that was
    /// declared dead may still count down.
    pub fn from_word(word: u64) -> Self {
        let spare = u64::BITS - REQUEST_BITS;
        let requests = (word << spare).cast_signed() >> spare;
        let blocks = word.cast_signed().wrapping_sub(requests) >> REQUEST_BITS;
        let counted = |count: i64| u64::try_from(count).unwrap_or(0);
        Self {
            requests: counted(requests),
            unread_bytes: counted(blocks).saturating_mul(BLOCK_BYTES),
        }
    }

    /// What is added to a word, wrapping, for a change of both: requests, and
    /// [`blocks`](Self::blocks).
    pub fn change(requests: i64, blocks: i64) -> u64 {
        let blocks = blocks.wrapping_mul(1 << REQUEST_BITS);
        requests.wrapping_add(blocks).cast_unsigned()
    }

    /// The blocks of a prompt of which so many bytes are to be computed.
    pub fn blocks(bytes: u64) -> u32 {
        u32::try_from(bytes / BLOCK_BYTES).unwrap_or(u32::MAX)
    }

    /// Both together.
    #[must_use]
    pub fn with(self, other: Self) -> Self {
        Self {
            requests: self.requests + other.requests,
            unread_bytes: self.unread_bytes + other.unread_bytes,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn a_word_holds_the_sum_of_all_changes_and_never_less_than_nothing(
            changes in prop::collection::vec((-3_i64..4, -5_000_i64..5_001), 0..50),
        ) {
            let (mut word, mut requests, mut blocks) = (0_u64, 0_i64, 0_i64);
            for (more, more_blocks) in changes {
                word = word.wrapping_add(UnderWay::change(more, more_blocks));
                requests += more;
                blocks += more_blocks;
                prop_assert_eq!(UnderWay::from_word(word), UnderWay {
                    requests: u64::try_from(requests).unwrap_or(0),
                    unread_bytes: u64::try_from(blocks).unwrap_or(0) * BLOCK_BYTES,
                });
            }
        }
    }

    #[test]
    fn a_prompt_shorter_than_a_block_is_none() {
        assert_eq!([0, 63, 64, 6_400].map(UnderWay::blocks), [0, 0, 1, 100]);
    }
}
