//! Outputs that can't be written, and standard outputs that nobody reads.

use std::fs::{self, File};
use std::os::unix::fs::PermissionsExt;
use std::process::{Command, Stdio};

use crate::common::{Process, maelstrom, traffic, wait_until, write_capture};
use crate::{contents, folder, is_one_line, lab_refused, refused, words};

#[test]
fn an_output_that_cannot_be_is_refused_before_anything_runs() {
    let folder = folder();
    let path = folder.path();
    fs::create_dir(path.join("folder")).unwrap();
    let lab = |output: &str, expected: &[&str]| {
        refused(path, &["lab", "--input", "in.pcap", "--output", output], expected);
    };
    lab("nosuch/out.pcap", &["nosuch: can't write there", "expected a directory"]);
    lab("folder", &["folder", "expected a regular file"]);
    lab("/dev/null", &["/dev/null", "expected a regular file"]);
    lab_refused(path, "--wan-pcap nosuch/w.pcap", &["nosuch/w.pcap", "expected a writable"]);
    lab_refused(path, "--wan-pcap folder", &["folder", "expected a regular file"]);
    lab_refused(path, "--report nosuch/r", &["--report nosuch/r", "expected a directory"]);
    lab_refused(path, "--report folder", &["--report folder", "expected a regular file"]);
    lab_refused(path, "--report /dev/null", &["--report /dev/null", "expected a regular file"]);
    let comma = path.join("a,b");
    fs::create_dir(&comma).unwrap();
    lab("a,b/out.pcap", &["a,b", "expected one without"]);
}

#[test]
fn no_two_files_are_one() {
    let folder = folder();
    let path = folder.path();
    std::os::unix::fs::symlink("in.pcap", path.join("link.pcap")).unwrap();
    fs::write(path.join("losses"), "1\n2\n").unwrap();
    for (line, flag, other) in [
        ("--output in.pcap", "--output in.pcap", "--input"),
        ("--output ./in.pcap", "--output ./in.pcap", "--input"),
        ("--output link.pcap", "--output link.pcap", "--input"),
        ("--output x --wan-pcap in.pcap", "--wan-pcap in.pcap", "--input"),
        ("--output x --wan-pcap x", "--wan-pcap x", "--output"),
        ("--output x --report in.pcap", "--report in.pcap", "--input"),
        ("--output x --report ./x", "--report ./x", "--output"),
        ("--output x --wan-pcap y --report y", "--report y", "--wan-pcap"),
        ("--output losses --loss drop:losses", "--output losses", "--loss drop"),
    ] {
        let line = format!("lab --input in.pcap {line}");
        refused(path, &words(&line), &[flag, other, "expected another"]);
    }
}

#[test]
fn a_folder_without_permission_is_named() {
    let folder = folder();
    let path = folder.path();
    let locked = path.join("locked");
    fs::create_dir(&locked).unwrap();
    fs::set_permissions(&locked, fs::Permissions::from_mode(0o555)).unwrap();
    if File::create(locked.join("probe")).is_ok() {
        eprintln!("skipped: this user (root?) may write where nobody may");
        return;
    }
    refused(path, &words("lab --input in.pcap --output locked/o"), &["locked", "can't write"]);
    lab_refused(path, "--wan-pcap locked/w", &["locked/w", "expected a writable"]);
    lab_refused(path, "--report locked/r", &["--report locked/r", "can't write"]);
}

/// A file-size limit stands in for a full disk: DPDK's PMD does not say that it can't write.
#[test]
fn a_full_disk_leaves_nothing_behind() {
    let folder = folder();
    let path = folder.path();
    write_capture(&path.join("large.pcap"), &traffic(1, 20_000, false));
    let before = contents(path);
    let log = tempfile::tempdir().unwrap();
    let mut command = Command::new("sh");
    command.args(["-c", "trap '' XFSZ; ulimit -f 500; cd \"$1\"; shift; exec \"$@\"", "sh"]);
    command.arg(path).arg(env!("CARGO_BIN_EXE_maelstrom"));
    command.args(words("lab --input large.pcap --output out.pcap --report r.json"));
    let ended = Process::spawn(log.path(), "full", command).end();
    assert_eq!(ended.status, Some(2), "{ended:?}");
    // EAL has a word about the limit, too.
    let errors = ended.stderr.lines().filter(|line| line.starts_with("error: "));
    let errors: Vec<&str> = errors.collect();
    assert!(errors.len() == 1 && errors[0].contains("out.pcap: could not be"), "{ended:?}");
    assert!(contents(path) == before, "something was left behind or changed");
}

#[test]
fn an_older_output_stays_until_there_is_a_new_one() {
    let folder = folder();
    fs::write(folder.path().join("out.pcap"), "old").unwrap();
    fs::write(folder.path().join("r.json"), "old").unwrap();
    lab_refused(folder.path(), "--report r.json --code 8:", &["--code"]);
    lab_refused(folder.path(), "--report r.json --wan-pcap nosuch/w", &["nosuch/w"]);
    let line = "lab --input in.pcap --output out.pcap --report r.json";
    assert_eq!(maelstrom(folder.path(), &words(line)).status, Some(0));
    assert!(fs::read(folder.path().join("r.json")).unwrap().starts_with(b"{"));
}

#[test]
fn an_interrupted_run_takes_its_files_with_it() {
    let folder = folder();
    let path = folder.path();
    let log = tempfile::tempdir().unwrap();
    write_capture(&path.join("large.pcap"), &traffic(2, 200_000, false));
    let before = contents(path);
    // The run may be over before the signal comes: then once more.
    for signal in ["INT", "TERM", "HUP"].into_iter().cycle().take(12) {
        let mut command = Command::new(env!("CARGO_BIN_EXE_maelstrom"));
        let large = path.join("large.pcap");
        command.arg("lab").arg("--input").arg(&large).arg("--output").arg(path.join("out.pcap"));
        command.arg("--wan-pcap").arg(path.join("wan.pcap"));
        command.arg("--report").arg(path.join("r.json"));
        let mut process = Process::spawn(log.path(), "lab", command);
        let in_use = || contents(path).iter().any(|(name, _)| name.contains(".wan.pcap"));
        wait_until("the run to begin", || in_use() || !process.is_running());
        if process.is_running() {
            process.signal(signal);
        }
        let ended = process.end();
        if ended.status == Some(2) {
            is_one_line(&ended, &["stopped by a signal; no file was written"], signal);
            assert!(contents(path) == before, "something was left behind");
            return;
        }
        assert_eq!(ended.status, Some(0), "{ended:?}");
        for name in ["out.pcap", "wan.pcap", "r.json"] {
            fs::remove_file(path.join(name)).unwrap();
        }
    }
    panic!("twelve runs were over before a signal came");
}

#[test]
fn standard_output_that_is_gone_or_full_is_no_panic() {
    let folder = folder();
    for line in ["compare in.pcap in.pcap", "lab --input in.pcap --output out.pcap", "--help"] {
        let run = |stdout: Stdio| {
            let mut command = Command::new(env!("CARGO_BIN_EXE_maelstrom"));
            command.current_dir(&folder).args(words(line)).stdout(stdout);
            let output = command.stderr(Stdio::piped()).spawn().unwrap().wait_with_output();
            let output = output.unwrap();
            (output.status.code(), String::from_utf8_lossy(&output.stderr).into_owned())
        };
        let (reader, writer) = std::io::pipe().unwrap();
        drop(reader);
        assert_eq!(run(writer.into()), (Some(0), String::new()), "{line}");
        let full = File::options().write(true).open("/dev/full").unwrap();
        let (status, error) = run(full.into());
        if line != "--help" {
            assert_eq!(status, Some(2), "{line}: {error}");
            assert!(error.starts_with("error: standard output: ") && error.lines().count() == 1);
        }
    }
}
