//! Containers that have a volume in a bucket, as the chapter on production says.

use std::fs;

use anyhow::Result;
use e2e::sandbox::{self, Bundle, DirectFs};
use e2e::volumes::VolumeServer;
use e2e::{check, command, s3};

use crate::scene::{Bucket, LIMIT, noise};

#[test]
fn a_container_keeps_its_files_in_a_bucket() -> Result<()> {
    sandbox::with_ours(|sandbox| {
        if sandbox.runsc().directfs() == DirectFs::On {
            return Ok(());
        }
        let bucket = Bucket::new()?;
        let serve = || {
            let volumes = format!("data = 'blob:{}?create'", bucket.url());
            VolumeServer::in_environment(&volumes, |program| {
                s3::with_credentials(program, bucket.proxy.address());
            })
        };
        let run = |container: &str, script: &str| -> Result<String> {
            let server = serve()?;
            // The volume is opened for the first connection: some requests to the store, of a machine that may be busy.
            let volume = serde_json::json!({"socket": server.socket(), "time_limit": 60});
            fs::write(sandbox.configuration(), serde_json::json!({"volumes": {"data": volume}}).to_string())?;
            let bundle = Bundle::busybox(sandbox, container)?
                .bind(&sandbox.path().join("source"), "/data", &["rw"])
                .annotation("dev.gofer.backend./data", "volume:data")
                .script(script);
            let output = sandbox.output(&bundle)?;
            server.is_left()?;
            server.stop()?;
            Ok(output)
        };
        let source = sandbox.directory("source")?;
        let made = "mkdir /data/d; for i in $(seq 50); do echo $i > /data/d/$i; done; mv /data/d /data/e
                    dd if=/dev/zero of=/data/big bs=1M count=3 2> /dev/null; echo end >> /data/big; ln -s e/7 /data/l
                    chmod 640 /data/e/7; cat /data/l; sync";
        check::equal("what the first container says", &run("a", made)?, &"7\n")?;
        // Another server, another container, and the host.
        let seen = "ls /data /data/e | wc -l; stat -c '%a %s' /data/e/7 /data/big; tail -c 4 /data/big; rm -r /data/e";
        check::equal("what the second one sees", &run("b", seen)?, &"56\n640 2\n644 3145732\nend\n")?;
        let mount = bucket.mount("")?;
        check::equal("what the host sees", &command::shell(mount.path(), "ls", LIMIT)?, &"big\nl\n")?;
        fs::write(mount.path().join("from-host"), noise(100_000, 1))?;
        mount.unmount()?;
        let sum = run("c", "wc -c < /data/from-host")?;
        check::equal("what the third one sees", &sum.trim(), &"100000")?;
        check::equal("the mount's source", &fs::read_dir(&source)?.count(), &0)?;
        bucket.is_sound()
    })
}
