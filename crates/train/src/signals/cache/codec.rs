//! Numbers as bytes, little-endian.

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
pub(super) fn encode(codec: Codec, values: &[f32], block: &mut Vec<u8>) {
    match codec {
        Codec::F32 => block.extend(values.iter().flat_map(|value| value.to_le_bytes())),
        Codec::Bf16 => {
            block.extend(values.iter().flat_map(|&value| bf16::from_f32(value).to_le_bytes()))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn encoded(codec: Codec, values: &[f32]) -> Vec<u8> {
        let mut block = Vec::new();
        encode(codec, values, &mut block);
        assert_eq!(block.len(), values.len() * value_bytes(codec));
        block
    }

    fn in_bf16(values: &[f32]) -> Vec<f32> {
        encoded(Codec::Bf16, values)
            .as_chunks()
            .0
            .iter()
            .map(|&bytes| bf16::from_le_bytes(bytes).to_f32())
            .collect()
    }

    #[test]
    fn f32_comes_back_to_the_bit_and_bf16_within_its_rounding() {
        let values: Vec<f32> =
            (0..1000).map(|i| (i as f32 - 500.0).powi(3) * 1.234e-5).chain([-0.0, 1e-40]).collect();
        let bytes = encoded(Codec::F32, &values);
        let found: Vec<f32> =
            bytes.as_chunks().0.iter().map(|&bytes| f32::from_le_bytes(bytes)).collect();
        let bits = |values: &[f32]| values.iter().map(|value| value.to_bits()).collect::<Vec<_>>();
        assert_eq!(bits(&found), bits(&values));
        for (found, value) in in_bf16(&values).iter().zip(&values) {
            assert!((found - value).abs() <= value.abs() / 256.0 + 1e-38, "{found} for {value}");
        }
        // Halves go to the even neighbour.
        assert_eq!(in_bf16(&[1.0 + 1.0 / 256.0, 1.0 + 3.0 / 256.0]), [1.0, 1.0 + 4.0 / 256.0]);
    }
}
