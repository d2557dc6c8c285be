//! The application over a line without delay: samples, a command, a request.

use tieline::report::{REPORT_MAX, Report, STATS};
use tieline::time::Duration;
use tieline::{
    CallOptions, Config, Endpoint, Inline, Instant, IntentOptions, InterestOptions, Link, Message, Outcome,
    Select,
};
use tieline_app::{
    App, COMMAND, GetStatus, IMU, ImuSample, RATE_CHANGED, RATE_MAX, RateChanged, STATUS, SetRate, Status,
};

type Small = Inline<256, 512, 512, 8>;

struct Bench {
    app: App<Small>,
    pc: Endpoint<Small>,
    now: Instant,
}

impl Bench {
    fn new() -> Self {
        let mut app = App::new(Small::new());
        let mut pc = Endpoint::new(Small::new());
        app.start(1);
        pc.start(Config::new("pc"), 2);
        let now = Instant::from_millis(1);
        app.endpoint().handle_connect(now, Link::serial(0)).unwrap();
        pc.handle_connect(now, Link::serial(0)).unwrap();
        Self { app, pc, now }
    }

    /// Lets time pass in steps of 1 ms.
    fn run(&mut self, span: Duration) {
        let end = self.now + span;
        let mut out = [0; 300];
        while self.now < end {
            self.now = self.now + Duration::from_millis(1);
            let now = self.now;
            self.pc.handle_timeout(now);
            while let Some(frame) = self.pc.poll_transmit(now, &mut out) {
                feed(self.app.endpoint(), now, frame);
            }
            self.app.poll(now);
            while let Some(frame) = self.app.endpoint().poll_transmit(now, &mut out) {
                feed(&mut self.pc, now, frame);
            }
        }
    }
}

fn feed(endpoint: &mut Endpoint<Small>, now: Instant, mut bytes: &[u8]) {
    while !bytes.is_empty() {
        bytes = &bytes[endpoint.handle_input(now, bytes)..];
    }
}

#[test]
fn it_samples_obeys_and_answers() {
    let mut bench = Bench::new();
    let imu = bench.pc.declare_interest(IMU.name(), InterestOptions::default()).unwrap();
    let command = bench.pc.declare_intent(COMMAND.name(), IntentOptions::reliable()).unwrap();
    bench.run(Duration::from_millis(100));
    let samples = |bench: &mut Bench, span| {
        let mut count = 0;
        for _ in 0..span {
            bench.run(Duration::from_millis(1));
            while let Some(message) = bench.pc.poll_message(Select::Only(imu)) {
                message.decode::<ImuSample>().unwrap();
                count += 1;
            }
        }
        count
    };
    let at_first = samples(&mut bench, 1000);
    assert!((10..=11).contains(&at_first), "{at_first} samples in a second");

    bench.pc.publish_message(command, &SetRate { hertz: 100 }).unwrap();
    bench.run(Duration::from_millis(5));
    let faster = samples(&mut bench, 1000);
    assert!((99..=101).contains(&faster), "{faster} samples in a second");

    bench.pc.publish_message(command, &SetRate { hertz: u32::MAX }).unwrap();
    bench.pc.publish(command, b"").unwrap();
    bench.run(Duration::from_millis(5));
    let call =
        bench.pc.request_message(bench.now, STATUS.name(), &GetStatus, CallOptions::default()).unwrap();
    bench.run(Duration::from_millis(5));
    let answer = bench.pc.poll_answer(Select::Only(call)).expect("an answer");
    let Outcome::Ok(payload) = answer.outcome else { panic!("{answer:?}") };
    let status = Status::decode(payload).unwrap();
    assert_eq!((status.rate, status.commands, status.errors), (RATE_MAX, 2, 1), "{status:?}");
    assert!(status.samples >= 110 && status.uptime_ms >= 2000, "{status:?}");
}

#[test]
fn each_command_is_reported_once_and_a_listener_that_is_slow_holds_them_up() {
    let mut bench = Bench::new();
    // Room for two reports.
    let small = InterestOptions { window: Some(30), ..InterestOptions::default() };
    let changed = bench.pc.declare_interest(RATE_CHANGED.name(), small).unwrap();
    let command = bench.pc.declare_intent(COMMAND.name(), IntentOptions::reliable()).unwrap();
    bench.run(Duration::from_millis(100));
    let (mut sent, mut came, mut ahead) = (0, 0, 0);
    while came < 200 {
        while sent < 200 && bench.pc.publish_message(command, &SetRate { hertz: 1000 - sent }).is_ok() {
            sent += 1;
        }
        bench.run(Duration::from_millis(20));
        ahead = ahead.max(sent - came);
        let report = bench.pc.poll_message(Select::Only(changed)).expect("a report");
        let RateChanged { commands, hertz } = report.decode().unwrap();
        assert_eq!((commands, hertz), (came + 1, 1000 - came));
        came += 1;
    }
    assert!((3..20).contains(&ahead), "{ahead} commands without a report");
    bench.run(Duration::from_millis(100));
    assert!(bench.pc.poll_message(Select::Only(changed)).is_none());
}

#[test]
fn nobody_listening_is_no_error() {
    let mut bench = Bench::new();
    bench.run(Duration::from_secs(5));
    let call =
        bench.pc.request_message(bench.now, STATUS.name(), &GetStatus, CallOptions::default()).unwrap();
    bench.run(Duration::from_millis(5));
    let answer = bench.pc.poll_answer(Select::Only(call)).expect("an answer");
    let Outcome::Ok(payload) = answer.outcome else { panic!("{answer:?}") };
    let status = Status::decode(payload).unwrap();
    assert_eq!((status.samples, status.dropped, status.errors), (0, 0, 0), "{status:?}");
}

#[test]
fn it_tells_how_it_sees_the_line() {
    let mut bench = Bench::new();
    bench.run(Duration::from_secs(3));
    let options = CallOptions { room: REPORT_MAX, ..CallOptions::default() };
    for _ in 0..3 {
        bench.pc.request(bench.now, &STATS, &[], options).unwrap();
        bench.run(Duration::from_millis(100));
        let answer = bench.pc.poll_answer(Select::Any).unwrap();
        let Outcome::Ok(payload) = answer.outcome else { panic!("{:?}", answer.outcome) };
        let report = Report::parse(payload).unwrap();
        assert!(report.stats.frames_in > 0 && report.rtt.samples > 0, "{report:?}");
        assert_eq!(report.stats.check_failures, 0);
    }
}
