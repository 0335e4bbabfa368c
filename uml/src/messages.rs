//! The messages of the guest's kernel. The last ones explain how a guest ended.

use std::collections::VecDeque;

/// The bytes that are kept: enough for a panic and its call trace.
const KEPT: usize = 16 * 1024;

/// The last messages.
#[derive(Debug, Default)]
pub(crate) struct Messages(VecDeque<u8>);

impl Messages {
    /// Adds bytes from the kernel.
    pub(crate) fn add(&mut self, bytes: &[u8]) {
        self.0.extend(bytes);
        let excess = self.0.len().saturating_sub(KEPT);
        self.0.drain(..excess);
    }

    /// The last messages as text.
    pub(crate) fn text(&self) -> String {
        let bytes: Vec<u8> = self.0.iter().copied().collect();
        String::from_utf8_lossy(&bytes).into_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_end_of_many_messages_is_kept() {
        let mut messages = Messages::default();
        messages.add(&[b'a'; KEPT]);
        messages.add(b"Kernel panic");
        let text = messages.text();
        assert_eq!(text.len(), KEPT);
        assert!(text.ends_with("aKernel panic"));
    }
}
