#!/usr/bin/env bash
# quick_cache: a cache that was once full of keys which nobody asks for again can stay without a single hit for ever. By default 97 %
# of the room is for "hot" keys, and what comes while the cache is still filling up is hot at once, never used or not. Newer keys
# share the other 3 % (and the memory of as many keys that were evicted as the cache has room for), so keys that are used in turns,
# such as the blocks of a file that is read again and again, push each other out before they are asked for the second time. The
# working set is smaller than the cache; any LRU has it whole in the second round. With `hot_allocation(0.5)` so has quick_cache.
# Keys in random order get in little by little.
#
# Seen with quick_cache 0.7.0 (crates.io), one shard, room for 1000 keys: 1000 keys are inserted once, then 700 others are asked for
# and inserted if they are missing, 100 times. Found in the last round:
#   default, in turns: 0 of 700
#   default, in random order: 700 of 700
#   hot_allocation(0.5), in turns: 700 of 700
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
mkdir src
cat > Cargo.toml <<'TOML'
[package]
name = "probe"
version = "0.0.0"
edition = "2021"

[dependencies]
quick_cache = "=0.7.0"
TOML
cat > src/main.rs <<'RUST'
use quick_cache::sync::{Cache, DefaultLifecycle};
use quick_cache::{DefaultHashBuilder, OptionsBuilder, UnitWeighter};

const SET: u64 = 700;

/// Hits in the last of 100 rounds.
fn last_round(hot: Option<f64>, key: impl Fn(u64) -> u64) -> usize {
    let mut options = OptionsBuilder::new();
    options.estimated_items_capacity(1000).weight_capacity(1000).shards(1);
    if let Some(hot) = hot {
        options.hot_allocation(hot);
    }
    let options = options.build().unwrap();
    let cache = Cache::with_options(options, UnitWeighter, DefaultHashBuilder::default(), DefaultLifecycle::default());
    (0..1000).for_each(|key: u64| cache.insert(1_000_000 + key, ()));
    let mut hits = 0;
    for round in 0..100 {
        hits = 0;
        for number in 0..SET {
            let key = key(round * SET + number);
            match cache.get(&key) {
                Some(()) => hits += 1,
                None => cache.insert(key, ()),
            }
        }
    }
    hits
}

fn main() {
    let in_turns = |number| number % SET;
    let at_random = |number: u64| (number.wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ number).rotate_left(29).wrapping_mul(0x2545_f491_4f6c_dd1d) >> 33;
    println!("default, in turns: {} of {SET}", last_round(None, in_turns));
    println!("default, in random order: {} of {SET}", last_round(None, |number| at_random(number) % SET));
    println!("hot_allocation(0.5), in turns: {} of {SET}", last_round(Some(0.5), in_turns));
}
RUST
CARGO_TARGET_DIR=target cargo run --quiet | tee seen
diff seen - <<'EXPECTED'
default, in turns: 0 of 700
default, in random order: 700 of 700
hot_allocation(0.5), in turns: 700 of 700
EXPECTED
