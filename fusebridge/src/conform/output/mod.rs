//! Files that are made of results.

mod html;
mod junit;
mod tap;

pub use html::html;
pub use junit::junit;
pub use tap::tap;
