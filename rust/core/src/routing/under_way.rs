//! What a worker has under way with an engine, in one word that it adds to: requests, and how much
//! of their prompts the engine has not computed yet.

const REQUEST_BITS: u32 = 24;
/// Bytes of a prompt are counted in blocks of this size.
const BLOCK_BYTES: u64 = 64;
/// Bits that are set where either is less than nothing, or so large that a sum of many might not
/// fit: words without them are added as they are.
const SIGNS: u64 = 0xffe << 52 | 0xff_f000;

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

    /// What all of these words say together.
    pub fn sum(words: impl Iterator<Item = u64> + Clone) -> Self {
        let (sum, any) = words.clone().fold((0_u64, 0), |(sum, any), word| {
            (sum.wrapping_add(word), any | word)
        });
        if any & SIGNS == 0 {
            return Self::from_word(sum);
        }
        words
            .map(Self::from_word)
            .fold(Self::default(), |all, one| Self {
                requests: all.requests + one.requests,
                unread_bytes: all.unread_bytes + one.unread_bytes,
            })
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

    fn change() -> impl Strategy<Value = u64> {
        let requests = prop_oneof![-3_i64..300, -3_i64..5_000];
        let blocks = prop_oneof![-3_i64..3_000, -3_i64..1 << 31];
        (requests, blocks).prop_map(|(requests, blocks)| UnderWay::change(requests, blocks))
    }

    proptest! {
        #[test]
        fn a_sum_is_what_each_word_says(words in prop::collection::vec(change(), 0..300)) {
            let each = words.iter().map(|word| UnderWay::from_word(*word));
            let (requests, unread_bytes) = each.fold((0, 0), |(requests, bytes), one| {
                (requests + one.requests, bytes + one.unread_bytes)
            });
            let sum = UnderWay::sum(words.iter().copied());
            prop_assert_eq!(sum, UnderWay { requests, unread_bytes });
        }
    }

    #[test]
    fn a_prompt_shorter_than_a_block_is_none() {
        assert_eq!([0, 63, 64, 6_400].map(UnderWay::blocks), [0, 0, 1, 100]);
    }
}
