//! Running other programs with errors that say which program failed and how.
//!
//! It never goes through a shell and never retries.

use std::ffi::OsStr;
use std::fmt::Write as _;
use std::io::{self, BufRead, BufReader, ErrorKind, Read, Write};
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};

/// The command as one would type it, without the path of its program.
pub(crate) fn describe(command: &Command) -> String {
    let program = Path::new(command.get_program());
    let mut line = program.file_name().unwrap_or(OsStr::new("?")).to_string_lossy().into_owned();
    for argument in command.get_args() {
        let argument = argument.to_string_lossy();
        // Writing to a String cannot fail.
        let _ = if argument.is_empty() || argument.contains(char::is_whitespace) {
            write!(line, " '{argument}'")
        } else {
            write!(line, " {argument}")
        };
    }
    line
}

/// Starts the command; says so if its program is not installed.
pub(crate) fn spawn(command: &mut Command) -> Result<Child> {
    command.spawn().map_err(|error| {
        let program = command.get_program().display();
        if error.kind() == ErrorKind::NotFound {
            anyhow::anyhow!("cannot start `{program}`: it is not installed or not in PATH")
        } else {
            anyhow::Error::new(error).context(format!("cannot start `{program}`"))
        }
    })
}

/// Prints the command (where cargo says what it does, too), runs it with this program's terminal and expects success.
pub(crate) fn run(command: &mut Command) -> Result<()> {
    eprintln!("$ {}", describe(command));
    let status = spawn(command)?.wait().with_context(|| format!("lost `{}`", describe(command)))?;
    expect_success(command, status)
}

/// Runs the command and returns what it wrote to its standard output.
pub(crate) fn capture(command: &mut Command) -> Result<String> {
    command.stdout(Stdio::piped()).stderr(Stdio::piped());
    let output =
        spawn(command)?.wait_with_output().with_context(|| format!("lost `{}`", describe(command)))?;
    if !output.status.success() {
        bail!(
            "`{}` failed ({}): {}",
            describe(command),
            output.status,
            String::from_utf8_lossy(&output.stderr).trim()
        );
    }
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

/// Runs the command for at most `limit` and returns what it wrote to its standard output, which must be little.
pub(crate) fn capture_within(command: &mut Command, limit: Duration) -> Result<String> {
    let deadline = Instant::now() + limit;
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null());
    let mut child = spawn(command)?;
    let status = loop {
        if let Some(status) = child.try_wait()? {
            break status;
        }
        if Instant::now() >= deadline {
            child.kill()?;
            child.wait()?;
            bail!("`{}` did not end within {} s", describe(command), limit.as_secs());
        }
        std::thread::sleep(Duration::from_millis(5));
    };
    expect_success(command, status)?;
    let mut output = String::new();
    if let Some(mut stdout) = child.stdout.take() {
        stdout.read_to_string(&mut output)?;
    }
    Ok(output)
}

/// Runs the command for at most `limit`; `None` means that it was stopped then.
pub(crate) fn run_within(command: &mut Command, limit: Duration) -> Result<Option<ExitStatus>> {
    eprintln!("$ {}", describe(command));
    let deadline = Instant::now() + limit;
    let mut child = spawn(command.stdin(Stdio::null()))?;
    loop {
        if let Some(status) = child.try_wait()? {
            return Ok(Some(status));
        }
        if Instant::now() >= deadline {
            child.kill()?;
            child.wait()?;
            return Ok(None);
        }
        std::thread::sleep(Duration::from_millis(50));
    }
}

/// Copies `from` to `to` as it arrives and shows each line to `look`.
pub(crate) fn tee(from: impl Read, mut to: impl Write, mut look: impl FnMut(&str)) -> io::Result<()> {
    let mut reader = BufReader::new(from);
    let mut line = Vec::new();
    while reader.read_until(b'\n', &mut line)? > 0 {
        to.write_all(&line)?;
        to.flush()?;
        look(&String::from_utf8_lossy(&line));
        line.clear();
    }
    Ok(())
}

/// An error that names the command unless `status` is success.
pub(crate) fn expect_success(command: &Command, status: ExitStatus) -> Result<()> {
    if !status.success() {
        bail!("`{}` failed ({status})", describe(command));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::{describe, tee};
    use std::process::Command;

    #[test]
    fn a_command_is_shown_as_typed() {
        let mut command = Command::new("/some/where/cargo");
        command.args(["test", "--", "two words", ""]);
        assert_eq!(describe(&command), "cargo test -- 'two words' ''");
    }

    #[test]
    fn tee_copies_bytes_and_shows_lines() {
        let mut copy = Vec::new();
        let mut lines = Vec::new();
        let input: &[u8] = b"one\n\xff\nlast without newline";
        tee(input, &mut copy, |line| lines.push(line.to_owned())).unwrap();
        assert_eq!(copy, input);
        assert_eq!(lines, ["one\n", "\u{fffd}\n", "last without newline"]);
    }
}
