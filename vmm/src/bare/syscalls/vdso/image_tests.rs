//! The vDSO's image, read by goblin and in the ways in which C libraries and Go read it.

use std::collections::BTreeMap;
use std::ffi::CStr;

use goblin::elf::Elf;
use goblin::elf::dynamic::{
    DT_GNU_HASH, DT_HASH, DT_STRSZ, DT_STRTAB, DT_SYMENT, DT_SYMTAB, DT_VERDEF, DT_VERDEFNUM,
    DT_VERSYM,
};
use goblin::elf::section_header::{SHF_ALLOC, SHT_DYNSYM, SHT_STRTAB};
use goblin::elf::sym::{STB_GLOBAL, STT_FUNC};
use goblin::elf::symver::VER_FLG_BASE;

use super::image::image;

/// The names of the functions, which are those of Linux (vdso(7)) but for `clock_getres`, which
/// Linux has since 5.3.
const FUNCTIONS: [&str; 5] = [
    "__vdso_clock_gettime",
    "__vdso_gettimeofday",
    "__vdso_time",
    "__vdso_getcpu",
    "__vdso_clock_getres",
];

/// The bytes of a symbol (`Elf64_Sym`).
const SYMBOL: usize = 24;

fn elf() -> Elf<'static> {
    Elf::parse(image()).unwrap()
}

fn bytes<const LENGTH: usize>(at: usize) -> [u8; LENGTH] {
    image()[at..at + LENGTH].try_into().unwrap()
}

fn half(at: usize) -> u16 {
    u16::from_le_bytes(bytes(at))
}

fn word(at: usize) -> u32 {
    u32::from_le_bytes(bytes(at))
}

fn double(at: usize) -> u64 {
    u64::from_le_bytes(bytes(at))
}

/// The `index`th of the words at `at`, as an index.
fn nth(at: usize, index: usize) -> usize {
    word(at + 4 * index) as usize
}

fn usize_of(value: u64) -> usize {
    usize::try_from(value).unwrap()
}

fn string(at: usize) -> &'static str {
    CStr::from_bytes_until_nul(&image()[at..])
        .unwrap()
        .to_str()
        .unwrap()
}

/// The dynamic table: the value of each tag.
fn dynamic() -> BTreeMap<u64, usize> {
    let table = elf().dynamic.unwrap();
    table
        .dyns
        .iter()
        .map(|entry| (entry.d_tag, usize_of(entry.d_val)))
        .collect()
}

fn symbol_name(symbol: usize) -> &'static str {
    let dynamic = dynamic();
    string(dynamic[&DT_STRTAB] + nth(dynamic[&DT_SYMTAB] + SYMBOL * symbol, 0))
}

/// The hash of a name in `DT_HASH` and in a version's definition (gABI, chapter 5).
fn system_v_hash(name: &str) -> u32 {
    name.bytes().fold(0_u32, |hash, byte| {
        let hash = (hash << 4).wrapping_add(byte.into());
        let high = hash & 0xf000_0000;
        (hash ^ high >> 24) & !high
    })
}

/// The hash of a name in `DT_GNU_HASH`.
fn gnu_hash(name: &str) -> u32 {
    name.bytes().fold(5381_u32, |hash, byte| {
        hash.wrapping_mul(33).wrapping_add(byte.into())
    })
}

/// Finds a symbol by `DT_HASH` (gABI, chapter 5).
fn find_by_hash(name: &str) -> Option<usize> {
    let table = dynamic()[&DT_HASH];
    let buckets = nth(table, 0);
    let mut symbol = nth(table, 2 + system_v_hash(name) as usize % buckets);
    while symbol != 0 && symbol_name(symbol) != name {
        symbol = nth(table, 2 + buckets + symbol);
    }
    (symbol != 0).then_some(symbol)
}

/// Finds a symbol by `DT_GNU_HASH`, as a dynamic linker does.
fn find_by_gnu_hash(name: &str) -> Option<usize> {
    let table = dynamic()[&DT_GNU_HASH];
    let [buckets, first, words, shift] = [0, 1, 2, 3].map(|index| nth(table, index));
    let hash = gnu_hash(name);
    let filter = double(table + 16 + 8 * (hash as usize / 64 % words));
    let bits = 1 << (hash % 64) | 1 << ((hash >> shift) % 64);
    if filter & bits != bits {
        return None;
    }
    let bucket = table + 16 + 8 * words;
    let chain = bucket + 4 * buckets;
    let mut symbol = nth(bucket, hash as usize % buckets);
    while symbol >= first {
        let entry = word(chain + 4 * (symbol - first));
        if entry | 1 == hash | 1 && symbol_name(symbol) == name {
            return Some(symbol);
        }
        if entry & 1 == 1 {
            return None;
        }
        symbol += 1;
    }
    None
}

/// Finds a function as dietlibc does: by the section headers, with the first string table that is
/// in memory.
fn find_by_sections(name: &str) -> Option<u64> {
    let sections = elf().section_headers;
    let strings = sections
        .iter()
        .find(|section| section.sh_type == SHT_STRTAB && section.is_alloc())?;
    let symbols = sections
        .iter()
        .find(|section| section.sh_type == SHT_DYNSYM)?;
    let start = usize_of(symbols.sh_offset);
    let symbol = (start..start + usize_of(symbols.sh_size))
        .step_by(usize_of(symbols.sh_entsize))
        .find(|&at| string(usize_of(strings.sh_offset) + nth(at, 0)) == name)?;
    let section = &sections[usize::from(half(symbol + 6))];
    Some(section.sh_offset + double(symbol + 8) - section.sh_addr)
}

#[test]
fn the_image_names_its_functions() {
    let elf = elf();
    let names: Vec<&str> = elf
        .dynsyms
        .iter()
        .skip(1)
        .filter_map(|symbol| elf.dynstrtab.get_at(symbol.st_name))
        .collect();
    assert_eq!(names, FUNCTIONS);
    assert_eq!(elf.soname, Some("linux-vdso.so.1"));
}

#[test]
fn the_image_is_shorter_than_a_page() {
    assert!(image().len() <= 4096, "{} bytes", image().len());
}

#[test]
fn each_function_lies_in_the_section_of_code() {
    let elf = elf();
    for symbol in elf.dynsyms.iter().skip(1) {
        assert_eq!(
            (symbol.st_bind(), symbol.st_type()),
            (STB_GLOBAL, STT_FUNC),
            "{symbol:?}"
        );
        let section = &elf.section_headers[symbol.st_shndx];
        assert_eq!(elf.shdr_strtab.get_at(section.sh_name), Some(".text"));
        let code = section.sh_addr..section.sh_addr + section.sh_size;
        assert!(code.contains(&symbol.st_value), "{symbol:?}");
        assert!(symbol.st_value + symbol.st_size <= code.end, "{symbol:?}");
        assert!(symbol.st_size > 0, "{symbol:?}");
    }
}

#[test]
fn the_sections_are_those_of_linux() {
    let elf = elf();
    let names: Vec<&str> = elf
        .section_headers
        .iter()
        .filter_map(|section| elf.shdr_strtab.get_at(section.sh_name))
        .collect();
    let expected = [
        "",
        ".hash",
        ".gnu.hash",
        ".dynsym",
        ".dynstr",
        ".gnu.version",
        ".gnu.version_d",
        ".dynamic",
        ".text",
        ".shstrtab",
    ];
    assert_eq!(names, expected);
}

#[test]
fn each_section_lies_in_the_image_where_its_address_says() {
    for section in elf().section_headers.iter().skip(1) {
        assert!(
            section.sh_offset + section.sh_size <= image().len() as u64,
            "{section:?}"
        );
        assert!(
            section.sh_offset.is_multiple_of(section.sh_addralign),
            "{section:?}"
        );
        if section.is_alloc() {
            assert_eq!(section.sh_addr, section.sh_offset, "{section:?}");
        }
    }
}

#[test]
fn sections_and_dynamic_table_agree() {
    let (elf, dynamic) = (elf(), dynamic());
    let section = |name: &str| {
        let mut sections = elf.section_headers.iter();
        sections
            .find(|section| elf.shdr_strtab.get_at(section.sh_name) == Some(name))
            .unwrap()
    };
    for (tag, name, refers_to) in [
        (DT_HASH, ".hash", ".dynsym"),
        (DT_GNU_HASH, ".gnu.hash", ".dynsym"),
        (DT_SYMTAB, ".dynsym", ".dynstr"),
        (DT_STRTAB, ".dynstr", ""),
        (DT_VERSYM, ".gnu.version", ".dynsym"),
        (DT_VERDEF, ".gnu.version_d", ".dynstr"),
    ] {
        let header = section(name);
        assert_eq!(dynamic[&tag] as u64, header.sh_addr, "{name}");
        let other = &elf.section_headers[header.sh_link as usize];
        assert_eq!(elf.shdr_strtab.get_at(other.sh_name), Some(refers_to));
    }
    assert_eq!(dynamic[&DT_STRSZ] as u64, section(".dynstr").sh_size);
    assert_eq!(dynamic[&DT_SYMENT], SYMBOL);
    assert_eq!(
        section(".dynsym").sh_info,
        1,
        "the first symbol that is global"
    );
    assert_eq!(
        dynamic[&DT_VERDEFNUM] as u64,
        u64::from(section(".gnu.version_d").sh_info)
    );
    assert_eq!(section(".shstrtab").sh_flags & u64::from(SHF_ALLOC), 0);
}

/// Linux Standard Base Core 5.0, 10.7.3: the definitions are a list, and each has a list of names.
#[test]
fn the_versions_are_defined_as_the_standard_says() {
    let dynamic = dynamic();
    let mut at = dynamic[&DT_VERDEF];
    let mut definitions = Vec::new();
    loop {
        let [version, flags, index, names] = [0, 2, 4, 6].map(|field| half(at + field));
        let [hash, name, next] = [8, 12, 16].map(|field| word(at + field));
        assert_eq!((version, names), (1, 1));
        let name = at + name as usize;
        assert_eq!(word(name + 4), 0, "no further name follows");
        let name = string(dynamic[&DT_STRTAB] + nth(name, 0));
        assert_eq!(hash, system_v_hash(name), "{name}");
        definitions.push((flags, index, name));
        if next == 0 {
            break;
        }
        at += next as usize;
    }
    let expected = [(VER_FLG_BASE, 1, "linux-vdso.so.1"), (0, 2, "LINUX_2.6")];
    assert_eq!(definitions, expected);
    assert_eq!(definitions.len(), dynamic[&DT_VERDEFNUM]);
}

#[test]
fn each_function_has_the_version_of_linux() {
    let elf = elf();
    let versions: Vec<u16> = elf
        .versym
        .unwrap()
        .iter()
        .map(|entry| entry.vs_val)
        .collect();
    assert_eq!(versions, [0, 2, 2, 2, 2, 2]);
    let definitions = elf.verdef.unwrap();
    let second = definitions
        .iter()
        .find(|definition| definition.vd_ndx == 2)
        .unwrap();
    let name = second.iter().next().unwrap().vda_name;
    assert_eq!(elf.dynstrtab.get_at(name), Some("LINUX_2.6"));
}

#[test]
fn each_way_to_look_up_a_function_finds_the_same_code() {
    let elf = elf();
    for name in FUNCTIONS {
        let symbol = find_by_hash(name).unwrap();
        assert_eq!(symbol_name(symbol), name);
        assert_eq!(find_by_gnu_hash(name), Some(symbol));
        let value = elf.dynsyms.get(symbol).unwrap().st_value;
        assert_eq!(find_by_sections(name), Some(value));
    }
}

#[test]
fn a_name_that_is_not_there_is_not_found() {
    for name in ["__vdso_getrandom", "clock_gettime", ""] {
        assert_eq!(find_by_hash(name), None, "{name}");
        assert_eq!(find_by_gnu_hash(name), None, "{name}");
        assert_eq!(find_by_sections(name).filter(|_| !name.is_empty()), None);
    }
}
