//! The program as people use it: real processes, real TCP, real pipes.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::process::{Child, Command, Output, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use tieline_std::{Address, Connection, Listener, Options, Refusal, route};
use tieline_tests::free_port;
use tieline_tests::gate::Gate;

/// What takes longer than this hangs.
const LIMIT: Duration = Duration::from_secs(180);
/// What is done at once does not take longer, whoever else needs the processor.
const SOON: Duration = Duration::from_secs(15);

fn tieline(args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_tieline"));
    command.args(args).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

/// Both ends of an address that nobody uses: (to dial, to listen).
fn addresses() -> (String, String) {
    let port = free_port();
    (format!("tcp://127.0.0.1:{port}"), format!("tcp://127.0.0.1:{port}?listen"))
}

/// A program that listens, and does.
fn listening(args: &[&str], listen: &str) -> Child {
    let child = tieline(args).spawn().unwrap();
    drop(arrive(listen));
    child
}

/// Connects as soon as somebody listens there.
fn arrive(listen: &str) -> TcpStream {
    let place = listen.trim_start_matches("tcp://").trim_end_matches("?listen");
    let begin = Instant::now();
    loop {
        match TcpStream::connect(place) {
            Ok(stream) => break stream,
            Err(_) => assert!(begin.elapsed() < LIMIT, "it does not listen"),
        }
        thread::sleep(Duration::from_millis(2));
    }
}

/// Waits for the end, but not for ever; reads what the program writes meanwhile.
fn finish(mut child: Child) -> Output {
    fn all(mut from: impl Read + Send + 'static) -> thread::JoinHandle<Vec<u8>> {
        thread::spawn(move || {
            let mut all = Vec::new();
            let _ = from.read_to_end(&mut all);
            all
        })
    }
    let stdout = child.stdout.take().map(all);
    let stderr = child.stderr.take().map(all);
    let begin = Instant::now();
    let status = loop {
        match child.try_wait().unwrap() {
            Some(status) => break status,
            None if begin.elapsed() > LIMIT => {
                child.kill().unwrap();
                break child.wait().unwrap();
            }
            None => thread::sleep(Duration::from_millis(2)),
        }
    };
    let joined = |bytes: Option<thread::JoinHandle<Vec<u8>>>| bytes.map(|bytes| bytes.join().unwrap());
    Output { status, stdout: joined(stdout).unwrap_or_default(), stderr: joined(stderr).unwrap_or_default() }
}

/// Gives the program its input and does not wait.
fn feed(child: &mut Child, input: Vec<u8>) {
    let mut stdin = child.stdin.take().unwrap();
    thread::spawn(move || stdin.write_all(&input));
}

fn stderr(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

fn assert_success(name: &str, output: &Output) {
    assert!(output.status.success(), "{name}: {}: {}", output.status, stderr(output));
}

/// 1 to `count`, one a line, as `seq` writes them.
fn seq(count: u32) -> Vec<u8> {
    (1..=count).flat_map(|number| format!("{number}\n").into_bytes()).collect()
}

#[test]
fn a_hundred_thousand_lines_arrive_whoever_is_started_first() {
    for sub_first in [true, false] {
        let (dial, listen) = addresses();
        let input = seq(100_000);
        let sub = || tieline(&["sub", &listen, "Line@bench.in", "--count", "100000"]).spawn().unwrap();
        let publish = || {
            let mut child = tieline(&["pub", "--reliable", &dial, "Line@bench.in"])
                .stdin(Stdio::piped())
                .spawn()
                .unwrap();
            feed(&mut child, input.clone());
            child
        };
        let head_start = Duration::from_millis(250);
        let (sub, publish) = if sub_first {
            let sub = sub();
            thread::sleep(head_start);
            (sub, publish())
        } else {
            let publish = publish();
            thread::sleep(head_start);
            (sub(), publish)
        };
        let publish = thread::spawn(move || finish(publish));
        let sub = finish(sub);
        let publish = publish.join().unwrap();
        assert_success("sub", &sub);
        assert_success("pub", &publish);
        assert!(sub.stdout == input, "{} bytes came of {}", sub.stdout.len(), input.len());
    }
}

#[test]
fn a_socket_file_goes_with_whoever_listened_there() {
    let path = std::env::temp_dir().join(format!("tieline-program-{}", std::process::id()));
    let dial = format!("unix://{}", path.display());
    let sub = tieline(&["sub", &format!("{dial}?listen"), "Line@bench.in", "--count", "10"]).spawn().unwrap();
    let mut publish =
        tieline(&["pub", "--reliable", &dial, "Line@bench.in"]).stdin(Stdio::piped()).spawn().unwrap();
    feed(&mut publish, seq(10));
    let publish = thread::spawn(move || finish(publish));
    let sub = finish(sub);
    assert_success("sub", &sub);
    assert_success("pub", &publish.join().unwrap());
    assert_eq!(sub.stdout, seq(10));
    assert!(!path.exists(), "the socket file is left behind");
}

#[cfg(target_os = "linux")]
#[test]
fn an_output_that_fails_fails_the_publisher_too() {
    let (dial, listen) = addresses();
    let full = std::fs::File::options().write(true).open("/dev/full").unwrap();
    let sub = tieline(&["sub", &listen, "Line@bench.in"]).stdout(full).spawn().unwrap();
    let mut publish =
        tieline(&["pub", "--reliable", &dial, "Line@bench.in"]).stdin(Stdio::piped()).spawn().unwrap();
    feed(&mut publish, seq(10));
    let publish = thread::spawn(move || finish(publish));
    let sub = finish(sub);
    assert_eq!(sub.status.code(), Some(1), "{}", stderr(&sub));
    let publish = publish.join().unwrap();
    assert_eq!(publish.status.code(), Some(1), "{}", stderr(&publish));
    assert!(stderr(&publish).contains("in doubt"), "{}", stderr(&publish));
}

#[test]
fn what_nobody_reads_is_not_delivered() {
    let (dial, listen) = addresses();
    let (reader, writer) = std::io::pipe().unwrap();
    drop(reader);
    let sub = tieline(&["sub", &listen, "Line@bench.in"]).stdout(writer).spawn().unwrap();
    let mut publish =
        tieline(&["pub", "--reliable", &dial, "Line@bench.in"]).stdin(Stdio::piped()).spawn().unwrap();
    feed(&mut publish, seq(10));
    let publish = thread::spawn(move || finish(publish));
    finish(sub);
    let publish = publish.join().unwrap();
    assert_eq!(publish.status.code(), Some(1), "{}", stderr(&publish));
    assert!(stderr(&publish).contains("the peer took 0"), "{}", stderr(&publish));
}

#[test]
fn a_subscriber_that_is_killed_fails_the_publisher_and_says_how_far_it_came() {
    let (dial, listen) = addresses();
    let mut sub = tieline(&["sub", &listen, "Line@bench.in"]).spawn().unwrap();
    let mut publish =
        tieline(&["pub", "--reliable", &dial, "Line@bench.in"]).stdin(Stdio::piped()).spawn().unwrap();
    // More than fits all buffers on the way.
    let mut stdin = publish.stdin.take().unwrap();
    let feeder = thread::spawn(move || while stdin.write_all(&seq(10_000)).is_ok() {});
    let mut lines = BufReader::new(sub.stdout.take().unwrap()).lines();
    assert_eq!(lines.next().unwrap().unwrap(), "1");
    sub.kill().unwrap();
    sub.wait().unwrap();
    // Whoever comes after it has not seen what was under way.
    let mut next = tieline(&["sub", &listen, "Line@bench.in"]).spawn().unwrap();
    let publish = finish(publish);
    next.kill().unwrap();
    next.wait().unwrap();
    assert_eq!(publish.status.code(), Some(1), "{}", stderr(&publish));
    let said = stderr(&publish);
    assert!(said.contains("connection lost") && said.contains("in doubt"), "{said}");
    feeder.join().unwrap();
}

#[test]
fn a_subscriber_that_has_enough_leaves_the_publisher_with_the_rest() {
    let (dial, listen) = addresses();
    let sub = tieline(&["sub", &listen, "Line@bench.in", "--count", "10"]).spawn().unwrap();
    let mut publish =
        tieline(&["pub", "--reliable", &dial, "Line@bench.in"]).stdin(Stdio::piped()).spawn().unwrap();
    feed(&mut publish, seq(1000));
    let sub = finish(sub);
    assert_success("sub", &sub);
    assert_eq!(sub.stdout, seq(10));
    let publish = finish(publish);
    assert_eq!(publish.status.code(), Some(1));
    let said = stderr(&publish);
    assert!(said.contains("the peer took 10, 0 are in doubt and 990 were not delivered"), "{said}");
}

#[test]
fn a_subscriber_waits_for_a_publisher_that_is_killed_and_says_so() {
    let (dial, listen) = addresses();
    let mut sub = tieline(&["sub", &listen, "Line@bench.in", "--count", "10"]).spawn().unwrap();
    let publish =
        || tieline(&["pub", "--reliable", &dial, "Line@bench.in"]).stdin(Stdio::piped()).spawn().unwrap();
    let mut killed = publish();
    killed.stdin.as_mut().unwrap().write_all(&seq(3)).unwrap();
    let mut lines = BufReader::new(sub.stdout.take().unwrap()).lines();
    for number in ["1", "2", "3"] {
        assert_eq!(lines.next().unwrap().unwrap(), number);
    }
    killed.kill().unwrap();
    killed.wait().unwrap();
    let mut publish = publish();
    feed(&mut publish, seq(7));
    for number in ["1", "2", "3", "4", "5", "6", "7"] {
        assert_eq!(lines.next().unwrap().unwrap(), number);
    }
    let sub = finish(sub);
    assert_success("sub", &sub);
    assert_success("pub", &finish(publish));
    let said = stderr(&sub);
    assert!(said.contains("started anew") && said.contains("a new session"), "{said}");
}

#[test]
fn a_publisher_outlives_its_subscriber_while_it_waits_for_input() {
    let (dial, listen) = addresses();
    let sub = || tieline(&["sub", &listen, "Line@bench.in", "--count", "1"]).spawn().unwrap();
    let mut killed = tieline(&["sub", &listen, "Line@bench.in"]).spawn().unwrap();
    // Best effort: whether a reliable line was taken is in doubt when its reader is killed.
    let mut publish = tieline(&["pub", &dial, "Line@bench.in"]).stdin(Stdio::piped()).spawn().unwrap();
    let mut stdin = publish.stdin.take().unwrap();
    let mut said = BufReader::new(publish.stderr.take().unwrap()).lines();
    stdin.write_all(b"1\n").unwrap();
    let mut lines = BufReader::new(killed.stdout.take().unwrap()).lines();
    assert_eq!(lines.next().unwrap().unwrap(), "1");
    killed.kill().unwrap();
    killed.wait().unwrap();
    let line = said.next().unwrap().unwrap();
    assert!(line.contains("the line is lost"), "{line}");
    let sub = sub();
    let mut more = said.by_ref().map(|line| line.unwrap());
    assert!(more.any(|line| line.contains("a new session")));
    stdin.write_all(b"2\n").unwrap();
    drop(stdin);
    let sub = finish(sub);
    assert_success("sub", &sub);
    assert_eq!(sub.stdout, b"2\n");
    assert_success("pub", &finish(publish));
}

#[test]
fn a_file_goes_through_outages_exactly_once() {
    const LINES: u32 = 300_000;
    let (dial, listen) = addresses();
    let gate = Gate::new(dial.trim_start_matches("tcp://")).unwrap();
    let count = LINES.to_string();
    let sub = tieline(&["sub", &listen, "Line@bench.in", "--count", &count]).spawn().unwrap();
    let through = format!("tcp://{}", gate.address());
    let mut publish =
        tieline(&["pub", "--reliable", &through, "Line@bench.in"]).stdin(Stdio::piped()).spawn().unwrap();
    let mut stdin = publish.stdin.take().unwrap();
    let (sub, publish) = thread::scope(|scope| {
        let gate = &gate;
        let feeds = scope.spawn(move || {
            for (number, part) in seq(LINES).chunks(256 * 1024).enumerate() {
                if number > 0 {
                    // Most of what was written before has been read: it is more than a pipe holds.
                    let (begin, before) = (Instant::now(), gate.passed());
                    gate.cut();
                    while gate.passed() == before && begin.elapsed() < LIMIT {
                        thread::sleep(Duration::from_millis(5));
                    }
                }
                // It fails when the program ends early, which shows below.
                let _ = stdin.write_all(part);
            }
        });
        let publish = scope.spawn(|| finish(publish));
        let sub = finish(sub);
        feeds.join().unwrap();
        (sub, publish.join().unwrap())
    });
    assert_success("sub", &sub);
    assert_success("pub", &publish);
    assert!(sub.stdout == seq(LINES), "{} bytes came: {}", sub.stdout.len(), stderr(&sub));
    assert!(gate.passed() > 4, "the line was cut only {} times", gate.passed());
    assert!(stderr(&sub).contains("nothing reliable is missing"), "{}", stderr(&sub));
}

#[test]
fn closed_output_ends_quietly() {
    let (dial, listen) = addresses();
    let mut sub = tieline(&["sub", &listen, "Line@bench.in"]).spawn().unwrap();
    let mut publish = tieline(&["pub", &dial, "Line@bench.in"]).stdin(Stdio::piped()).spawn().unwrap();
    let mut stdin = publish.stdin.take().unwrap();
    let feeder = thread::spawn(move || while stdin.write_all(&seq(1000)).is_ok() {});
    let mut lines = BufReader::new(sub.stdout.take().unwrap()).lines();
    assert_eq!(lines.next().unwrap().unwrap(), "1");
    drop(lines);
    let sub = finish(sub);
    assert_success("sub", &sub);
    assert_eq!(stderr(&sub), "");
    finish(publish);
    feeder.join().unwrap();
}

#[test]
fn best_effort_lines_are_handed_over() {
    let (dial, listen) = addresses();
    let sub = tieline(&["sub", &listen, "Line@bench.in", "--format", "json"]).spawn().unwrap();
    let mut publish =
        tieline(&["pub", &dial, "Line@bench.in", "--json"]).stdin(Stdio::piped()).spawn().unwrap();
    // The last line has no line feed; a carriage return belongs to the payload.
    feed(&mut publish, b"one\n\ntwo\r\n\xFFthree".to_vec());
    let (publish, sub) = (finish(publish), finish(sub));
    assert_success("pub", &publish);
    assert_success("sub", &sub);
    let summary = String::from_utf8(publish.stdout).unwrap();
    assert!(summary.contains("\"lines\":4,\"published\":4"), "{summary}");
    let lines = String::from_utf8(sub.stdout).unwrap();
    let expected = [
        r#"{"route":"Line@bench.in","text":"one"}"#,
        r#"{"route":"Line@bench.in","text":""}"#,
        r#"{"route":"Line@bench.in","text":"two\r"}"#,
        r#"{"route":"Line@bench.in","hex":"ff7468726565"}"#,
    ];
    assert_eq!(lines.lines().collect::<Vec<_>>(), expected);
}

#[test]
fn a_line_that_is_too_long_is_named_with_the_limit() {
    for end in ["\nshort\n", ""] {
        let (dial, listen) = addresses();
        let sub = tieline(&["sub", &listen, "Line@bench.in"]).spawn().unwrap();
        let mut publish =
            tieline(&["pub", "--reliable", &dial, "Line@bench.in"]).stdin(Stdio::piped()).spawn().unwrap();
        feed(&mut publish, [b"first\n".as_slice(), &[b'x'; 200_000], end.as_bytes()].concat());
        let publish = finish(publish);
        assert_eq!(publish.status.code(), Some(1));
        let said = stderr(&publish);
        assert!(said.contains("line 2 ") && said.contains("at most "), "{said}");
        let sub = finish(sub);
        assert_eq!(sub.stdout, b"first\n", "what came before is delivered");
    }
}

#[test]
fn a_publisher_without_an_audience_says_so() {
    let (dial, listen) = addresses();
    let sub = listening(&["sub", &listen, "Line@bench.out"], &listen);
    let publish = tieline(&["pub", &dial, "Line@bench.in", "--timeout", "3"]).spawn().unwrap();
    let publish = finish(publish);
    assert_eq!(publish.status.code(), Some(1));
    assert!(stderr(&publish).contains("has not asked for Line@bench.in"), "{}", stderr(&publish));
    assert_success("sub", &finish(sub));
}

#[test]
fn another_type_on_the_same_path_is_said() {
    let (dial, listen) = addresses();
    let sub = tieline(&["sub", &listen, "Text@bench.in"]).spawn().unwrap();
    let publish = finish(tieline(&["pub", &dial, "Line@bench.in"]).spawn().unwrap());
    assert_eq!(publish.status.code(), Some(1));
    assert!(stderr(&publish).contains("another type or schema"), "{}", stderr(&publish));
    let sub = finish(sub);
    assert_eq!(sub.status.code(), Some(1));
    assert!(stderr(&sub).contains("another type or schema"), "{}", stderr(&sub));
}

#[test]
fn nobody_there_is_said_in_time() {
    let (dial, listen) = addresses();
    for args in [
        ["pub", &dial, "Line@a", "--timeout", "0.3"].as_slice(),
        &["sub", &dial, "Line@a", "--timeout", "0.3"],
        &["sub", &listen, "Line@a", "--timeout", "0.3"],
        &["ping", &dial, "--timeout", "0.3"],
        &["call", &dial, "Line@a", "x", "--timeout", "0.3"],
    ] {
        let begin = Instant::now();
        let output = finish(tieline(args).spawn().unwrap());
        assert!(begin.elapsed() < SOON, "{args:?}");
        assert_eq!(output.status.code(), Some(1), "{args:?}");
        let said = stderr(&output);
        assert!(said.contains("no peer answered at tcp://127.0.0.1:"), "{args:?}: {said}");
        assert_eq!(said.lines().count(), 1, "{said}");
    }
}

#[test]
fn what_is_dialled_in_vain_is_said_while_it_is_waited_for() {
    let output =
        finish(tieline(&["sub", "serial:///dev/none", "Line@a", "--timeout", "1.5"]).spawn().unwrap());
    assert_eq!(output.status.code(), Some(1));
    let said = stderr(&output);
    let lines: Vec<_> = said.lines().collect();
    assert_eq!(lines.len(), 2, "{said}");
    assert!(lines[0].contains("/dev/none within ") && lines[0].ends_with("; still waiting"), "{said}");
    assert!(lines[1].contains("/dev/none within ") && !lines[1].ends_with("; still waiting"), "{said}");

    // For ever, and until it comes.
    let (dial, listen) = addresses();
    let sub = ["sub", &dial, "Line@a", "--timeout", "forever", "--count", "1"];
    let mut sub = tieline(&sub).spawn().unwrap();
    let mut said = BufReader::new(sub.stderr.take().unwrap()).lines();
    assert!(said.next().unwrap().unwrap().ends_with("; still waiting"));
    let mut publish =
        tieline(&["pub", "--reliable", &listen, "Line@a"]).stdin(Stdio::piped()).spawn().unwrap();
    feed(&mut publish, seq(1));
    assert_success("pub", &finish(publish));
    assert_success("sub", &finish(sub));
}

#[test]
fn every_address_is_in_the_help_of_every_command_that_takes_one() {
    for command in [
        None,
        Some("demo"),
        Some("pub"),
        Some("sub"),
        Some("call"),
        Some("ping"),
        Some("stats"),
        Some("routes"),
    ] {
        let args: Vec<_> = command.into_iter().chain(["--help"]).collect();
        let output = finish(tieline(&args).spawn().unwrap());
        let help = String::from_utf8_lossy(&output.stdout).into_owned();
        for part in ["tcp://", "unix://", "udp://", "?usb=", "flow=", "dtr=", "mtu=", "multicast", "framing="]
        {
            assert!(help.contains(part), "{args:?}: {part} is missing: {help}");
        }
    }
}

#[test]
fn wrong_usage_is_explained() {
    for (args, said) in [
        (["sub", "tcp://host", "Line@a"].as_slice(), "the port is missing"),
        (&["sub", "host:1", "Line@a"], "tcp://host:1"),
        (&["sub", "tcp://host:1", "Line"], "Type@path"),
        (&["sub", "tcp://host:1", "Li ne@a"], "the type of a route is"),
        (&["pub", "tcp://host:1", "Line@a..b"], "the path of a route is"),
        (&["pub", "tcp://host:1", "Line@a", "--timeout", "soon"], "a number of seconds"),
        (&["pub", "tcp://host:1", "Line@a", "--timeout", "soon"], "or `forever`"),
        (&["call", "tcp://host:1", "Line@a", "zz", "--hex"], "hexadecimal digits"),
        (&["sub", "tcp://host:1", "Line@a", "--format", "xml"], "text, hex, json"),
        (&["call", "tcp://host:1", "Line@a"], "PAYLOAD"),
        (&["frobnicate"], "frobnicate"),
    ] {
        let output = finish(tieline(args).spawn().unwrap());
        assert_eq!(output.status.code(), Some(2), "{args:?}");
        assert!(stderr(&output).contains(said), "{args:?}: {}", stderr(&output));
        assert!(output.stdout.is_empty());
    }
}

#[test]
fn ping_measures_and_sums_up() {
    let (dial, listen) = addresses();
    let sub = tieline(&["sub", &listen, "Line@a"]).spawn().unwrap();
    let ping = tieline(&["ping", &dial, "--count", "5", "--interval", "0.02"]).spawn().unwrap();
    let ping = finish(ping);
    assert_success("ping", &ping);
    assert_eq!(String::from_utf8_lossy(&ping.stdout).lines().count(), 5);
    assert!(stderr(&ping).contains("5 round trips: min "), "{}", stderr(&ping));
    assert_success("sub", &finish(sub));
}

#[test]
fn the_demo_shows_samples_a_command_and_an_answer() {
    for transport in ["pty", "tcp"] {
        let demo = finish(tieline(&["demo", "--seconds", "1.5", "--transport", transport]).spawn().unwrap());
        assert_success(transport, &demo);
        let shown = String::from_utf8_lossy(&demo.stdout).into_owned();
        assert!(shown.contains("samples/s") && shown.contains("ping"), "{shown}");
        let said = stderr(&demo);
        for part in [
            "SetRate@board.rate: 100 samples",
            "GetStatus@board.status: up ",
            "reset: ",
            "noticed after ",
            "back by itself",
            "Summary",
            " 0 missed; 1 restart",
        ] {
            assert!(said.contains(part), "{part:?} is not in {said}");
        }
        assert!(!said.contains('\x1b') && !shown.contains('\x1b'), "no colours but on a terminal");
    }
}

#[test]
fn the_demo_speaks_to_machines() {
    let demo = finish(tieline(&["demo", "--seconds", "0.6", "--json"]).spawn().unwrap());
    assert_success("demo", &demo);
    let lines = String::from_utf8(demo.stdout).unwrap();
    assert!(lines.lines().all(|line| line.starts_with('{') && line.ends_with('}')), "{lines}");
    assert!(lines.lines().last().unwrap().contains("\"samples\":"), "{lines}");
}

#[test]
fn ctrl_c_ends_cleanly() {
    let (_, listen) = addresses();
    let interrupt = |child: &Child| {
        let pid = child.id().to_string();
        assert!(Command::new("kill").args(["-INT", &pid]).status().unwrap().success());
    };
    let mut demo = tieline(&["demo", "--forever"]).spawn().unwrap();
    let mut lines = BufReader::new(demo.stdout.take().unwrap()).lines();
    lines.next().unwrap().unwrap();
    interrupt(&demo);
    let demo = finish(demo);
    assert_success("demo", &demo);
    assert!(stderr(&demo).contains("Summary"), "{}", stderr(&demo));

    // Before there is a connection, too. It says nothing until then, so wait until it listens.
    let sub = tieline(&["sub", &listen, "Line@a"]).spawn().unwrap();
    let peer = arrive(&listen);
    interrupt(&sub);
    assert_eq!(finish(sub).status.code(), Some(130));
    drop(peer);
}

#[test]
fn a_line_to_a_group_is_heard_by_all_members() {
    let port = free_port();
    let group = format!("udp://239.255.4.3:{port}?multicast&interface=lo&hops=0");
    let listeners: Vec<Child> =
        (0..2).map(|_| tieline(&["sub", &group, "Line@a.b", "--count", "3"]).spawn().unwrap()).collect();
    // Who comes late has heard nothing: said again until everybody has enough.
    let over = Arc::new(AtomicBool::new(false));
    let speaker = thread::spawn({
        let (group, over) = (group.clone(), Arc::clone(&over));
        move || {
            let mut speaker = tieline(&["pub", &group, "Line@a.b"]).stdin(Stdio::piped()).spawn().unwrap();
            let mut stdin = speaker.stdin.take().unwrap();
            for _ in 0..LIMIT.as_millis() / 25 {
                if over.load(Ordering::SeqCst) || stdin.write_all(b"hello\n").is_err() {
                    break;
                }
                thread::sleep(Duration::from_millis(25));
            }
            drop(stdin);
            finish(speaker)
        }
    });
    for listener in listeners {
        let output = finish(listener);
        assert_success("sub", &output);
        assert_eq!(String::from_utf8_lossy(&output.stdout), "hello\nhello\nhello\n");
    }
    over.store(true, Ordering::SeqCst);
    assert_success("pub", &speaker.join().unwrap());

    let refused = tieline(&["pub", "--reliable", &group, "Line@a.b"]).output().unwrap();
    assert!(stderr(&refused).contains("leave --reliable away"), "{}", stderr(&refused));
}

#[test]
fn lines_go_over_udp() {
    let port = free_port();
    let (dial, listen) = (format!("udp://127.0.0.1:{port}"), format!("udp://127.0.0.1:{port}?listen"));
    let sub = tieline(&["sub", &listen, "Line@a.b"]).spawn().unwrap();
    let mut publish =
        tieline(&["pub", "--reliable", &dial, "Line@a.b"]).stdin(Stdio::piped()).spawn().unwrap();
    let lines: String = (0..5000).map(|n| format!("line {n}\n")).collect();
    feed(&mut publish, lines.clone().into_bytes());
    assert_success("pub", &finish(publish));
    let output = finish(sub);
    assert_success("sub", &output);
    assert!(output.stdout == lines.as_bytes(), "all lines, once and in order");
}

#[test]
fn both_views_of_the_line_are_shown() {
    let (dial, listen) = addresses();
    let mut sub = tieline(&["sub", &listen, "Line@a.b"]).spawn().unwrap();
    let output = finish(tieline(&["stats", &dial, "--watch", "0.3", "--json"]).spawn().unwrap());
    assert_success("stats", &output);
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(text.starts_with("{\"peer\":\"tieline\",\"here\":{\"bytes_in\":"), "{text}");
    assert!(text.contains("\"there\":{\"bytes_in\":") && text.contains("\"p99_ms\":"), "{text}");
    let _ = sub.kill();
    let _ = sub.wait();

    let (dial, listen) = addresses();
    let mut sub = tieline(&["sub", &listen, "Line@a.b"]).spawn().unwrap();
    let output = finish(tieline(&["stats", &dial, "--watch", "0.3"]).spawn().unwrap());
    assert_success("stats", &output);
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(text.contains("frames in") && text.contains("there") && text.contains("99 % within"), "{text}");
    let _ = sub.kill();
    let _ = sub.wait();
}

#[test]
fn ports_are_listed_and_shells_complete() {
    for args in [&["ports"][..], &["ports", "--json"]] {
        let output = tieline(args).output().unwrap();
        assert_success("ports", &output);
        for line in String::from_utf8_lossy(&output.stdout).lines().filter(|line| !line.starts_with(' ')) {
            assert!(line.starts_with("serial:///") || line.starts_with("{\"path\":\"/"), "{line}");
        }
    }
    for (shell, words) in
        [("bash", "complete -F _tieline"), ("zsh", "#compdef tieline"), ("fish", "complete -c tieline")]
    {
        let output = tieline(&["completions", shell]).output().unwrap();
        assert_success("completions", &output);
        let text = String::from_utf8_lossy(&output.stdout);
        assert!(text.contains(words) && text.contains("stats"), "{shell}");
    }
}

#[test]
fn what_the_peer_declares_is_listed() {
    let begin = Instant::now();
    let text = loop {
        let (dial, listen) = addresses();
        let mut sub = tieline(&["sub", &listen, "Line@a.b"]).spawn().unwrap();
        let output = finish(tieline(&["routes", &dial, "--watch", "0.5"]).spawn().unwrap());
        let _ = sub.kill();
        let _ = sub.wait();
        assert_success("routes", &output);
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        // On a busy machine it may take longer until all is declared.
        if text.contains("Line@a.b") || begin.elapsed() > LIMIT {
            break text;
        }
    };
    assert!(text.lines().any(|line| line.starts_with("Line@a.b ") && line.ends_with(" wants")), "{text}");
    assert!(text.contains("Stats@tieline.stats"), "{text}");
}

#[test]
fn what_a_peer_calls_itself_does_not_reach_the_terminal() {
    const EVIL: &str = "\u{1b}[2J\u{9b}H\u{202e}\r\nme";
    let listener = Listener::bind(&Address::tcp_listen("127.0.0.1", 0)).unwrap();
    let address = listener.address().to_dial().to_string();
    for (args, said) in [
        (
            ["ping", &address, "--count", "1"].as_slice(),
            "connected to \\u{1b}[2J\\u{9b}H\\u{202e}\\r\\nme at tcp",
        ),
        (&["call", &address, "Line@a", "x"], "code 17: \\u{1b}[2J\\u{9b}H\\u{202e}\\r\\nme\n"),
        (&["stats", &address, "--watch", "0.1"], ""),
        (&["routes", &address, "--watch", "0.1"], ""),
    ] {
        let child = tieline(args).spawn().unwrap();
        let peer: Connection = listener.accept(Options { name: EVIL, ..Options::default() }).unwrap();
        // Who does not call may have what it wants and be gone already.
        let service = peer.raw_responder(route("Line@a").unwrap()).ok();
        let server =
            service.map(|service| thread::spawn(move || service.serve(|_| Err(Refusal::new(17, EVIL)))));
        let output = finish(child);
        let _ = peer.close(Duration::ZERO);
        let _ = server.map(|server| server.join().unwrap());
        let shown = stderr(&output) + &String::from_utf8_lossy(&output.stdout);
        assert!(shown.contains(said), "{args:?}: {shown:?}");
        assert!(!shown.chars().any(|c| c != '\n' && c.is_control()), "{args:?}: {shown:?}");
    }
}

#[test]
fn an_address_of_all_is_for_pub_and_sub() {
    for args in [["ping", "udp://224.0.0.1:9?multicast"], ["stats", "udp://10.0.0.255:9?broadcast"]] {
        let output = finish(tieline(&args).spawn().unwrap());
        assert_eq!(output.status.code(), Some(1), "{args:?}");
        let said = "`tieline pub` and `tieline sub` take such an address";
        assert!(stderr(&output).contains(said), "{args:?}: {}", stderr(&output));
    }
}
