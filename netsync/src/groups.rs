//! Groups of users by name, as far as `/etc/group` knows them.

/// A group's number; none when there is no such group.
pub(crate) fn number(name: &str) -> Option<u32> {
    lines().find_map(|(known, gid)| (known == name).then_some(gid))
}

/// A group's name, or its number when it has none here.
pub(crate) fn name(gid: u32) -> String {
    let name = lines().find_map(|(name, known)| (known == gid).then_some(name));
    name.unwrap_or_else(|| gid.to_string())
}

/// `name:password:gid:members`, see group(5).
fn lines() -> impl Iterator<Item = (String, u32)> {
    let text = std::fs::read_to_string("/etc/group").unwrap_or_default();
    let parse = |line: &str| {
        let mut fields = line.split(':');
        let name = fields.next()?.to_owned();
        Some((name, fields.nth(1)?.parse().ok()?))
    };
    text.lines().filter_map(parse).collect::<Vec<_>>().into_iter()
}

#[cfg(test)]
mod tests {
    #[test]
    fn groups_have_names() {
        assert_eq!(super::number("root"), Some(0));
        assert_eq!(super::name(0), "root");
        assert_eq!(super::number("no such group"), None);
        assert_eq!(super::name(987_654_321), "987654321");
    }
}
