//! For tests: AWS where there is none.

pub mod moto;
