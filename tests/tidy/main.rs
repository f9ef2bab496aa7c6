//! The rules of the house, enforced: what a compiler or a linter cannot see and a reviewer forgets.
//!
//! | module      | rule |
//! |-------------|------|
//! | [`layers`]  | imports go down; the core is pure; the shipped binaries cannot misbehave; one build for all |
//! | [`sources`] | every file says why it is there, is short, is finished; tests neither sleep nor hide |
//! | [`docs`]    | documentation names only files, targets and tests that exist |
//! | [`natspec`] | every error and event of a contract says what it means |
//! | [`secrets`] | no secret number is held where nothing erases it |
//! | [`mutations`] | every mutant still fits the guard that it breaks |
//!
//! Each rule is a pure function from text or a dependency graph to a list of offences, and each has
//! a test that feeds it an offender: a rule that cannot fail enforces nothing.

mod docs;
mod layers;
mod mutations;
mod natspec;
mod secrets;
mod sources;

/// Fails with one line for each offence.
#[track_caller]
fn assert_none(rule: &str, offences: &[String]) {
    assert!(offences.is_empty(), "{rule}:\n  {}", offences.join("\n  "));
}
