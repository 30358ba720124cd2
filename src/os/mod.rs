//! Every system call of the house.
