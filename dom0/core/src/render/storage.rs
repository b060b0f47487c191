//! `lsblk`, `mount` and `dom disk info`.

use alloc::{
    format,
    string::{String, ToString},
    vec::Vec,
};

use serde_json::{Value, json};

use super::table::{Align, column, table};
use crate::storage::{Kind, Listed, Mounted};

/// Bytes with a unit, to one decimal as `lsblk` has them: `8M`, `1.5G`.
pub fn size(bytes: u64) -> String {
    const UNITS: [&str; 7] = ["B", "K", "M", "G", "T", "P", "E"];
    let mut tenths = u128::from(bytes) * 10;
    let mut unit = 0;
    // What would be rounded to 1024 has the next unit.
    while tenths >= 10_235 && unit + 1 < UNITS.len() {
        tenths = if tenths < 1024 * 10 { 10 } else { (tenths + 512) / 1024 };
        unit += 1;
    }
    let unit = UNITS.get(unit).copied().unwrap_or("B");
    if tenths.is_multiple_of(10) { format!("{}{unit}", tenths / 10) } else { format!("{}.{}{unit}", tenths / 10, tenths % 10) }
}

/// What `lsblk` prints.
pub fn lsblk(rows: &[Listed]) -> String {
    let columns = [
        column("NAME", Align::Left, 0),
        column("SIZE", Align::Right, 2),
        column("RO", Align::Right, 1),
        column("TYPE", Align::Left, 1),
        column("HOLDS", Align::Left, 1),
        column("LABEL", Align::Left, 1),
        column("MOUNTPOINT", Align::Left, 1),
        column("USED BY", Align::Left, 1),
    ];
    let last = |at: usize| rows.get(at + 1).is_none_or(|next| next.kind == Kind::Disk);
    let branch = |at: usize, row: &Listed| match (row.kind, last(at)) {
        (Kind::Disk, _) => "",
        (Kind::Part, false) => "├─",
        (Kind::Part, true) => "└─",
    };
    let cells: Vec<_> = rows
        .iter()
        .enumerate()
        .map(|(at, row)| {
            [
                format!("{}{}", branch(at, row), row.name),
                size(row.bytes),
                u8::from(row.read_only).to_string(),
                kind(row.kind).to_string(),
                row.holds.to_string(),
                row.label.clone(),
                row.mounted.clone().unwrap_or_default(),
                row.users.join(", "),
            ]
        })
        .collect();
    let notes = rows.iter().filter_map(|row| row.note.as_ref().map(|note| format!("{}: {note}\n", row.name)));
    table(columns, &cells) + &notes.collect::<String>()
}

const fn kind(kind: Kind) -> &'static str {
    match kind {
        Kind::Disk => "disk",
        Kind::Part => "part",
    }
}

/// What `lsblk --json` prints: partitions are the children of their disk, as the one of util-linux has it.
pub fn lsblk_json(rows: &[Listed]) -> String {
    let mut disks: Vec<(Value, Vec<Value>)> = Vec::new();
    for row in rows {
        match disks.last_mut() {
            Some((_, parts)) if row.kind == Kind::Part => parts.push(object(row)),
            _ => disks.push((object(row), Vec::new())),
        }
    }
    let disks: Vec<Value> = disks
        .into_iter()
        .map(|(mut disk, parts)| {
            if let (Value::Object(fields), false) = (&mut disk, parts.is_empty()) {
                fields.insert("children".to_string(), parts.into());
            }
            disk
        })
        .collect();
    format!("{}\n", json!({ "blockdevices": disks }))
}

fn object(row: &Listed) -> Value {
    json!({
        "name": row.name,
        "size": row.bytes,
        "ro": row.read_only,
        "type": kind(row.kind),
        "holds": if row.holds.is_empty() { None } else { Some(row.holds) },
        "label": if row.label.is_empty() { None } else { Some(&row.label) },
        "mountpoint": row.mounted,
        "users": row.users,
        "note": row.note,
    })
}

/// What `mount` without arguments prints, as Linux has it.
pub fn mounts(mounts: &[Mounted]) -> String {
    let line = |mount: &Mounted| {
        let access = if mount.read_only { "ro" } else { "rw" };
        format!("{} on {} type ext4 ({access})\n", mount.source, mount.folder)
    };
    mounts.iter().map(line).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_short() {
        let shown = [0, 512, 1000, 1023, 1024, 1536, 64 << 20, (1 << 20) - 1, 3 << 29, 1100 << 20, u64::MAX].map(size);
        assert_eq!(shown, ["0B", "512B", "1000B", "1023B", "1K", "1.5K", "64M", "1M", "1.5G", "1.1G", "16E"]);
    }

    fn rows() -> [Listed; 4] {
        let row = |name: &str, kind, bytes| Listed {
            name: name.into(),
            kind,
            bytes,
            read_only: false,
            holds: "",
            label: String::new(),
            mounted: None,
            users: Vec::new(),
            note: None,
        };
        [
            Listed { holds: "gpt", note: Some("look".into()), ..row("vda", Kind::Disk, 64 << 20) },
            Listed { holds: "ext4", label: "data".into(), mounted: Some("/mnt".into()), ..row("vda1", Kind::Part, 8 << 20) },
            Listed { users: ["xvda of a".into(), "xvdb of b".into()].into(), ..row("vda2", Kind::Part, 8 << 20) },
            Listed { read_only: true, ..row("vdb", Kind::Disk, 512) },
        ]
    }

    #[test]
    fn disks_are_a_table_with_their_parts_below() {
        let text = lsblk(&rows());
        let lines: Vec<&str> = text.lines().collect();
        assert_eq!(lines[1], "vda      64M  0 disk gpt");
        assert_eq!(lines[2], "├─vda1    8M  0 part ext4  data  /mnt");
        assert_eq!(lines[3].split_whitespace().collect::<Vec<_>>().join(" "), "└─vda2 8M 0 part xvda of a, xvdb of b");
        assert_eq!(lines[4], "vdb     512B  1 disk");
        assert_eq!(lines[5], "vda: look");
    }

    #[test]
    fn parts_are_children_in_json() {
        let parsed: Value = serde_json::from_str(&lsblk_json(&rows())).unwrap();
        assert_eq!(parsed["blockdevices"][0]["children"][0]["mountpoint"], "/mnt");
        assert_eq!(parsed["blockdevices"][1]["name"], "vdb");
        assert!(parsed["blockdevices"][1].get("children").is_none());
    }
}
