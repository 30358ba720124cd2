//! The log as a whole, on a simulated medium: one file for each thing it promises.

mod arbitrary;
mod crash;
mod damage;
mod frugal;
mod inspect;
mod messages;
mod model;
mod random;
mod room;
mod support;
