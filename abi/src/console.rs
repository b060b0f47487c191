//! `console_io` (`xen.h`) and the page of the paravirtual console (`io/console.h`).

/// Write: count in rsi, address in rdx.
pub const OP_WRITE: u32 = 0;
/// Read: room in rsi, address in rdx; the result is the number of bytes.
pub const OP_READ: u32 = 1;

/// The console ring: two byte queues; indices run freely and are masked when used.
pub mod ring {
    /// Bytes from the back end to the guest.
    pub const IN_SIZE: usize = 1024;
    /// Bytes from the guest to the back end.
    pub const OUT_SIZE: usize = 2048;
    /// Offset of the input bytes.
    pub const IN_OFFSET: usize = 0;
    /// Offset of the output bytes.
    pub const OUT_OFFSET: usize = 1024;
    /// Offset of the guest's index into the input.
    pub const IN_CONS_OFFSET: usize = 3072;
    /// Offset of the back end's index into the input.
    pub const IN_PROD_OFFSET: usize = 3076;
    /// Offset of the back end's index into the output.
    pub const OUT_CONS_OFFSET: usize = 3080;
    /// Offset of the guest's index into the output.
    pub const OUT_PROD_OFFSET: usize = 3084;

    layout! {
        /// `xencons_interface`, the start of the console page.
        ConsoleRing [3088] {
            /// Input bytes.
            @0 input: [u8; 1024],
            /// Output bytes.
            @1024 output: [u8; 2048],
            /// Consumed input; written by the guest.
            @3072 in_cons: u32,
            /// Produced input; written by the back end.
            @3076 in_prod: u32,
            /// Consumed output; written by the back end.
            @3080 out_cons: u32,
            /// Produced output; written by the guest.
            @3084 out_prod: u32,
        }
    }
}
