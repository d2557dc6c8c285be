//! The program `tieline` and the board.

use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use tieline_emulator::Board;
use tieline_tests::Rng;

use crate::boards;
use crate::pc::{LIMIT, Pc};

const KILLS: u64 = 6;
/// From the start of a program to its first sample.
const AT_ONCE: Duration = Duration::from_secs(3);

/// A program that is gone when this is.
struct Program(Child);

impl Program {
    fn start(arguments: &[&str]) -> Self {
        let mut command = Command::new(boards::program());
        command.args(arguments).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        Self(command.spawn().expect("the program `tieline`"))
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        // SIGKILL: it can say good-bye to nobody.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn address(board: &Board) -> String {
    format!("tcp://{}?framing=serial&baud=921600", board.uart())
}

#[test]
#[ignore = "needs emulated boards: cargo xtask test --only emulated"]
fn a_program_that_was_killed_and_started_again_is_served_at_once() {
    let board = boards::main().start();
    let mut pc = Pc::connect(board.uart(), 1);
    pc.ready();
    assert!(pc.publish(200));
    assert_eq!(pc.status().commands, 1);
    drop(pc);
    let mut rng = Rng::new(8);
    for turn in 0..KILLS {
        let begin = Instant::now();
        let mut program =
            Program::start(&["sub", &address(&board), "ImuSample@sensors.imu", "--format", "hex"]);
        let mut lines = BufReader::new(program.0.stdout.take().unwrap()).lines();
        for number in 0..rng.between(1, 100) {
            let line = lines.next().expect("a sample").unwrap();
            assert!(line.len() >= 10 && line.bytes().all(|byte| byte.is_ascii_hexdigit()), "{line}");
            if number == 0 {
                let took = begin.elapsed();
                assert!(took < AT_ONCE, "the first sample of program {turn} came after {took:?}");
            }
        }
    }
    let mut pc = Pc::connect(board.uart(), 2);
    pc.ready();
    let status = pc.status();
    assert!(status.commands == 1 && status.rate == 200, "it is still the same start: {status:?}");
}

#[test]
#[ignore = "needs emulated boards: cargo xtask test --only emulated"]
fn the_demo_of_the_program_shows_a_board_that_comes_back() {
    let board = boards::main().start();
    let pressed = tempdir();
    let button = format!("touch '{}'", pressed.0.join("pressed").display());
    let mut demo =
        Program::start(&["demo", "--board", &address(&board), "--reset", &button, "--seconds", "4"]);
    let begin = Instant::now();
    while !pressed.0.join("pressed").exists() {
        assert!(begin.elapsed() < LIMIT && demo.0.try_wait().unwrap().is_none(), "nobody presses the button");
        std::thread::sleep(Duration::from_millis(5));
    }
    board.reset().unwrap();
    let mut said = String::new();
    std::io::Read::read_to_string(&mut demo.0.stderr.take().unwrap(), &mut said).unwrap();
    assert!(demo.0.wait().unwrap().success(), "{said}");
    for part in ["command SetRate@board.rate", "up 1.", "has started anew", "back by itself", "1 restart"] {
        assert!(said.contains(part), "{part:?} is not in {said}");
    }
}

/// A directory that is removed.
struct TempDir(std::path::PathBuf);

fn tempdir() -> TempDir {
    let dir = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("demo-{}", std::process::id()));
    let _ = std::fs::remove_dir_all(&dir);
    std::fs::create_dir_all(&dir).unwrap();
    TempDir(dir)
}

impl Drop for TempDir {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}
