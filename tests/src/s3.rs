//! A real S3 server on loopback: moto, which keeps conditional writes, and forgets everything when it ends.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::process::{Command, Stdio};
use std::sync::{OnceLock, mpsc};
use std::thread;
use std::time::Duration;

use anyhow::{Context, Result, anyhow, bail};
use conform::tool::Tool;

use crate::wait;

/// The server. It is a package of Python, not a crate.
const MOTO: Tool = Tool { name: "moto", version: "5.2.5" };

/// It imports half of Python before it answers.
const LIMIT: Duration = Duration::from_secs(120);

/// The server of this process, or why there is none.
static SERVER: OnceLock<Result<SocketAddr>> = OnceLock::new();

/// Installs the server, unless it is there.
pub fn install() -> Result<()> {
    let root = MOTO.root()?;
    if root.join("bin/moto_server").is_file() {
        return Ok(());
    }
    eprintln!("+ virtualenv {} and moto {} in it", root.display(), MOTO.version);
    let run = |command: &mut Command| -> Result<()> {
        let status = command.stdin(Stdio::null()).status().with_context(|| format!("cannot run {command:?}"))?;
        if status.success() { Ok(()) } else { bail!("{command:?} has failed") }
    };
    run(Command::new("virtualenv").arg("--quiet").arg(&root))?;
    // "moto[server]" would bring the needs of a hundred other services.
    let packages = [&format!("moto[s3]=={}", MOTO.version), "flask", "flask-cors"];
    run(Command::new(root.join("bin/pip")).args(["install", "--quiet", "--disable-pip-version-check"]).args(packages))
}

/// The address of the server, which is started by the first call and ends with this process.
pub fn server() -> Result<SocketAddr> {
    let server = SERVER.get_or_init(|| start(&[]));
    server.as_ref().copied().map_err(|error| anyhow!("{error:#}"))
}

/// The address of another one, which knows no credentials: it lets nobody do anything but make a bucket.
pub fn locked() -> Result<SocketAddr> {
    // It counts what may be done without.
    start(&[("INITIAL_NO_AUTH_ACTION_COUNT", "1")])
}

fn start(environment: &'static [(&str, &str)]) -> Result<SocketAddr> {
    let program = MOTO.root()?.join("bin/moto_server");
    if !program.is_file() {
        bail!("moto is not installed; run cargo xtask setup");
    }
    // Another process may be given the port before the server has it, which then says so.
    let port = TcpListener::bind("127.0.0.1:0")?.local_addr()?.port();
    let (send, receive) = mpsc::channel();
    // The signal comes when the thread that has started the server ends: it must stay.
    thread::spawn(move || {
        let mut command = Command::new("setpriv");
        command.envs(environment.iter().copied()).args(["--pdeathsig", "KILL"]).arg(program).args([
            "-H",
            "127.0.0.1",
            "-p",
            &port.to_string(),
        ]);
        let child = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn();
        let is_started = child.is_ok();
        let _ = send.send(child.map(drop));
        if is_started {
            loop {
                thread::park();
            }
        }
    });
    receive.recv()?.context("cannot start moto")?;
    let address = SocketAddr::from(([127, 0, 0, 1], port));
    wait::until("moto answers", LIMIT, || ask(address, "GET", "/moto-api/").is_ok())?;
    Ok(address)
}

/// Makes a bucket in the server.
pub fn bucket(name: &str) -> Result<()> {
    bucket_in(server()?, name)
}

/// Makes a bucket in a server.
pub fn bucket_in(server: SocketAddr, name: &str) -> Result<()> {
    let answer = ask(server, "PUT", &format!("/{name}"))?;
    if answer.starts_with("HTTP/1.1 200") { Ok(()) } else { bail!("no bucket {name}: {answer}") }
}

/// Puts an object.
pub fn put(path: &str, content: &str) -> Result<()> {
    let request =
        format!("PUT {path} HTTP/1.1\r\nHost: localhost\r\nContent-Length: {}\r\n\r\n{content}", content.len());
    let answer = exchange(server()?, request.as_bytes())?;
    if answer.starts_with("HTTP/1.1 200") { Ok(()) } else { bail!("{path}: {answer}") }
}

/// Deletes an object.
pub fn delete(path: &str) -> Result<()> {
    let answer = ask(server()?, "DELETE", path)?;
    if answer.starts_with("HTTP/1.1 204") { Ok(()) } else { bail!("{path}: {answer}") }
}

/// The names of all objects of a bucket.
pub fn objects(bucket: &str) -> Result<Vec<String>> {
    let answer = ask(server()?, "GET", &format!("/{bucket}?list-type=2"))?;
    let names = answer.split("<Key>").skip(1).filter_map(|rest| rest.split("</Key>").next());
    Ok(names.map(str::to_owned).collect())
}

fn ask(address: SocketAddr, method: &str, path: &str) -> Result<String> {
    /// It is not checked, but some requests must have one.
    const SIGNATURE: &str =
        "AWS4-HMAC-SHA256 Credential=test/20260101/us-east-1/s3/aws4_request, SignedHeaders=host, Signature=x";
    let request = format!(
        "{method} {path} HTTP/1.1\r\nHost: localhost\r\nAuthorization: {SIGNATURE}\r\nContent-Length: 0\r\n\r\n"
    );
    exchange(address, request.as_bytes())
}

fn exchange(address: SocketAddr, request: &[u8]) -> Result<String> {
    let mut connection = TcpStream::connect(address)?;
    connection.set_read_timeout(Some(LIMIT))?;
    connection.write_all(request)?;
    let mut answer = Vec::new();
    // The server closes after each answer.
    connection.read_to_end(&mut answer)?;
    Ok(String::from_utf8_lossy(&answer).into_owned())
}

/// `command` with credentials for the server, which it reaches at `address`.
pub fn with_credentials(command: &mut Command, address: SocketAddr) -> &mut Command {
    command
        .env("AWS_ENDPOINT", format!("http://{address}"))
        .env("AWS_ALLOW_HTTP", "true")
        .env("AWS_ACCESS_KEY_ID", "test")
        .env("AWS_SECRET_ACCESS_KEY", "very-secret")
        .env("AWS_REGION", "us-east-1")
}
