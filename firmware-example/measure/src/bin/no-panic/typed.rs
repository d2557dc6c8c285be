//! A message that serde and postcard write and read, with all kinds of fields.

use serde::{Deserialize, Serialize};
use tieline::Named;

use crate::any::{any, coin};

#[derive(Serialize, Deserialize)]
pub(crate) struct Sample {
    small: u8,
    large: u64,
    signed: i32,
    ratio: f32,
    flag: bool,
    kind: Kind,
    many: [u16; 5],
    perhaps: Option<i64>,
}

#[derive(Serialize, Deserialize)]
enum Kind {
    Nothing,
    Number(u32),
    Both { a: i8, b: char },
}

impl Named for Sample {
    const TYPE: &'static str = "Sample";
}

impl Sample {
    pub(crate) fn any() -> Self {
        Self {
            small: any() as u8,
            large: u64::from(any()) << 32,
            signed: any().cast_signed(),
            ratio: f32::from_bits(any()),
            flag: coin(),
            kind: match any() {
                0 => Kind::Nothing,
                1 => Kind::Number(any()),
                _ => Kind::Both { a: any() as i8, b: char::from(any() as u8) },
            },
            many: [any() as u16; 5],
            perhaps: coin().then(|| any().into()),
        }
    }

    pub(crate) fn sum(&self) -> u32 {
        let kind = match self.kind {
            Kind::Nothing => 0,
            Kind::Number(number) => number,
            Kind::Both { a, b } => u32::from(a.cast_unsigned()) + u32::from(b),
        };
        let many: u32 = self.many.iter().map(|one| u32::from(*one)).sum();
        kind ^ many
            ^ u32::from(self.small)
            ^ self.large as u32
            ^ self.signed.cast_unsigned()
            ^ self.ratio.to_bits()
            ^ u32::from(self.flag)
            ^ self.perhaps.unwrap_or_default() as u32
    }
}
