//! How numbers are written, and how exactly.

use ostrom_models::local::quant::Format;

/// How the numbers of a tensor are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Coding {
    /// ggml's formats; safetensors' F32, F16 and BF16 are among them.
    Ggml(Format),
    /// 64-bit floating point.
    F64,
    /// Something that is not read here, by ggml's number or as text.
    Other(OtherCoding),
}

/// A format that is not read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct OtherCoding {
    /// ggml's number, or `None` for a type of safetensors.
    pub(crate) ggml: Option<u32>,
    /// Bytes of a number, where that is known: exact bytes can be compared all the same.
    pub(crate) width: Option<u64>,
}

/// A number as it is read back, and the step between neighbouring numbers that the format could have written there.
/// Rounding to such steps moves a number by half a step at most.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Number {
    pub(crate) value: f32,
    pub(crate) step: f32,
}

/// The power of two below `value`, times `scale`.
fn power_step(value: f32, scale: f32) -> f32 {
    f32::from_bits(value.to_bits() & 0x7f80_0000) * scale
}

impl Coding {
    pub(crate) fn name(self) -> String {
        match self {
            Self::Ggml(format) => format!("{format:?}"),
            Self::F64 => "F64".to_owned(),
            Self::Other(OtherCoding { ggml: Some(id), .. }) => format!("ggml format {id}"),
            Self::Other(_) => "integers or eight-bit floats".to_owned(),
        }
    }

    /// Whether the numbers are floating-point.
    pub(crate) const fn is_float(self) -> bool {
        match self {
            Self::Ggml(format) => format.is_float(),
            Self::F64 => true,
            Self::Other(_) => false,
        }
    }

    /// Numbers and bytes of the smallest stretch that can be read by itself.
    pub(crate) const fn block(self) -> Option<(u64, u64)> {
        match self {
            Self::Ggml(format) => {
                let (numbers, bytes) = format.block();
                Some((numbers as u64, bytes as u64))
            }
            Self::F64 => Some((1, 8)),
            Self::Other(OtherCoding { width: Some(width), .. }) => Some((1, width)),
            Self::Other(_) => None,
        }
    }

    /// Bytes that so many numbers take; `None` if they are no whole number of blocks.
    pub(crate) fn bytes_for(self, count: u64) -> Option<u64> {
        let (numbers, bytes) = self.block()?;
        if !count.is_multiple_of(numbers) {
            return None;
        }
        (count / numbers).checked_mul(bytes)
    }

    /// Reads numbers. Bytes beyond the last whole block are left out; formats that are not read give none.
    pub(crate) fn numbers(self, bytes: &[u8]) -> Vec<Number> {
        match self {
            Self::Other(_) => Vec::new(),
            #[expect(clippy::cast_possible_truncation, reason = "compared at 32 bits; the step says so")]
            Self::F64 => bytes
                .as_chunks()
                .0
                .iter()
                .map(|b| f64::from_le_bytes(*b) as f32)
                .map(|value| Number { value, step: power_step(value, f32::EPSILON) })
                .collect(),
            Self::Ggml(format) if format.is_float() => {
                // Numbers below the smallest normal one lie as far apart as those just above it.
                let (scale, least) = match format {
                    Format::F16 => (1.0 / 1024.0, 1.0 / 16_777_216.0),
                    Format::BF16 => (1.0 / 128.0, 0.0),
                    _ => (f32::EPSILON, 0.0),
                };
                let number = |value| Number { value, step: power_step(value, scale).max(least) };
                format.floats(bytes).into_iter().map(number).collect()
            }
            Self::Ggml(format) => {
                let mut out = Vec::with_capacity(bytes.len());
                for block in format.unpack(bytes) {
                    let [first, second] = block.d;
                    out.extend(block.numbers().enumerate().map(|(index, value)| Number {
                        value,
                        step: if index < 16 { first.abs() } else { second.abs() },
                    }));
                }
                out
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn steps_are_those_of_the_format() {
        let step = |format, bytes: &[u8]| Coding::Ggml(format).numbers(bytes)[0].step;
        assert_eq!(step(Format::F32, &1.5_f32.to_le_bytes()), f32::EPSILON);
        // 1.5 in F16 and in BF16.
        assert_eq!(step(Format::F16, &[0x00, 0x3e]), 1.0 / 1024.0);
        assert_eq!(step(Format::BF16, &[0xc0, 0x3f]), 1.0 / 128.0);
        // Q8_0 with the scale 0.5.
        let mut block = vec![0; 34];
        block[1] = 0x38;
        block[2] = 3;
        let numbers = Coding::Ggml(Format::Q8_0).numbers(&block);
        assert_eq!((numbers.len(), numbers[0]), (32, Number { value: 1.5, step: 0.5 }));
        assert_eq!(Coding::F64.numbers(&2.0_f64.to_le_bytes())[0].value, 2.0);
    }

    #[test]
    fn sizes() {
        assert_eq!(Coding::Ggml(Format::Q4_0).bytes_for(64), Some(36));
        assert_eq!(Coding::Ggml(Format::Q4_0).bytes_for(33), None);
        assert_eq!(Coding::F64.bytes_for(u64::MAX), None);
        assert_eq!(Coding::Other(OtherCoding { ggml: Some(99), width: None }).bytes_for(1), None);
    }
}
