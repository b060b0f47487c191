//! Tests of the emulation rules: the decoder against iced-x86, page-table writes against a model, the policies against what guests need.

mod cpuid;
mod decode;
mod msr;
mod oracle;
mod ports;
mod privop;
mod ptwr;
mod random;
