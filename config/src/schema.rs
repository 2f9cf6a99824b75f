//! The JSON Schema of the configuration: what `doorward schema` prints and editors complete from.
//!
//! The readers under `read` decide what is right; this says the same to programs. Tests keep the two together: every key
//! that a reader asks for is in the schema at the same place, and the other way round.

/// Draft 2020-12.
pub const SCHEMA: &str = include_str!("../schema/doorward.schema.json");

#[cfg(test)]
pub(crate) mod tests;
