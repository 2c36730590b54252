//! The extensions of a program, in order.

use std::collections::HashSet;
use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use parking_lot::Mutex;

use super::{Claim, Error, Extension, HandDown, MountRequest, Preparation, Recipient, Source, backend_annotation};
use crate::hostfs::{HostFs, HostOptions};
use crate::seccomp::SyscallRules;

/// Names that mean something else on a command line.
const TAKEN: [&str; 3] = ["host", "unix", "exec"];

/// All extensions of a program.
#[derive(Default)]
pub struct Registry {
    extensions: Vec<Box<dyn Extension>>,
}

/// Why extensions cannot be registered together.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum RegistryError {
    /// Two have one name, or one has a name that is taken.
    #[error("the extension name {0:?} is already taken")]
    Taken(&'static str),
    /// Two have one command-line flag.
    #[error("two extensions have the flag --{0}")]
    Flag(String),
    /// A name could not be told from a path.
    #[error("{0:?} is not a valid name for an extension; use lower-case letters, digits and '-'")]
    Malformed(&'static str),
}

/// Why there is no backend.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum OpenError {
    /// It looks like `NAME:ARGUMENT` with a name that is not known.
    #[error("unknown backend {name:?}; use a directory (./{name}:.. if its name has a colon), host:DIR{known}")]
    Unknown {
        /// The name.
        name: String,
        /// The names that are known, as a list to append.
        known: String,
    },
    /// An annotation wants something that there is not.
    #[error("no extension serves {backend:?} on {}, as an annotation says; use host:/DIR, or NAME:ARGUMENT with one of {known}", path.display())]
    Unclaimed {
        /// What it says.
        backend: String,
        /// The mount.
        path: PathBuf,
        /// The names that are known.
        known: String,
    },
    /// The directory cannot be served.
    #[error("cannot serve {path:?}: {source}")]
    Directory {
        /// The directory.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// An extension has failed.
    #[error("{name}: {source}")]
    Extension {
        /// Its name.
        name: &'static str,
        /// What it says.
        source: Error,
    },
}

impl Registry {
    /// Registers `extensions`, to be asked in this order.
    pub fn new(extensions: Vec<Box<dyn Extension>>) -> Result<Self, RegistryError> {
        for (index, extension) in extensions.iter().enumerate() {
            let name = extension.name();
            let is_good = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
            if name.is_empty() || !name.bytes().all(is_good) {
                return Err(RegistryError::Malformed(name));
            }
            if TAKEN.contains(&name) || extensions[..index].iter().any(|other| other.name() == name) {
                return Err(RegistryError::Taken(name));
            }
        }
        let mut flags = HashSet::new();
        let given = extensions.iter().flat_map(|extension| extension.flags());
        match given.filter_map(|flag| flag.get_long().map(str::to_owned)).find(|name| !flags.insert(name.clone())) {
            Some(twice) => Err(RegistryError::Flag(twice)),
            None => Ok(Registry { extensions }),
        }
    }

    /// The extensions in order.
    pub fn iter(&self) -> impl Iterator<Item = &dyn Extension> {
        self.extensions.iter().map(|extension| &**extension)
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.extensions.is_empty()
    }

    /// Asks the extensions for a mount. `Ok(None)`: the stock backend serves it, as it does `/dev`, which they are not
    /// asked about.
    pub fn claim(&self, request: &MountRequest<'_>, host: &HostOptions) -> Result<Option<Claim>, OpenError> {
        if request.path == Path::new("/dev") {
            return Ok(None);
        }
        for extension in self.iter() {
            let backends = Backends { source: request.source, ..self.in_sandbox(host, request.is_shared) };
            let backends = backends.read_only(request.read_only);
            let claim = extension
                .claim(request, &backends)
                .map_err(|source| OpenError::Extension { name: extension.name(), source })?;
            if let Some(mut claim) = claim {
                claim.extensions = vec![extension.name()];
                claim.extensions.append(&mut backends.opened.into_inner());
                return Ok(Some(claim.read_only(request.read_only)));
            }
        }
        // Files that somebody wants to be elsewhere must not end up on the host because of a slip of the pen.
        match backend_annotation(request) {
            Some(backend) if !self.is_empty() => {
                let directory = directory(backend.as_ref()).filter(|path| path.is_absolute());
                let path = directory.ok_or_else(|| self.unclaimed(backend, request.path))?;
                let backends = self.in_sandbox(host, request.is_shared);
                backends.directory(path).map(|claim| Some(claim.read_only(request.read_only)))
            }
            _ => Ok(None),
        }
    }

    /// Whether an annotation may say `backend`, as far as that can be told without opening it. `is_shared`: for a mount
    /// that several containers of a pod have.
    pub(crate) fn check(&self, backend: &str, is_shared: bool) -> Result<(), OpenError> {
        self.in_sandbox(&HostOptions::default(), is_shared).check(backend.as_ref())
    }

    /// The extensions, to be registered elsewhere.
    pub(crate) fn into_extensions(self) -> Vec<Box<dyn Extension>> {
        self.extensions
    }

    /// Who takes over the connection of a mount as a whole. `Ok(None)`: nobody, it is served here.
    pub fn recipient(&self, request: &MountRequest<'_>) -> Result<Option<Box<dyn Recipient>>, OpenError> {
        if request.path == Path::new("/dev") {
            return Ok(None);
        }
        backend_annotation(request).map_or(Ok(None), |backend| self.recipient_of(backend.as_ref(), true))
    }

    /// Who takes over connections to `backend` as a whole, by what stands for it on a command line or in an annotation.
    pub fn recipient_of(&self, backend: &OsStr, in_sandbox: bool) -> Result<Option<Box<dyn Recipient>>, OpenError> {
        let Some((name, argument)) = split(backend) else { return Ok(None) };
        let Some(extension) = self.iter().find(|extension| extension.name() == name) else { return Ok(None) };
        // What is not UTF-8 is refused when it is opened.
        let Some(argument) = argument.to_str() else { return Ok(None) };
        let failed = |source| OpenError::Extension { name: extension.name(), source };
        extension.recipient(argument, in_sandbox).map_err(failed)
    }

    fn unclaimed(&self, backend: &str, path: &Path) -> OpenError {
        let names: Vec<&str> = self.iter().map(Extension::name).collect();
        OpenError::Unclaimed { backend: backend.to_owned(), path: path.to_path_buf(), known: names.join(", ") }
    }

    /// What the backends of all extensions need beyond the stock system calls, each extension's apart.
    pub fn system_calls(&self) -> Vec<SyscallRules> {
        self.iter().map(Extension::system_calls).collect()
    }

    /// The same for the extensions called `names` only.
    pub fn system_calls_of(&self, names: &[&str]) -> Vec<SyscallRules> {
        self.iter().filter(|extension| names.contains(&extension.name())).map(Extension::system_calls).collect()
    }

    /// Lets all extensions prepare themselves. An error names its extension.
    pub fn prepare(&self, preparation: &Preparation<'_>) -> super::Result<()> {
        for extension in self.iter() {
            extension.prepare(preparation).map_err(|error| format!("{}: {error}", extension.name()))?;
        }
        Ok(())
    }

    /// What all extensions hand down to processes that serve `backends`. An error names its extension.
    pub fn hand_down(&self, backends: &[&OsStr], flags: &clap::ArgMatches) -> super::Result<Vec<HandDown>> {
        let ask = |extension: &dyn Extension| {
            extension.hand_down(backends, flags).map_err(|error| format!("{}: {error}", extension.name()).into())
        };
        self.iter().filter_map(|extension| ask(extension).transpose()).collect()
    }

    /// Tells all extensions that the process ends.
    pub fn end(&self) {
        self.iter().for_each(Extension::end);
    }

    /// A way to open backends by what stands for them on a command line; host directories as `host` says.
    pub fn backends<'a>(&'a self, host: &'a HostOptions) -> Backends<'a> {
        Backends {
            registry: self,
            host,
            in_sandbox: false,
            source: None,
            is_shared: false,
            read_only: false,
            access: None,
            opened: Mutex::default(),
        }
    }

    fn in_sandbox<'a>(&'a self, host: &'a HostOptions, is_shared: bool) -> Backends<'a> {
        Backends { in_sandbox: true, is_shared, ..self.backends(host) }
    }
}

/// Who else changes files that a client has. The names are those of runsc.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum FileAccess {
    /// Nobody does.
    Exclusive,
    /// Others do.
    Shared,
}

/// Opens backends by what stands for them on a command line.
pub struct Backends<'a> {
    registry: &'a Registry,
    host: &'a HostOptions,
    in_sandbox: bool,
    source: Option<Source>,
    is_shared: bool,
    read_only: bool,
    access: Option<FileAccess>,
    /// The extensions that were asked for a backend, in order.
    opened: Mutex<Vec<&'static str>>,
}

impl Backends<'_> {
    /// Whether they are for a sandbox, whose kernel has FIFOs and sockets of its own.
    pub fn are_for_sandbox(&self) -> bool {
        self.in_sandbox
    }

    /// The directory that would be served without them, if they are for a mount of a sandbox.
    pub fn source(&self) -> Option<Source> {
        self.source
    }

    /// Whether other containers of the pod, which have gofers of their own, are to see the same files.
    pub fn are_shared(&self) -> bool {
        self.is_shared
    }

    /// Whether nothing of them may be changed, not even when they are opened.
    pub fn are_read_only(&self) -> bool {
        self.read_only
    }

    /// The same, of which nothing may be changed if `read_only`, not even when they are opened.
    #[must_use]
    pub fn read_only(mut self, read_only: bool) -> Self {
        self.read_only |= read_only;
        self
    }

    /// Who else changes the files, as the client takes it; `None` if it does not say so.
    pub fn access(&self) -> Option<FileAccess> {
        self.access
    }

    /// The same for a client that says who else changes the files.
    #[must_use]
    pub fn for_access(self, access: Option<FileAccess>) -> Self {
        Backends { access, ..self }
    }

    /// Whether [`open`](Self::open) can succeed in a sandbox, or in a service, as far as that can be told without opening
    /// anything.
    pub fn check(&self, backend: &OsStr) -> Result<(), OpenError> {
        if let Some(path) = directory(backend) {
            return if path.is_absolute() { Ok(()) } else { Err(self.not_absolute(path)) };
        }
        let (extension, argument) = self.extension(backend)?;
        extension.check(argument, self).map_err(|source| OpenError::Extension { name: extension.name(), source })
    }

    /// The backend that `DIR`, `host:DIR` or `NAME:ARGUMENT` stands for. What has no name before a colon is a
    /// directory, and so is `./a:b`.
    pub fn open(&self, backend: &OsStr) -> Result<Claim, OpenError> {
        let claim = match directory(backend) {
            Some(path) => self.directory(path)?,
            None => {
                let (extension, argument) = self.extension(backend)?;
                self.opened.lock().push(extension.name());
                let failed = |source| OpenError::Extension { name: extension.name(), source };
                extension.open(argument, self).map_err(failed)?
            }
        };
        Ok(claim.read_only(self.read_only))
    }

    /// [`open`](Self::open) for who will change nothing of it.
    pub fn open_read_only(&self, backend: &OsStr) -> Result<Claim, OpenError> {
        let Backends { registry, host, in_sandbox, source, is_shared, access, .. } = *self;
        let opened = Mutex::default();
        let inner = Backends { registry, host, in_sandbox, source, is_shared, read_only: true, access, opened };
        let claim = inner.open(backend);
        self.opened.lock().append(&mut inner.opened.into_inner());
        claim
    }

    /// Who opens `backend`, which is no directory, and with which argument.
    fn extension<'b>(&self, backend: &'b OsStr) -> Result<(&dyn Extension, &'b str), OpenError> {
        let Some((name, argument)) = split(backend) else { unreachable!("it is a directory then") };
        let unknown = || OpenError::Unknown { name: name.to_owned(), known: self.known() };
        let extension = self.registry.iter().find(|extension| extension.name() == name).ok_or_else(unknown)?;
        let failed = || OpenError::Extension { name: extension.name(), source: "the argument is not UTF-8".into() };
        Ok((extension, argument.to_str().ok_or_else(failed)?))
    }

    fn directory(&self, path: &Path) -> Result<Claim, OpenError> {
        let failed = |source| OpenError::Directory { path: path.to_path_buf(), source };
        if self.in_sandbox && !path.is_absolute() {
            return Err(self.not_absolute(path));
        }
        HostFs::open(path, self.host.clone()).map(|backend| Claim::new(Arc::new(backend))).map_err(failed)
    }

    /// The process's working directory is nobody's business.
    fn not_absolute(&self, path: &Path) -> OpenError {
        let place = if self.in_sandbox { "in a container, " } else { "" };
        let source = std::io::Error::other(format!("{place}write it from the root: host:/DIR"));
        OpenError::Directory { path: path.to_path_buf(), source }
    }

    fn known(&self) -> String {
        self.registry.iter().map(|extension| format!(", {}:ARGUMENT", extension.name())).collect()
    }
}

/// The directory that `DIR` or `host:DIR` stands for.
fn directory(backend: &OsStr) -> Option<&Path> {
    match split(backend) {
        None => Some(Path::new(backend)),
        Some(("host", path)) => Some(Path::new(path)),
        Some(_) => None,
    }
}

/// All `NAME:ARGUMENT` in a BACKEND that wraps others, the outermost first, as far as that can be told without the
/// extensions: `a:b:c` and `b:c` of `a:b:c`.
pub fn chain(backend: &OsStr) -> impl Iterator<Item = (&str, &OsStr)> {
    let mut next = Some(backend);
    std::iter::from_fn(move || {
        let (name, argument) = split(next.take()?)?;
        next = (!TAKEN.contains(&name)).then_some(argument);
        Some((name, argument))
    })
}

/// `NAME:ARGUMENT` in two, if that is what it is.
pub fn split(backend: &OsStr) -> Option<(&str, &OsStr)> {
    use std::os::unix::ffi::OsStrExt;
    let bytes = backend.as_bytes();
    let colon = bytes.iter().position(|byte| *byte == b':')?;
    let name = std::str::from_utf8(&bytes[..colon]).ok()?;
    let is_name = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_');
    (!name.is_empty() && name.bytes().all(is_name)).then(|| (name, OsStr::from_bytes(&bytes[colon + 1..])))
}
