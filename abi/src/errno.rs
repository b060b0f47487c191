//! Error numbers as hypercalls return them (`errno.h`), positive here and negated only at the boundary.

use core::fmt;

/// A positive error number; a hypercall returns its negation.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Errno(pub i32);

macro_rules! errnos {
    ($( $name:ident = $value:literal, $text:literal, $meaning:literal; )*) => {
        impl Errno {
            $( #[doc = $meaning] pub const $name: Errno = Errno($value); )*

            /// The symbolic name, such as `EINVAL`, or `E?` for a number that `errno.h` does not list.
            pub const fn name(self) -> &'static str {
                match self.0 {
                    $( $value => $text, )*
                    _ => "E?",
                }
            }

            /// What the number means, in a few words.
            pub const fn meaning(self) -> &'static str {
                match self.0 {
                    $( $value => $meaning, )*
                    _ => "unknown error",
                }
            }

            /// The number that the symbolic name (`EINVAL`) stands for.
            pub fn from_name(name: &str) -> Option<Errno> {
                match name {
                    $( $text => Some(Errno($value)), )*
                    _ => None,
                }
            }
        }
    };
}

errnos! {
    PERM = 1, "EPERM", "operation not permitted";
    NOENT = 2, "ENOENT", "no such entry";
    SRCH = 3, "ESRCH", "no such domain or vCPU";
    INTR = 4, "EINTR", "interrupted";
    IO = 5, "EIO", "I/O error";
    NXIO = 6, "ENXIO", "no such device or address";
    TOOBIG = 7, "E2BIG", "too big";
    NOEXEC = 8, "ENOEXEC", "not an executable";
    BADF = 9, "EBADF", "bad handle";
    CHILD = 10, "ECHILD", "no child";
    AGAIN = 11, "EAGAIN", "try again";
    NOMEM = 12, "ENOMEM", "out of memory";
    ACCES = 13, "EACCES", "permission denied";
    FAULT = 14, "EFAULT", "bad address";
    BUSY = 16, "EBUSY", "busy";
    EXIST = 17, "EEXIST", "exists already";
    XDEV = 18, "EXDEV", "cross-device";
    NODEV = 19, "ENODEV", "no such device";
    NOTDIR = 20, "ENOTDIR", "not a directory";
    ISDIR = 21, "EISDIR", "is a directory";
    INVAL = 22, "EINVAL", "invalid argument";
    NFILE = 23, "ENFILE", "table overflow";
    MFILE = 24, "EMFILE", "too many open";
    NOSPC = 28, "ENOSPC", "no space left";
    ROFS = 30, "EROFS", "read-only";
    MLINK = 31, "EMLINK", "too many links";
    DOM = 33, "EDOM", "argument out of domain";
    RANGE = 34, "ERANGE", "result out of range";
    DEADLK = 35, "EDEADLK", "would deadlock";
    NAMETOOLONG = 36, "ENAMETOOLONG", "name too long";
    NOLCK = 37, "ENOLCK", "no locks available";
    NOSYS = 38, "ENOSYS", "not implemented";
    NOTEMPTY = 39, "ENOTEMPTY", "not empty";
    NODATA = 61, "ENODATA", "no data";
    TIME = 62, "ETIME", "timer expired";
    BADMSG = 74, "EBADMSG", "bad message";
    OVERFLOW = 75, "EOVERFLOW", "value too large";
    ILSEQ = 84, "EILSEQ", "illegal byte sequence";
    RESTART = 85, "ERESTART", "to be restarted";
    NOTSOCK = 88, "ENOTSOCK", "not a socket";
    MSGSIZE = 90, "EMSGSIZE", "message too large";
    PROTONOSUPPORT = 93, "EPROTONOSUPPORT", "interface version not supported";
    OPNOTSUPP = 95, "EOPNOTSUPP", "operation not supported";
    ADDRINUSE = 98, "EADDRINUSE", "address in use";
    ADDRNOTAVAIL = 99, "EADDRNOTAVAIL", "address not available";
    NOBUFS = 105, "ENOBUFS", "no buffer space";
    ISCONN = 106, "EISCONN", "connected already";
    NOTCONN = 107, "ENOTCONN", "not connected";
    TIMEDOUT = 110, "ETIMEDOUT", "timed out";
    CONNREFUSED = 111, "ECONNREFUSED", "connection refused";
}

impl Errno {
    /// The value that a hypercall returns for this error: the negated number.
    pub const fn as_ret(self) -> i64 {
        -(self.0 as i64)
    }

    /// Splits a hypercall's return value: negative numbers down to -4095 are errors, anything else is a result.
    ///
    /// # Errors
    /// The error that the value stands for.
    pub const fn from_ret(ret: i64) -> Result<u64, Errno> {
        if ret < 0 && ret >= -4095 { Err(Errno(-ret as i32)) } else { Ok(ret as u64) }
    }
}

impl fmt::Debug for Errno {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.name() {
            "E?" => write!(f, "E{}", self.0),
            name => f.write_str(name),
        }
    }
}

impl fmt::Display for Errno {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({:?})", self.meaning(), self)
    }
}

impl core::error::Error for Errno {}
