//! The write side: command endpoints.
