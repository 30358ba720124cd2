//! Updates for the boxes: the image's own, others made of it, and a web server that has them.

use std::io::{BufRead, BufReader, Write};
use std::net::TcpListener;
use std::path::Path;
use std::process::Command;

use crate::lab::{Host, PC, project};

/// A signed update for `board` that has another program in the place of stagepost, as the file `into`.
pub fn parcel_of(board: &str, program: &Path, into: &Path) -> Vec<u8> {
    let made = Command::new(project().join("scripts/image"))
        .args([board, "--program"])
        .arg(program)
        .arg("--update")
        .arg(into)
        .output()
        .unwrap();
    assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
    std::fs::read(into).unwrap()
}

/// The same update with its last byte changed.
pub fn flipped(parcel: &[u8]) -> Vec<u8> {
    let mut bad = parcel.to_vec();
    let last = bad.len() - 1;
    bad[last] ^= 1;
    bad
}

/// Answers every request with one of these, by its path, on the PC's port 8080; the URL up to the path.
pub fn serve_http(pc: &Host, files: Vec<(&'static str, Vec<u8>)>) -> String {
    let listener = pc.within(|| TcpListener::bind((PC, 8080))).unwrap();
    std::thread::spawn(move || {
        for mut stream in listener.incoming().flatten() {
            let mut request = BufReader::new(stream.try_clone().unwrap()).lines();
            let Some(Ok(first)) = request.next() else { continue };
            while request.next().is_some_and(|line| line.is_ok_and(|line| !line.is_empty())) {}
            let asked = first.split(' ').nth(1).unwrap_or_default().trim_start_matches('/');
            let Some((_, body)) = files.iter().find(|(name, _)| *name == asked) else {
                let _ = stream.write_all(b"HTTP/1.0 404 Not Found\r\n\r\n");
                continue;
            };
            // A box that refuses the parcel closes early.
            let _ = stream.write_all(b"HTTP/1.0 200 OK\r\n\r\n").and_then(|()| stream.write_all(body));
        }
    });
    format!("http://{PC}:8080")
}
