//! A namespace container: the ladder's rung 1.
