//! Numbers as bytes and back, little-endian.

use half::bf16;

use crate::settings::Codec;

/// Bytes of one value.
pub fn value_bytes(codec: Codec) -> usize {
    match codec {
        Codec::F32 => 4,
        Codec::Bf16 => 2,
    }
}

/// Appends values to a block.
pub fn encode(codec: Codec, values: &[f32], block: &mut Vec<u8>) {
    match codec {
        Codec::F32 => block.extend(values.iter().flat_map(|value| value.to_le_bytes())),
        Codec::Bf16 => block.extend(values.iter().flat_map(|&value| bf16::from_f32(value).to_le_bytes())),
    }
}

/// Replaces `values` by those that the bytes stand for.
pub fn decode(codec: Codec, bytes: &[u8], values: &mut Vec<f32>) {
    values.clear();
    match codec {
        Codec::F32 => values.extend(bytes.as_chunks().0.iter().map(|&bytes| f32::from_le_bytes(bytes))),
        Codec::Bf16 => values.extend(bytes.as_chunks().0.iter().map(|&bytes| bf16::from_le_bytes(bytes).to_f32())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn f32_comes_back_to_the_bit_and_bf16_within_its_rounding() {
        let values: Vec<f32> = (0..1000).map(|i| (i as f32 - 500.0).powi(3) * 1.234e-5).chain([-0.0, 1e-40]).collect();
        let through = |codec| {
            let (mut block, mut found) = (Vec::new(), vec![7.0]);
            encode(codec, &values, &mut block);
            assert_eq!(block.len(), values.len() * value_bytes(codec));
            decode(codec, &block, &mut found);
            found
        };
        let bits = |values: &[f32]| values.iter().map(|value| value.to_bits()).collect::<Vec<_>>();
        assert_eq!(bits(&through(Codec::F32)), bits(&values));
        for (found, value) in through(Codec::Bf16).iter().zip(&values) {
            assert!((found - value).abs() <= value.abs() / 256.0 + 1e-38, "{found} for {value}");
        }
        // Halves go to the even neighbour.
        let mut block = Vec::new();
        encode(Codec::Bf16, &[1.0 + 1.0 / 256.0, 1.0 + 3.0 / 256.0], &mut block);
        let mut found = Vec::new();
        decode(Codec::Bf16, &block, &mut found);
        assert_eq!(found, [1.0, 1.0 + 4.0 / 256.0]);
    }
}
