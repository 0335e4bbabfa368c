//! Tests of the adapters with a stub in place of the VMM. The stub records how it was called, and
//! prints a guest's ready line.

use std::ffi::OsString;
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::time::Duration;

use tempfile::TempDir;

use super::*;
use crate::instance::bounded_command;
use crate::targets::guest::kernel::BuildRecord;
use crate::targets::{DiskAccess, Marks};

/// A directory with a stub in place of the VMM, a kernel in both formats, a workload and a disk.
struct Fixture {
    directory: TempDir,
}

impl Fixture {
    fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let fixture = Self { directory };
        for file in ["vmlinux", "bzImage", "workload", "disk"] {
            fs::write(fixture.path(file), file).unwrap();
        }
        // The instance's files are removed with the instance, so the stub copies them.
        let script = "#!/bin/sh\ncd \"${0%/*}\"\nfor word; do echo \"$word\" >> called\n\
                      case $word in */instance-*) cp \"$word\" \"seen-${word##*/}\";; esac; done\n\
                      echo isobench/1 ready\n";
        fs::write(fixture.path("stub"), script).unwrap();
        fs::set_permissions(fixture.path("stub"), fs::Permissions::from_mode(0o755)).unwrap();
        fixture
    }

    fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    fn guests(&self, adapter: &'static dyn VmmAdapter) -> Guests {
        Guests {
            vmm: self.path("stub"),
            adapter,
            init: self.path("workload"),
            image: None,
            kernel: Kernel {
                image: self.path("vmlinux"),
                bzimage: Some(self.path("bzImage")),
                record: None::<BuildRecord>,
            },
            directory: self.directory.path().to_owned(),
            instances: InstanceCounter::default(),
        }
    }

    /// Runs an instance with a disk, and returns the arguments of the stub.
    fn call(
        &self,
        adapter: &'static dyn VmmAdapter,
        access: DiskAccess,
    ) -> io::Result<Vec<String>> {
        let (program, disk) = (self.path("workload"), self.path("disk"));
        let command = self.guests(adapter).command(&Launch {
            environment: vec![OsString::from("KEY=value")],
            disk: Some(&disk),
            access,
            keeps_stdin_open: true,
            marks: Marks::Phases,
            ..Launch::of(&program, ["ready"])
        })?;
        let output = bounded_command::run(&command, Duration::from_secs(20)).unwrap();
        command.leftovers.remove_after(output.result);
        assert!(output.succeeded(), "{output:?}");
        assert_eq!(output.stdout, "isobench/1 ready\n");
        assert!(!self.path("instance-0").exists());
        let called = fs::read_to_string(self.path("called")).unwrap();
        Ok(called.lines().map(str::to_owned).collect())
    }

    /// The archive that the stub got.
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
    let fixture = Fixture::new();
    let called = fixture
        .call(&firecracker::Firecracker, DiskAccess::Buffered)
        .unwrap();
    assert!(
        has(&called, &["--no-api", "--id", "isobench"]),
        "{called:?}"
    );
    let configuration = fs::read(fixture.path("seen-configuration.json")).unwrap();
    let configuration: serde_json::Value = serde_json::from_slice(&configuration).unwrap();
    let source = &configuration["boot-source"];
    assert_eq!(
        source["kernel_image_path"],
        fixture.path("vmlinux").to_str().unwrap()
    );
    assert_eq!(
        source["initrd_path"],
        fixture.path("instance-0/initramfs").to_str().unwrap()
    );
    let drive = &configuration["drives"][0];
    assert_eq!(
        drive["path_on_host"],
        fixture.path("disk").to_str().unwrap()
    );
    assert_eq!(drive["is_root_device"], false);
    assert_eq!(configuration["machine-config"]["mem_size_mib"], 128);
}

#[test]
fn firecracker_refuses_a_disk_that_bypasses_the_page_cache() {
    let fixture = Fixture::new();
    let error = fixture
        .call(&firecracker::Firecracker, DiskAccess::Direct)
        .unwrap_err();
    assert!(error.to_string().contains("page cache"), "{error}");
}

#[test]
fn cloud_hypervisor_gets_everything_on_its_command_line() {
    let fixture = Fixture::new();
    let called = fixture
        .call(&cloud_hypervisor::CloudHypervisor, DiskAccess::Direct)
        .unwrap();
    let kernel = fixture.path("vmlinux");
    assert!(
        has(&called, &["--kernel", kernel.to_str().unwrap()]),
        "{called:?}"
    );
    assert!(has(&called, &["--memory", "size=134217728"]), "{called:?}");
    assert!(
        has(&called, &["--serial", "tty", "--console", "off"]),
        "{called:?}"
    );
    let disk = format!("path={},direct=on", fixture.path("disk").display());
    assert!(has(&called, &["--disk", &disk]), "{called:?}");
    assert!(fixture.archive().contains("off=1536 52\0"));
}

#[test]
fn qemu_boots_the_kernel_format_of_each_machine() {
    for (adapter, kernel, disk) in [
        (&qemu::MICROVM, "vmlinux", "virtio-blk-device,drive=disk"),
        (&qemu::PC, "bzImage", "virtio-blk-pci,drive=disk"),
    ] {
        let fixture = Fixture::new();
        let called = fixture.call(adapter, DiskAccess::Direct).unwrap();
        let kernel = fixture.path(kernel);
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
        let archive = fixture.archive();
        let serial = format!(
            "pipe,id=console,path={}",
            fixture.path("instance-0/serial").display()
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
