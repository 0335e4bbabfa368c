//! Archives that the tar crate's builder makes, and hostile archives.

use proptest::prelude::*;
use tar::Builder;

use super::*;

fn header(kind: EntryType, size: u64) -> Header {
    let mut header = Header::new_gnu();
    header.set_entry_type(kind);
    header.set_size(size);
    header.set_mode(0o640);
    header.set_uid(7);
    header.set_gid(8);
    header.set_mtime(9);
    header
}

fn all(bytes: &[u8]) -> Result<Vec<(Member, Vec<u8>)>, ArchiveFault> {
    let mut members = Members::new(bytes);
    let mut found = Vec::new();
    while let Some(member) = members.next()? {
        let mut content = Vec::new();
        members.content().read_to_end(&mut content)?;
        found.push((member, content));
    }
    Ok(found)
}

fn one(bytes: &[u8]) -> Member {
    all(bytes).unwrap().remove(0).0
}

#[test]
fn members_have_their_attributes_and_content() {
    let mut builder = Builder::new(Vec::new());
    let mut directory = header(EntryType::Directory, 0);
    builder.append_data(&mut directory, "d/", &b""[..]).unwrap();
    let attribute = ("SCHILY.xattr.user.a", &b"1\n2"[..]);
    builder
        .append_pax_extensions([attribute, ("mtime", b"5.5"), ("uid", b"70000")])
        .unwrap();
    let long = "d/".repeat(80) + "name";
    let mut file = header(EntryType::Regular, 4);
    builder.append_data(&mut file, "d/f", &b"text"[..]).unwrap();
    let mut named = header(EntryType::Regular, 3);
    builder.append_data(&mut named, &long, &b"abc"[..]).unwrap();
    let mut link = header(EntryType::Symlink, 0);
    builder
        .append_link(&mut link, "l", "x".repeat(200))
        .unwrap();
    let found = all(&builder.into_inner().unwrap()).unwrap();

    assert_eq!(found.len(), 4);
    assert_eq!(found[0].0.kind, MemberKind::Directory);
    let (file, content) = &found[1];
    assert_eq!(
        (file.name.as_slice(), content.as_slice()),
        (&b"d/f"[..], &b"text"[..])
    );
    assert_eq!((file.uid, file.gid, file.mode), (70_000, 8, 0o640));
    assert_eq!(file.mtime, (5, 500_000_000));
    assert_eq!(file.attributes, [(b"user.a".to_vec(), b"1\n2".to_vec())]);
    assert_eq!(found[2].0.name, long.as_bytes());
    assert_eq!(found[2].1, b"abc");
    assert_eq!(found[2].0.mtime, (9, 0));
    assert_eq!(found[3].0.link, [b'x'; 200]);
}

#[test]
fn content_that_is_not_read_is_skipped() {
    let mut builder = Builder::new(Vec::new());
    for name in ["a", "b"] {
        let mut header = header(EntryType::Regular, 700);
        builder
            .append_data(&mut header, name, &[1; 700][..])
            .unwrap();
    }
    let bytes = builder.into_inner().unwrap();
    let mut members = Members::new(&bytes[..]);
    assert_eq!(members.next().unwrap().unwrap().name, b"a");
    assert_eq!(members.position(), 512);
    assert_eq!(members.next().unwrap().unwrap().name, b"b");
    assert_eq!(members.position(), 512 + 1024 + 512);
    assert_eq!(members.next().unwrap(), None);
}

#[test]
fn an_archive_that_is_cut_off_or_spoilt_is_refused() {
    let mut builder = Builder::new(Vec::new());
    let mut file = header(EntryType::Regular, 600);
    builder.append_data(&mut file, "f", &[1; 600][..]).unwrap();
    let good = builder.into_inner().unwrap();
    assert!(matches!(all(&good[..100]), Err(ArchiveFault::CutOff)));
    assert!(matches!(all(&good[..900]), Err(ArchiveFault::Read(_))));
    // Neither padding nor an end is an end; a part of the padding is not.
    assert_eq!(all(&good[..512 + 600]).unwrap().len(), 1);
    assert!(matches!(all(&good[..512 + 700]), Err(ArchiveFault::CutOff)));
    let mut wrong = good.clone();
    wrong[0] = b'g';
    assert!(matches!(all(&wrong), Err(ArchiveFault::Checksum)));
}

#[test]
fn a_member_that_is_absurd_of_an_old_sparse_kind_or_of_an_unknown_kind_is_refused() {
    let mut absurd = header(EntryType::GNULongName, 1 << 40);
    absurd.set_cksum();
    let fault = all(absurd.as_bytes()).unwrap_err();
    assert!(matches!(fault, ArchiveFault::ExtensionTooLong));
    for kind in [EntryType::GNUSparse, EntryType::new(b'Q')] {
        let mut header = header(kind, 0);
        header.set_cksum();
        let fault = all(header.as_bytes()).unwrap_err();
        assert!(matches!(
            fault,
            ArchiveFault::Sparse { .. } | ArchiveFault::Kind { .. }
        ));
    }
}

#[test]
fn a_field_that_is_left_out_is_zero_and_a_garbled_one_is_refused() {
    let mut bare = Header::new_gnu();
    bare.set_path("f").unwrap();
    bare.set_cksum();
    let member = one(bare.as_bytes());
    assert_eq!((member.mode, member.uid, member.mtime), (0, 0, (0, 0)));
    let mut wrong = Header::new_gnu();
    wrong.as_old_mut().uid = *b"12x45678";
    wrong.set_cksum();
    let fault = all(wrong.as_bytes()).unwrap_err();
    assert!(matches!(fault, ArchiveFault::Number { field: "uid" }));
}

#[test]
fn a_link_has_no_content_although_its_header_says_so() {
    let mut link = header(EntryType::Link, 1 << 60);
    link.set_cksum();
    assert_eq!(one(link.as_bytes()).size, 0);
}

proptest! {
    #[test]
    fn any_bytes_are_members_or_refused(
        start in 0_usize..600, garbage in proptest::collection::vec(any::<u8>(), 0..600), fix: bool,
    ) {
        let mut builder = Builder::new(Vec::new());
        builder.append_pax_extensions([("SCHILY.xattr.user.a", &b"1"[..])]).unwrap();
        let mut file = header(EntryType::Regular, 10);
        builder.append_data(&mut file, "f", &[1; 10][..]).unwrap();
        let mut bytes = builder.into_inner().unwrap();
        let end = (start + garbage.len()).min(bytes.len());
        bytes[start..end].copy_from_slice(&garbage[..end - start]);
        if fix {
            let mut header = Header::from_byte_slice(&bytes[..512]).clone();
            header.set_cksum();
            bytes[..512].copy_from_slice(header.as_bytes());
        }
        let _ = all(&bytes);
    }
}
