//! Thread-per-core io_uring storage engine.
