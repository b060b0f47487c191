//! One device: its two folders in xenstore, the states in them, and waiting for the other end.

use core::fmt;
use core::str::FromStr;

use abi::Errno;

use super::{Path, State, Step, Text, next};
use crate::hypercall::Result;
use crate::xenstore::{self, Signal, Transaction};

/// A device as its front end sees it.
#[derive(Debug)]
pub struct Device {
    home: Path,
    back: Path,
    back_domid: u16,
    signal: Signal,
}

impl Device {
    /// Finds device `number` of a class, and watches both of its folders.
    ///
    /// # Errors
    /// -ENODEV if there is none; -EINVAL if its nodes make no sense; what xenstore answers otherwise.
    pub fn open(class: &str, number: u32) -> Result<Device> {
        let home = Path::new(format_args!("device/{class}/{number}"))?;
        let missing = |error| if error == Errno::NOENT { Errno::NODEV } else { error };
        let mut buffer = [0; 160];
        let back = read(&home, "backend", &mut buffer).map_err(missing)?;
        let back = Path::new(format_args!("{back}"))?;
        let back_domid = read(&home, "backend-id", &mut buffer).map_err(missing)?.parse().map_err(|_| Errno::INVAL)?;
        let signal = Signal::new()?;
        signal.watch(&back)?;
        signal.watch(&home)?;
        Ok(Device { home, back, back_domid, signal })
    }

    /// The domain at the other end.
    pub fn back_domid(&self) -> u16 {
        self.back_domid
    }

    /// Our folder, relative to our own home.
    pub fn home(&self) -> &str {
        &self.home
    }

    /// The other end's folder.
    pub fn back(&self) -> &str {
        &self.back
    }

    /// Whether the toolstack has taken the device away, or given it to another back end.
    pub fn is_gone(&self) -> bool {
        read(&self.home, "backend", &mut [0; 160]).map_or_else(|error| error == Errno::NOENT, |back| back != &*self.back)
    }

    /// Our state, as xenstore has it.
    pub fn own_state(&self) -> State {
        state(&self.home)
    }

    /// The other end's state; Unknown if it is not there.
    pub fn back_state(&self) -> State {
        state(&self.back)
    }

    /// Writes our state.
    ///
    /// # Errors
    /// What xenstore answers. -ENOENT if the device was taken away: writing would make a node where none belongs.
    pub fn set_state(&self, state: State) -> Result<()> {
        if self.is_gone() {
            return Err(Errno::NOENT);
        }
        self.write(Transaction::NONE, "state", format_args!("{}", state.number()))
    }

    /// A number that the other end tells; `None` if it does not, or tells something else.
    ///
    /// # Errors
    /// What xenstore answers.
    pub fn tells<T: FromStr>(&self, node: &str) -> Result<Option<T>> {
        match read(&self.back, node, &mut [0; 64]) {
            Ok(text) => Ok(text.trim_end_matches('\0').trim().parse().ok()),
            Err(Errno::NOENT | Errno::TOOBIG | Errno::ILSEQ) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Writes a node of ours.
    ///
    /// # Errors
    /// What xenstore answers; -E2BIG for more than 64 bytes.
    pub fn write(&self, transaction: Transaction, node: &str, value: fmt::Arguments<'_>) -> Result<()> {
        let path = Path::new(format_args!("{}/{node}", &*self.home))?;
        xenstore::write(transaction, &path, &Text::<64>::new(value)?)
    }

    /// Removes a node of ours, if it is there.
    ///
    /// # Errors
    /// What xenstore answers.
    pub fn remove(&self, node: &str) -> Result<()> {
        let path = Path::new(format_args!("{}/{node}", &*self.home))?;
        match xenstore::remove(Transaction::NONE, &path) {
            Err(error) if error != Errno::NOENT => Err(error),
            _ => Ok(()),
        }
    }

    /// Does something to xenstore in a transaction, again while others interfere.
    ///
    /// # Errors
    /// Those of `act`; what xenstore answers.
    pub fn transact(&self, mut act: impl FnMut(Transaction) -> Result<()>) -> Result<()> {
        loop {
            let transaction = xenstore::start_transaction()?;
            if let Err(error) = act(transaction) {
                let _ = xenstore::end_transaction(transaction, false);
                return Err(error);
            }
            match xenstore::end_transaction(transaction, true) {
                Err(Errno::AGAIN) => {}
                result => return result,
            }
        }
    }

    /// Whether something in either folder has changed since this was last asked.
    ///
    /// # Errors
    /// As for [`Signal::take`].
    pub fn take_change(&self) -> Result<bool> {
        self.signal.take()
    }

    /// Waits until something in either folder changes.
    ///
    /// # Errors
    /// As for [`Signal::changed`].
    pub async fn changed(&self) -> Result<()> {
        self.signal.changed().await
    }

    /// Waits while there is nothing to do for a front end in state `own`.
    ///
    /// # Errors
    /// -ENODEV if the device is taken away; as for [`Signal::changed`].
    pub async fn step(&self, own: State) -> Result<Step> {
        loop {
            match next(own, self.back_state()) {
                Step::Wait => {}
                step => return Ok(step),
            }
            if self.is_gone() {
                return Err(Errno::NODEV);
            }
            self.changed().await?;
        }
    }

    /// Ends what was, whoever left it, and waits until the other end is ready to begin: it is in InitWait then, and we are in Initialising.
    ///
    /// # Errors
    /// As for [`Self::step`].
    pub async fn begin(&self) -> Result<()> {
        match self.own_state() {
            State::Initialising | State::Unknown => {}
            // A back end that has not seen it yet would see only what follows, and some wait for it (Linux's).
            State::Closed => self.step(State::Closed).await.map(|_| ())?,
            _ => self.end().await?,
        }
        if self.own_state() != State::Initialising {
            self.set_state(State::Initialising)?;
        }
        self.step(State::Initialising).await.map(|_| ())
    }

    /// Stops, and waits until the other end has stopped as well.
    ///
    /// # Errors
    /// As for [`Self::step`].
    pub async fn end(&self) -> Result<()> {
        self.set_state(State::Closing)?;
        self.step(State::Closing).await?;
        self.set_state(State::Closed)?;
        self.step(State::Closed).await.map(|_| ())
    }
}

impl Drop for Device {
    fn drop(&mut self) {
        // One that has vanished has no watches, or will have none.
        let _ = self.signal.unwatch(&self.back);
        let _ = self.signal.unwatch(&self.home);
    }
}

fn state(folder: &str) -> State {
    read(folder, "state", &mut [0; 16]).ok().and_then(|text| text.parse().ok()).map_or(State::Unknown, State::from_number)
}

/// The value of a node in a folder.
fn read<'a>(folder: &str, node: &str, buffer: &'a mut [u8]) -> Result<&'a str> {
    let path = Path::new(format_args!("{folder}/{node}"))?;
    xenstore::read(Transaction::NONE, &path, buffer)
}
