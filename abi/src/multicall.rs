//! `multicall`: a batch of hypercalls in one entry (`xen.h`).

layout! {
    /// One call of the batch.
    MulticallEntry [64] {
        /// Hypercall number.
        @0 op: u64,
        /// Out: its result.
        @8 result: u64,
        /// Its arguments.
        @16 args: [u64; 6],
    }
}
