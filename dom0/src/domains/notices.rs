//! How each domain ended, for those who look at its console at that moment or later.

use alloc::collections::BTreeMap;
use alloc::string::String;

use pv_guest_sdk::sync::IrqMutex;

/// Names that are remembered; an arbitrary one gives way to one more.
const MOST: usize = 64;

static NOTICES: IrqMutex<BTreeMap<String, String>> = IrqMutex::new(BTreeMap::new());

/// Remembers how the domain of a name ended.
pub fn set(name: &str, notice: String) {
    let mut notices = NOTICES.lock();
    if notices.len() >= MOST && !notices.contains_key(name) {
        notices.pop_first();
    }
    notices.insert(name.into(), notice);
}

/// How the last domain of a name ended.
pub fn get(name: &str) -> Option<String> {
    NOTICES.lock().get(name).cloned()
}
