use std::io::{Read as _, Write as _};
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::sync::mpsc;
use std::thread;

use super::*;
use crate::host::interrupt::Interrupt;
use crate::instance::command_line::CommandLine;

const LONG: Duration = Duration::from_secs(20);
const SHORT: Duration = Duration::from_millis(200);
const BYTES: ByteSize = ByteSize::kib(300);

fn count(count: u64) -> NonZeroU64 {
    NonZeroU64::new(count).unwrap()
}

/// The host's part of `work` against an instance that does as `instance` does.
fn against(
    work: Work,
    limit: Duration,
    instance: impl FnOnce(SocketAddr) + Send,
) -> Result<Vec<Reading>, MeasureError> {
    let interrupt = Interrupt::never().unwrap();
    let host = HostEnd::listen(Ipv4Addr::LOCALHOST.into(), limit, &interrupt).unwrap();
    let address = host.address();
    thread::scope(|scope| {
        scope.spawn(move || instance(address));
        time(&host, work)
    })
}

fn reason(work: Work, limit: Duration, instance: impl FnOnce(SocketAddr) + Send) -> String {
    against(work, limit, instance).unwrap_err().to_string()
}

#[test]
fn a_good_instance_gives_each_metric() {
    let readings = |work, instance: fn(SocketAddr)| {
        let readings = against(work, LONG, instance).unwrap();
        assert!(readings.iter().all(|reading| reading.value > 0.0));
        let names: Vec<_> = readings.iter().map(|reading| reading.metric).collect();
        names
    };
    let received = readings(Work::Receive(BYTES), |host| {
        let mut line = TcpStream::connect(host).unwrap();
        let mut buffer = vec![0; 300 * 1024];
        line.read_exact(&mut buffer).unwrap();
        line.write_all(&[1]).unwrap();
    });
    assert_eq!(received, [THROUGHPUT_IN.name]);
    let sent = readings(Work::Send(BYTES), |host| {
        let mut line = TcpStream::connect(host).unwrap();
        line.read_exact(&mut [0]).unwrap();
        line.write_all(&vec![1; 300 * 1024]).unwrap();
    });
    assert_eq!(sent, [THROUGHPUT_OUT.name]);
    let echoed = readings(Work::Echo(count(50)), |host| {
        let mut line = TcpStream::connect(host).unwrap();
        let mut byte = [0];
        for _ in 0..50 {
            line.read_exact(&mut byte).unwrap();
            line.write_all(&byte).unwrap();
        }
    });
    assert_eq!(echoed, [ROUND_TRIP_MEDIAN.name, ROUND_TRIP_TAIL.name]);
    let connected = readings(Work::Connect(count(10)), |host| {
        let mut line = TcpStream::connect(host).unwrap();
        line.read_exact(&mut [0]).unwrap();
        for _ in 0..10 {
            let mut connection = TcpStream::connect(host).unwrap();
            assert_eq!(connection.read(&mut [0]).unwrap(), 0);
        }
    });
    assert_eq!(connected, [CONNECTIONS.name]);
}

#[test]
fn one_that_never_connects_or_never_answers_costs_its_limit() {
    let silent = reason(Work::Echo(count(1)), SHORT, |_| {});
    assert_eq!(silent, "no connection from the instance within 200ms");
    for (work, awaited) in [
        (Work::Echo(count(1)), "echo"),
        (Work::Receive(BYTES), "answer to the last byte"),
        (Work::Send(BYTES), "last byte"),
        (Work::Connect(count(2)), "connection"),
    ] {
        let (keep, kept) = mpsc::channel::<()>();
        let said = thread::scope(|scope| {
            let said = scope.spawn(move || {
                reason(work, SHORT, move |host| {
                    let _line = TcpStream::connect(host).unwrap();
                    let _ = kept.recv_timeout(Duration::from_secs(1));
                })
            });
            let said = said.join().unwrap();
            drop(keep);
            said
        });
        assert_eq!(said, format!("no {awaited} from the instance within 200ms"));
    }
}

#[test]
fn one_that_stops_reading_costs_its_limit() {
    let work = Work::Receive(ByteSize::mib(64));
    let said = reason(work, SHORT, |host| {
        let _line = TcpStream::connect(host).unwrap();
        thread::sleep(SHORT * 3);
    });
    assert_eq!(said, "no intake of bytes from the instance within 200ms");
}

#[test]
fn one_that_closes_early_is_told_so() {
    let close = |host| drop(TcpStream::connect(host).unwrap());
    let said = reason(Work::Echo(count(5)), LONG, close);
    assert!(
        said.starts_with("the instance closed its connection"),
        "{said}"
    );
    let half = reason(Work::Send(BYTES), LONG, |host| {
        let mut line = TcpStream::connect(host).unwrap();
        line.write_all(&[1; 1000]).unwrap();
        line.shutdown(std::net::Shutdown::Write).unwrap();
        let _ = line.read(&mut [0; 16]);
    });
    assert_eq!(
        half,
        "the instance closed its connection before its last byte"
    );
}

#[test]
fn one_that_sends_too_much_or_something_else_is_told_so() {
    let much = reason(Work::Send(BYTES), LONG, |host| {
        let mut line = TcpStream::connect(host).unwrap();
        // The host may have closed before all of it is out.
        let _ = line.write_all(&vec![1; 301 * 1024]);
        let _ = line.read(&mut [0; 16]);
    });
    assert_eq!(much, "the instance sent more than it was asked for");
    // Echoes sent ahead: some byte of so many is not the one that is asked for.
    let ahead = reason(Work::Echo(count(1000)), LONG, |host| {
        let mut line = TcpStream::connect(host).unwrap();
        let _ = line.write_all(&[7; 1000]);
        let _ = line.read_to_end(&mut Vec::new());
    });
    assert_eq!(
        ahead,
        "the instance answered with another byte than it was sent"
    );
}

#[test]
fn one_that_connects_without_end_is_not_listened_to() {
    let (stop, stopped) = mpsc::channel::<()>();
    let readings = against(Work::Connect(count(3)), LONG, move |host| {
        let line = TcpStream::connect(host).unwrap();
        let many: Vec<_> = (0..40)
            .filter_map(|_| TcpStream::connect(host).ok())
            .collect();
        drop(line);
        drop(many);
        drop(stopped);
    })
    .unwrap();
    drop(stop);
    assert_eq!(readings.len(), 1);
}

/// What comes of an instance that is a shell script.
fn scripted(script: &str, work: Work) -> MeasureError {
    let interrupt = Interrupt::never().unwrap();
    let host = HostEnd::listen(Ipv4Addr::LOCALHOST.into(), SHORT, &interrupt).unwrap();
    let command = CommandLine::new("/bin/sh").args(["-c", script]);
    let mut instance = Instance::start(&command, Stdin::Null, LONG, &interrupt).unwrap();
    exchange(&mut instance, &host, work).unwrap_err()
}

#[test]
fn one_that_says_that_it_is_there_and_is_not_fails_its_sample() {
    let work = Work::Echo(count(1));
    let error = scripted("echo isobench/1 begin; sleep 5", work);
    assert!(
        matches!(error, MeasureError::Net(NetError::Timeout { .. })),
        "{error}"
    );
    let error = scripted("echo isobench/1 ready", work);
    assert!(matches!(error, MeasureError::Instance(_)), "{error}");
}

#[test]
fn the_host_may_listen_where_no_interface_is_yet() {
    let interrupt = Interrupt::never().unwrap();
    let address = isobench_container::HOST_ADDRESS.into();
    let host = HostEnd::listen(address, LONG, &interrupt).unwrap();
    assert_eq!(host.address().ip(), address);
    assert_ne!(host.address().port(), 0);
}
