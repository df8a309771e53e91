//! The pure heart of tokenmill: no sockets, clock, randomness or Python; time and seeds are arguments.
