//! Processes that die, are refused, or meet something else than a gateway.

mod stand_in;

use std::fs;
use std::io::{self, Read, Write};
use std::net::{Shutdown, TcpStream};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::{UnixListener, UnixStream};
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use netsync::layout::{MAGIC, VERSION};
use netsync::{
    ConnectError, Event, FlowKey, Group, Notice, Reached, Segment, Server, ServerConfig,
    ServerError, State, Subscriber, Target, WaitError, WaitMode, now_ns,
};
use stand_in::{Manner, StandIn, config, connect};

const LONG: Duration = Duration::from_secs(60);
const ROLE: &str = "NETSYNC_TEST_ROLE";

/// This test binary again, as another process that plays a role.
fn process(role: &str, path: &Path) -> Command {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args(["--exact", "other_process", "--ignored", "--nocapture", "--quiet"]);
    command.env(ROLE, format!("{role} {}", path.display()));
    command.stdin(Stdio::piped()).stdout(Stdio::piped());
    command
}

/// Held while a child is made: between its fork and its exec it keeps open all that this process has, so that
/// what is closed here meanwhile is not closed for whoever is at the other end.
fn forks() -> MutexGuard<'static, ()> {
    static FORKS: Mutex<()> = Mutex::new(());
    FORKS.lock().unwrap_or_else(PoisonError::into_inner)
}

fn spawn(command: &mut Command) -> io::Result<Child> {
    let _forks = forks();
    command.spawn()
}

/// What the process prints first, behind what the test harness does.
fn says(child: &mut Child) -> String {
    let (mut text, mut byte) = (String::new(), [0]);
    let stdout = child.stdout.as_mut().unwrap();
    while stdout.read(&mut byte).unwrap() == 1 {
        text.push(byte[0].into());
        if let Some((_, said)) = text.split_once("says: ")
            && let Some(said) = said.strip_suffix('\n')
        {
            return said.into();
        }
    }
    panic!("it ended and had said only {text:?}");
}

fn kill(mut child: Child) {
    child.kill().unwrap();
    assert_eq!(child.wait().unwrap().signal(), Some(9));
}

/// Not a test: what [`process`] starts.
#[test]
#[ignore = "started by other tests"]
fn other_process() {
    let Ok(role) = std::env::var(ROLE) else { return };
    let (role, path) = role.split_once(' ').unwrap();
    match role {
        "gateway" => {
            let stand_in = StandIn::start(Path::new(path), Manner::Silent);
            println!("says: {}", stand_in.mirror);
            thread::sleep(LONG);
        }
        "reader" => {
            let subscriber = connect(path).unwrap();
            let mut notices = subscriber.notices(0).unwrap().unwrap();
            println!("says: reading");
            loop {
                notices.poll();
            }
        }
        "connect" => match connect(path) {
            Ok(_) => println!("says: connected"),
            Err(error) => println!("says: {error}"),
        },
        role => panic!("no role {role}"),
    }
}

#[test]
fn readers_notice_that_the_gateway_was_killed_and_find_the_next() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("socket");
    let mut gateway = spawn(&mut process("gateway", &path)).unwrap();
    let mirror = says(&mut gateway);
    let subscriber = connect(&path).unwrap();
    let epoch = subscriber.epoch().unwrap();
    let mut notices = subscriber.notices(1).unwrap().unwrap();
    let stream = TcpStream::connect(&mirror).unwrap();
    let key = FlowKey::new(stream.local_addr().unwrap(), stream.peer_addr().unwrap());
    // The mirror's thread opens the flow.
    while subscriber.flow_by(key).sent().is_err() {
        thread::yield_now();
    }
    let spinning = [WaitMode::Spin, WaitMode::Block].map(|mode| {
        let mut flow = subscriber.flow_by(key);
        flow.set_mode(mode);
        assert_eq!(flow.sent(), Ok(0));
        thread::spawn(move || flow.wait(1, Target::Level(1), LONG))
    });
    let before = Instant::now();
    kill(gateway);
    for reader in spinning {
        assert_eq!(reader.join().unwrap(), Err(WaitError::Dead));
    }
    assert!(before.elapsed() < LONG);
    assert!(!subscriber.alive());
    assert_eq!(subscriber.state(), Err(WaitError::Dead));
    assert!(matches!(Subscriber::connect(&path), Err(ConnectError::Gone(_))));
    // What it has left behind does not keep the next from its place.
    let next = StandIn::start(&path, Manner::Silent);
    while !subscriber.alive() {
        thread::yield_now();
    }
    assert_ne!(subscriber.epoch(), Ok(epoch));
    // What it says before the reader looks is read all the same.
    next.set_state(State::DEGRADED);
    while subscriber.state() != Ok(State::DEGRADED) {
        thread::yield_now();
    }
    let restarted = loop {
        if let Some(Event::Restarted { epoch }) = notices.poll() {
            break epoch;
        }
    };
    assert_eq!(Ok(restarted), subscriber.epoch());
    let said = loop {
        if let Some(event) = notices.poll() {
            break event;
        }
    };
    assert!(matches!(said, Event::Notice(Notice::State { new: State::DEGRADED, .. })), "{said:?}");
    drop(next);
}

/// An entry of a gateway that has just been killed, its heartbeat still fresh, is no word about a
/// connection between the same ends.
#[test]
fn what_a_dead_gateway_has_said_is_not_believed_of_a_new_flow() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("socket");
    let mut config = config();
    config.heartbeat_timeout = Duration::from_secs(3600);
    let mut segment = Segment::create(&config).unwrap();
    segment.control.publish_code("1:1", 1, &stand_in::bounds());
    // Until it is known what has become of the server.
    let _forks = forks();
    let server = stand_in::server(&path, segment.file.try_clone().unwrap());
    let subscriber = connect(&path).unwrap();
    let key = FlowKey::v4([10, 0, 0, 1], 1, [10, 0, 0, 2], 2);
    let slot = segment.workers[0].open(&key, 0, false, now_ns()).slot;
    segment.workers[0].level(slot, 1, 1000);
    let mut known = subscriber.flow_by(key);
    assert!(known.wait(1000, Target::Level(1), LONG).is_ok());
    drop(server);
    let mut new = subscriber.flow_by(key);
    assert_eq!(new.wait(1000, Target::Level(1), LONG), Err(WaitError::Dead));
}

#[test]
fn killed_readers_disturb_nobody() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("socket");
    let mut config = config();
    config.heartbeat_timeout = Duration::from_secs(3600);
    let mut segment = Segment::create(&config).unwrap();
    let _server = stand_in::server(&path, segment.file.try_clone().unwrap());
    let subscriber = connect(&path).unwrap();
    let mut mine = subscriber.notices(0).unwrap().unwrap();
    let worker = &mut segment.workers[0];
    let mut generation = 0;
    for _ in 0..5 {
        let mut reader = spawn(&mut process("reader", &path)).unwrap();
        assert_eq!(says(&mut reader), "reading");
        for _ in 0..10_000 {
            worker.notice(&Notice::Code { generation });
            assert_eq!(mine.poll(), Some(Event::Notice(Notice::Code { generation })));
            generation += 1;
        }
        kill(reader);
    }
    assert!(connect(&path).is_ok());
}

#[test]
fn whoever_may_not_connect_is_told_what_it_takes() {
    let dir = tempfile::tempdir().unwrap();
    fs::set_permissions(dir.path(), fs::Permissions::from_mode(0o755)).unwrap();
    let path = dir.path().join("socket");
    let segment = Segment::create(&config()).unwrap();
    let root = is_root();
    let config = ServerConfig {
        path: path.clone(),
        mode: if root { 0o660 } else { 0 },
        group: root.then(|| Group::Name("daemon".into())),
    };
    let _server = Server::start(&config, segment.file.try_clone().unwrap()).unwrap();
    let mut command = process("connect", &path);
    if root {
        // Nobody: neither owner nor group. The binary may be where only root may read.
        command.uid(65534).gid(65534);
    }
    let Ok(mut child) = spawn(&mut command) else {
        eprintln!("skipped: the test binary is not readable by an unprivileged user");
        return;
    };
    let said = says(&mut child);
    child.wait().unwrap();
    let needed = if root { "group daemon" } else { "mode 000" };
    assert!(said.contains("permission denied") && said.contains(needed), "{said}");
    let mode = fs::metadata(&path).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode, config.mode);
}

/// Nothing is refused to root.
fn is_root() -> bool {
    std::os::unix::fs::MetadataExt::uid(&fs::metadata("/proc/self").unwrap()) == 0
}

#[test]
fn a_socket_is_taken_from_the_dead_alone() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("socket");
    let start = |group| {
        let segment = Segment::create(&config()).unwrap();
        Server::start(&ServerConfig { path: path.clone(), mode: 0o600, group }, segment.file)
    };
    let first = start(None).unwrap();
    assert!(matches!(start(None), Err(ServerError::InUse(_))));
    drop(first);
    // Another process: what this one binds is also in the children that other tests are starting.
    let mut gateway = spawn(&mut process("gateway", &path)).unwrap();
    says(&mut gateway);
    kill(gateway);
    assert!(path.exists());
    let second = start(None).unwrap();
    drop(second);
    fs::write(&path, "a file").unwrap();
    assert!(matches!(start(None), Err(ServerError::NotASocket(_))));
    fs::remove_file(&path).unwrap();
    let error = start(Some(Group::Name("no such group".into()))).unwrap_err().to_string();
    assert!(error.contains("there is no group \"no such group\""), "{error}");
    assert!(!path.exists());
}

#[test]
fn a_server_ends_while_a_process_that_it_has_seen_started_lives() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("socket");
    let segment = Segment::create(&config()).unwrap();
    let server = stand_in::server(&path, segment.file);
    let child = spawn(Command::new("sleep").arg(LONG.as_secs().to_string())).unwrap();
    let before = Instant::now();
    drop(server);
    assert!(before.elapsed() < LONG / 2);
    kill(child);
}

#[test]
fn what_is_no_gateway_is_told_from_one() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("socket");
    let missing = Subscriber::connect(&path).unwrap_err();
    assert!(matches!(missing, ConnectError::Missing(_)), "{missing}");
    assert!(missing.to_string().contains("no such socket"));
    let listener = UnixListener::bind(&path).unwrap();
    let hello =
        |words: &[u64]| words.iter().flat_map(|word| word.to_ne_bytes()).collect::<Vec<_>>();
    // Whoever has lost patience with it before may come again.
    let greet = |bytes: Vec<u8>| {
        let done = AtomicBool::new(false);
        let answer = thread::scope(|scope| {
            scope.spawn(|| {
                while !done.load(Ordering::Relaxed) {
                    let mut stream = listener.accept().unwrap().0;
                    let _ = stream.write_all(&bytes);
                    // Closing it is not enough: children that other tests are starting hold it too.
                    let _ = stream.shutdown(Shutdown::Both);
                }
            });
            let answer = connect(&path);
            done.store(true, Ordering::Relaxed);
            // It may wait for somebody.
            UnixStream::connect(&path).unwrap();
            answer
        });
        answer.unwrap_err()
    };
    let foreign = |error: &ConnectError| matches!(error, ConnectError::Foreign(_));
    assert!(foreign(&greet(b"HTTP/1.1 400 Bad Request\r\n".to_vec())));
    assert!(foreign(&greet(hello(&[MAGIC ^ 1, VERSION, 0]))));
    assert!(foreign(&greet(hello(&[MAGIC, VERSION, 0]))));
    assert!(foreign(&greet(vec![])));
    assert!(matches!(greet(hello(&[MAGIC, VERSION, 1])), ConnectError::Full(_)));
    let other = greet(hello(&[MAGIC, VERSION + 1, 0]));
    assert!(
        matches!(other, ConnectError::Version { theirs, .. } if theirs == VERSION + 1),
        "{other}"
    );
    // One that accepts and says nothing is not waited for.
    let silent = Subscriber::connect(&path).unwrap_err();
    assert!(matches!(silent, ConnectError::Io { .. }), "{silent}");
}

#[test]
fn a_gateway_that_dies_leaves_the_kernel_s_word() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("socket");
    let mirror = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let mut stream = TcpStream::connect(mirror.local_addr().unwrap()).unwrap();
    let _far = mirror.accept().unwrap().0;
    let stand_in = StandIn::start(&path, Manner::Silent);
    let subscriber = connect(&path).unwrap();
    let mut flow = subscriber.flow(&stream).unwrap();
    drop(stand_in);
    stream.write_all(b"record").unwrap();
    // Acknowledged by a kernel, whatever has become of the gateway.
    let outcome = flow.wait(6, Target::Acked, LONG).unwrap();
    assert_eq!(outcome.reached, Reached::KernelAcked);
    assert_eq!(flow.wait(6, Target::Level(1), LONG), Ok(outcome));
    assert!(flow.wait(7, Target::Level(1), LONG).is_err());
    assert_eq!(flow.wait(7, Target::Acked, Duration::from_millis(5)), Err(WaitError::Timeout));
}
