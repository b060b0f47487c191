//! Reads the serial line of a real Xen, which carries two voices: Xen's own lines, opened by `(XEN) `, and the first domain's
//! console, which is passed through as it is.

/// How a run on Xen ended, as Xen tells it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ending {
    /// The first domain powered off (`Hardware Dom0 halted`).
    PowerOff,
    /// It asked for a reboot (`Hardware Dom0 shutdown: rebooting machine`).
    Reboot,
    /// It crashed, or Xen crashed it.
    Crash,
    /// Xen itself panicked or refused to start the domain.
    XenFailed,
}

const PREFIX: &str = "(XEN) ";

/// Whether Xen has said how the first domain ended, in what its serial line carried so far. Only Xen's own lines count.
pub fn ending(serial: &str) -> Option<Ending> {
    serial.lines().filter_map(xen_part).find_map(|line| {
        // The words are those of Xen's `hwdom_shutdown`, and of its `panic`, which frames its message in stars.
        if line.contains("Hardware Dom0 halted") {
            Some(Ending::PowerOff)
        } else if line.contains("Hardware Dom0 shutdown: rebooting") {
            Some(Ending::Reboot)
        } else if line.contains("Hardware Dom0 crashed") {
            Some(Ending::Crash)
        } else if line.starts_with("Panic on CPU") {
            Some(Ending::XenFailed)
        } else {
            None
        }
    })
}

/// What the first domain printed, without Xen's lines. Xen may break into a line that the domain has not ended yet; what follows
/// Xen's line then continues the domain's.
pub fn guest_console(serial: &str) -> String {
    let mut guest = String::with_capacity(serial.len());
    for line in serial.split_inclusive('\n') {
        match line.find(PREFIX) {
            Some(start) => guest.push_str(&line[..start]),
            None => guest.push_str(line),
        }
    }
    guest
}

fn xen_part(line: &str) -> Option<&str> {
    line.find(PREFIX)
        .map(|start| line[start + PREFIX.len()..].trim())
}

#[cfg(test)]
mod tests {
    use super::*;

    const SERIAL: &str = "(XEN) Xen version 4.17\nhello\nhalf (XEN) d0v0 unhandled\n and half\n(XEN) Hardware Dom0 halted: halting machine\n";

    #[test]
    fn the_guest_is_what_xen_did_not_say() {
        assert_eq!(guest_console(SERIAL), "hello\nhalf  and half\n");
    }

    #[test]
    fn the_end_is_what_xen_says() {
        assert_eq!(ending(SERIAL), Some(Ending::PowerOff));
        assert_eq!(
            ending("Hardware Dom0 halted\n"),
            None,
            "a guest cannot fake it"
        );
        assert_eq!(
            ending("(XEN) Hardware Dom0 crashed: rebooting machine in 5 seconds.\n"),
            Some(Ending::Crash)
        );
        assert_eq!(
            ending("(XEN) Panic on CPU 0:\n(XEN) Could not construct domain 0\n"),
            Some(Ending::XenFailed)
        );
        assert_eq!(ending("(XEN) booting\n"), None);
    }
}
