//! The console: the hypervisor's for the first domain, the ring page that a back end serves for all others.

use core::fmt::{self, Write};
use core::ptr;
use core::sync::atomic::{AtomicU32, Ordering, fence};

use abi::console::ring::ConsoleRing;
use abi::event::VIRQ_CONSOLE;

use crate::events::{self, Handler, Port};
use crate::hypercall::{self, Result};
use crate::sync::IrqMutex;
use crate::{BootInfo, memory, time};

/// How long to wait at a time for room in the ring.
const WAIT_NS: u64 = 10_000_000;

static CONSOLE: IrqMutex<Console> = IrqMutex::new(Console::Hypervisor);

/// Where bytes go to and come from.
#[derive(Clone, Copy)]
enum Console {
    Hypervisor,
    Ring { page: usize, port: Port },
}

/// Finds the console. Until then, bytes go to the hypervisor, which may drop them.
pub(crate) fn init(info: &BootInfo) {
    let raw = info.start_info();
    if info.is_initial_domain() || raw.console_mfn == 0 {
        return;
    }
    if let Some(pfn) = memory::mfn_to_pfn(raw.console_mfn) {
        *CONSOLE.lock() = Console::Ring {
            page: memory::pfn_to_virt(pfn).addr(),
            port: raw.console_evtchn,
        };
    }
}

/// Writes all bytes; waits while the back end has no room.
pub fn write(bytes: &[u8]) {
    let console = CONSOLE.lock();
    console.write(bytes, true);
}

/// Writes without waiting for anybody or anything: what does not fit is lost. For panic handlers.
pub fn write_now(bytes: &[u8]) {
    // A panic may come while the lock is held; then the place can still be read, since it never changes after the start.
    match CONSOLE.try_lock() {
        Some(console) => console.write(bytes, false),
        None => {
            if let Some(info) = BootInfo::get() {
                place(info).write(bytes, false);
            }
        }
    }
}

fn place(info: &BootInfo) -> Console {
    let raw = info.start_info();
    match memory::mfn_to_pfn(raw.console_mfn) {
        Some(pfn) if !info.is_initial_domain() && raw.console_mfn != 0 => Console::Ring {
            page: memory::pfn_to_virt(pfn).addr(),
            port: raw.console_evtchn,
        },
        _ => Console::Hypervisor,
    }
}

/// Takes bytes that were typed; returns how many, 0 if there are none.
pub fn read(buffer: &mut [u8]) -> usize {
    let console = *CONSOLE.lock();
    match console {
        Console::Hypervisor => hypercall::console_read(buffer).map_or(0, |count| count as usize),
        Console::Ring { page, port } => {
            let count = Ring(page as *mut ConsoleRing).read(buffer);
            if count > 0 {
                let _ = events::send(port);
            }
            count
        }
    }
}

/// Has `handler` run whenever bytes may have arrived; it takes them with [`read`].
///
/// # Errors
/// What the hypervisor returns.
pub fn on_input(handler: Handler) -> Result<Port> {
    let console = *CONSOLE.lock();
    match console {
        Console::Hypervisor => events::bind_virq(VIRQ_CONSOLE, handler),
        Console::Ring { port, .. } => events::start(port, handler),
    }
}

impl Console {
    fn write(&self, bytes: &[u8], wait: bool) {
        match *self {
            Console::Hypervisor => {
                let _ = hypercall::console_write(bytes);
            }
            Console::Ring { page, port } => {
                let ring = Ring(page as *mut ConsoleRing);
                for (index, line) in bytes.split(|&byte| byte == b'\n').enumerate() {
                    if index > 0 {
                        ring.write_all(b"\r\n", port, wait);
                    }
                    ring.write_all(line, port, wait);
                }
                let _ = events::send(port);
            }
        }
    }
}

/// The ring page; the other end is not trusted to keep its indices in order, only to be a byte queue.
struct Ring(*mut ConsoleRing);

impl Ring {
    fn index(&self, field: *mut u32) -> &'static AtomicU32 {
        // SAFETY: callers pass fields of the console page, which is mapped as long as the kernel runs; the fields are aligned.
        unsafe { AtomicU32::from_ptr(field) }
    }

    fn read(&self, buffer: &mut [u8]) -> usize {
        // SAFETY: computes the addresses of fields of the console page.
        let (cons, prod, input) = unsafe {
            (
                self.index(&raw mut (*self.0).in_cons),
                self.index(&raw mut (*self.0).in_prod),
                (&raw mut (*self.0).input).cast::<u8>(),
            )
        };
        let mut at = cons.load(Ordering::Relaxed);
        let available = prod
            .load(Ordering::Acquire)
            .wrapping_sub(at)
            .min(abi::console::ring::IN_SIZE as u32);
        let count = (available as usize).min(buffer.len());
        for byte in &mut buffer[..count] {
            // SAFETY: the index is masked to the queue's size.
            *byte =
                unsafe { ptr::read_volatile(input.add(at as usize % abi::console::ring::IN_SIZE)) };
            at = at.wrapping_add(1);
        }
        cons.store(at, Ordering::Release);
        count
    }

    fn write_all(&self, mut bytes: &[u8], port: Port, wait: bool) {
        while !bytes.is_empty() {
            let written = self.write_some(bytes);
            bytes = &bytes[written..];
            if written == 0 {
                let _ = events::send(port);
                if !wait {
                    return;
                }
                events::poll(port, time::now() + WAIT_NS);
            }
        }
    }

    fn write_some(&self, bytes: &[u8]) -> usize {
        // SAFETY: computes the addresses of fields of the console page.
        let (cons, prod, output) = unsafe {
            (
                self.index(&raw mut (*self.0).out_cons),
                self.index(&raw mut (*self.0).out_prod),
                (&raw mut (*self.0).output).cast::<u8>(),
            )
        };
        let mut at = prod.load(Ordering::Relaxed);
        let queued = at
            .wrapping_sub(cons.load(Ordering::Acquire))
            .min(abi::console::ring::OUT_SIZE as u32);
        let count = (abi::console::ring::OUT_SIZE - queued as usize).min(bytes.len());
        fence(Ordering::SeqCst);
        for &byte in &bytes[..count] {
            // SAFETY: the index is masked to the queue's size.
            unsafe {
                ptr::write_volatile(output.add(at as usize % abi::console::ring::OUT_SIZE), byte)
            };
            at = at.wrapping_add(1);
        }
        prod.store(at, Ordering::Release);
        count
    }
}

/// Collects what `format_args!` yields, so that a line is one write.
struct Line {
    bytes: [u8; 256],
    len: usize,
}

impl Line {
    fn flush(&mut self) {
        write(&self.bytes[..self.len]);
        self.len = 0;
    }
}

impl Write for Line {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        for &byte in text.as_bytes() {
            if self.len == self.bytes.len() {
                self.flush();
            }
            self.bytes[self.len] = byte;
            self.len += 1;
        }
        Ok(())
    }
}

#[doc(hidden)]
pub fn __print(arguments: fmt::Arguments<'_>) {
    let mut line = Line {
        bytes: [0; 256],
        len: 0,
    };
    let _ = line.write_fmt(arguments);
    line.flush();
}

/// Formats into a buffer, for kernels without a heap; what does not fit is cut off.
pub fn format<'a>(buffer: &'a mut [u8], arguments: fmt::Arguments<'_>) -> &'a str {
    struct Cursor<'a> {
        buffer: &'a mut [u8],
        len: usize,
    }
    impl Write for Cursor<'_> {
        fn write_str(&mut self, text: &str) -> fmt::Result {
            let room = (self.buffer.len() - self.len).min(text.len());
            let count = (0..=room)
                .rev()
                .find(|&at| text.is_char_boundary(at))
                .unwrap_or(0);
            self.buffer[self.len..self.len + count].copy_from_slice(&text.as_bytes()[..count]);
            self.len += count;
            if count == text.len() {
                Ok(())
            } else {
                Err(fmt::Error)
            }
        }
    }
    let mut cursor = Cursor { buffer, len: 0 };
    let _ = cursor.write_fmt(arguments);
    let len = cursor.len;
    str::from_utf8(&buffer[..len]).unwrap_or_default()
}

/// Prints to the console.
#[macro_export]
macro_rules! print {
    ($($argument:tt)*) => { $crate::console::__print(format_args!($($argument)*)) };
}

/// Prints a line to the console.
#[macro_export]
macro_rules! println {
    () => { $crate::print!("\n") };
    ($($argument:tt)*) => { $crate::console::__print(format_args!("{}\n", format_args!($($argument)*))) };
}
