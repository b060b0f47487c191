//! Page tables: what a guest may put into them.
