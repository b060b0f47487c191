//! A front end that checks nothing: whatever is put into its ring and its nodes goes to the back end.

use core::ptr::NonNull;
use core::sync::atomic::{AtomicU32, Ordering};

use pv_guest_sdk::abi::Errno;
use pv_guest_sdk::abi::blkif::{OP_READ, PROTOCOL, Request, Response, Segment};
use pv_guest_sdk::block::vdev;
use pv_guest_sdk::events::{self, Port};
use pv_guest_sdk::grants::{self, GrantRef};
use pv_guest_sdk::hypercall::Result;
use pv_guest_sdk::ring::FrontRing;
use pv_guest_sdk::task::block_on_until;
use pv_guest_sdk::xenbus::{self, Device, State};
use pv_guest_sdk::xenstore::Transaction;
use pv_guest_sdk::{BootInfo, memory, time};

/// How long anything may take, in nanoseconds. Under load the host is slow.
const PATIENCE: u64 = 20_000_000_000;
/// How long silence must last to be called so.
const SILENCE: u64 = 300_000_000;

/// A page and its grant.
pub struct Granted {
    pub page: NonNull<u8>,
    pub gref: GrantRef,
}

impl Granted {
    pub fn new(domid: u16, writable: bool) -> Result<Granted> {
        let page = memory::alloc_page().ok_or(Errno::NOMEM)?;
        // SAFETY: the page is only accessed by volatile operations, and is freed when the grant has ended.
        let gref = unsafe { grants::grant(domid, page, writable) }?;
        Ok(Granted { page, gref })
    }

    /// Ends the grant, as soon as the other end lets go.
    pub fn end(self) -> Result<()> {
        let deadline = time::now() + PATIENCE;
        let mut result = grants::revoke(self.gref);
        while result == Err(Errno::BUSY) && time::now() < deadline {
            time::sleep(1_000_000);
            result = grants::revoke(self.gref);
        }
        if result.is_ok() {
            // SAFETY: nobody else can reach it any more.
            unsafe { memory::free_page(self.page) };
        }
        result
    }
}

/// What came of something.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// A response with this status.
    Status(i16),
    /// The back end has left Connected.
    Stopped,
    /// Nothing, for a while.
    Silence,
}

/// A connection.
pub struct Raw {
    pub device: Device,
    pub ring: FrontRing<Request, Response>,
    pub ring_page: Granted,
    pub port: Port,
    pub data: Granted,
    pub sectors: u64,
}

/// The device that the command line names, or the first.
pub fn device() -> Result<Device> {
    let mut numbers = [0];
    xenbus::devices("vbd", &mut numbers)?;
    let named = BootInfo::get().and_then(|info| info.argument("disk")).and_then(vdev);
    Device::open("vbd", named.unwrap_or(numbers[0]))
}

/// Waits until a state of the back end fits.
pub fn await_back(device: &Device, fits: impl Fn(State) -> bool) -> Result<()> {
    let deadline = time::now() + PATIENCE;
    let found = block_on_until(
        async {
            while !fits(device.back_state()) {
                device.changed().await?;
            }
            Ok(())
        },
        deadline,
    );
    found.unwrap_or(Err(Errno::TIMEDOUT))
}

impl Raw {
    /// Connects properly.
    pub fn open() -> Result<Raw> {
        let device = device()?;
        block_on_until(device.begin(), time::now() + PATIENCE).unwrap_or(Err(Errno::TIMEDOUT))?;
        let domid = device.back_domid();
        let ring_page = Granted::new(domid, true)?;
        // SAFETY: the page is the ring's alone until it is freed, when the ring is gone.
        let ring = unsafe { FrontRing::new(ring_page.page, 4096) };
        let port = events::alloc_unbound(domid, |_| {})?;
        let data = Granted::new(domid, true)?;
        let mut raw = Raw { device, ring, ring_page, port, data, sectors: 0 };
        raw.publish()?;
        raw.device.set_state(State::Initialised)?;
        await_back(&raw.device, |state| state == State::Connected)?;
        raw.sectors = raw.device.tells("sectors")?.ok_or(Errno::INVAL)?;
        raw.device.set_state(State::Connected)?;
        Ok(raw)
    }

    /// Writes what a back end needs to know.
    pub fn publish(&self) -> Result<()> {
        for node in ["ring-page-order", "multi-queue-num-queues"] {
            self.device.remove(node)?;
        }
        self.write("protocol", PROTOCOL)?;
        self.device.write(Transaction::NONE, "ring-ref", format_args!("{}", self.ring_page.gref))?;
        self.device.write(Transaction::NONE, "event-channel", format_args!("{}", self.port))?;
        self.write("feature-persistent", "0")
    }

    pub fn write(&self, node: &str, value: &str) -> Result<()> {
        self.device.write(Transaction::NONE, node, format_args!("{value}"))
    }

    /// A proper read of the first sectors, to be spoilt.
    pub fn read(&self) -> Request {
        let mut request = Request { operation: OP_READ, nr_segments: 1, id: 77, ..Request::default() };
        request.seg = [Segment { gref: self.data.gref, first_sect: 0, last_sect: 7, _pad: 0 }; 11];
        request
    }

    /// Puts a request into the ring and rings.
    pub fn send(&mut self, request: Request) -> Result<()> {
        self.ring.push(request).map_err(|_| Errno::NOSPC)?;
        let _ = self.ring.publish();
        events::send(self.port)
    }

    /// What comes of what was sent.
    pub fn outcome(&mut self) -> Outcome {
        self.wait(PATIENCE)
    }

    /// The same, if probably nothing does.
    pub fn soon(&mut self) -> Outcome {
        self.wait(SILENCE)
    }

    fn wait(&mut self, patience: u64) -> Outcome {
        let deadline = time::now() + patience;
        loop {
            match self.ring.pop() {
                Ok(Some(response)) if response.id == 77 => return Outcome::Status(response.status),
                Ok(Some(_)) | Err(_) => return Outcome::Status(i16::MAX),
                Ok(None) if self.ring.arm() => continue,
                Ok(None) => {}
            }
            if self.device.back_state() != State::Connected {
                return Outcome::Stopped;
            }
            if time::now() >= deadline {
                return Outcome::Silence;
            }
            // Either something rings, or a look now and then.
            time::sleep_until(deadline.min(time::now() + 20_000_000));
        }
    }

    /// Sends a request and waits.
    pub fn ask(&mut self, request: Request) -> Result<Outcome> {
        self.send(request)?;
        Ok(self.outcome())
    }

    /// A word of the ring's header.
    pub fn index(&self, word: usize) -> &AtomicU32 {
        assert!(word < 4);
        // SAFETY: the header is mapped and aligned, and both sides access it atomically.
        unsafe { AtomicU32::from_ptr(self.ring_page.page.cast::<u32>().as_ptr().add(word)) }
    }

    /// Moves the index of requests.
    pub fn jump(&self, by: u32) {
        self.index(0).fetch_add(by, Ordering::SeqCst);
        let _ = events::send(self.port);
    }

    /// Closes properly: both ends are Closed and nothing of ours is mapped any more.
    pub fn end(self) -> Result<()> {
        block_on_until(self.device.end(), time::now() + PATIENCE).unwrap_or(Err(Errno::TIMEDOUT))?;
        self.give_back()
    }

    /// Gives back what a back end has that has let go of it.
    pub fn give_back(self) -> Result<()> {
        events::close(self.port)?;
        self.data.end()?;
        self.ring_page.end()
    }
}
