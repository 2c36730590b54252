#!/usr/bin/env bash
# object_store's AmazonS3Builder: `from_env()` reads AWS_ALLOW_HTTP, among others, and a later
# `with_client_options(ClientOptions::new().with_timeout(..))`, which looks as if it set one more option, replaces what was read.
# A program that sets a time limit in this way can suddenly not talk to a store on http://localhost, although the user has
# allowed it. `with_config` sets one option and keeps the others.
#
# Seen with object_store 0.14.2; nothing listens at the endpoint, so a refused connection is what is right:
#   from_env: the connection is refused
#   from_env, with_client_options: HTTP is not allowed
#   from_env, with_config: the connection is refused
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
mkdir "$work/src"
cat >"$work/Cargo.toml" <<'TOML'
[package]
name = "main"
version = "0.1.0"
edition = "2021"

[dependencies]
object_store = { version = "=0.14.2", features = ["aws"] }
tokio = { version = "1", features = ["macros", "rt-multi-thread"] }
TOML
cat >"$work/src/main.rs" <<'RUST'
use std::time::Duration;

use object_store::aws::{AmazonS3Builder, AmazonS3ConfigKey};
use object_store::{ClientConfigKey, ClientOptions, ObjectStoreExt, RetryConfig};

async fn outcome(builder: AmazonS3Builder) -> &'static str {
    let retry = RetryConfig { max_retries: 0, ..RetryConfig::default() };
    let store = match builder.with_bucket_name("files").with_retry(retry).build() {
        Ok(store) => store,
        Err(error) => panic!("{error}"),
    };
    let said = format!("{:?}", store.get(&"name".into()).await.map(drop).unwrap_err());
    match said {
        said if said.contains("ConnectionRefused") => "the connection is refused",
        said if said.contains("URL scheme is not allowed") || said.contains("BadScheme") => "HTTP is not allowed",
        said => panic!("{said}"),
    }
}

#[tokio::main]
async fn main() {
    let limit = Duration::from_secs(5);
    let from_env = AmazonS3Builder::from_env;
    println!("from_env: {}", outcome(from_env()).await);
    let options = ClientOptions::new().with_timeout(limit);
    println!("from_env, with_client_options: {}", outcome(from_env().with_client_options(options)).await);
    let timeout = AmazonS3ConfigKey::Client(ClientConfigKey::Timeout);
    println!("from_env, with_config: {}", outcome(from_env().with_config(timeout, "5s")).await);
}
RUST
export AWS_ALLOW_HTTP=true AWS_ENDPOINT=http://127.0.0.1:9 AWS_REGION=us-east-1 AWS_ACCESS_KEY_ID=key AWS_SECRET_ACCESS_KEY=secret
unset HTTP_PROXY http_proxy ALL_PROXY all_proxy
CARGO_TARGET_DIR=$work/target cargo run --quiet --manifest-path "$work/Cargo.toml" | tee "$work/seen"
diff - "$work/seen" <<'SEEN' || { echo "that has changed"; exit 1; }
from_env: the connection is refused
from_env, with_client_options: HTTP is not allowed
from_env, with_config: the connection is refused
SEEN
