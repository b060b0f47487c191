//! Checks with names, and the verdict over all of them.

use core::fmt::{self, Write};

use pv_guest_sdk::abi::version::{ExtraVersion, OP_EXTRAVERSION};
use pv_guest_sdk::{abi, hypercall, println};

/// What a check came to.
pub type Outcome = Result<(), Complaint>;

/// A check: what it claims, and what tries it.
pub type Check = (&'static str, fn() -> Outcome);

/// Why a claim does not hold; cut off if it is long.
pub struct Complaint {
    text: [u8; 240],
    length: usize,
}

impl Complaint {
    /// From what `format_args!` makes.
    pub fn new(arguments: fmt::Arguments<'_>) -> Complaint {
        let mut complaint = Complaint { text: [0; 240], length: 0 };
        let _ = complaint.write_fmt(arguments);
        complaint
    }

    fn text(&self) -> &str {
        str::from_utf8(&self.text[..self.length]).unwrap_or("(not UTF-8)")
    }
}

impl Write for Complaint {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        for character in text.chars() {
            let end = self.length + character.len_utf8();
            let Some(room) = self.text.get_mut(self.length..end) else {
                return Err(fmt::Error);
            };
            character.encode_utf8(room);
            self.length = end;
        }
        Ok(())
    }
}

/// Ends the check with a complaint.
#[macro_export]
macro_rules! fail {
    ($($argument:tt)*) => { return Err($crate::report::Complaint::new(format_args!($($argument)*))) };
}

/// Ends the check if something is not what it should be.
#[macro_export]
macro_rules! same {
    ($got:expr, $want:expr) => {
        $crate::same!($got, $want, stringify!($got))
    };
    ($got:expr, $want:expr, $what:expr) => {
        match ($got, $want) {
            (got, want) => {
                if got != want {
                    $crate::fail!("{}: {:x?}, not {:x?}", $what, got, want);
                }
            }
        }
    };
}

/// Ends the check if a condition does not hold.
#[macro_export]
macro_rules! holds {
    ($condition:expr) => {
        if !$condition {
            $crate::fail!("not so: {}", stringify!($condition));
        }
    };
}

/// Tries all checks and gives the verdict.
pub fn run(groups: &[&[Check]]) {
    let mut all = true;
    for (claim, check) in groups.iter().copied().flatten() {
        match check() {
            Ok(()) => println!("ok: {claim}"),
            Err(complaint) => {
                println!("domus-test: failure {claim}: {}", complaint.text());
                all = false;
            }
        }
    }
    if all {
        println!("domus-test: success");
    }
}

/// Whether this is Domus; for the few places where it differs from Xen on purpose.
pub fn on_domus() -> bool {
    let mut version = ExtraVersion::default();
    // SAFETY: the structure of the operation.
    let told = unsafe { hypercall::op(abi::hypercall::XEN_VERSION, OP_EXTRAVERSION, &mut version) };
    told.is_ok() && version.text.windows(5).any(|window| window == b"domus")
}
