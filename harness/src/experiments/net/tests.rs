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

/// The host's part of `work`, with the function `instance` in place of an instance.
fn against(
    work: Work,
    limit: Duration,
    instance: impl FnOnce(SocketAddr) + Send,
) -> Result<Vec<Reading>, MeasureError> {
    let interrupt = Interrupt::never().unwrap();
    let host = HostSocket::listen(Ipv4Addr::LOCALHOST.into(), limit, &interrupt).unwrap();
    let address = host.address();
    thread::scope(|scope| {
        scope.spawn(move || instance(address));
        time_work(&host, work)
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
fn an_instance_that_never_connects_or_never_answers_times_out() {
    let silent = reason(Work::Echo(count(1)), SHORT, |_| {});
    assert_eq!(silent, "no connection from the instance within 200ms");
    for (work, awaited) in [
        (Work::Echo(count(1)), "echo"),
        (Work::Receive(BYTES), "answer to the last byte"),
        (Work::Send(BYTES), "last byte"),
        (Work::Connect(count(2)), "connection"),
    ] {
        let (keep, kept) = mpsc::channel::<()>();
        let reason = thread::scope(|scope| {
            let waiting = scope.spawn(move || {
                reason(work, SHORT, move |host| {
                    let _line = TcpStream::connect(host).unwrap();
                    let _ = kept.recv_timeout(Duration::from_secs(1));
                })
            });
            let reason = waiting.join().unwrap();
            drop(keep);
            reason
        });
        assert_eq!(
            reason,
            format!("no {awaited} from the instance within 200ms")
        );
    }
}

#[test]
fn an_instance_that_stops_reading_times_out() {
    let work = Work::Receive(ByteSize::mib(64));
    let reason = reason(work, SHORT, |host| {
        let _line = TcpStream::connect(host).unwrap();
        thread::sleep(SHORT * 3);
    });
    assert_eq!(
        reason,
        "no read of the sent bytes from the instance within 200ms"
    );
}

#[test]
fn an_early_close_is_an_error() {
    let close = |host| drop(TcpStream::connect(host).unwrap());
    let early = reason(Work::Echo(count(5)), LONG, close);
    assert!(
        early.starts_with("the instance closed its connection"),
        "{early}"
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
fn too_many_bytes_are_an_error() {
    let much = reason(Work::Send(BYTES), LONG, |host| {
        let mut line = TcpStream::connect(host).unwrap();
        // The host may close the connection before all bytes are sent.
        let _ = line.write_all(&vec![1; 301 * 1024]);
        let _ = line.read(&mut [0; 16]);
    });
    assert_eq!(
        much,
        "the instance sent more bytes than the host had requested"
    );
}

#[test]
fn bytes_that_are_returned_before_they_were_sent_are_an_error() {
    // One of the 1000 random bytes differs from 7.
    let ahead = reason(Work::Echo(count(1000)), LONG, |host| {
        let mut line = TcpStream::connect(host).unwrap();
        let _ = line.write_all(&[7; 1000]);
        let _ = line.read_to_end(&mut Vec::new());
    });
    assert_eq!(
        ahead,
        "the instance returned another byte than the host had sent"
    );
}

#[test]
fn the_host_accepts_no_more_connections_than_it_has_requested() {
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

/// The error of an exchange with a shell script in place of an instance.
fn script_error(script: &str, work: Work) -> MeasureError {
    let interrupt = Interrupt::never().unwrap();
    let host = HostSocket::listen(Ipv4Addr::LOCALHOST.into(), SHORT, &interrupt).unwrap();
    let command = CommandLine::new("/bin/sh").args(["-c", script]);
    let mut instance = Instance::start(&command, Stdin::Null, LONG, &interrupt).unwrap();
    exchange(&mut instance, &host, work).unwrap_err()
}

#[test]
fn an_instance_that_writes_its_lines_but_never_connects_fails_its_sample() {
    let error = script_error("echo isobench/1 begin; sleep 5", Work::Echo(count(1)));
    assert!(
        matches!(error, MeasureError::Net(NetError::Timeout { .. })),
        "{error}"
    );
}

#[test]
fn an_instance_that_ends_silently_is_told_by_its_own_words() {
    let script = "echo isobench/1 begin; echo lost >&2; exit 125";
    let error = script_error(script, Work::Echo(count(1)));
    assert_eq!(
        error.to_string(),
        "ended with exit code 125 before its connection: lost"
    );
}

#[test]
fn an_instance_that_writes_another_line_fails_its_sample() {
    let error = script_error("echo isobench/1 ready", Work::Echo(count(1)));
    assert!(matches!(error, MeasureError::Instance(_)), "{error}");
}

#[test]
fn the_host_may_listen_on_an_address_that_no_interface_has_yet() {
    let interrupt = Interrupt::never().unwrap();
    let address = isobench_container::HOST_ADDRESS.into();
    let host = HostSocket::listen(address, LONG, &interrupt).unwrap();
    assert_eq!(host.address().ip(), address);
    assert_ne!(host.address().port(), 0);
}
