//! The log as a whole, on a simulated medium: one file for each thing it promises.

mod crash;

mod messages;
mod model;
mod random;

mod support;
