//! How deep the stack of the measured firmware gets: it runs in QEMU (LM3S6965) and talks to a peer over a bad line.
//!
//! The image is the one whose size is measured. Its stack is painted from outside before it starts, and looked at from
//! outside afterwards: the deepest byte that is not paint is the depth. That is the deepest that was *seen*; the firmware
//! takes no interrupts, which would come on top.

mod board;
mod peer;

use std::fs;
use std::path::Path;

use anyhow::{Context, Result};
use object::{Object as _, ObjectSymbol as _};

use crate::embedded::BoardCargo;
use crate::measure::{Opt, Program};
use board::Board;
pub(super) use peer::Traffic;

/// The only target whose board is emulated here.
pub(super) const TARGET: &str = "thumbv7m-none-eabi";

/// What the core of a Cortex-M3 pushes when an interrupt comes, with the word that aligns it (Armv7-M Architecture Reference
/// Manual, B1.5.7).
pub(super) const INTERRUPT_FRAME: u32 = 36;

/// The depth of the stack of a program, in bytes, when this traffic is over.
pub(super) fn depth(program: &Program<'_>, cargo: &BoardCargo, opt: Opt, traffic: Traffic) -> Result<u32> {
    let image = program.build(cargo, TARGET, opt)?;
    let stack = Stack::of(&image)?;
    let (board, line) = Board::start(&image, &stack)?;
    peer::talk(line, traffic).with_context(|| format!("{} at opt-level {opt}, in QEMU", program.name))?;
    Ok(stack.depth(&board.stop()?))
}

/// Where the stack is: it grows from `end` down to `start`, where variables end.
struct Stack {
    start: u32,
    end: u32,
}

impl Stack {
    const PAINT: u8 = 0xC5;

    fn of(image: &Path) -> Result<Self> {
        let bytes = fs::read(image).with_context(|| format!("cannot read {}", image.display()))?;
        let file = object::File::parse(&*bytes)?;
        let symbol = |name: &str| {
            let found = file.symbol_by_name(name).with_context(|| format!("the image has no `{name}`"))?;
            u32::try_from(found.address()).context("an address of more than 32 bits")
        };
        Ok(Self { start: symbol("__sheap")?, end: symbol("_stack_start")? })
    }

    const fn len(&self) -> usize {
        self.end.saturating_sub(self.start) as usize
    }

    /// What the stack looks like before the start.
    fn painted(&self) -> Vec<u8> {
        vec![Self::PAINT; self.len()]
    }

    /// How much of it was used.
    fn depth(&self, memory: &[u8]) -> u32 {
        let untouched = memory.iter().take_while(|byte| **byte == Self::PAINT).count();
        u32::try_from(memory.len() - untouched).unwrap_or(u32::MAX)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_depth_ends_where_the_paint_is_whole() {
        let stack = Stack { start: 0x2000_0000, end: 0x2000_0010 };
        let mut memory = stack.painted();
        assert_eq!(stack.depth(&memory), 0);
        // Paint between what was used is used, too.
        memory[6] = 0;
        memory[12] = 1;
        assert_eq!(stack.depth(&memory), 10);
    }
}
