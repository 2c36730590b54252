//! A file system around another one.
//!
//! A [`Layer`] sees every call before and after the inner file system does, and may change what goes in and what comes
//! out. [`Wrapped`] is the file system that results: it is written once, so that a layer says only what it does
//! differently.

mod call;
mod control;
#[cfg(feature = "testing")]
mod deviation;
mod open;
mod socket;
#[cfg(test)]
pub(crate) mod testing;

pub use call::{Call, Calls};
#[cfg(feature = "testing")]
pub use deviation::Deviation;

use std::ffi::OsStr;
use std::sync::Arc;

use self::control::Control;
use self::open::Open;
use crate::extension::{self, Backends, Claim};
use lisafs::backend::{
    Attachment, Backend, DirSink, Errno, Error, FileType, Found, NewFile, Opened, Options, RenameFlags, Result,
    SetStat, StatFs, Statx,
};

/// What a wrapper does around calls. All methods have defaults that do nothing.
pub trait Layer: Send + Sync + Sized + 'static {
    /// What it remembers from before a call until after it.
    type Started;

    /// Whether clients get no host descriptors of files, directories and the root, so that they have to ask for
    /// everything.
    const WITHHOLDS: bool = false;

    /// Comes before `call`. If it fails, so does the call, which never reaches the inner file system.
    fn before(&self, call: Call) -> Result<Self::Started>;

    /// Comes after `call`, which has moved a number of bytes or has failed.
    fn after(&self, call: Call, started: Self::Started, outcome: std::result::Result<u64, Errno>);

    /// Whether the call is to be answered with success, without being made. Only asked about calls whose answer says
    /// nothing else.
    fn skips(&self, call: Call) -> bool {
        let _ = call;
        false
    }

    /// The error that the client gets if the inner file system fails with `error`.
    fn error(&self, call: Call, error: Error) -> Error {
        let _ = call;
        error
    }

    /// Changes attributes on their way to the client.
    fn stat(&self, stat: &mut Statx) {
        let _ = stat;
    }

    /// Changes what is to be set.
    fn set_stat(&self, change: &mut SetStat) {
        let _ = change;
    }

    /// Changes whose a new file is to be.
    fn new_file(&self, new: &mut NewFile) {
        let _ = new;
    }

    /// How a rename is to be done that is wanted as `flags`.
    fn rename(&self, flags: RenameFlags) -> RenameFlags {
        flags
    }

    /// How many of `len` bytes to read or write at most.
    fn length(&self, call: Call, len: usize) -> usize {
        let _ = call;
        len
    }

    /// Changes a symbolic link's target or an extended attribute's value on its way to the client.
    fn bytes(&self, call: Call, bytes: &mut Vec<u8>) {
        let _ = (call, bytes);
    }

    /// Changes names of extended attributes on their way to the client.
    fn xattr_names(&self, names: &mut Vec<Vec<u8>>) {
        let _ = names;
    }

    /// Changes statistics of the file system on their way to the client.
    fn stat_fs(&self, stat: &mut StatFs) {
        let _ = stat;
    }

    /// Whether this call is to be done in another way.
    #[cfg(feature = "testing")]
    fn deviates(&self, how: Deviation) -> bool {
        let _ = how;
        false
    }

    /// Lists a directory from position `from` on: calls `list` with a sink that hands entries to `sink`.
    fn read_dir(
        &self,
        from: u64,
        sink: &mut dyn DirSink,
        list: &mut dyn FnMut(&mut dyn DirSink) -> Result<()>,
    ) -> Result<()> {
        let _ = from;
        list(sink)
    }
}

/// A file system with a layer around it.
pub struct Wrapped<L> {
    inner: Claim,
    layer: Arc<L>,
}

impl<L: Layer> Wrapped<L> {
    /// `inner` with `layer` around it.
    pub fn new(inner: Claim, layer: L) -> Self {
        Wrapped { inner, layer: Arc::new(layer) }
    }

    /// What changes the answers.
    pub fn layer(&self) -> &Arc<L> {
        &self.layer
    }
}

impl<L: Layer> Backend for Wrapped<L> {
    fn options(&self) -> Options {
        let donates_root = self.inner.options.donates_root && !L::WITHHOLDS;
        self.inner.options.clone().donates_root(donates_root)
    }

    fn attach(&self) -> Result<Attachment> {
        let attached = around(&*self.layer, Call::Attach, || self.inner.backend.attach())?;
        let donated = attached.donated.filter(|_| !L::WITHHOLDS);
        Ok(Attachment::new(wrap_found(&self.layer, attached.root)).donating(donated))
    }

    fn detach(&self) {
        self.inner.backend.detach();
    }
}

/// The file system that `argument` of the extension `name` stands for.
pub(super) fn open(name: &str, argument: &str, backends: &Backends<'_>) -> extension::Result<Claim> {
    Ok(backends.open(given(name, argument)?)?)
}

/// The same, of which nothing will be changed.
pub(super) fn open_read_only(name: &str, argument: &str, backends: &Backends<'_>) -> extension::Result<Claim> {
    Ok(backends.open_read_only(given(name, argument)?)?)
}

/// Whether that can be opened in a sandbox, as far as it can be told.
pub(super) fn check(name: &str, argument: &str, backends: &Backends<'_>) -> extension::Result<()> {
    Ok(backends.check(given(name, argument)?)?)
}

fn given<'a>(name: &str, argument: &'a str) -> extension::Result<&'a OsStr> {
    if argument.is_empty() {
        return Err(format!("no BACKEND after the colon; for example {name}:/srv/data or {name}:mem:").into());
    }
    Ok(OsStr::new(argument))
}

/// Makes a call whose answer has no bytes to count.
fn around<L: Layer, T>(layer: &L, call: Call, work: impl FnOnce() -> Result<T>) -> Result<T> {
    around_bytes(layer, call, |_| 0, work)
}

/// Makes a call whose answer is its success.
fn act<L: Layer>(layer: &L, call: Call, work: impl FnOnce() -> Result<()>) -> Result<()> {
    swallow(layer, around(layer, call, || if layer.skips(call) { Ok(()) } else { work() }))
}

/// What the client is told came of a call without an answer.
fn swallow<L: Layer>(layer: &L, outcome: Result<()>) -> Result<()> {
    #[cfg(feature = "testing")]
    if outcome.is_err() && layer.deviates(Deviation::SwallowErrors) {
        return Ok(());
    }
    #[cfg(not(feature = "testing"))]
    let _ = layer;
    outcome
}

/// Makes a call that moves bytes.
fn around_bytes<L: Layer, T>(
    layer: &L,
    call: Call,
    bytes: impl FnOnce(&T) -> usize,
    work: impl FnOnce() -> Result<T>,
) -> Result<T> {
    let started = layer.before(call)?;
    let outcome = work();
    layer.after(call, started, outcome.as_ref().map(|answer| bytes(answer) as u64).map_err(Error::errno));
    outcome.map_err(|error| layer.error(call, error))
}

/// A file of the inner file system as one of the wrapper.
fn wrap_found<L: Layer>(layer: &Arc<L>, found: Found) -> Found {
    let Found { file, mut stat, .. } = found;
    layer.stat(&mut stat);
    Found::new(Control::new(file, layer.clone()), stat)
}

/// An open file of the inner file system as one of the wrapper.
fn wrap_opened<L: Layer>(layer: &Arc<L>, opened: Opened) -> Opened {
    let Opened { file, mut donated, .. } = opened;
    // FIFOs and devices work with the host's descriptor only.
    let is_data = |stat: Statx| matches!(stat.file_type(), Some(FileType::Regular | FileType::Directory));
    if L::WITHHOLDS && donated.is_some() && file.stat().map_or(true, is_data) {
        donated = None;
    }
    Opened::new(Open::new(file, layer.clone())).donating(donated)
}
