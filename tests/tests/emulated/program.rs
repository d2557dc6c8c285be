//! The program `tieline` and the board.

use std::io::{BufRead as _, BufReader, Write as _};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use tieline_app::COMMAND;
use tieline_emulator::Board;
use tieline_tests::Rng;

use crate::boards;
use crate::pc::{LIMIT, Pc};

const KILLS: u64 = 6;
/// From the start of a program to its first sample, most of the time: what an emulated board takes depends on the host.
const AT_ONCE: Duration = Duration::from_secs(3);

/// A program that is gone when this is.
struct Program(Child);

impl Program {
    fn start(arguments: &[&str]) -> Self {
        let mut command = Command::new(boards::program());
        command.args(arguments).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        Self(command.spawn().expect("the program `tieline`"))
    }

    /// A publisher of commands: each line is one, of as many samples a second as its letter's code.
    fn publisher(board: &Board, commands: usize) -> Self {
        let mut program = Self::start(&["pub", "--reliable", &address(board), &COMMAND.name().to_string()]);
        let mut input = program.0.stdin.take().unwrap();
        // Who is killed does not read to the end.
        std::thread::spawn(move || input.write_all("d\n".repeat(commands).as_bytes()));
        program
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
    let mut spans = Vec::new();
    for _ in 0..KILLS {
        let begin = Instant::now();
        let mut program =
            Program::start(&["sub", &address(&board), "ImuSample@sensors.imu", "--format", "hex"]);
        let mut lines = BufReader::new(program.0.stdout.take().unwrap()).lines();
        for number in 0..rng.between(1, 100) {
            let line = lines.next().expect("a sample").unwrap();
            assert!(line.len() >= 10 && line.bytes().all(|byte| byte.is_ascii_hexdigit()), "{line}");
            if number == 0 {
                spans.push(begin.elapsed());
            }
        }
    }
    spans.sort_unstable();
    assert!(spans[spans.len() / 2] < AT_ONCE, "the first sample came after {spans:?}");
    let mut pc = Pc::connect(board.uart(), 2);
    pc.ready();
    let status = pc.status();
    assert!(status.commands == 1 && status.rate == 200, "it is still the same start: {status:?}");
}

#[test]
#[ignore = "needs emulated boards: cargo xtask test --only emulated"]
fn the_commands_of_a_program_that_is_killed_are_obeyed_once_as_far_as_they_came() {
    const MANY: usize = 100_000;
    const FEW: usize = 50;
    let board = boards::main().start();
    let mut rng = Rng::new(10);
    let mut commands = 0;
    let mut turn = 0;
    // On a busy host a program needs more time before it publishes anything.
    while turn < KILLS || commands < turn as u32 * FEW as u32 + 20 {
        assert!(turn < 6 * KILLS, "{commands} commands: none was killed while it published");
        let killed = Program::publisher(&board, MANY);
        std::thread::sleep(Duration::from_millis(rng.between(200, 800) * (1 + turn / KILLS)));
        drop(killed);
        let seen = commands_of(&board, 100 + turn);
        assert!(seen < commands + MANY as u32, "it had no time to end");
        // The next one begins where that one was cut off: nothing of it comes later, nothing twice.
        let mut done = Program::publisher(&board, FEW);
        assert!(done.0.wait().unwrap().success());
        commands = commands_of(&board, 200 + turn);
        assert_eq!(commands, seen + FEW as u32, "in turn {turn}");
        turn += 1;
    }
    println!("{commands} commands");
}

fn commands_of(board: &Board, boot_nonce: u64) -> u32 {
    let mut pc = Pc::connect(board.uart(), boot_nonce);
    pc.ready();
    pc.status().commands
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
    for part in
        ["command SetRate@board.rate", "board.status: up ", "has started anew", "back by itself", "1 restart"]
    {
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
