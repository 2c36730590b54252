//! Each backend that an annotation can name, in a container.

use std::fs;

use anyhow::Result;
use e2e::sandbox::{self, Bundle, DirectFs};
use e2e::{check, skip};

/// The text of the annotation, and whether what it serves is the container's own `/etc`.
const BACKENDS: [(&str, bool); 11] = [
    ("/etc", true),
    ("host:/etc", true),
    ("mem:", false),
    ("mem:size=1m,mode=750,uid=7", false),
    ("readonly:/etc", true),
    ("readonly:host:/etc", true),
    ("readonly:mem:", false),
    ("stats:host:/etc", true),
    ("stats:mem:", false),
    ("stats:readonly:host:/etc", true),
    ("readonly:stats:host:/etc", true),
];

#[test]
fn each_backend_is_served() -> Result<()> {
    sandbox::with_ours(|sandbox| {
        let directfs = sandbox.runsc().directfs() == DirectFs::On;
        if directfs && !sandbox.runsc().knows_annotations() {
            skip!("the backends of mounts with directfs: {} ignores annotations that switch it off", sandbox.runsc());
        }
        let mut bundle = Bundle::busybox(sandbox, "c")?;
        fs::write(bundle.root().join("etc/mark"), "mark\n")?;
        let mut script = String::new();
        let mut wanted = String::new();
        for (number, (backend, is_etc)) in BACKENDS.iter().enumerate() {
            let name = format!("m{number}");
            let source = sandbox.directory(&name)?;
            bundle = bundle.bind(&source, &format!("/{name}"), &["rw"]);
            bundle = bundle.annotation(&format!("dev.gofer.backend./{name}"), backend);
            if directfs {
                let source = source.to_string_lossy().into_owned();
                for (field, value) in [("source", &*source), ("type", "bind"), ("share", "shared"), ("directfs", "off")]
                {
                    bundle = bundle.annotation(&format!("dev.gvisor.spec.mount.{name}.{field}"), value);
                }
            }
            script += &format!(
                "echo {backend}; if [ -e /{name}/mark ]; then cat /{name}/mark; fi
                 if (echo {number} > /{name}/new) 2>/dev/null; then cat /{name}/new; rm /{name}/new; else echo refused; fi\n"
            );
            let content = if *is_etc { "mark\n" } else { "" };
            let change = if backend.contains("readonly:") { "refused".to_owned() } else { number.to_string() };
            wanted += &format!("{backend}\n{content}{change}\n");
        }
        check::equal("output", &sandbox.output(&bundle.script(&script))?, &wanted)
    })
}
