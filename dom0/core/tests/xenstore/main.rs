//! Xenstore from the outside: everything here speaks the wire protocol, as guests do.

mod fairness;
mod gone;
mod hostile;
mod lifecycle;
mod model;
mod nodes;
mod quotas;
mod rig;
mod transactions;
mod watches;
