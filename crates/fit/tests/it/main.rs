//! The crate from outside: verdicts over real and hostile files, other decoders as oracles, and mutations.

mod corpus;
mod hostile;
mod mutation;
mod oracle;
mod roundtrip;
mod track;
