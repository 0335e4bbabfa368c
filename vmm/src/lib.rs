//! A KVM microVM with no guest OS: the ladder's rung 2.
