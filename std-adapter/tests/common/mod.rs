//! What several tests need.

#![allow(dead_code, reason = "each test needs a part of it")]

use std::fs::File;
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
use tieline_std::Address;

const BAUD: u32 = 4_000_000;

/// A cable between a port of this machine, as long as that is plugged in, and a board, that is at a TCP port.
pub(crate) struct Cable {
    /// Where the port is found, whatever its number, as under /dev/serial/by-id.
    link: PathBuf,
    pub(crate) board: Address,
    port: Arc<Mutex<Option<File>>>,
    over: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Cable {
    pub(crate) fn new(test: &str) -> Self {
        let link = std::env::temp_dir().join(format!("tieline-{}-{test}", std::process::id()));
        let listener = TcpListener::bind(("127.0.0.1", 0)).unwrap();
        let number = listener.local_addr().unwrap().port();
        let (port, over) = (Arc::new(Mutex::new(None)), Arc::new(AtomicBool::new(false)));
        let thread = thread::spawn({
            let (port, over) = (Arc::clone(&port), Arc::clone(&over));
            move || carry(&listener, &port, &over)
        });
        let board = format!("tcp://127.0.0.1:{number}?framing=serial").parse().unwrap();
        Self { link, board, port, over, thread: Some(thread) }
    }

    pub(crate) fn plug_in(&self) {
        let master = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY).unwrap();
        grantpt(&master).unwrap();
        unlockpt(&master).unwrap();
        rustix::io::ioctl_fionbio(&master, true).unwrap();
        let path = ptsname(&master, Vec::new()).unwrap().into_string().unwrap();
        let _ = std::fs::remove_file(&self.link);
        std::os::unix::fs::symlink(path, &self.link).unwrap();
        *self.port.lock().unwrap() = Some(master.into());
    }

    pub(crate) fn pull_out(&self) {
        *self.port.lock().unwrap() = None;
    }

    pub(crate) fn address(&self) -> Address {
        Address::serial(self.link.to_str().unwrap(), BAUD)
    }
}

impl Drop for Cable {
    fn drop(&mut self) {
        self.over.store(true, Ordering::SeqCst);
        let _ = self.thread.take().unwrap().join();
        let _ = std::fs::remove_file(&self.link);
    }
}

/// Carries bytes both ways, for whichever board is there, one after the other.
fn carry(listener: &TcpListener, port: &Mutex<Option<File>>, over: &AtomicBool) {
    listener.set_nonblocking(true).unwrap();
    while !over.load(Ordering::SeqCst) {
        match listener.accept() {
            Ok((board, _)) => carry_for(board, port, over),
            Err(_) => thread::sleep(Duration::from_millis(1)),
        }
    }
}

/// The same until that board hangs up; bytes for a port that is pulled out fall to the floor.
fn carry_for(mut board: TcpStream, port: &Mutex<Option<File>>, over: &AtomicBool) {
    board.set_nonblocking(true).unwrap();
    board.set_nodelay(true).unwrap();
    let mut buffer = [0; 4096];
    while !over.load(Ordering::SeqCst) {
        let mut port = port.lock().unwrap();
        let mut moved = false;
        if let Some(port) = port.as_mut() {
            // Before somebody opens the terminal, there is nothing to read from it.
            if let Ok(n) = port.read(&mut buffer) {
                moved = true;
                board.set_nonblocking(false).unwrap();
                let _ = board.write_all(&buffer[..n]);
                board.set_nonblocking(true).unwrap();
            }
        }
        match board.read(&mut buffer) {
            Ok(0) => return,
            Ok(n) => {
                moved = true;
                let mut rest = &buffer[..n];
                while let Some(port) = port.as_mut().filter(|_| !rest.is_empty()) {
                    match port.write(rest) {
                        Ok(n) => rest = &rest[n..],
                        Err(_) => break,
                    }
                }
            }
            Err(_) => {}
        }
        drop(port);
        if !moved {
            thread::sleep(Duration::from_micros(500));
        }
    }
}
