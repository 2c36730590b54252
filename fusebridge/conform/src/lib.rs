//! How well a file system does what programs rely on: suites of tests, their results, and what is made of these.
//!
//! [`run_suites`] works on any directory; `fusebridge conform` mounts a backend and runs it there. A [`Report`] has
//! everything that came of it: a [`table`](table::table) for the terminal, files for machines and people, and what has
//! changed since another one.

pub mod against;
pub mod case;
mod classic;
pub mod clock;
pub mod context;
mod error;
pub mod expect;
mod fsx;
pub mod judge;
mod mount;
pub mod output;
mod pjdfstest;
pub mod progress;
pub mod report;
mod run;
pub mod stderr;
pub mod suite;
pub mod table;
#[cfg(test)]
mod testing;
pub mod tool;

pub use case::{CaseResult, Failure, Outcome};
pub use clock::Clock;
pub use context::{Cause, Observer, Settings, Stop};
pub use error::SuiteError;
pub use expect::Expectations;
pub use fsx::CONFIG as FSX_CONFIG;
pub use judge::Judgement;
pub use mount::catalogue;
pub use mount::worker;
pub use report::{Mode, ModeRun, Report, SuiteRun};
pub use run::{RunError, run_suites};
pub use suite::Suite;
