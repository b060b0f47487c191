//! Checks with names, and the verdict over all of them.

use core::fmt::{self, Write};

use pv_guest_sdk::abi::version::{ExtraVersion, OP_EXTRAVERSION};
use pv_guest_sdk::sync::IrqMutex;
use pv_guest_sdk::{abi, hypercall, println};

/// What a check came to.
pub type Outcome = Result<(), Complaint>;

/// A check: what it claims, and what tries it.
pub type Check = (&'static str, fn() -> Outcome);

/// Why a claim does not hold. The text lies in one place for all, since there is one complaint at a time.
pub struct Complaint(());

/// The text of a complaint; cut off if it is long.
struct Text {
    bytes: [u8; 240],
    length: usize,
}

static TEXT: IrqMutex<Text> = IrqMutex::new(Text { bytes: [0; 240], length: 0 });

impl Complaint {
    /// From what `format_args!` makes.
    pub fn new(arguments: fmt::Arguments<'_>) -> Complaint {
        let mut text = TEXT.lock();
        text.length = 0;
        let _ = text.write_fmt(arguments);
        Complaint(())
    }
}

impl fmt::Display for Complaint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = TEXT.lock();
        f.write_str(str::from_utf8(&text.bytes[..text.length]).unwrap_or("(not UTF-8)"))
    }
}

impl Write for Text {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        for character in text.chars() {
            let end = self.length + character.len_utf8();
            let Some(room) = self.bytes.get_mut(self.length..end) else {
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
                println!("domus-test: failure {claim}: {complaint}");
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
