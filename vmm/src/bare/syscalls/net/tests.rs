//! Tests of the stack without a program.
