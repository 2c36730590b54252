//! How long runsc's own commands take.

use std::time::Instant;

use anyhow::Result;
use e2e::sandbox::{Bundle, Runsc, Sandbox};
use e2e::volumes::VolumeServer;
use e2e::{command, sandbox, scratch};

use super::table::{Figure, Samples, Way};

/// How often each in a round.
const TURNS: usize = 5;

/// A place for containers, and the volume that they have.
struct Scene {
    way: Way,
    sandbox: Sandbox,
    bundles: [Bundle; 2],
    server: Option<VolumeServer>,
}

/// Measures one round. Those that are compared take turns with each single container.
pub(super) fn run(runsc: &Runsc, order: [Way; 3], samples: &mut Samples) -> Result<()> {
    let data = scratch::memory()?;
    let scene = |way| -> Result<Scene> {
        let sandbox = super::sandbox(runsc, way)?;
        let server = super::volume_server(&sandbox, way, data.path())?;
        let bundle = |name| -> Result<Bundle> {
            let bundle = Bundle::busybox(&sandbox, name)?.bind(data.path(), "/data", &[]).arguments(&["true"]);
            let volume = ("dev.gofer.backend./data", "volume:data");
            let bundle = if server.is_some() { bundle.annotation(volume.0, volume.1) } else { bundle };
            bundle.write(&sandbox)?;
            Ok(bundle)
        };
        let bundles = [bundle("run")?, bundle("create")?];
        Ok(Scene { way, sandbox, bundles, server })
    };
    let scenes = order.into_iter().map(scene).collect::<Result<Vec<_>>>()?;
    for turn in 0..TURNS {
        for number in 0..scenes.len() {
            let scene = &scenes[(turn + number) % scenes.len()];
            samples.add(scene.way, turns(&scene.sandbox, &scene.bundles)?);
        }
    }
    for Scene { sandbox, server, .. } in scenes {
        sandbox.end()?;
        server.map_or(Ok(()), VolumeServer::stop)?;
    }
    Ok(())
}

fn turns(sandbox: &Sandbox, [run, create]: &[Bundle; 2]) -> Result<Vec<Figure>> {
    let bundle = |bundle: &Bundle| bundle.path().display().to_string();
    let (run_bundle, create_bundle) = (bundle(run), bundle(create));
    let once = time(sandbox, &["run", "--bundle", &run_bundle, run.id()])?;
    let created = time(sandbox, &["create", "--bundle", &create_bundle, create.id()])?;
    let started = time(sandbox, &["start", create.id()])?;
    let listed = time(sandbox, &["list"])?;
    sandbox.succeed(["delete", "--force", create.id()])?;
    let figure = |name, value| Figure { name, unit: "ms", value };
    Ok(vec![
        figure("`run` of `true`", once),
        figure("`create` and `start`", created + started),
        figure("`list`", listed),
    ])
}

/// Milliseconds that a command of runsc takes.
fn time(sandbox: &Sandbox, arguments: &[&str]) -> Result<f64> {
    let mut runsc = sandbox.command(arguments)?;
    let start = Instant::now();
    command::succeed(&mut runsc, sandbox::LIMIT)?;
    Ok(start.elapsed().as_secs_f64() * 1e3)
}
