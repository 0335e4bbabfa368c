//! Command lines that are read, and command lines that are refused.

use super::*;

fn parsed(line: &str) -> Result<Command, UsageError> {
    parse(Parser::from_args(line.split_whitespace()))
}

#[test]
fn every_workload_is_read() {
    let disk = |operation, direct| {
        Workload::Disk(Disk {
            operation,
            block: ByteSize::kib(4),
            bytes: ByteSize::mib(64),
            path: "/dev/vda".into(),
            direct,
            depth: NonZeroU64::MIN,
        })
    };
    let thousand = NonZeroU64::new(1000).unwrap();
    for (line, workload) in [
        ("ready", Workload::Ready),
        ("ready --libc", Workload::Ready),
        (
            "idle --touch 16MiB",
            Workload::Idle {
                touch: ByteSize::mib(16),
            },
        ),
        (
            "disk --op fsync --block 4KiB --bytes=64MiB --path /dev/vda",
            disk(DiskOperation::Fsync, false),
        ),
        (
            "disk --direct --path /dev/vda --bytes 67108864 --block 4096 --op seq-read",
            disk(DiskOperation::SequentialRead, true),
        ),
        (
            "disk --op create --block 4KiB --bytes 64MiB --path /dev/vda",
            disk(DiskOperation::Create, false),
        ),
        (
            "cpu --iterations 1000",
            Workload::Cpu {
                iterations: thousand,
            },
        ),
        (
            "syscall --iterations=1000",
            Workload::Syscall {
                iterations: thousand,
            },
        ),
        (
            "page-fault --bytes 1MiB",
            Workload::PageFault {
                bytes: ByteSize::mib(1),
            },
        ),
    ] {
        for (before, waits) in [("", false), ("--wait ", true)] {
            let workload = workload.clone();
            let command = parsed(&format!("{before}{line}")).unwrap();
            assert_eq!(command, Command::Run { workload, waits }, "{line}");
        }
    }
}

#[test]
fn a_server_of_answers_is_read() {
    for (line, compute, is_template) in [
        ("serve --touch 64MiB", 0, false),
        ("serve --template --touch 64MiB --compute 20", 20, true),
    ] {
        let workload = Workload::Serve(Serve {
            touch: ByteSize::mib(64),
            compute: Duration::from_millis(compute),
            is_template,
        });
        let waits = false;
        assert_eq!(parsed(line).unwrap(), Command::Run { workload, waits });
    }
    assert!(parsed("serve --compute 20").is_err());
}

#[test]
fn the_usage_can_be_asked_for() {
    assert_eq!(parsed("--help").unwrap(), Command::Help);
}

#[test]
fn every_operation_on_the_network_is_read() {
    let thousand = NonZeroU64::new(1000).unwrap();
    let mebibyte = ByteSize::mib(1);
    for (line, operation) in [
        ("--op receive --bytes 1MiB", NetOperation::Receive(mebibyte)),
        ("--op send --bytes 1MiB", NetOperation::Send(mebibyte)),
        ("--op echo --count 1000", NetOperation::Echo(thousand)),
        ("--op connect --count 1000", NetOperation::Connect(thousand)),
    ] {
        for peer in ["198.18.0.1:4000", "[::1]:4000"] {
            let command = parsed(&format!("net --peer {peer} {line}")).unwrap();
            let peer = peer.parse().unwrap();
            let net = Net { peer, operation };
            let workload = Workload::Net(net);
            let waits = false;
            assert_eq!(command, Command::Run { workload, waits }, "{line}");
        }
    }
}

#[test]
fn the_error_of_a_bad_command_line_says_what_is_needed() {
    for (line, words) in [
        ("", "no workload"),
        ("redy", "\"redy\""),
        ("--wait", "no workload"),
        ("--wait --wait ready", "bad command line"),
        ("--frob", "bad command line"),
        ("ready set", "bad command line"),
        ("ready --libc --libc", "bad command line"),
        ("idle", "needs --touch"),
        ("idle --touch", "bad command line"),
        ("idle --touch much", "--touch \"much\": a size above zero"),
        ("idle --touch 0", "a size above zero"),
        ("idle --touch -1", "a size above zero"),
        ("cpu --iterations 0", "a whole number above zero"),
        ("cpu --iterations 1e9", "a whole number above zero"),
        ("cpu --bytes 5", "bad command line"),
        ("disk --op fsync --block 4KiB --bytes 1MiB", "needs --path"),
        ("disk --op erase", "one of seq-write"),
        ("net --op echo --peer 127.0.0.1:1", "needs --count"),
        (
            "net --op send --peer 127.0.0.1:1 --count 1",
            "needs --bytes",
        ),
        ("net --op send --bytes 1", "needs --peer"),
        ("net --op listen", "one of receive"),
        ("net --peer host:80", "an address and a port"),
        (
            "disk --op fsync --block 4KiB --bytes 5000 --path f",
            "a multiple of --block",
        ),
        (
            "disk --op fsync --block 100 --bytes 1000 --path f --direct",
            "a multiple of 512",
        ),
        (
            "disk --op fsync --block 4KiB --bytes 4KiB --path f --depth 2",
            "up to 256 with rand-read",
        ),
        (
            "disk --op create --block 4KiB --bytes 4KiB --path d --direct",
            "leave out --direct",
        ),
        (
            "disk --op unlink --block 4KiB --bytes 4KiB --path d --depth 2",
            "up to 256 with rand-read",
        ),
        (
            "disk --op rand-read --block 4KiB --bytes 4KiB --path f --depth 257",
            "up to 256 with rand-read",
        ),
        (
            "disk --op fsync --block 1TiB --bytes 1TiB --path f",
            "largest block",
        ),
    ] {
        let error = parsed(line).unwrap_err().to_string();
        assert!(error.contains(words), "{line}: {error}");
    }
}
