//! A Rust program that says one line, in one thread.

fn main() {
    println!("hello");
}
