//! Several requests of one operation, under way at the same time.

use alloc::collections::VecDeque;

use super::Error;
use super::engine::Data;
use super::machine::Machine;
use super::queue::{Queue, Ticket};
use super::request::Operation;

/// What is under way, in the order in which it was sent, and what has become of it so far.
pub struct Flight<'q, 'd, M: Machine> {
    queue: &'q Queue<M>,
    tickets: VecDeque<(Ticket<'q, M>, &'d mut [u8])>,
    result: Result<(), Error>,
}

impl<'q, 'd, M: Machine> Flight<'q, 'd, M> {
    /// Nothing yet.
    pub fn new(queue: &'q Queue<M>) -> Self {
        Flight { queue, tickets: VecDeque::new(), result: Ok(()) }
    }

    /// Sends a request, unless one before it has failed; what is read goes to `into`. Whoever waits for room while he holds some himself would wait
    /// for ever, so that is given back first.
    pub async fn send(&mut self, operation: Operation, mut data: Data<'_, M>, into: &'d mut [u8]) {
        while self.result.is_ok() {
            let sent = match self.queue.try_send(operation, &mut data) {
                Ok(None) if self.tickets.is_empty() => self.queue.send(operation, &mut data).await.map(Some),
                sent => sent,
            };
            match sent {
                Ok(Some(ticket)) => return self.tickets.push_back((ticket, into)),
                Ok(None) => self.land().await,
                Err(error) => self.result = Err(error),
            }
        }
    }

    /// Waits for the oldest.
    async fn land(&mut self) {
        let Some((ticket, into)) = self.tickets.pop_front() else { return };
        match ticket.await {
            Ok(answer) => answer.copy_to(into),
            Err(error) => self.result = self.result.and(Err(error)),
        }
    }

    /// Waits for all; the first error.
    ///
    /// # Errors
    /// That one.
    pub async fn finish(mut self) -> Result<(), Error> {
        while !self.tickets.is_empty() {
            self.land().await;
        }
        self.result
    }
}
