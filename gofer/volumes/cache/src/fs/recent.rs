//! What was used last.

use std::hash::Hash;

use quick_cache::sync::{Cache, DefaultLifecycle};
use quick_cache::{DefaultHashBuilder, OptionsBuilder, UnitWeighter};

/// How much of the room is for what was used more than once. By default it is nearly all, and what came first has it: then
/// a tree that just fits could be walked for ever without a single hit.
const OFTEN: f64 = 0.5;

/// A map of at most `count` values, of which those go that were not used for long.
pub(super) fn recent<K: Eq + Hash, V: Clone>(count: usize) -> Cache<K, V> {
    let room = u64::try_from(count).unwrap_or(u64::MAX);
    let options = OptionsBuilder::new()
        .estimated_items_capacity(count)
        .weight_capacity(room)
        .hot_allocation(OFTEN)
        .build()
        .expect("all that has no default is given");
    Cache::with_options(options, UnitWeighter, DefaultHashBuilder::default(), DefaultLifecycle::default())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_used_in_turns_takes_the_place_of_what_is_not_used() {
        const COUNT: u32 = 4000;
        let cache = recent(COUNT as usize);
        (0..2 * COUNT).for_each(|key| cache.insert(key, ()));
        let mut found = 0;
        for _ in 0..10 {
            found = 0;
            for key in 1_000_000..1_000_000 + COUNT * 8 / 10 {
                match cache.get(&key) {
                    Some(()) => found += 1,
                    None => cache.insert(key, ()),
                }
            }
        }
        assert_eq!(found, COUNT * 8 / 10);
    }
}
