//! What is left to a thread of the daemon that somebody else has taken over: the same confinement, put on a
//! thread of this test. The rest of the process stays as it was.

// Whoever watches the house from outside must do what it forbids itself.
#![allow(clippy::disallowed_methods)]

use std::fs::{self, File};
use std::io::ErrorKind;
use std::net::{Ipv4Addr, TcpListener, UdpSocket};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::thread;

use stagepost::os::confine::{Confinement, Needs, confine, confine_machine};

/// A directory of the daemon's, a stranger's file beside it, and a certificate's file elsewhere.
struct Place {
    top: PathBuf,
}

impl Place {
    fn new(name: &str) -> Self {
        let top = std::env::temp_dir().join(format!("stagepost-confined-{name}-{}", std::process::id()));
        for folder in ["data/mail/new", "data/mail/tmp", "certificates"] {
            fs::create_dir_all(top.join(folder)).unwrap();
        }
        fs::write(top.join("secret"), "nobody's business").unwrap();
        fs::write(top.join("certificates/bcd.pem"), "a certificate").unwrap();
        fs::copy("/bin/true", top.join("data/program")).unwrap();
        Place { top }
    }

    fn data(&self) -> PathBuf {
        self.top.join("data")
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.top);
    }
}

/// Runs `act` on a thread that has been confined to the place.
fn confined(place: &Place, act: impl FnOnce(&Confinement) + Send) {
    thread::scope(|scope| {
        let thread = scope.spawn(|| {
            let data = place.data();
            let reads = vec![place.top.join("certificates/bcd.pem")];
            let told = confine(&Needs { data: &data, reads, nic: false, clock: false });
            act(&told);
        });
        thread.join().unwrap();
    });
}

#[track_caller]
fn assert_refused<T>(what: &str, result: std::io::Result<T>) {
    let error = result.err().unwrap_or_else(|| panic!("{what} was let through"));
    assert_eq!(error.kind(), ErrorKind::PermissionDenied, "{what}: {error}");
}

#[test]
fn a_compromised_thread_opens_no_other_file() {
    let place = Place::new("files");
    confined(&place, |told| {
        if told.files.is_none() {
            return eprintln!("skipped: {:?}", told.faults);
        }
        for path in ["/etc/passwd", "/etc/shadow", "/bin/true", "/root", "/dev/mem"].map(Path::new) {
            if path.exists() {
                assert_refused(&path.display().to_string(), File::open(path));
            }
        }
        assert_refused("a neighbour's file", File::open(place.top.join("secret")));
        assert_refused("a new file elsewhere", File::create(place.top.join("new")));
        assert_refused("its own program", fs::write(std::env::current_exe().unwrap(), "other"));
        assert_refused("a link out", fs::hard_link(place.top.join("secret"), place.data().join("secret")));
        std::os::unix::fs::symlink(place.top.join("secret"), place.data().join("way-out")).unwrap_err();
    });
    assert!(File::open("/etc/passwd").is_ok(), "the other threads are as they were");
}

#[test]
fn a_compromised_thread_runs_no_program() {
    let place = Place::new("programs");
    let parent = rustix::process::getppid().unwrap();
    confined(&place, |told| {
        assert!(told.calls.is_some() && told.no_new_privileges, "{told}");
        for program in [PathBuf::from("/bin/true"), place.data().join("program")] {
            let error = Command::new(&program).spawn().expect_err("it ran");
            assert_eq!(error.kind(), ErrorKind::PermissionDenied, "{error}");
        }
        // Threads that it makes are no way out.
        let inherited = thread::spawn(|| Command::new("/bin/true").spawn().map(|_| ()));
        assert_refused("another thread's program", inherited.join().unwrap());
        // Nor is another process's memory, or a signal to it.
        assert!(rustix::process::kill_process(parent, rustix::process::Signal::CONT).is_err());
        assert!(rustix::process::test_kill_process(parent).is_err());
    });
}

#[test]
fn a_compromised_thread_is_not_root_and_cannot_become_it() {
    let place = Place::new("user");
    confined(&place, |told| {
        assert!(!told.user.starts_with("root"), "{told}");
        assert!(rustix::thread::set_thread_uid(rustix::process::Uid::ROOT).is_err());
        assert!(!told.capabilities.contains(&"all") && !told.capabilities.contains(&"others"), "{told}");
    });
}

#[test]
fn the_daemons_own_work_goes_on() {
    let place = Place::new("work");
    confined(&place, |_| {
        let data = place.data();
        fs::write(data.join("mail/tmp/1"), "mail").unwrap();
        fs::rename(data.join("mail/tmp/1"), data.join("mail/new/1")).unwrap();
        File::open(data.join("mail/new/1")).unwrap().sync_all().unwrap();
        assert_eq!(fs::read_dir(data.join("mail/new")).unwrap().count(), 1);
        fs::remove_file(data.join("mail/new/1")).unwrap();
        // A certificate is replaced by another file of its name.
        assert_eq!(fs::read_to_string(place.top.join("certificates/bcd.pem")).unwrap(), "a certificate");
        assert!(stagepost::os::process::resident_bytes().is_some());
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        std::net::TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        thread::spawn(|| ()).join().unwrap();
    });
}

#[test]
fn even_the_machines_first_process_runs_no_program() {
    let told = thread::spawn(|| {
        let told = confine_machine();
        assert!(Command::new("/bin/true").spawn().is_err());
        assert!(File::open("/etc/passwd").is_ok(), "it mounts and reads what the machine needs");
        told
    });
    let told = told.join().unwrap();
    assert!(told.calls.is_some() && told.faults.is_empty(), "{told}");
}
