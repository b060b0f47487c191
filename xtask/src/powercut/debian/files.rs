//! What must be in a guest's file system after so many acknowledged steps of its load, and what may be.

use std::collections::BTreeMap;

use super::parcel;
use super::record::{BYTES, Records};

/// Files of the latest steps that are there, as in `load.pl`.
const KEPT: u32 = 6;

/// What was found in the file system.
#[derive(Clone, Debug, Default)]
pub struct Found {
    /// The files of the load's folder, by their names in it (`journal`, `kept/7`).
    pub files: BTreeMap<String, Vec<u8>>,
    /// The files of the package.
    pub parcel: BTreeMap<String, Vec<u8>>,
    /// dpkg's `status`.
    pub status: String,
}

/// What is wrong with it after `acked` acknowledged steps, if something is.
pub fn check(records: Records, found: &Found, acked: u32) -> Option<String> {
    let journal = found.file("journal");
    let whole = records.whole(journal);
    if whole < acked {
        return Some(format!("{acked} steps were acknowledged, and the journal has {whole} records"));
    }
    // A record is written when all steps before its own are durable. So only the last one's step may be unfinished.
    let steps = Steps { records, done: acked.max(whole.saturating_sub(1)), begun: whole };
    let rest = journal.get(whole as usize * BYTES..).unwrap_or_default();
    steps
        .tail(rest)
        .or_else(|| steps.current(found))
        .or_else(|| steps.kept(found))
        .or_else(|| parcel::check(found, steps.done, steps.begun))
}

impl Found {
    fn file(&self, name: &str) -> &[u8] {
        self.files.get(name).map_or(&[], Vec::as_slice)
    }
}

/// How far the guest had got: one step at most is begun and not done.
struct Steps {
    records: Records,
    done: u32,
    begun: u32,
}

impl Steps {
    /// The journal's end may have been under way: blocks that have not arrived read as zeroes.
    fn tail(&self, rest: &[u8]) -> Option<String> {
        let next = self.records.make(self.begun + 1);
        let sound = rest.len() <= BYTES && rest.iter().zip(&next).all(|(&byte, &right)| byte == right || byte == 0);
        (!sound).then(|| format!("behind {} records the journal has what was never written to it", self.begun))
    }

    /// The file that is replaced by renaming: never without contents.
    fn current(&self, found: &Found) -> Option<String> {
        let current = found.file("current");
        let sound = current == self.records.make(self.done) || current == self.records.make(self.begun);
        (self.done > 0 && !sound).then(|| format!("after {} steps `current` is of none of the last two", self.done))
    }

    /// The files that each step makes, and removes later.
    fn kept(&self, found: &Found) -> Option<String> {
        for number in (self.begun.saturating_sub(KEPT) + 1)..=self.done {
            if found.file(&format!("kept/{number}")) != self.records.make(number) {
                return Some(format!("after {} steps kept/{number} is not as written", self.done));
            }
        }
        let mut kept = found.files.keys().filter_map(|name| name.strip_prefix("kept/")?.parse::<u32>().ok());
        let left = kept.find(|&number| number > self.begun || number + KEPT <= self.done);
        left.map(|number| format!("after {} steps there is kept/{number}", self.done))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const RECORDS: Records = Records { seed: 3 };

    /// What is there when steps 1 to `done` are done.
    fn after(done: u32) -> Found {
        let mut found = Found {
            parcel: BTreeMap::new(),
            status: "Package: a\nStatus: install ok installed\nVersion: 1\n\n".into(),
            files: BTreeMap::new(),
        };
        let mut put = |name: &str, bytes| found.files.insert(name.to_owned(), bytes);
        put("journal", (1..=done).flat_map(|number| RECORDS.make(number)).collect());
        put("current", RECORDS.make(done));
        for number in done.saturating_sub(KEPT) + 1..=done {
            put(&format!("kept/{number}"), RECORDS.make(number));
        }
        found
    }

    fn complaint(found: &Found, acked: u32) -> String {
        check(RECORDS, found, acked).unwrap_or_default()
    }

    #[test]
    fn what_the_steps_leave_is_sound() {
        for done in [1, 3, 10, 24] {
            assert_eq!(check(RECORDS, &after(done), done), None);
            assert_eq!(check(RECORDS, &after(done), done - 1), None, "one may be done that was not acknowledged");
        }
        assert_eq!(check(RECORDS, &Found { status: after(1).status, ..Found::default() }, 0), None, "nothing was promised");
    }

    #[test]
    fn an_unfinished_step_is_sound() {
        let mut found = after(10);
        found.files.get_mut("journal").unwrap().extend(&RECORDS.make(11)[..512]);
        found.files.get_mut("journal").unwrap().extend([0; 100]);
        assert_eq!(check(RECORDS, &found, 10), None);
        let mut found = after(10);
        found.files.get_mut("journal").unwrap().extend(RECORDS.make(11));
        found.files.insert("kept/11".into(), Vec::new());
        assert_eq!(check(RECORDS, &found, 10), None);
        found.files.remove("kept/5");
        assert_eq!(check(RECORDS, &found, 10), None);
    }

    #[test]
    fn each_loss_is_seen() {
        assert!(complaint(&after(10), 11).contains("the journal has 10 records"));
        let changed = |change: fn(&mut BTreeMap<String, Vec<u8>>)| {
            let mut found = after(10);
            change(&mut found.files);
            complaint(&found, 10)
        };
        assert!(changed(|files| files.get_mut("journal").unwrap()[4100] ^= 1).contains("4 records"));
        assert!(changed(|files| files.get_mut("journal").unwrap().push(1)).contains("never written"));
        assert!(changed(|files| drop(files.insert("current".into(), RECORDS.make(9)))).contains("`current`"));
        assert!(changed(|files| drop(files.insert("current".into(), Vec::new()))).contains("`current`"));
        assert!(changed(|files| drop(files.remove("kept/10"))).contains("kept/10"));
        assert!(changed(|files| drop(files.insert("kept/5".into(), vec![0; BYTES]))).contains("kept/5"));
        assert!(changed(|files| drop(files.insert("kept/4".into(), RECORDS.make(4)))).contains("there is kept/4"), "it was removed");
        assert!(changed(|files| drop(files.insert("kept/12".into(), Vec::new()))).contains("there is kept/12"));
    }
}
