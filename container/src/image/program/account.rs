//! The user that an image's programs run as. An image names the user by numbers, or by names of its
//! own `/etc/passwd` and `/etc/group`.

use std::path::Path;

use crate::image::view::lookup::View;
use crate::user::User;

/// The most further groups of a user. The kernel takes 65536.
const MAX_GROUPS: usize = 1024;

/// A user, and the user's home directory.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Account {
    /// The ids of the user and the groups.
    pub user: User,
    /// The home directory, if `/etc/passwd` has one.
    pub home: Option<String>,
}

/// The account that `text` means in an image, or why there is no such account. The text is `user`,
/// `1000`, `user:group` or `1000:100`, for example.
pub fn find(view: &View, text: &str) -> nix::Result<Result<Account, &'static str>> {
    let read = |path| -> nix::Result<String> {
        let bytes = view.read(Path::new(path))?.unwrap_or_default();
        Ok(String::from_utf8_lossy(&bytes).into_owned())
    };
    Ok(look_up(text, &read("/etc/passwd")?, &read("/etc/group")?))
}

fn look_up(text: &str, passwd: &str, group: &str) -> Result<Account, &'static str> {
    // `app:` is the same as `app`, with the user's own groups.
    let (user, wanted_group) = text.split_once(':').unwrap_or((text, ""));
    let user = if user.is_empty() { "0" } else { user };
    let id = user.parse::<u32>().ok();
    // A name may consist of digits. It goes before the number.
    let entry = lines(passwd).find(|line| line[0] == user);
    let entry = entry.or_else(|| lines(passwd).find(|line| id.is_some() && number(line, 2) == id));
    let uid = entry.as_ref().and_then(|line| number(line, 2)).or(id);
    let uid = uid.ok_or_else(|| why(user, "whom its /etc/passwd doesn't know"))?;
    let home = entry
        .as_ref()
        .and_then(|line| line.get(5))
        .map(|home| (*home).to_owned());
    let (gid, groups) = if wanted_group.is_empty() {
        let gid = entry.as_ref().and_then(|line| number(line, 3)).unwrap_or(0);
        let name = entry.as_ref().map(|line| line[0]);
        let groups = name.map_or_else(Vec::new, |name| groups_of(name, group));
        (gid, groups)
    } else {
        let found = lines(group).find(|line| line[0] == wanted_group);
        let found = found.and_then(|line| number(&line, 2));
        let gid = found.or(wanted_group.parse().ok());
        let unknown = || why(wanted_group, "whose group its /etc/group doesn't know");
        (gid.ok_or_else(unknown)?, Vec::new())
    };
    let user = User { uid, gid, groups };
    Ok(Account {
        user,
        home: home.filter(|home| home.starts_with('/')),
    })
}

/// Why `text` is no id: it is beyond all ids, or else `unknown`.
fn why(text: &str, unknown: &'static str) -> &'static str {
    if !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit()) {
        "but no id is so large"
    } else {
        unknown
    }
}

/// The fields of each line of `/etc/passwd` or `/etc/group`.
fn lines(text: &str) -> impl Iterator<Item = Vec<&str>> {
    text.lines().map(|line| line.split(':').collect())
}

fn number(fields: &[&str], index: usize) -> Option<u32> {
    fields.get(index)?.parse().ok()
}

/// The ids of the groups that list the user `name`.
fn groups_of(name: &str, group: &str) -> Vec<u32> {
    let is_member = |line: &Vec<&str>| {
        let members = line.get(3).copied().unwrap_or_default();
        members.split(',').any(|member| member == name)
    };
    let listed = lines(group).filter(is_member);
    listed
        .filter_map(|line| number(&line, 2))
        .take(MAX_GROUPS)
        .collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const PASSWD: &str = "root:x:0:0:root:/root:/bin/sh\nu:x:1000:1001:U:/home/u:/bin/sh\n\
                          12:x:7:8::relative:\nbroken\n";
    const GROUP: &str = "root:x:0:\nu:x:1001:\nextra:x:50:a,u\nmore:x:51:u,b\nnone:x:52:uu\n";

    fn ids(text: &str) -> Result<(u32, u32, Vec<u32>), &'static str> {
        look_up(text, PASSWD, GROUP)
            .map(|found| (found.user.uid, found.user.gid, found.user.groups))
    }

    #[test]
    fn a_user_is_a_name_or_a_number() {
        assert_eq!(ids(""), Ok((0, 0, vec![])));
        assert_eq!(ids("root"), Ok((0, 0, vec![])));
        assert_eq!(ids("u"), Ok((1000, 1001, vec![50, 51])));
        assert_eq!(ids("1000"), Ok((1000, 1001, vec![50, 51])));
        assert_eq!(ids("u:extra"), Ok((1000, 50, vec![])));
        assert_eq!(ids("4:5"), Ok((4, 5, vec![])));
        assert_eq!(ids("4"), Ok((4, 0, vec![])));
        assert_eq!(ids("12"), Ok((7, 8, vec![])));
        // A colon with nothing after it says nothing.
        assert_eq!(ids("u:"), Ok((1000, 1001, vec![50, 51])));
        assert_eq!(ids("1000:"), Ok((1000, 1001, vec![50, 51])));
        assert_eq!(ids("1234:"), Ok((1234, 0, vec![])));
        assert_eq!(ids(":"), Ok((0, 0, vec![])));
        assert_eq!(ids(":extra"), Ok((0, 50, vec![])));
    }

    #[test]
    fn a_user_or_group_that_the_image_does_not_have_is_an_error() {
        for text in ["nobody", "u:nogroup", "broken", "-1", "99999999999"] {
            assert!(ids(text).is_err(), "{text}");
        }
        assert_eq!(ids("99999999999"), Err("but no id is so large"));
        assert_eq!(ids("u:99999999999"), Err("but no id is so large"));
    }

    #[test]
    fn only_an_absolute_home_counts() {
        let home = |text| look_up(text, PASSWD, GROUP).unwrap().home;
        assert_eq!(home("u").as_deref(), Some("/home/u"));
        assert_eq!(home("12"), None);
    }

    proptest! {
        #[test]
        fn any_texts_are_a_user_or_none(text: String, passwd: String, group: String) {
            let _ = look_up(&text, &passwd, &group);
        }
    }
}
