//! `dom disk info` and `dom disk snapshot -l`, as `qemu-img` has them.

use alloc::{
    format,
    string::{String, ToString},
    vec::Vec,
};

use serde_json::{Value, json};

use super::storage::size;
use super::table::{Align, column, facts, table};
use crate::qcow2::Snapshot;
use crate::storage::ImageInfo;

/// What `dom disk info` prints.
pub fn image_info(info: &ImageInfo) -> String {
    let header = &info.header;
    let bytes = |bytes: u64| format!("{} ({bytes} bytes)", size(bytes));
    let mut rows = Vec::from([
        ("image", info.target.clone()),
        ("format", format!("qcow2, version {}", header.version)),
        ("virtual size", bytes(header.virtual_bytes)),
        ("lies in", bytes(info.holder_bytes)),
        ("cluster size", (1u64 << header.cluster_bits).to_string()),
    ]);
    if let Some(backing) = &header.backing {
        rows.push((
            "backing file",
            format!("{} ({})", backing.name, backing.format.as_deref().unwrap_or("of a format that it does not say")),
        ));
    }
    if header.corrupt {
        rows.push(("state", "marked corrupt: it can only be read".to_string()));
    } else if header.dirty && info.users.is_empty() {
        rows.push(("state", "was not closed: its reference counts are rebuilt when it is opened to be written".to_string()));
    }
    if !info.users.is_empty() {
        rows.push(("used by", info.users.join(", ")));
    }
    let list = if info.snapshots.is_empty() { String::new() } else { format!("snapshots:\n{}", snapshots(&info.snapshots)) };
    facts(&rows) + &list
}

/// The same as JSON, with the keys of `qemu-img info --output=json`.
pub fn image_info_json(info: &ImageInfo) -> String {
    let header = &info.header;
    let list: Vec<Value> = info.snapshots.iter().map(|snapshot| {
        json!({ "id": snapshot.id, "name": snapshot.name, "date-sec": snapshot.seconds, "vm-state-size": snapshot.vm_state_bytes, "virtual-size": snapshot.virtual_bytes })
    }).collect();
    let object = json!({
        "filename": info.target,
        "format": "qcow2",
        "version": header.version,
        "virtual-size": header.virtual_bytes,
        "holder-size": info.holder_bytes,
        "cluster-size": 1u64 << header.cluster_bits,
        "backing-filename": header.backing.as_ref().map(|backing| &backing.name),
        "backing-filename-format": header.backing.as_ref().and_then(|backing| backing.format.as_ref()),
        "dirty-flag": header.dirty,
        "corrupt": header.corrupt,
        "snapshots": list,
        "users": info.users,
    });
    format!("{object}\n")
}

/// What `dom disk snapshot -l` prints.
pub fn snapshots(snapshots: &[Snapshot]) -> String {
    let columns = [
        column("ID", Align::Left, 0),
        column("NAME", Align::Left, 2),
        column("SIZE", Align::Right, 2),
        column("DATE (UTC)", Align::Left, 2),
    ];
    let cells =
        |snapshot: &Snapshot| [snapshot.id.clone(), snapshot.name.clone(), size(snapshot.virtual_bytes), date(snapshot.seconds.into())];
    table(columns, &snapshots.iter().map(cells).collect::<Vec<_>>())
}

/// Seconds since 1970 as `2026-01-31 23:59:59`.
fn date(seconds: u64) -> String {
    const YEAR: fn(u64) -> u64 =
        |year| if year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400)) { 366 } else { 365 };
    let (mut days, second) = (seconds / 86_400, seconds % 86_400);
    let mut year = 1970;
    while days >= YEAR(year) {
        days -= YEAR(year);
        year += 1;
    }
    let months = [31, YEAR(year) - 337, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31];
    let mut month = 1;
    for length in months {
        if days < length {
            break;
        }
        days -= length;
        month += 1;
    }
    format!("{year}-{month:02}-{:02} {:02}:{:02}:{:02}", days + 1, second / 3600, second / 60 % 60, second % 60)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_are_those_of_the_calendar() {
        let dates = [0, 68_255_999, 951_782_400, 1_767_225_599, 4_107_542_399].map(date);
        assert_eq!(
            dates,
            ["1970-01-01 00:00:00", "1972-02-29 23:59:59", "2000-02-29 00:00:00", "2025-12-31 23:59:59", "2100-02-28 23:59:59"]
        );
    }

    #[test]
    fn snapshots_are_a_table() {
        let snapshot = Snapshot { id: "1".into(), name: "before".into(), seconds: 0, virtual_bytes: 8 << 30, vm_state_bytes: 0 };
        assert_eq!(snapshots(&[snapshot]), "ID  NAME    SIZE  DATE (UTC)\n1   before    8G  1970-01-01 00:00:00\n");
    }
}
