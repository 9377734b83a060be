//! The license domain, its stores and its HTTP service.
