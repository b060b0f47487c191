//! A claim that ends by itself.

use alloc::{rc::Rc, string::ToString, vec::Vec};
use core::cell::RefCell;

use super::StorageError;
use super::claims::{ClaimId, Claims, Range};

/// What somebody has claimed; dropping it ends the claim.
pub struct Claim {
    claims: Rc<RefCell<Claims>>,
    id: ClaimId,
}

impl Claim {
    pub(super) fn take(claims: &Rc<RefCell<Claims>>, holder: &str, ranges: Vec<Range>, write: bool) -> Result<Self, StorageError> {
        let taken = claims.borrow_mut().take(holder, ranges, write);
        let id = taken.map_err(|error| StorageError::new(error.to_string()))?;
        Ok(Self { claims: claims.clone(), id })
    }
}

impl Drop for Claim {
    fn drop(&mut self) {
        self.claims.borrow_mut().give(self.id);
    }
}
