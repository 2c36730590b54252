//! Large directories.

use std::collections::BTreeSet;

use crate::mount::check::{Verdict, equal};
use crate::mount::scene::Scene;

cases! { "large":
    directory = "a thousand entries are listed, found by name, and can be removed during the listing";
    width_of_subdirectories = "a hundred subdirectories are all there";
}

fn directory(scene: &Scene) -> Verdict {
    let expected: BTreeSet<String> = (0..1000).map(|number| format!("file-with-a-rather-long-name-{number}")).collect();
    super::listing::fill(scene, expected.iter().cloned())?;
    super::listing::exactly("readdir(.) with 1000 entries", scene.names("")?, &expected)?;
    for name in expected.iter().step_by(97) {
        scene.stat(name)?;
    }
    let mut listing = crate::mount::directory::Listing::open(&scene.directory)?;
    loop {
        let part = listing.part(4096)?;
        if part.is_empty() {
            break;
        }
        for entry in part.iter().filter(|entry| !entry.is_dot()) {
            scene.unlink(&entry.name)?;
        }
    }
    // Not their names: there may be many.
    equal("entries after each was removed as it came", scene.names("")?.len(), 0)
}

fn width_of_subdirectories(scene: &Scene) -> Verdict {
    let expected: BTreeSet<String> = (0..100).map(|number| format!("d{number}")).collect();
    for name in &expected {
        scene.dir(name)?;
        scene.write(&format!("{name}/f"), b"")?;
    }
    super::listing::exactly("readdir(.) with 100 directories", scene.names("")?, &expected)
}
