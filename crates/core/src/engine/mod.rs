//! The engine: a few verbs, each a short story.

pub mod secrets;

/// Placeholder of the engine's parts.
#[derive(Debug)]
pub struct Engine;
/// Placeholder.
#[derive(Debug)]
pub struct Policy;
