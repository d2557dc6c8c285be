//! QEMU with a measured firmware in it: its memory is set before the start and read at the end.

use std::ffi::OsString;
use std::fs;
use std::net::TcpStream;
use std::path::Path;

use anyhow::{Context, Result};
use tieline_emulator::{Setup, escaped};

use super::Stack;
use crate::workspace;

/// What the firmware is told to do, and its boot nonce: `firmware-example/measure/src/watch.rs`.
const ORDERS: u32 = 0x2000_FC00;
const ALL_ORDERS: u32 = 7;
const NONCE: u32 = 0x2000_FC08;
const BOARD_NONCE: u32 = 0x1234_5678;

const MACHINE: &str = "lm3s6965evb";

/// An emulated board that runs. It is gone when this is dropped.
pub(super) struct Board {
    board: tieline_emulator::Board,
    /// Where the stack begins, and how long it is.
    stack: (u32, usize),
}

impl Board {
    /// Starts a firmware with a painted stack; also the other end of its UART.
    pub(super) fn start(image: &Path, stack: &Stack) -> Result<(Self, TcpStream)> {
        let dir = workspace::target_dir()?.join("firmware/stack");
        fs::create_dir_all(&dir).with_context(|| format!("cannot make {}", dir.display()))?;
        let paint = dir.join("paint.bin");
        fs::write(&paint, stack.painted()).with_context(|| format!("cannot write {}", paint.display()))?;
        let mut painted = OsString::from("loader,file=");
        painted.push(escaped(&paint));
        painted.push(format!(",addr={:#x},force-raw=on", stack.start));
        let device = OsString::from("-device");
        let arguments = [
            device.clone(),
            painted,
            device.clone(),
            format!("loader,addr={ORDERS:#x},data={ALL_ORDERS},data-len=4").into(),
            device,
            format!("loader,addr={NONCE:#x},data={BOARD_NONCE},data-len=4").into(),
        ];
        let setup = Setup { arguments: &arguments, ..Setup::new(MACHINE, image) };
        let board = tieline_emulator::Board::start(&setup)?;
        let line = TcpStream::connect(board.uart())?;
        line.set_nodelay(true)?;
        Ok((Self { board, stack: (stack.start, stack.len()) }, line))
    }

    /// Stops the board; returns what its stack looks like.
    pub(super) fn stop(self) -> Result<Vec<u8>> {
        let (start, len) = self.stack;
        Ok(self.board.freeze(start, len)?)
    }
}
