//! Network: throughput, round trips and connections by TCP, between the host and an instance.
//!
//! One fresh instance a case, which connects to the harness. Everything is timed here, at the host's end of the socket,
//! single round trips too: no guest's clock is read.

#[cfg(test)]
mod tests;

use std::num::NonZeroU64;
use std::time::Duration;

use bytesize::ByteSize;
use isobench_container::Network;
use isobench_reports::schema::MetricSchema;
use isobench_reports::schema::net::{
    CONNECTIONS, METRICS, NAME, ROUND_TRIP_MEDIAN, ROUND_TRIP_TAIL, THROUGHPUT_IN, THROUGHPUT_OUT,
};
use isobench_workloads::latencies::Latencies;
use isobench_workloads::protocol::Message;
use rand::rngs::ChaCha8Rng;
use rand::{Rng as _, SeedableRng as _};

use super::host_end::{BLOCK, HostEnd, Line};

use super::{
    Applicability, Bench, Case, Experiment, ExperimentInfo, MeasureError, Measured, MetricInfo,
    NetError, Reading, Rounds, Subject,
};
use crate::experiments::profile::{ByProfile, Profile};
use crate::host::clock::MonotonicTime;
use crate::host::cpu_time;
use crate::instance::{Instance, Stdin, unexpected};
use crate::targets::TargetInfo;

/// What an instance is asked to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Work {
    Receive(ByteSize),
    Send(ByteSize),
    Echo(NonZeroU64),
    Connect(NonZeroU64),
}

impl Work {
    /// The workload's options.
    fn arguments(self) -> [String; 4] {
        let (operation, option, amount) = match self {
            Self::Receive(bytes) => ("receive", "--bytes", bytes.as_u64()),
            Self::Send(bytes) => ("send", "--bytes", bytes.as_u64()),
            Self::Echo(count) => ("echo", "--count", count.get()),
            Self::Connect(count) => ("connect", "--count", count.get()),
        };
        [
            "--op".to_owned(),
            operation.to_owned(),
            option.to_owned(),
            amount.to_string(),
        ]
    }

    /// What the workload must say that it did, and what that is.
    fn amount(self) -> (u64, &'static str) {
        match self {
            Self::Receive(bytes) | Self::Send(bytes) => (bytes.as_u64(), "bytes"),
            Self::Echo(count) => (count.get(), "round trips"),
            Self::Connect(count) => (count.get(), "connections"),
        }
    }
}

/// How the figures are measured, for a report's reader.
const METHOD: &str = "TCP between the harness on the host and one fresh instance, which connects to it. All of it is timed on the \
    host, at its own end of the socket: throughput from the first byte until all have been read at the other end \
    (`in` is towards the instance), each round trip of one byte by itself, connections one after the other until \
    the last is accepted and closed. The path is the target's own, and it is what differs: a bare process \
    reaches the host over the host's loopback, the container over a veth pair and the Linux guest over a TAP \
    device, with a network stack of its own at the other end. A target without a network to the host takes no part. Instance and harness share the \
    processors of the host, so throughput is what both together can do.";

/// See the module's documentation.
#[derive(Debug)]
pub struct Net {
    info: ExperimentInfo,
    works: [Work; 4],
}

impl Net {
    /// The amounts of work for `profile`.
    pub fn new(profile: Profile) -> Self {
        let (bytes, round_trips, connections) = match profile {
            Profile::Quick => (ByteSize::mib(128), 4000, 500),
            Profile::Standard => (ByteSize::mib(512), 10_000, 1000),
            Profile::Thorough => (ByteSize::gib(2), 50_000, 2000),
        };
        let count = |count| NonZeroU64::new(count).unwrap_or(NonZeroU64::MIN);
        Self {
            info: ExperimentInfo::new(
                NAME,
                METHOD,
                METRICS.map(MetricInfo::from),
                [
                    Case::of([THROUGHPUT_IN]),
                    Case::of([THROUGHPUT_OUT]),
                    Case::of([ROUND_TRIP_MEDIAN, ROUND_TRIP_TAIL]),
                    Case::of([CONNECTIONS]),
                ],
                ByProfile {
                    quick: Rounds::new(0, 3),
                    standard: Rounds::new(1, 8),
                    thorough: Rounds::new(1, 30),
                },
            ),
            works: [
                Work::Receive(bytes),
                Work::Send(bytes),
                Work::Echo(count(round_trips)),
                Work::Connect(count(connections)),
            ],
        }
    }
}

impl Experiment for Net {
    fn info(&self) -> &ExperimentInfo {
        &self.info
    }

    fn applicability(&self, _: usize, target: &TargetInfo) -> Applicability {
        Applicability::measured_if(network_of(target).is_some())
    }

    fn measure(
        &self,
        case: usize,
        subject: &Subject,
        bench: &Bench,
    ) -> Result<Measured, MeasureError> {
        let work = self.works[case];
        let (network, address) = network_of(&subject.info).ok_or(MeasureError::NoNetwork)?;
        let host = HostEnd::listen(address.into(), bench.limit, bench.interrupt)?;
        let peer = host.address().to_string();
        let options = work.arguments();
        let mut arguments = vec!["net", "--peer", &peer];
        arguments.extend(options.iter().map(String::as_str));
        let mut launch = bench.launch(&arguments);
        launch.network = Some(network);
        let (group, mut instance) = bench.start(subject, launch, Stdin::Null)?;
        let before = cpu_time::of_thread();
        let readings = exchange(&mut instance, &host, work)?;
        let host_work = cpu_time::of_thread().saturating_sub(before);
        let ended = instance.wait_until_exited()?;
        if let Some(group) = group {
            group.remove(ended)?;
        }
        Ok(Measured {
            readings,
            host_work,
            ..Measured::default()
        })
    }
}

/// The network by which an instance of `target` can reach the host, and where it finds it.
fn network_of(target: &TargetInfo) -> Option<(Network, std::net::Ipv4Addr)> {
    target
        .networks
        .iter()
        .find_map(|network| Some((*network, network.host_address()?)))
}

/// Does the host's part of `work` with an instance, and checks the instance's.
fn exchange(
    instance: &mut Instance,
    host: &HostEnd,
    work: Work,
) -> Result<Vec<Reading>, MeasureError> {
    match instance.next_message("begin line")? {
        (Message::Begin, _) => {}
        (other, _) => return Err(unexpected(&other, "begin line").into()),
    }
    let readings = time(host, work)?;
    let (operations, bytes) = match instance.next_message("end line")? {
        (Message::End { operations, bytes }, _) => (operations, bytes.as_u64()),
        (other, _) => return Err(unexpected(&other, "end line").into()),
    };
    let (asked, unit) = work.amount();
    let did = if unit == "bytes" { bytes } else { operations };
    if did == asked {
        Ok(readings)
    } else {
        Err(MeasureError::OtherAmount { did, asked, unit })
    }
}

fn time(host: &HostEnd, work: Work) -> Result<Vec<Reading>, MeasureError> {
    let mut line = host.line()?;
    let readings = match work {
        Work::Receive(bytes) => {
            let buffer = vec![0x5a; BLOCK];
            let took = timed(|| {
                line.pour(&buffer, bytes.as_u64())?;
                line.take("answer to the last byte").map(drop)
            })?;
            vec![rate(THROUGHPUT_IN, bytes.as_u64(), took)]
        }
        Work::Send(bytes) => {
            let mut buffer = vec![0; BLOCK];
            let took = timed(|| {
                line.put(1)?;
                line.drain(&mut buffer, bytes.as_u64())
            })?;
            vec![rate(THROUGHPUT_OUT, bytes.as_u64(), took)]
        }
        Work::Echo(count) => round_trips(&mut line, count)?,
        Work::Connect(count) => {
            let took = timed(|| {
                line.put(1)?;
                (0..count.get()).try_for_each(|_| host.accept().map(drop))
            })?;
            vec![rate(CONNECTIONS, count.get(), took)]
        }
    };
    line.finish()?;
    Ok(readings)
}

/// Sends byte after byte and awaits each one's return. Their values are random, so that none can be sent ahead.
fn round_trips(line: &mut Line, count: NonZeroU64) -> Result<Vec<Reading>, MeasureError> {
    let mut random = ChaCha8Rng::from_rng(&mut rand::rng());
    let mut bytes = vec![0; usize::try_from(count.get()).unwrap_or(usize::MAX)];
    random.fill_bytes(&mut bytes);
    let mut latencies = Latencies::new();
    for byte in bytes {
        let took = timed(|| {
            line.put(byte)?;
            if line.take("echo")? == byte {
                Ok(())
            } else {
                Err(NetError::OtherByte)
            }
        })?;
        latencies.record(took);
    }
    let percentiles = [(ROUND_TRIP_MEDIAN, 50.0), (ROUND_TRIP_TAIL, 99.0)];
    Ok(percentiles
        .into_iter()
        .filter_map(|(metric, percent)| {
            Some(Reading::duration(
                metric.name,
                latencies.percentile(percent)?,
            ))
        })
        .collect())
}

fn timed(work: impl FnOnce() -> Result<(), NetError>) -> Result<Duration, MeasureError> {
    let start = MonotonicTime::now();
    work()?;
    let took = MonotonicTime::now().since(start);
    took.filter(|took| !took.is_zero())
        .ok_or(MeasureError::Untimed)
}

fn rate(metric: MetricSchema, amount: u64, took: Duration) -> Reading {
    Reading::total(metric.name, amount as f64 / took.as_secs_f64())
}
