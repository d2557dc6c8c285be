//! The proxy itself, with plain bytes: it must be a line, before it may be a bad one.

use std::fs::File;
use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::process::{Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use tieline_tests::Rng;
use tieline_tests::proxy::{Counts, Cuts, Faults, Plan, Proxy};

/// What takes longer than this hangs.
const LIMIT: Duration = Duration::from_secs(60);

/// A proxy between two TCP connections, which fail instead of hanging.
fn tcp(plan: &Plan) -> (Proxy, TcpStream, TcpStream) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let proxy = Proxy::tcp("127.0.0.1:0", &listener.local_addr().unwrap().to_string(), plan).unwrap();
    let near = TcpStream::connect(&proxy.ends()[0]).unwrap();
    let (far, _) = listener.accept().unwrap();
    for stream in [&near, &far] {
        stream.set_read_timeout(Some(LIMIT)).unwrap();
        stream.set_write_timeout(Some(LIMIT)).unwrap();
    }
    (proxy, near, far)
}

fn open(path: &str) -> File {
    File::options().read(true).write(true).open(path).unwrap()
}

/// Waits for `thread`, but not for ever.
fn joined<T>(what: &str, thread: thread::JoinHandle<T>) -> T {
    let begin = Instant::now();
    while !thread.is_finished() {
        assert!(begin.elapsed() < LIMIT, "{what} hangs");
        thread::sleep(Duration::from_millis(1));
    }
    thread.join().unwrap()
}

fn waited(proxy: Proxy) -> tieline_tests::proxy::Report {
    joined("the proxy", thread::spawn(move || proxy.wait())).unwrap()
}

#[test]
fn a_clean_line_passes_everything_on_and_closes_one_half_after_the_other() {
    let chunked = Faults { chunk_max: 50, ..Faults::NONE };
    let (proxy, mut near, mut far) = tcp(&Plan::both(1, chunked));
    let (there, back) = (Rng::new(1).bytes(300_000), Rng::new(2).bytes(200_000));
    let mut writer = near.try_clone().unwrap();
    let sent = there.clone();
    let writes = thread::spawn(move || {
        writer.write_all(&sent).unwrap();
        writer.shutdown(Shutdown::Write).unwrap();
    });
    let mut came = Vec::new();
    far.read_to_end(&mut came).unwrap();
    assert!(came == there);
    joined("the writer", writes);

    // The other half is still open.
    far.write_all(&back).unwrap();
    far.shutdown(Shutdown::Write).unwrap();
    came.clear();
    near.read_to_end(&mut came).unwrap();
    assert!(came == back);

    let report = waited(proxy);
    let clean = |bytes| Counts { bytes_in: bytes, bytes_out: bytes, ..Counts::default() };
    assert_eq!((report.there, report.back), (clean(300_000), clean(200_000)));
}

#[test]
fn a_side_that_does_not_read_holds_up_its_writer_and_not_the_other_direction() {
    let (proxy, mut near, mut far) = tcp(&Plan::default());
    near.set_nonblocking(true).unwrap();
    let begin = Instant::now();
    let mut stuck_since = None;
    let mut written = 0;
    // Nobody reads: until the buffers of the system, and the proxy's, are full and nothing has moved for a
    // while.
    while stuck_since.is_none_or(|since: Instant| since.elapsed() < Duration::from_millis(300)) {
        assert!(begin.elapsed() < LIMIT, "{written} bytes and no end");
        match near.write(&[7; 64 * 1024]) {
            Ok(count) => (written, stuck_since) = (written + count, None),
            Err(_) => {
                stuck_since.get_or_insert_with(Instant::now);
                thread::yield_now();
            }
        }
    }
    near.set_nonblocking(false).unwrap();
    far.write_all(b"the other way").unwrap();
    let mut other = [0; 13];
    near.read_exact(&mut other).unwrap();
    assert_eq!(&other, b"the other way");

    // Closed while it is stuck: what was written still comes.
    drop(near);
    let mut came = Vec::new();
    far.read_to_end(&mut came).unwrap();
    assert_eq!(came.len(), written);
    drop(far);
    waited(proxy);
}

#[test]
fn a_peer_that_is_gone_does_not_hold_the_proxy() {
    let (proxy, mut near, far) = tcp(&Plan::default());
    drop(far);
    near.read_to_end(&mut Vec::new()).unwrap();
    // Until the proxy has noticed that nobody takes it.
    while near.write_all(&[0; 4096]).is_ok() {}
    drop(near);
    assert!(waited(proxy).there.discarded > 0);
}

#[test]
fn it_is_stopped_at_any_time() {
    let unused = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().to_string();
    // Before anybody has come; while it dials; while it works.
    drop(Proxy::tcp("127.0.0.1:0", &unused, &Plan::default()).unwrap());
    let proxy = Proxy::tcp("127.0.0.1:0", &unused, &Plan::default()).unwrap();
    let near = TcpStream::connect(&proxy.ends()[0]).unwrap();
    proxy.stop().unwrap();
    drop(near);
    let (proxy, mut near, mut far) = tcp(&Plan::default());
    proxy.stop().unwrap();
    assert_eq!(near.read(&mut [0]).unwrap() + far.read(&mut [0]).unwrap(), 0);
    Proxy::terminals(&Plan::default()).unwrap().stop().unwrap();
}

#[test]
fn terminals_are_a_line_and_the_end_of_one_is_noticed() {
    let proxy = Proxy::terminals(&Plan::default()).unwrap();
    let (mut near, mut far) = (open(&proxy.ends()[0]), open(&proxy.ends()[1]));
    let every: Vec<u8> = (0..=255).cycle().take(20_000).collect();
    let sent = every.clone();
    let mut writer = near.try_clone().unwrap();
    let writes = thread::spawn(move || writer.write_all(&sent).unwrap());
    let mut came = vec![0; every.len()];
    far.read_exact(&mut came).unwrap();
    assert!(came == every, "no byte means anything to the terminal");
    joined("the writer", writes);
    far.write_all(b"back").unwrap();
    near.read_exact(&mut came[..4]).unwrap();
    assert_eq!(&came[..4], b"back");

    // What was written last still comes when its writer has closed.
    near.write_all(b"last").unwrap();
    drop(near);
    far.read_exact(&mut came[..4]).unwrap();
    assert_eq!(&came[..4], b"last");
    drop(far);
    let begin = Instant::now();
    assert_eq!(waited(proxy).there.bytes_out, 20_004);
    assert!(begin.elapsed() < Duration::from_secs(4), "both are closed: nothing to wait for");
}

#[test]
fn a_terminal_that_is_not_closed_is_hung_up_in_the_end() {
    let proxy = Proxy::terminals(&Plan::default()).unwrap();
    let (mut near, mut far) = (open(&proxy.ends()[0]), open(&proxy.ends()[1]));
    near.write_all(b"last").unwrap();
    drop(near);
    far.read_exact(&mut [0; 4]).unwrap();
    // What it still says does not keep the proxy.
    far.write_all(b"anybody there?").unwrap();
    assert_eq!(far.read(&mut [0]).unwrap_or(0), 0);
    assert_eq!(waited(proxy).back.discarded, 14);
}

#[test]
fn an_outage_loses_bytes_and_not_the_connection() {
    let cuts = Cuts { every_ms: (20, 40), last_ms: (20, 40) };
    // Whoever gets no processor during all outages has seen none.
    let seen = (0..10).any(|_| {
        let (proxy, mut near, mut far) = tcp(&Plan { cuts: Some(cuts), ..Plan::default() });
        let begin = Instant::now();
        while begin.elapsed() < Duration::from_millis(500) {
            near.write_all(&[7; 1000]).unwrap();
            far.write_all(&[8; 1000]).unwrap();
            // Outages are about time, so the bytes are spread over some.
            thread::sleep(Duration::from_millis(1));
        }
        near.shutdown(Shutdown::Write).unwrap();
        far.shutdown(Shutdown::Write).unwrap();
        let mut came = Vec::new();
        far.read_to_end(&mut came).unwrap();
        near.read_to_end(&mut Vec::new()).unwrap();
        let report = waited(proxy);
        for counts in [report.there, report.back] {
            assert!(counts.bytes_in == counts.bytes_out + counts.cut, "{report}");
        }
        assert_eq!(report.there.bytes_out, came.len() as u64);
        report.cuts >= 3 && report.there.cut > 0 && report.back.cut > 0
    });
    assert!(seen, "no outage in which something was lost");
}

#[test]
fn a_direction_is_cut_by_hand_and_mended() {
    let (proxy, mut near, mut far) = tcp(&Plan::default());
    let mut came = [0; 4];
    proxy.cut(true, true);
    proxy.cut(false, false);
    near.write_all(b"one ").unwrap();
    far.read_exact(&mut came).unwrap();
    proxy.cut(true, false);
    near.write_all(b"two ").unwrap();
    far.write_all(b"back").unwrap();
    near.read_exact(&mut came).unwrap();
    assert_eq!(&came, b"back");
    drop(near);
    assert_eq!(far.read_to_end(&mut Vec::new()).unwrap(), 0);
    drop(far);
    let report = waited(proxy);
    assert_eq!((report.there.cut, report.back.cut), (4, 0));
}

#[test]
fn the_program_does_the_same_and_says_what_it_did() {
    let program = || Command::new(env!("CARGO_BIN_EXE_proxy"));
    let far = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = far.local_addr().unwrap().to_string();
    let args = ["tcp", "127.0.0.1:0", &address, "--there", "bits=0.01,chunk=10", "--seed", "3"];
    let mut child = program().args(args).stdout(Stdio::piped()).spawn().unwrap();
    let mut out = std::io::BufReader::new(child.stdout.take().unwrap());
    let mut first = String::new();
    std::io::BufRead::read_line(&mut out, &mut first).unwrap();
    let near = first.trim_start_matches("tcp://").split('?').next().unwrap();
    let near = TcpStream::connect(near).unwrap();
    (&near).write_all(&[0; 1000]).unwrap();
    drop(near);
    let mut came = Vec::new();
    far.accept().unwrap().0.read_to_end(&mut came).unwrap();
    let mut rest = String::new();
    out.read_to_string(&mut rest).unwrap();
    assert!(child.wait().unwrap().success());
    let flips: u32 = came.iter().map(|byte| byte.count_ones()).sum();
    assert!(flips > 0 && rest.contains(&format!("1000 bytes in, 1000 out: {flips} bits flipped")), "{rest}");

    for (args, said) in [
        (["tcp", "127.0.0.1:0", "x:1", "--both", "bits=2"].as_slice(), "probability from 0 to 1"),
        (&["pty", "--both", "bit=0.1"], "is no fault: bits, loss"),
        (&["pty", "--cuts", "500"], "EVERY/LASTS"),
        (&["pty", "--cuts", "9-3/5"], "the smaller number"),
    ] {
        let output = program().args(args).output().unwrap();
        assert_eq!(output.status.code(), Some(2), "{args:?}");
        assert!(String::from_utf8_lossy(&output.stderr).contains(said), "{output:?}");
    }
}
