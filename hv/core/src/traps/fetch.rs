//! Reading the instruction that faulted: copied once, then decoded from the copy.

use crate::machine::Machine;

/// The longest instruction there is, in bytes.
const LONGEST: usize = 15;

/// The bytes at RIP, as many as can be read.
pub struct Code {
    bytes: [u8; LONGEST],
    length: usize,
}

impl Code {
    /// Copies the instruction at `rip` from the running guest's address space.
    pub fn at<M: Machine>(machine: &M, rip: u64) -> Code {
        let mut code = Code { bytes: [0; LONGEST], length: LONGEST };
        if machine.copy_from_guest(rip, &mut code.bytes).is_err() {
            // The next page may not be there.
            let rest = (4096 - rip % 4096) as usize;
            code.length = rest.min(LONGEST);
            let on_page = &mut code.bytes[..code.length];
            if rest >= LONGEST || machine.copy_from_guest(rip, on_page).is_err() {
                code.length = 0;
            }
        }
        code
    }

    /// The bytes.
    pub fn bytes(&self) -> &[u8] {
        &self.bytes[..self.length]
    }
}
