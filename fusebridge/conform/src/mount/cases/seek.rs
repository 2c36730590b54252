//! Positions in directories, as `telldir` and `seekdir` have them.

use super::listing::fill;
use crate::mount::check::{Expect, Verdict, equal};
use crate::mount::directory::{Entry, Listing};
use crate::mount::scene::Scene;

cases! { "seek":
    back = "seeking back to an entry's position shows what came after it";
    anywhere = "seekdir works in any order";
    while_changing = "positions stay valid while other entries come and go";
    of_the_end = "the position of the last entry is the end";
    differ = "no two entries have the same position";
    without_the_cache = "a listing resumes correctly after the kernel dropped its cache and entries were removed";
    another_handle = "positions belong to one open directory, and 0 is the start of any";
}

/// A directory with some files, all of its entries, and the same still open.
fn listed(scene: &Scene) -> Verdict<(Listing, Vec<Entry>)> {
    fill(scene, (0..60).map(|number| format!("entry-{number}")))?;
    let mut listing = Listing::open(&scene.directory)?;
    let entries = listing.rest(4096)?;
    equal("entries with . and ..", entries.len(), 62)?;
    Ok((listing, entries))
}

/// Fails unless the entry after `entries[at]` is the one that came there the first time.
fn continues(listing: &mut Listing, entries: &[Entry], at: usize) -> Verdict {
    let position = entries[at].next;
    listing.seek(position)?;
    let actual = listing.part(1024)?.into_iter().next().map(|entry| entry.name);
    let expected = entries.get(at + 1).map(|entry| entry.name.clone());
    equal(format_args!("the entry after seekdir({position}), following {:?}", entries[at].name), actual, expected)
}

fn back(scene: &Scene) -> Verdict {
    let (mut listing, entries) = listed(scene)?;
    (0..entries.len()).rev().try_for_each(|at| continues(&mut listing, &entries, at))
}

fn anywhere(scene: &Scene) -> Verdict {
    let (mut listing, entries) = listed(scene)?;
    // 37 and 62 have no common divisor: each is met, in no order.
    (0..entries.len()).try_for_each(|step| continues(&mut listing, &entries, step * 37 % entries.len()))
}

fn while_changing(scene: &Scene) -> Verdict {
    let (mut listing, entries) = listed(scene)?;
    let last = entries.len() - 1;
    for at in (2..last).step_by(4) {
        // The entry before the position goes, one is added; the entry behind the position stays.
        let name = &entries[at].name;
        if !entries[at].is_dot() && !entries[at + 1].is_dot() {
            scene.unlink(name)?;
            scene.write(&format!("{name}-new"), b"")?;
            continues(&mut listing, &entries, at)?;
        }
    }
    Ok(())
}

fn of_the_end(scene: &Scene) -> Verdict {
    let (mut listing, entries) = listed(scene)?;
    continues(&mut listing, &entries, entries.len() - 1)
}

fn differ(scene: &Scene) -> Verdict {
    let (_, entries) = listed(scene)?;
    let mut positions: Vec<u64> = entries.iter().map(|entry| entry.next).collect();
    positions.sort_unstable();
    positions.dedup();
    equal("different positions of 62 entries", positions.len(), 62)
}

fn without_the_cache(scene: &Scene) -> Verdict {
    let (_, entries) = listed(scene)?;
    let mut listing = Listing::open(&scene.directory)?;
    let mut actual = Vec::new();
    loop {
        let part = listing.part(512)?;
        if part.is_empty() {
            break;
        }
        for entry in &part {
            if !entry.is_dot() {
                scene.unlink(&entry.name)?;
            }
            actual.push(entry.name.clone());
        }
        // As the kernel does by itself when memory is short.
        rustix::fs::fadvise(&listing.directory, 0, None, rustix::fs::Advice::DontNeed)
            .of("posix_fadvise(., DONTNEED)")?;
    }
    let expected: Vec<String> = entries.into_iter().map(|entry| entry.name).collect();
    equal("readdir(.) while each entry is removed as it comes", actual, expected)
}

fn another_handle(scene: &Scene) -> Verdict {
    let (mut listing, entries) = listed(scene)?;
    let mut other = Listing::open(&scene.directory)?;
    other.part(256)?;
    listing.seek(0)?;
    let again = listing.rest(512)?;
    let names = |entries: &[Entry]| entries.iter().map(|entry| entry.name.clone()).collect::<Vec<_>>();
    equal("the listing after seekdir(0)", names(&again), names(&entries))
}
