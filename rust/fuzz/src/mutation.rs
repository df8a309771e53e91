//! Mutations of inputs from a seed: bytes changed, cut, doubled, and parts of two inputs joined.

/// A small generator; the same seed gives the same throws (xorshift64*, Marsaglia and Vigna).
#[derive(Debug, Clone)]
pub struct Dice(u64);

impl Dice {
    /// Dice that begin at `seed`.
    pub fn new(seed: u64) -> Self {
        Self(seed | 1)
    }

    /// A number below `bound`, which is not 0.
    pub fn below(&mut self, bound: usize) -> usize {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        let thrown = self.0.wrapping_mul(0x2545_F491_4F6C_DD1D) >> 33;
        usize::try_from(thrown).unwrap_or(0) % bound.max(1)
    }

    fn byte(&mut self) -> u8 {
        const TELLING: &[u8] = b"\r\n:{}[]\",\\ 0-\x00\xff\xef\xbb\xbf";
        if self.below(2) == 0 {
            return TELLING[self.below(TELLING.len())];
        }
        u8::try_from(self.below(256)).unwrap_or(0)
    }
}

/// `input` after one to four mutations; `other` lends its parts.
pub fn mutate(dice: &mut Dice, input: &[u8], other: &[u8]) -> Vec<u8> {
    let mut bytes = input.to_vec();
    for _ in 0..=dice.below(4) {
        let at = dice.below(bytes.len() + 1);
        let end = (at + dice.below(16)).min(bytes.len());
        match dice.below(5) {
            0 if at < bytes.len() => bytes[at] = dice.byte(),
            1 => bytes.insert(at, dice.byte()),
            2 => drop(bytes.drain(at..end)),
            3 => {
                let part = bytes[at..end].to_vec();
                bytes.splice(at..at, part);
            }
            _ => {
                let from = dice.below(other.len() + 1);
                bytes.splice(at..end, other[from..].iter().copied());
            }
        }
        bytes.truncate(16_384);
    }
    bytes
}
