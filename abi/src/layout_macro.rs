//! The one macro that declares a shared layout, so that no struct can be added without its size and offsets being asserted.

/// Declares `#[repr(C)]` structs: `Name [size] { @offset field: type, ... }`.
///
/// Derives zerocopy's conversions (hence no hidden padding), equality and `Debug`; `Default` is all zeroes.
macro_rules! layout {
    ($( $(#[$meta:meta])* $name:ident [$size:literal] {
        $( $(#[$field_meta:meta])* @$offset:literal $field:ident: $ty:ty ),* $(,)?
    } )*) => { $(
        $(#[$meta])*
        #[repr(C)]
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        #[derive(zerocopy::FromBytes, zerocopy::IntoBytes, zerocopy::Immutable, zerocopy::KnownLayout)]
        pub struct $name {
            $( $(#[$field_meta])* pub $field: $ty, )*
        }

        impl Default for $name {
            fn default() -> Self {
                zerocopy::FromZeros::new_zeroed()
            }
        }

        const _: () = {
            assert!(core::mem::size_of::<$name>() == $size);
            $( assert!(core::mem::offset_of!($name, $field) == $offset); )*
        };
    )* };
}
