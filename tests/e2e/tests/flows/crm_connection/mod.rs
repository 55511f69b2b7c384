//! Connecting a CRM, from the first step of the guide to a provable end (CN-1, CN-2, CN-4 to CN-11): over the
//! embedded stack, with a clock that tests move, counted on both sides.

pub(crate) mod world;

mod crash;
mod disconnect;
mod failures;
mod guide;
mod linkedin;
mod own;
mod permissions;
mod refresh;
mod settings;
