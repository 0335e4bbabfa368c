//! Network: throughput, round trips and connections by TCP, between the host and an instance.
//!
//! Each case has a fresh instance, which connects to the harness. The harness times everything at
//! the host's end of the socket, single round trips included: no guest's clock is read.

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

use super::host_socket::{BLOCK, HostSocket, InstanceConnection};

use super::{
    Applicability, Case, Experiment, ExperimentInfo, MeasureContext, MeasureError, Measurement,
    MetricInfo, NetError, Reading, ReadyTarget, Rounds,
};
use crate::experiments::profile::{ByProfile, Profile};
use crate::host::clock::MonotonicTime;
use crate::host::cpu_time;
use crate::instance::{Instance, Stdin, unexpected};
use crate::targets::TargetInfo;

/// The work of an instance.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Work {
    /// The instance receives so many bytes.
    Receive(ByteSize),
    /// The instance sends so many bytes.
    Send(ByteSize),
    /// The instance returns so many single bytes.
    Echo(NonZeroU64),
    /// The instance connects so many times, one after the other.
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

    /// The amount that the workload must report, and its unit.
    fn amount(self) -> (u64, &'static str) {
        match self {
            Self::Receive(bytes) | Self::Send(bytes) => (bytes.as_u64(), "bytes"),
            Self::Echo(count) => (count.get(), "round trips"),
            Self::Connect(count) => (count.get(), "connections"),
        }
    }
}

/// How the metrics are measured, for a report's reader.
const METHOD: &str = "TCP between the harness on the host and one fresh instance, which connects \
    to \
    the harness. The host times everything at its own end of the socket: throughput from the first \
    byte until the other end has read all bytes (`in` is towards the instance), each single round \
    trip of one byte, and connections one after the other until the last is accepted and closed. \
    The path is the target's own, and is what differs: a bare process reaches the host over the \
    host's loopback, the container over a veth pair and both microVMs over a TAP device; the \
    container and the Linux guest have a network stack of their own in a kernel, the bare guest \
    one in the VMM's process. A target without a network to the host takes no part. \
    Instance and harness share the host's processors, so throughput is what both together can do.";

/// The experiment `net`.
#[derive(Debug)]
pub struct Net {
    info: ExperimentInfo,
    /// The work of each case.
    works: [Work; 4],
}

impl Net {
    /// The experiment with the amounts of work of `profile`.
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
        target: &ReadyTarget,
        context: &MeasureContext,
    ) -> Result<Measurement, MeasureError> {
        let work = self.works[case];
        let (network, address) = network_of(&target.info).ok_or(MeasureError::NoNetwork)?;
        let host = HostSocket::listen(address.into(), context.limit, context.interrupt)?;
        let peer = host.address().to_string();
        let options = work.arguments();
        let mut arguments = vec!["net", "--peer", &peer];
        arguments.extend(options.iter().map(String::as_str));
        let mut launch = context.launch(&arguments);
        launch.network = Some(network);
        let (group, mut instance) = context.start(target, launch, Stdin::Null)?;
        let before = cpu_time::of_thread();
        let readings = exchange(&mut instance, &host, work)?;
        let host_work = cpu_time::of_thread().saturating_sub(before);
        let ended = instance.wait_until_exited()?;
        if let Some(group) = group {
            group.remove(ended)?;
        }
        Ok(Measurement {
            readings,
            host_work,
            ..Measurement::default()
        })
    }
}

/// The network by which an instance of `target` can reach the host, and the host's address in this
/// network.
fn network_of(target: &TargetInfo) -> Option<(Network, std::net::Ipv4Addr)> {
    target
        .networks
        .iter()
        .find_map(|network| Some((*network, network.host_address()?)))
}

/// Does the host's part of `work`, and checks that the instance has done its own part.
fn exchange(
    instance: &mut Instance,
    host: &HostSocket,
    work: Work,
) -> Result<Vec<Reading>, MeasureError> {
    match instance.next_message("begin line")? {
        (Message::Begin, _) => {}
        (other, _) => return Err(unexpected(&other, "begin line").into()),
    }
    let readings = time_work(host, work).map_err(|error| match error {
        MeasureError::Net(NetError::Timeout { awaited, .. }) => match instance.early_end(awaited) {
            Some(ended) => ended.into(),
            None => error,
        },
        error => error,
    })?;
    let (operations, bytes) = match instance.next_message("end line")? {
        (Message::End { operations, bytes }, _) => (operations, bytes.as_u64()),
        (other, _) => return Err(unexpected(&other, "end line").into()),
    };
    let (requested, unit) = work.amount();
    let did = if unit == "bytes" { bytes } else { operations };
    if did == requested {
        Ok(readings)
    } else {
        Err(MeasureError::OtherAmount {
            did,
            requested,
            unit,
        })
    }
}

/// Does the host's part of `work`, and times it.
fn time_work(host: &HostSocket, work: Work) -> Result<Vec<Reading>, MeasureError> {
    let mut connection = host.accept_first()?;
    let readings = match work {
        Work::Receive(bytes) => {
            let buffer = vec![0x5a; BLOCK];
            let took = timed(|| {
                connection.write_bytes(&buffer, bytes.as_u64())?;
                connection.read_byte("answer to the last byte").map(drop)
            })?;
            vec![rate(THROUGHPUT_IN, bytes.as_u64(), took)]
        }
        Work::Send(bytes) => {
            let mut buffer = vec![0; BLOCK];
            let took = timed(|| {
                connection.write_byte(1)?;
                connection.read_bytes(&mut buffer, bytes.as_u64())
            })?;
            vec![rate(THROUGHPUT_OUT, bytes.as_u64(), took)]
        }
        Work::Echo(count) => round_trips(&mut connection, count)?,
        Work::Connect(count) => {
            let took = timed(|| {
                connection.write_byte(1)?;
                (0..count.get()).try_for_each(|_| host.accept().map(drop))
            })?;
            vec![rate(CONNECTIONS, count.get(), took)]
        }
    };
    connection.wait_until_closed()?;
    Ok(readings)
}

/// Sends `count` bytes one by one, and waits for the return of each. The bytes are random, so that
/// the instance can't return a byte before it has received the byte.
fn round_trips(
    connection: &mut InstanceConnection,
    count: NonZeroU64,
) -> Result<Vec<Reading>, MeasureError> {
    let mut random = ChaCha8Rng::from_rng(&mut rand::rng());
    let mut bytes = vec![0; usize::try_from(count.get()).unwrap_or(usize::MAX)];
    random.fill_bytes(&mut bytes);
    let mut latencies = Latencies::new();
    for byte in bytes {
        let took = timed(|| {
            connection.write_byte(byte)?;
            if connection.read_byte("echo")? == byte {
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

/// The time that `work` takes.
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
