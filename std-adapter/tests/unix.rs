//! Listening at a path: what is there already, and what is left behind.

use std::fs;
use std::os::unix::fs::symlink;
use std::os::unix::net::UnixListener;
use std::path::PathBuf;
use std::time::Duration;

use tieline_std::{Address, Connection, Error, Listener, Options};

/// A path of its own for each test, with nothing there.
fn path(name: &str) -> (PathBuf, Address) {
    let path = std::env::temp_dir().join(format!("tieline-{name}-{}", std::process::id()));
    let _ = fs::remove_file(&path);
    let address = Address::unix_listen(path.to_str().unwrap());
    (path, address)
}

#[test]
fn a_file_that_is_no_socket_is_left_alone() {
    let (file, address) = path("file");
    fs::write(&file, "precious").unwrap();
    let error = Listener::bind(&address).unwrap_err();
    assert!(matches!(error, Error::Open { .. }) && !error.is_transient(), "{error:?}");
    assert!(error.to_string().contains("a file that is no socket is there"), "{error}");
    assert_eq!(fs::read(&file).unwrap(), b"precious");

    // Not even where a link leads to, or the link.
    let (link, address) = path("link");
    symlink(&file, &link).unwrap();
    Listener::bind(&address).unwrap_err();
    assert_eq!(fs::read(&link).unwrap(), b"precious");
    fs::remove_file(&link).unwrap();
    fs::remove_file(&file).unwrap();
}

#[test]
fn a_dead_socket_is_taken_over_and_a_live_one_is_not() {
    let (file, address) = path("socket");
    // Its file stays, as that of a program that is killed.
    drop(UnixListener::bind(&file).unwrap());
    assert!(file.exists());
    let listener = Listener::bind(&address).unwrap();
    let error = Listener::bind(&address).unwrap_err();
    assert!(error.to_string().contains("another program is there"), "{error}");
    drop(listener);
    assert!(!file.exists(), "nobody listens there any more");
}

#[test]
fn what_another_one_has_put_there_meanwhile_stays() {
    let (file, address) = path("replaced");
    let listener = Listener::bind(&address).unwrap();
    let kept = file.with_extension("kept");
    fs::rename(&file, &kept).unwrap();
    fs::write(&file, "another one's").unwrap();
    drop(listener);
    assert_eq!(fs::read(&file).unwrap(), b"another one's");
    fs::remove_file(&file).unwrap();
    fs::remove_file(&kept).unwrap();
}

#[test]
fn a_third_party_learns_that_the_listener_may_have_its_peer() {
    let (_file, address) = path("taken");
    let dial = address.to_dial();
    let quick = Options { timeout: Some(Duration::from_secs(3)), ..Options::default() };
    let listens = std::thread::spawn(move || Connection::open(&address, Options::default()));
    let _first = Connection::open(&dial, Options::default()).unwrap();
    let _listens = listens.join().unwrap().unwrap();
    let error = Connection::open(&dial, Options { name: "third", ..quick }).unwrap_err();
    assert!(error.to_string().contains("another peer already"), "{error}");
}
