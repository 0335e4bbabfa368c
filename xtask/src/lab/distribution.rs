//! Debian's kernel for virtual machines, from its package: unpacked into a cache, never installed.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, bail};

use super::{only_file, run_tool, say};

/// The package whose dependency is the newest kernel.
const META_PACKAGE: &str = "linux-image-cloud-amd64";
/// The modules that programs in the lab need; their dependencies come by themselves.
const WANTED: [&str; 8] = [
    "virtio_pci",
    "virtio_blk",
    "kvm_amd",
    "overlay",
    "veth",
    "tun",
    "bridge",
    "vhost_vsock",
];

/// A kernel and the modules for it, in the order of loading.
#[derive(Debug)]
pub struct System {
    pub kernel: PathBuf,
    pub modules: Vec<PathBuf>,
}

/// Gets the kernel, from the cache if the cache has the kernel.
pub fn prepare(cache: &Path) -> anyhow::Result<System> {
    let package = newest()?;
    let directory = cache.join(&package);
    if !directory.exists() {
        say(&format!("getting {package}"));
        unpack(&package, cache, &directory)?;
    }
    let kernel = only_file(&directory.join("boot"), "vmlinuz-")?;
    let modules = in_order(&all_modules(&directory)?)?;
    Ok(System { kernel, modules })
}

/// The package that holds the newest kernel that apt knows of.
fn newest() -> anyhow::Result<String> {
    let text = run_tool(Command::new("apt-cache").args(["depends", META_PACKAGE]))?;
    let found = text
        .lines()
        .find_map(|line| line.trim().strip_prefix("Depends: "));
    let package = found.with_context(|| {
        format!("apt knows no package {META_PACKAGE}; the lab wants Debian's, run apt-get update")
    })?;
    if !package.starts_with("linux-image-") || package.contains('/') {
        bail!("{META_PACKAGE} depends on `{package}`, which is no kernel");
    }
    Ok(package.to_owned())
}

/// Unpacks aside and renames: what is in the cache is whole.
fn unpack(package: &str, cache: &Path, directory: &Path) -> anyhow::Result<()> {
    let aside = cache.join(format!("{package}.new"));
    if aside.exists() {
        fs::remove_dir_all(&aside)?;
    }
    fs::create_dir_all(&aside)?;
    run_tool(
        Command::new("apt-get")
            .args(["download", "-qq", package])
            .current_dir(&aside),
    )
    .context("cannot get the kernel")?;
    let archive = only_file(&aside, "linux-image-")?;
    run_tool(Command::new("dpkg-deb").arg("-x").arg(&archive).arg(&aside))?;
    fs::remove_file(archive)?;
    fs::rename(&aside, directory)?;
    Ok(())
}

/// Every module of the package by its name, where `-` and `_` are one.
fn all_modules(directory: &Path) -> anyhow::Result<BTreeMap<String, PathBuf>> {
    let mut found = BTreeMap::new();
    let mut pending = vec![directory.join("lib/modules")];
    while let Some(next) = pending.pop() {
        for entry in fs::read_dir(&next)?.flatten() {
            let path = entry.path();
            if entry.file_type()?.is_dir() {
                pending.push(path);
            } else if path.extension().is_some_and(|extension| extension == "ko") {
                let name = path
                    .file_stem()
                    .unwrap_or_default()
                    .to_string_lossy()
                    .replace('-', "_");
                found.insert(name, path);
            }
        }
    }
    Ok(found)
}

/// The wanted modules, each behind those that the module depends on. A module that has no file is
/// built in.
fn in_order(all: &BTreeMap<String, PathBuf>) -> anyhow::Result<Vec<PathBuf>> {
    let mut order = Vec::new();
    for name in WANTED {
        add(name, all, &mut order)?;
    }
    Ok(order)
}

fn add(
    name: &str,
    all: &BTreeMap<String, PathBuf>,
    order: &mut Vec<PathBuf>,
) -> anyhow::Result<()> {
    let Some(path) = all.get(name).filter(|path| !order.contains(path)) else {
        return Ok(());
    };
    for dependency in dependencies(&fs::read(path)?) {
        add(&dependency, all, order)?;
    }
    order.push(path.clone());
    Ok(())
}

/// What the module says that it depends on: `depends=a,b`, a string of its own in the section
/// `.modinfo`.
fn dependencies(module: &[u8]) -> Vec<String> {
    let mut strings = module.split(|&byte| byte == 0);
    let list = strings.find_map(|string| string.strip_prefix(b"depends="));
    String::from_utf8_lossy(list.unwrap_or_default())
        .split(',')
        .filter(|name| !name.is_empty())
        .map(|name| name.replace('-', "_"))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_module_stands_behind_what_it_depends_on() {
        let directory = tempfile::tempdir().unwrap();
        let mut all = BTreeMap::new();
        for (name, depends) in [
            ("kvm", "irqbypass"),
            ("irqbypass", ""),
            ("kvm_amd", "kvm,ccp"),
        ] {
            let path = directory.path().join(format!("{name}.ko"));
            fs::write(
                &path,
                format!("\u{7f}ELF\0license=GPL\0depends={depends}\0x"),
            )
            .unwrap();
            all.insert(name.to_owned(), path);
        }
        let names: Vec<_> = in_order(&all)
            .unwrap()
            .iter()
            .map(|path| path.file_stem().unwrap().to_string_lossy().into_owned())
            .collect();
        assert_eq!(names, ["irqbypass", "kvm", "kvm_amd"]);
    }
}
