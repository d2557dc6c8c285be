//! `tieline ports`: the serial ports of this machine.

use std::io::{self, Write};
use std::process::ExitCode;

use anyhow::{Context, Result};
use tieline_std::{PortInfo, printable};

use crate::format::json;
use crate::terminal::note;

/// List the serial ports of this machine, with what is known of each
///
/// Nothing is opened, since that resets many a board.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Write one JSON object a line
    #[arg(long)]
    json: bool,
}

pub(crate) fn run(args: &Args) -> Result<ExitCode> {
    let ports = tieline_std::ports().context("the system does not tell its serial ports")?;
    let mut out = io::stdout().lock();
    for port in &ports {
        if args.json {
            writeln!(out, "{}", object(port))?;
        } else {
            writeln!(out, "serial://{}", port.path)?;
            for line in details(port) {
                // A device chooses its name, and a program its own.
                writeln!(out, "    {}", printable(&line))?;
            }
        }
    }
    if ports.is_empty() && !args.json {
        note("there are no serial ports: is the board plugged in, and is its cable one for data?");
    }
    Ok(ExitCode::SUCCESS)
}

fn details(port: &PortInfo) -> Vec<String> {
    let mut lines = Vec::new();
    if let Some(usb) = &port.usb {
        let name = usb.name.as_deref().unwrap_or("a USB device");
        let serial = usb.serial.iter().map(|serial| format!(":{serial}")).collect::<String>();
        lines.push(format!("{name}: serial://?usb={:04x}:{:04x}{serial}", usb.vendor, usb.product));
    }
    lines.extend(port.by_id.iter().map(|link| format!("always serial://{link}")));
    for (pid, program) in &port.holders {
        lines.push(format!("open in `{program}` (process {pid})"));
    }
    if !port.accessible {
        let group = port.group.as_deref().unwrap_or("its group");
        lines.push(format!("you may not open it: join the group `{group}`, and log in anew"));
    }
    if let Some(ms @ 2..) = port.latency_ms {
        lines.push(format!(
            "its driver keeps back what came for up to {ms} ms; 1 ms: `echo 1 | sudo tee /sys/bus/usb-serial/devices/{}/latency_timer`",
            port.path.rsplit('/').next().unwrap_or_default()
        ));
    }
    lines
}

fn object(port: &PortInfo) -> String {
    let text = |text: &Option<String>| text.as_deref().map_or("null".to_owned(), json);
    let usb = port.usb.as_ref().map_or("null".to_owned(), |usb| {
        format!(
            "{{\"vendor\":\"{:04x}\",\"product\":\"{:04x}\",\"serial\":{},\"name\":{}}}",
            usb.vendor,
            usb.product,
            text(&usb.serial),
            text(&usb.name)
        )
    });
    let holders: Vec<String> = port
        .holders
        .iter()
        .map(|(pid, program)| format!("{{\"process\":{pid},\"program\":{}}}", json(program)))
        .collect();
    format!(
        "{{\"path\":{},\"usb\":{usb},\"by_id\":{},\"group\":{},\"accessible\":{},\"holders\":[{}],\"latency_ms\":{}}}",
        json(&port.path),
        text(&port.by_id),
        text(&port.group),
        port.accessible,
        holders.join(","),
        port.latency_ms.map_or("null".to_owned(), |ms| ms.to_string())
    )
}
