//! Tests of owners, references and the allocator.
