//! The command `isobench` as a new user tries it: good input, bad input, bad luck.

mod bad_input;
mod bad_results;
mod benches;
#[path = "../../benches/memory/bytes.rs"]
mod bytes;
mod cgroup_namespace;
mod compare;
mod cpu;
mod density;
mod doctor;
mod exec;
mod factors;
mod honesty;
mod image;
mod isolation;
mod neighbours;
mod net;
mod peers;
mod places;
mod report;
mod run;
mod streams;
#[path = "../support/mod.rs"]
mod support;
mod surroundings;
mod terminal;
mod time;
mod time_ready;
mod tune;
mod workload_file;
