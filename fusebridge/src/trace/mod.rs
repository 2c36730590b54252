//! What client and server say to each other, recorded in a file and read again.
//!
//! A [`Recorder`] that is among the [options](lisafs::client::ClientOptions) of a client writes down every message:
//! when, on which communicator, the request, the answer or the errno, the descriptors beside it, and how long it took.
//! Data that moves on donated descriptors is no message and is not in a trace: `--io rpc` has all of it.
//!
//! Others read the file: [`Reader`] record by record, [`show()`] as lines of text, [`excerpts`] the part between two
//! [marks](Recorder::mark), such as the beginning and the end of a test, [`Stats`] counts, [`replay()`]
//! sends the requests again.
//!
//! ```no_run
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! use fusebridge::trace::{Facts, Recorder, RecorderOptions, excerpts};
//!
//! let path = std::path::Path::new("test.trace");
//! let recorder = Recorder::create(path, &Facts::new().with("backend", "mem:"), RecorderOptions::default())?;
//! // The client gets it as `ClientOptions::default().trace(Some(recorder.clone()))`.
//! let before = recorder.mark();
//! // Something happens on the mount.
//! let after = recorder.mark();
//! recorder.flush()?;
//! for line in &excerpts(path, &[(before, after)], 100)?[0].lines {
//!     println!("{line}");
//! }
//! # Ok(())
//! # }
//! ```

mod describe;
mod excerpt;
mod filter;
mod granted;
mod paths;
mod reader;
mod replay;
mod show;
mod stats;
mod target;
#[cfg(test)]
mod tests;

pub(crate) use describe::words::errno_from_name;
pub use excerpt::{Excerpt, excerpts};
pub use filter::Filter;
pub use lisafs::trace::{Facts, Mark, NoAnswer, Recorder, RecorderOptions};
pub use reader::{Answer, Ending, Reader, Record, TraceError};
pub use replay::{Difference, ReplayOptions, Report, replay};
pub use show::{ShowError, Shown, show, show_json};
pub use stats::{Stats, Times};
