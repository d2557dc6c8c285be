//! Two network namespaces with a network of their own between them, of small packets and, where the kernel has `netem`, one
//! that loses, delays and reorders: all lines come over UDP.

use std::io::Write;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// What takes longer than this hangs.
const LIMIT: Duration = Duration::from_secs(180);

fn run(line: &str) -> Result<(), String> {
    let mut words = line.split(' ');
    let output = Command::new(words.next().unwrap_or_default())
        .args(words)
        .output()
        .map_err(|error| format!("{line}: {error}"))?;
    match output.status.success() {
        true => Ok(()),
        false => Err(format!("{line}: {}", String::from_utf8_lossy(&output.stderr).trim())),
    }
}

/// Two namespaces that are taken down in the end.
struct Network(String);

impl Network {
    fn build() -> Result<Self, String> {
        let network = Self(format!("tl{}", std::process::id()));
        let (a, b) = (format!("{}a", network.0), format!("{}b", network.0));
        for line in [
            format!("ip netns add {a}"),
            format!("ip netns add {b}"),
            format!("ip -n {a} link add v type veth peer name v netns {b}"),
            format!("ip -n {a} addr add 10.77.0.1/24 dev v"),
            format!("ip -n {b} addr add 10.77.0.2/24 dev v"),
            format!("ip -n {a} link set v up"),
            format!("ip -n {b} link set v up"),
            format!("ip -n {a} link set v mtu 1300"),
            format!("ip -n {b} link set v mtu 1300"),
        ] {
            run(&line)?;
        }
        Ok(network)
    }

    fn spoil(&self, netem: &str) -> Result<(), String> {
        ['a', 'b']
            .iter()
            .try_for_each(|side| run(&format!("tc -n {}{side} qdisc add dev v root netem {netem}", self.0)))
    }

    fn tieline(&self, side: char, args: &[&str]) -> Child {
        Command::new("ip")
            .args(["netns", "exec", &format!("{}{side}", self.0), env!("CARGO_BIN_EXE_tieline")])
            .args(args)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::inherit())
            .spawn()
            .unwrap()
    }
}

impl Drop for Network {
    fn drop(&mut self) {
        for side in ['a', 'b'] {
            let _ = run(&format!("ip netns del {}{side}", self.0));
        }
    }
}

#[test]
fn all_lines_come_over_a_bad_network() {
    let network = match Network::build() {
        Ok(network) => network,
        Err(why) => {
            eprintln!("skipped: this machine does not let us make network namespaces: {why}");
            return;
        }
    };
    if let Err(why) = network.spoil("delay 5ms 3ms loss 3% duplicate 2% reorder 20%") {
        eprintln!("skipped in part: the network is a good one, since this machine has no netem: {why}");
    }
    let sub = network.tieline('b', &["sub", "udp://0.0.0.0:4100?listen", "Line@a.b"]);
    // Read meanwhile: a pipe that is full would hold everything up.
    let sub = std::thread::spawn(move || sub.wait_with_output().unwrap());
    let mut publish = network.tieline('a', &["pub", "--reliable", "udp://10.77.0.2:4100", "Line@a.b"]);
    let lines: String = (0..3000).map(|n| format!("line {n} {}\n", "x".repeat(n % 400))).collect();
    let mut stdin = publish.stdin.take().unwrap();
    let input = lines.clone().into_bytes();
    let feed = std::thread::spawn(move || stdin.write_all(&input));
    let begin = Instant::now();
    let status = loop {
        if let Some(status) = publish.try_wait().unwrap() {
            break status;
        }
        if begin.elapsed() > LIMIT {
            let _ = publish.kill();
        }
        std::thread::sleep(Duration::from_millis(5));
    };
    feed.join().unwrap().unwrap();
    assert!(status.success(), "{status}");
    let output = sub.join().unwrap();
    assert!(output.stdout == lines.as_bytes(), "all lines, once and in order");
    eprintln!("3000 lines in {:?}", begin.elapsed());
}
