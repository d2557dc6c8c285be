//! The core in an async program: an endpoint is driven by a task, without a thread and without this crate's connections.
//!
//! The endpoint does no I/O, so a runtime needs nothing but this loop: bytes in, bytes out, and the time of the next
//! deadline. Here a tokio task is a board that publishes a counter over TCP; a blocking [`Connection`] of the same program
//! reads it. `cargo run -p tieline-std --example tokio`

use std::time::Duration;

use tieline_std::tieline::nb;
use tieline_std::tieline::{self, Config, Endpoint, Inline, Instant, Link};
use tieline_std::{Address, Connection, IntentOptions, InterestOptions, Options, RouteName, route};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

const COUNT: u32 = 1000;

type Storage = Inline<1024, 4096, 8192, 4>;
type Failed = Box<dyn std::error::Error + Send + Sync>;

fn main() -> Result<(), Failed> {
    let name = route("Number@tokio.counter")?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let port = listener.local_addr()?.port();
        let reader = tokio::task::spawn_blocking(move || read(port, name));
        let (stream, _) = listener.accept().await?;
        publish(stream, name).await?;
        reader.await?
    })
}

/// The blocking side.
fn read(port: u16, name: &'static RouteName) -> Result<(), Failed> {
    let connection = Connection::open(&Address::tcp("127.0.0.1", port), Options::default())?;
    let numbers = connection.raw_subscriber(name, InterestOptions::default())?;
    for expected in 0..COUNT {
        let payload = numbers.recv()?;
        if payload != expected.to_le_bytes() {
            return Err(format!("{expected} was expected and {payload:?} came").into());
        }
    }
    println!("{COUNT} numbers came, once and in order");
    Ok(connection.close(Duration::from_secs(5))?)
}

/// The async side: drives an endpoint until every number is with the reader.
async fn publish(mut stream: TcpStream, name: &'static RouteName) -> Result<(), Failed> {
    stream.set_nodelay(true)?;
    let epoch = tokio::time::Instant::now();
    let now = || Instant::from_micros(u64::try_from(epoch.elapsed().as_micros()).unwrap_or(u64::MAX));
    let mut endpoint = Box::new(Endpoint::new(Storage::new()));
    // A program that may be started twice in a moment takes a random number.
    endpoint.start(Config::new("tokio"), u64::from(std::process::id()) << 16 | 1);
    let numbers = endpoint.declare_intent(name, IntentOptions::reliable())?;
    endpoint.handle_connect(now(), Link::stream())?;

    let (mut input, mut output) = ([0; 4096], [0; Storage::TRANSMIT_MAX]);
    let mut next = 0_u32;
    loop {
        while next < COUNT && endpoint.has_audience(numbers) {
            match endpoint.publish(numbers, &next.to_le_bytes()) {
                Ok(_) => next += 1,
                Err(nb::Error::WouldBlock) => break,
                Err(nb::Error::Other(error)) => return Err(error.into()),
            }
        }
        while let Some(frame) = endpoint.poll_transmit(now(), &mut output) {
            stream.write_all(frame).await?;
        }
        while let Some(event) = endpoint.poll_event() {
            if let tieline::Event::Closed(_) = event {
                return Ok(());
            }
        }
        let deadline = endpoint.poll_timeout().map(|at| epoch + Duration::from_micros(at.as_micros() + 1));
        let far = epoch + Duration::from_secs(86_400);
        tokio::select! {
            read = stream.read(&mut input) => {
                let mut bytes = match read? {
                    0 => return Ok(()),
                    n => &input[..n],
                };
                while !bytes.is_empty() {
                    let taken = endpoint.handle_input(now(), bytes);
                    bytes = &bytes[taken..];
                }
            }
            () = tokio::time::sleep_until(deadline.unwrap_or(far)) => endpoint.handle_timeout(now()),
        }
    }
}
