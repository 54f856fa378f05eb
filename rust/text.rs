//! Bytes as text with seven bits per byte, which is a `str` in every Python.
//!
//! The bytes are divided into blocks, seven at most. They follow one another with the high bit of
//! each byte cleared. One more block after them collects the high bits: bit 6 of its byte j is that
//! of byte j of the first block, bit 5 that of the second, and so on.

use crate::simd::{Loops, vectorised};

/// Blocks for bytes of any length: the most possible.
const BLOCKS: usize = 7;

/// Bytes of a block are a multiple of this, so that NumPy can put them together as words.
const WORD: usize = 8;

/// Encodes bytes that divide evenly into the blocks, of which `text` has one more.
pub fn encode(bytes: &[u8], text: &mut [u8]) {
    vectorised(Encode { bytes, text });
}

struct Encode<'a> {
    bytes: &'a [u8],
    text: &'a mut [u8],
}

impl Loops for Encode<'_> {
    #[inline(always)]
    fn run(self) {
        let (low, high) = self.text.split_at_mut(self.bytes.len());
        high.fill(0);
        let length = high.len().max(1);
        let blocks = self.bytes.chunks_exact(length).zip(low.chunks_exact_mut(length));
        for (block, (bytes, low)) in blocks.enumerate() {
            for ((byte, low), high) in bytes.iter().zip(low).zip(&mut *high) {
                *low = byte & 0x7F;
                *high |= (byte & 0x80) >> (block + 1);
            }
        }
    }
}

/// Encodes any number of bytes, padded with zeros.
pub fn encode_padded(bytes: &mut Vec<u8>) -> Vec<u8> {
    let block = bytes.len().div_ceil(BLOCKS * WORD) * WORD;
    bytes.resize(BLOCKS * block, 0);
    let mut text = vec![0; (BLOCKS + 1) * block];
    encode(bytes, &mut text);
    text
}

/// Decodes in place what [`encode_padded`] made, zeros included; `None` if it did not.
pub fn decode_padded(text: &mut [u8]) -> Option<&[u8]> {
    if !text.len().is_multiple_of((BLOCKS + 1) * WORD) || !text.is_ascii() {
        return None;
    }
    vectorised(Decode(text));
    Some(&text[..text.len() / (BLOCKS + 1) * BLOCKS])
}

struct Decode<'a>(&'a mut [u8]);

impl Loops for Decode<'_> {
    #[inline(always)]
    fn run(self) {
        let length = self.0.len() / (BLOCKS + 1);
        let (low, high) = self.0.split_at_mut(BLOCKS * length);
        for (block, low) in low.chunks_exact_mut(length.max(1)).enumerate() {
            for (low, high) in low.iter_mut().zip(&*high) {
                *low |= high << (block + 1) & 0x80;
            }
        }
    }
}
