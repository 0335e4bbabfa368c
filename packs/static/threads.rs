//! A Rust program that starts eight threads, one after the other, and awaits them.

fn main() {
    let sum: u64 = (0..8_u64)
        .map(|n| std::thread::spawn(move || n).join().unwrap_or(0))
        .sum();
    println!("{sum}");
}
