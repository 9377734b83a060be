//! The shell around the pure crates: sockets, TLS, files, signals, the clock, the admin socket.
