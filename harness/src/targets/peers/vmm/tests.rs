//! The adapters against a program that passes for the VMM: it notes how it was called and says what a guest says.

use std::ffi::OsString;
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::time::Duration;

use tempfile::TempDir;

use super::*;
use crate::instance::bounded_command;
use crate::targets::guest::kernel::Record;
use crate::targets::{DiskAccess, Marks};

/// A place with a stub for the VMM, a kernel in both formats and a workload.
struct Place {
    directory: TempDir,
}

impl Place {
    fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let place = Self { directory };
        for file in ["vmlinux", "bzImage", "workload", "disk"] {
            fs::write(place.path(file), file).unwrap();
        }
        // Files go with the instance, so the stub keeps those that it is given by path.
        let script = "#!/bin/sh\ncd \"${0%/*}\"\nfor word; do echo \"$word\" >> called\ncase $word in */instance-*) cp \
                      \"$word\" \"seen-${word##*/}\";; esac; done\necho isobench/1 ready\n";
        fs::write(place.path("stub"), script).unwrap();
        fs::set_permissions(place.path("stub"), fs::Permissions::from_mode(0o755)).unwrap();
        place
    }

    fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    fn guests(&self, machine: &'static dyn Machine) -> Guests {
        Guests {
            vmm: self.path("stub"),
            machine,
            init: self.path("workload"),
            kernel: Kernel {
                image: self.path("vmlinux"),
                bzimage: Some(self.path("bzImage")),
                record: None::<Record>,
            },
            directory: self.directory.path().to_owned(),
            instances: Counter::default(),
        }
    }

    /// Runs an instance with a disk; gives the words that the stub was called with.
    fn call(&self, machine: &'static dyn Machine, access: DiskAccess) -> io::Result<Vec<String>> {
        let (program, disk) = (self.path("workload"), self.path("disk"));
        let command = self.guests(machine).command(&Launch {
            environment: vec![OsString::from("KEY=value")],
            disk: Some(&disk),
            access,
            holds_input: true,
            marks: Marks::Phases,
            ..Launch::of(&program, ["ready"])
        })?;
        let said = bounded_command::run(&command, Duration::from_secs(20)).unwrap();
        command.leftovers.remove_after(said.result);
        assert_eq!(
            (said.succeeded(), said.stdout.as_str()),
            (true, "isobench/1 ready\n")
        );
        assert!(!self.path("instance-0").exists());
        let called = fs::read_to_string(self.path("called")).unwrap();
        Ok(called.lines().map(str::to_owned).collect())
    }

    /// The archive that the stub was given.
    fn archive(&self) -> String {
        String::from_utf8_lossy(&fs::read(self.path("seen-initramfs")).unwrap()).into_owned()
    }
}

/// Whether `words` stand beside each other in `called`.
fn has(called: &[String], words: &[&str]) -> bool {
    called.windows(words.len()).any(|window| window == words)
}

#[test]
fn firecracker_gets_its_configuration_in_a_file() {
    let place = Place::new();
    let called = place
        .call(&firecracker::Firecracker, DiskAccess::Buffered)
        .unwrap();
    assert!(
        has(&called, &["--no-api", "--id", "isobench"]),
        "{called:?}"
    );
    let configuration = fs::read(place.path("seen-configuration.json")).unwrap();
    let configuration: serde_json::Value = serde_json::from_slice(&configuration).unwrap();
    let source = &configuration["boot-source"];
    assert_eq!(
        source["kernel_image_path"],
        place.path("vmlinux").to_str().unwrap()
    );
    assert_eq!(
        source["initrd_path"],
        place.path("instance-0/initramfs").to_str().unwrap()
    );
    let drive = &configuration["drives"][0];
    assert_eq!(drive["path_on_host"], place.path("disk").to_str().unwrap());
    assert_eq!(drive["is_root_device"], false);
    assert_eq!(configuration["machine-config"]["mem_size_mib"], 128);
}

#[test]
fn firecracker_refuses_a_disk_past_the_page_cache() {
    let place = Place::new();
    let error = place
        .call(&firecracker::Firecracker, DiskAccess::Direct)
        .unwrap_err();
    assert!(error.to_string().contains("page cache"), "{error}");
}

#[test]
fn cloud_hypervisor_gets_everything_on_its_command_line() {
    let place = Place::new();
    let called = place
        .call(&cloud_hypervisor::CloudHypervisor, DiskAccess::Direct)
        .unwrap();
    let kernel = place.path("vmlinux");
    assert!(
        has(&called, &["--kernel", kernel.to_str().unwrap()]),
        "{called:?}"
    );
    assert!(has(&called, &["--memory", "size=134217728"]), "{called:?}");
    assert!(
        has(&called, &["--serial", "tty", "--console", "off"]),
        "{called:?}"
    );
    let disk = format!("path={},direct=on", place.path("disk").display());
    assert!(has(&called, &["--disk", &disk]), "{called:?}");
    assert!(place.archive().contains("off=1536 52\0"));
}

#[test]
fn qemu_boots_the_kernel_that_each_machine_takes() {
    for (machine, kernel, disk) in [
        (&qemu::MICROVM, "vmlinux", "virtio-blk-device,drive=disk"),
        (&qemu::PC, "bzImage", "virtio-blk-pci,drive=disk"),
    ] {
        let place = Place::new();
        let called = place.call(machine, DiskAccess::Direct).unwrap();
        let kernel = place.path(kernel);
        assert!(
            has(&called, &["-accel", "kvm", "-cpu", "host"]),
            "{called:?}"
        );
        assert!(
            has(&called, &["-kernel", kernel.to_str().unwrap()]),
            "{called:?}"
        );
        assert!(has(&called, &["-device", disk]), "{called:?}");
        assert!(
            called.iter().any(|word| word.contains("cache=none")),
            "{called:?}"
        );
        let archive = place.archive();
        let serial = format!(
            "pipe,id=console,path={}",
            place.path("instance-0/serial").display()
        );
        assert!(has(&called, &["-chardev", &serial]), "{called:?}");
        for words in [
            "wire=bytes\0",
            "input=true\0",
            "argument=ready\0",
            "variable=KEY=value\0",
        ] {
            assert!(archive.contains(words), "{words}");
        }
    }
}
