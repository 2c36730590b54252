//! Which backend serves a mount: extensions, the stock one, and what annotations change.

use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use gofer::extension::{
    Backends, Claim, Container, Extension, MountRequest, OpenError, Preparation, Registry, RegistryError, Result,
};
use gofer::extensions::memfs::{MemFs, MemOptions};
use gofer::hostfs::{HostFs, HostOptions};
use gofer::runsc::hints::{Hints, lisafs_needed};
use gofer::seccomp::SyscallRules;
use lisafs::backend::Backend;
use lisafs::server::{Connection, Server};
use lisafs::wire::message::MountReq;
use oci_spec::runtime::{Mount, MountBuilder, Spec, SpecBuilder};

use crate::common::client::{Client, Pathway};
use crate::common::socket_pair;

/// Does what it is told to, and notes that it was asked.
struct Told {
    name: &'static str,
    asked: Arc<Mutex<Vec<String>>>,
    answer: Answer,
}

impl Extension for Told {
    fn name(&self) -> &'static str {
        self.name
    }

    fn open(&self, argument: &str, _: &Backends<'_>) -> Result<Claim> {
        Err(format!("no {argument}").into())
    }

    fn claim(&self, request: &MountRequest<'_>, _: &Backends<'_>) -> Result<Option<Claim>> {
        let name = self.name;
        self.asked.lock().unwrap().push(format!("{name} {} {}", request.path.display(), request.read_only));
        (self.answer)()
    }

    fn system_calls(&self) -> SyscallRules {
        SyscallRules::new().allow(libc::SYS_sendto)
    }
}

fn memory() -> Claim {
    Claim::new(Arc::new(MemFs::new(MemOptions::default()).unwrap()))
}

type Asked = Arc<Mutex<Vec<String>>>;

/// What an extension answers when it is asked.
type Answer = fn() -> Result<Option<Claim>>;

fn registry(answers: &[(&'static str, Answer)]) -> (Registry, Asked) {
    let asked = Asked::default();
    let extensions = answers
        .iter()
        .map(|(name, answer)| Box::new(Told { name, asked: asked.clone(), answer: *answer }) as Box<dyn Extension>);
    (Registry::new(extensions.collect()).unwrap(), asked)
}

fn spec(annotations: &[(&str, &str)]) -> Spec {
    let annotations = annotations.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned()));
    SpecBuilder::default().annotations(annotations.collect::<std::collections::HashMap<_, _>>()).build().unwrap()
}

fn mount(destination: &str, source: &Path) -> Mount {
    MountBuilder::default().destination(destination).source(source).typ("bind").build().unwrap()
}

fn request<'a>(spec: &'a Spec, mount: Option<&'a Mount>, path: &'a str) -> MountRequest<'a> {
    MountRequest::new(Container::new(spec, Some("c1"), Path::new("/bundle")), Path::new(path)).mount(mount)
}

#[test]
fn the_first_claim_wins_and_later_extensions_are_not_asked() {
    let (registry, asked) =
        registry(&[("one", || Ok(None)), ("two", || Ok(Some(memory()))), ("three", || Ok(Some(memory())))]);
    let spec = spec(&[]);
    assert!(registry.claim(&request(&spec, None, "/"), &HostOptions::default()).unwrap().is_some());
    assert_eq!(*asked.lock().unwrap(), ["one / false", "two / false"]);
}

#[test]
fn what_nobody_claims_is_left_to_the_stock_backend() {
    let (none, _) = registry(&[]);
    let (declining, _) = registry(&[("one", || Ok(None))]);
    let spec = spec(&[]);
    for registry in [none, declining] {
        assert!(registry.claim(&request(&spec, None, "/srv"), &HostOptions::default()).unwrap().is_none());
    }
}

#[test]
fn nothing_registered_adds_nothing_to_the_filter() {
    let (none, _) = registry(&[]);
    assert!(none.is_empty() && none.system_calls().is_empty());
    let stock = gofer::seccomp::stock(gofer::seccomp::Needs::default());
    assert_eq!(gofer::seccomp::merge(&stock, &none.system_calls()), stock);
    let (one, _) = registry(&[("one", || Ok(None))]);
    assert_ne!(gofer::seccomp::merge(&stock, &one.system_calls()), stock);
}

#[test]
fn an_error_names_its_extension() {
    let (registry, _) = registry(&[("broken", || Err("the store is on fire".into()))]);
    let spec = spec(&[]);
    let error = registry.claim(&request(&spec, None, "/"), &HostOptions::default()).unwrap_err();
    assert_eq!(error.to_string(), "broken: the store is on fire");
}

#[test]
fn devices_are_never_offered() {
    let (registry, asked) = registry(&[("greedy", || Ok(Some(memory())))]);
    let spec = spec(&[]);
    assert!(registry.claim(&request(&spec, None, "/dev"), &HostOptions::default()).unwrap().is_none());
    assert!(asked.lock().unwrap().is_empty());
    for path in ["/device", "/dev/shm"] {
        assert!(registry.claim(&request(&spec, None, path), &HostOptions::default()).unwrap().is_some());
    }
}

#[test]
fn a_read_only_mount_is_served_read_only_whatever_the_backend_says() {
    let (registry, asked) = registry(&[("mem", || Ok(Some(memory())))]);
    let spec = spec(&[]);
    let request = request(&spec, None, "/srv").read_only(true);
    assert!(registry.claim(&request, &HostOptions::default()).unwrap().unwrap().options.read_only);
    assert_eq!(*asked.lock().unwrap(), ["mem /srv true"]);
}

#[test]
fn an_annotation_chooses_the_backend_of_one_mount() {
    let registry = Registry::new(gofer::extensions::shipped()).unwrap();
    let spec = spec(&[("dev.gofer.backend./cache", "mem:size=1m"), ("dev.gofer.backend./bad", "mem:size=lots")]);
    let host = HostOptions::default();
    let claim = |destination: &str| {
        let mount = mount(destination, Path::new("/srv"));
        registry.claim(&request(&spec, Some(&mount), destination), &host)
    };
    assert!(claim("/cache").unwrap().is_some());
    assert!(claim("/other").unwrap().is_none());
    assert!(matches!(claim("/bad"), Err(OpenError::Extension { name: "mem", .. })));
    assert!(registry.claim(&request(&spec, None, "/"), &host).unwrap().is_none());
}

#[test]
fn names_that_could_be_mistaken_are_refused() {
    let refused = |names: &[&'static str]| {
        let told = |name| Box::new(Told { name, asked: Asked::default(), answer: || Ok(None) }) as Box<dyn Extension>;
        Registry::new(names.iter().copied().map(told).collect()).err()
    };
    assert_eq!(refused(&["a", "b-2"]), None);
    assert_eq!(refused(&["a", "a"]), Some(RegistryError::Taken("a")));
    assert_eq!(refused(&["host"]), Some(RegistryError::Taken("host")));
    assert_eq!(refused(&["a/b"]), Some(RegistryError::Malformed("a/b")));
    assert_eq!(refused(&[""]), Some(RegistryError::Malformed("")));
}

#[test]
fn backends_are_opened_by_what_stands_for_them() {
    let registry = Registry::new(gofer::extensions::shipped()).unwrap();
    let host = HostOptions::default();
    let backends = registry.backends(&host);
    let directory = tempfile::tempdir().unwrap();
    let with_colon = directory.path().join("a:b");
    std::fs::create_dir(&with_colon).unwrap();
    assert!(backends.open(directory.path().as_ref()).is_ok());
    assert!(backends.open(with_colon.as_ref()).is_ok());
    assert!(backends.open(format!("host:{}", with_colon.display()).as_ref()).is_ok());
    assert!(matches!(backends.open("nope:x".as_ref()), Err(OpenError::Unknown { name, .. }) if name == "nope"));
    assert!(matches!(backends.open("/does/not/exist".as_ref()), Err(OpenError::Directory { .. })));
}

/// Counts how often it was prepared, and with what.
struct Prepared {
    times: Arc<AtomicUsize>,
}

impl Extension for Prepared {
    fn name(&self) -> &'static str {
        "prepared"
    }

    fn open(&self, _: &str, _: &Backends<'_>) -> Result<Claim> {
        Ok(memory())
    }

    fn flags(&self) -> Vec<clap::Arg> {
        vec![clap::Arg::new("prepared-key").long("prepared-key")]
    }

    fn prepare(&self, preparation: &Preparation<'_>) -> Result<()> {
        assert!(preparation.container.is_none(), "nobody runs a container here");
        self.times.fetch_add(1, Ordering::Relaxed);
        match preparation.flags.get_one::<String>("prepared-key") {
            Some(key) if key == "secret" => Ok(()),
            key => Err(format!("--prepared-key {key:?} is wrong").into()),
        }
    }
}

#[test]
fn flags_reach_their_extension_before_anything_is_served() {
    let serve = |key: &str| {
        let times = Arc::new(AtomicUsize::new(0));
        let extension = Box::new(Prepared { times: times.clone() });
        // The directory of the socket does not exist, so that serving fails if it comes to that.
        let arguments = ["gofer", "serve", "--socket", "/does/not/exist", "--prepared-key", key, "prepared:"];
        let status = gofer::cli::main(vec![extension], arguments.map(Into::into));
        (status, times.load(Ordering::Relaxed))
    };
    assert_eq!(serve("wrong"), (std::process::ExitCode::FAILURE, 1));
    assert_eq!(serve("secret"), (std::process::ExitCode::FAILURE, 1));
}

/// What one mount of a sandbox gets: how its connection is made, and whether a descriptor came with the root.
fn donates(server: &Arc<Server>, registry: &Registry, spec: &Spec, mount: &Mount, global: bool) -> bool {
    let annotations = spec.annotations().clone().unwrap_or_default();
    let pairs = || annotations.iter().map(|(key, value)| (key.as_str(), value.as_str()));
    let (hints, _) = Hints::parse(pairs()).unwrap();
    let source = mount.source().clone().unwrap();
    let directfs = global && !hints.is_off(source.to_str().unwrap());
    let host = HostOptions::default().donate_root(directfs);
    let destination = mount.destination().to_str().unwrap();
    let claim = registry.claim(&request(spec, Some(mount), destination), &host).unwrap();
    assert!(directfs || lisafs_needed(global, pairs(), false), "a filter without LisaFS would kill this client");
    let claim = claim.unwrap_or_else(|| Claim::new(Arc::new(HostFs::open(&source, host).unwrap())));
    let (mut client, _connection) = connect(server, destination, claim);
    !client.call(&MountReq {}).unwrap().fds.is_empty()
}

fn connect(server: &Arc<Server>, path: &str, claim: Claim) -> (Client, Connection) {
    let (ours, theirs) = socket_pair();
    let connection = server.connect_with(theirs, path.as_bytes(), claim.backend, claim.options).unwrap();
    (Client::new(ours), connection)
}

#[test]
fn a_mount_can_opt_out_of_directfs_while_the_others_keep_it() {
    let registry = Registry::new(gofer::extensions::shipped()).unwrap();
    let server = Server::new();
    let (one, other) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let hint = |field: &str| format!("dev.gvisor.spec.mount.one.{field}");
    for (global, value, expected) in [
        (true, None, true),
        (true, Some("default"), true),
        (true, Some("off"), false),
        (false, None, false),
        (false, Some("default"), false),
        (false, Some("off"), false),
    ] {
        let source = one.path().to_str().unwrap();
        let keys = [hint("source"), hint("type"), hint("share"), hint("directfs")];
        let values = [Some(source), Some("bind"), Some("container"), value];
        let annotations: Vec<_> =
            keys.iter().zip(values).filter_map(|(key, value)| Some((key.as_str(), value?))).collect();
        let spec = spec(&annotations);
        let case = (global, value);
        assert_eq!(donates(&server, &registry, &spec, &mount("/one", one.path()), global), expected, "{case:?}");
        assert_eq!(donates(&server, &registry, &spec, &mount("/other", other.path()), global), global, "{case:?}");
    }
}

#[test]
fn the_mount_of_an_extension_donates_nothing_it_does_not_have() {
    let registry = Registry::new(gofer::extensions::shipped()).unwrap();
    let spec = spec(&[("dev.gofer.backend./mem", "mem:")]);
    let source = tempfile::tempdir().unwrap();
    assert!(!donates(&Server::new(), &registry, &spec, &mount("/mem", source.path()), true));
}

#[test]
fn backends_of_one_server_keep_their_own_options() {
    let server = Server::new();
    let small = MemFs::new(MemOptions::default()).unwrap();
    let mut claim = Claim::new(Arc::new(small));
    claim.options.max_message_size = 4096;
    claim.options.supported = claim.options.supported.without(lisafs::wire::MessageId::LINK_AT);
    let directory = tempfile::tempdir().unwrap();
    let host: Arc<dyn Backend> = Arc::new(HostFs::open(directory.path(), HostOptions::default()).unwrap());
    let (mut one, _one) = connect(&server, "/one", claim);
    let (mut two, _two) = connect(&server, "/two", Claim::new(host));
    let read = |client: &mut Client| {
        let answer = client.call(&MountReq {}).unwrap();
        let mounted: lisafs::wire::message::MountResp<'_> = answer.decode();
        (mounted.max_message_size, mounted.supported.iter().any(|id| id == lisafs::wire::MessageId::LINK_AT.0))
    };
    assert_eq!(read(&mut one), (4096, false));
    assert_eq!(read(&mut two), (lisafs::wire::STOCK_MAX_MESSAGE_SIZE, true));
}

#[test]
fn only_commands_that_serve_prepare_extensions() {
    for command in ["doctor", "runtime"] {
        let times = Arc::new(AtomicUsize::new(0));
        let extension = Box::new(Prepared { times: times.clone() });
        let arguments = ["gofer", command].map(Into::into);
        let status =
            std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| gofer::cli::main(vec![extension], arguments)));
        assert!(status.is_ok(), "{command} panicked");
        assert_eq!(times.load(Ordering::Relaxed), 0, "{command}");
    }
}

#[test]
fn an_annotation_that_nobody_understands_is_an_error() {
    let registry = Registry::new(gofer::extensions::shipped()).unwrap();
    let host = HostOptions::default();
    for backend in ["mme:size=1m", "mem", "host:srv", ""] {
        let spec = spec(&[("dev.gofer.backend./cache", backend)]);
        let mount = mount("/cache", Path::new("/srv"));
        let claim = registry.claim(&request(&spec, Some(&mount), "/cache"), &host);
        assert!(matches!(claim, Err(OpenError::Unclaimed { .. })), "{backend}");
    }
}

#[test]
fn a_claim_names_the_extensions_that_serve_it_and_no_others_bring_system_calls() {
    let registry = Registry::new(gofer::extensions::shipped()).unwrap();
    let host = HostOptions::default();
    for (backend, expected) in [("mem:", &["mem"][..]), ("stats:readonly:mem:", &["stats", "readonly", "mem"])] {
        let spec = spec(&[("dev.gofer.backend./cache", backend)]);
        let mount = mount("/cache", Path::new("/srv"));
        let claim = registry.claim(&request(&spec, Some(&mount), "/cache"), &host).unwrap().unwrap();
        assert_eq!(claim.extensions(), expected);
    }
    let (registry, _) = self::registry(&[("one", || Ok(None)), ("two", || Ok(None))]);
    assert_eq!(registry.system_calls_of(&["two", "two"]).len(), 1);
    assert!(registry.system_calls_of(&[]).is_empty());
}

/// Counts what its connections do.
#[derive(Default)]
struct Counted {
    attached: AtomicUsize,
    detached: AtomicUsize,
}

impl Backend for Counted {
    fn attach(&self) -> lisafs::backend::Result<lisafs::backend::Attachment> {
        self.attached.fetch_add(1, Ordering::Relaxed);
        Err(lisafs::Errno::IO.because("counted, not served"))
    }

    fn detach(&self) {
        self.detached.fetch_add(1, Ordering::Relaxed);
    }
}

#[test]
fn a_backend_is_attached_for_each_mount_and_detached_once() {
    let counted = Arc::new(Counted::default());
    // An Arc of a backend is one, so that several connections can share it.
    let (mut client, connection) = connect(&Server::new(), "/", Claim::new(Arc::new(counted.clone())));
    assert_eq!(counted.attached.load(Ordering::Relaxed), 0);
    for mounted in 1..=2 {
        assert_eq!(client.call(&MountReq {}).unwrap_err(), lisafs::Errno::IO);
        assert_eq!(counted.attached.load(Ordering::Relaxed), mounted);
    }
    assert_eq!(counted.detached.load(Ordering::Relaxed), 0);
    drop(client);
    connection.wait();
    assert_eq!(counted.detached.load(Ordering::Relaxed), 1);
}
