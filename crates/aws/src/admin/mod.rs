//! What an operator's program needs beyond the functions' adapters: the dead letter queue.

mod dead_letters;

pub use dead_letters::{DeadLetterQueue, DeadMessage};
