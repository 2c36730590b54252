//! How much of a skewed workload is hit, beside a simulation of the policy.

mod common;

use std::collections::{HashMap, HashSet, VecDeque};
use std::fs::File;

use gofer_cache::Limits;
use lisafs::backend::Access;

use common::{Scene, exclusive, open_file, read};

/// S3-FIFO as its paper has it (Yang et al., "FIFO queues are all you need for cache eviction", SOSP 2023), for objects
/// of one size.
#[derive(Default)]
struct Simulation {
    room: usize,
    /// How often an object was used again, and whether it is in the main queue.
    objects: HashMap<u64, (u8, bool)>,
    small: VecDeque<u64>,
    main: VecDeque<u64>,
    ghosts: VecDeque<u64>,
    remembered: HashSet<u64>,
}

impl Simulation {
    /// Uses an object. Says whether it was there.
    fn read(&mut self, object: u64) -> bool {
        if let Some((uses, _)) = self.objects.get_mut(&object) {
            *uses = (*uses + 1).min(3);
            return true;
        }
        while self.objects.len() >= self.room {
            if self.small.len() > self.room / 10 || self.main.is_empty() {
                self.evict_small();
            } else {
                self.evict_main();
            }
        }
        let is_main = self.remembered.remove(&object);
        let queue = if is_main { &mut self.main } else { &mut self.small };
        queue.push_back(object);
        self.objects.insert(object, (0, is_main));
        false
    }

    fn evict_small(&mut self) {
        let Some(object) = self.small.pop_front() else { return };
        if self.objects[&object].0 > 1 {
            self.objects.insert(object, (0, true));
            return self.main.push_back(object);
        }
        self.objects.remove(&object);
        self.remembered.insert(object);
        self.ghosts.push_back(object);
        while self.ghosts.len() > self.room - self.room / 10 {
            self.ghosts.pop_front().map(|oldest| self.remembered.remove(&oldest));
        }
    }

    fn evict_main(&mut self) {
        let Some(object) = self.main.pop_front() else { return };
        match self.objects.get_mut(&object) {
            Some((uses, _)) if *uses > 0 => {
                *uses -= 1;
                self.main.push_back(object);
            }
            _ => drop(self.objects.remove(&object)),
        }
    }
}

/// Numbers below `count`, of which the one of rank n comes up as often as 1/n says, and which are anywhere.
fn zipf(count: u64, random: &mut fastrand::Rng) -> impl FnMut() -> u64 {
    let mut numbers: Vec<u64> = (0..count).collect();
    random.shuffle(&mut numbers);
    let mut sum = 0.0;
    let sums: Vec<f64> = numbers
        .iter()
        .zip(1..)
        .map(|(_, rank)| {
            sum += 1.0 / f64::from(rank);
            sum
        })
        .collect();
    let end = sum;
    move || {
        let at = random.f64() * end;
        numbers[sums.partition_point(|sum| *sum < at)]
    }
}

#[test]
fn twice_what_there_is_room_for_is_hit_as_the_policy_promises() {
    const ROOM: u64 = 200;
    const FILES: u64 = 8;
    const BLOCKS_IN_EACH: u64 = 2 * ROOM / FILES;
    const READS: u64 = 8000;
    const CHUNK: u64 = 64 << 10;
    const BLOCK: u64 = 1 << 20;
    const OF_A_FILE: u64 = 8 << 10;
    let limits = Limits::new(ROOM * CHUNK + FILES * OF_A_FILE, Some(0));
    let scene = Scene::with(&exclusive(), limits, false);
    for file in 0..FILES {
        let file = File::create(scene.files.path().join(file.to_string())).unwrap();
        file.set_len(BLOCKS_IN_EACH * BLOCK).unwrap();
    }
    let mut random = fastrand::Rng::with_seed(15);
    let mut next = zipf(2 * ROOM, &mut random);
    let mut simulation = Simulation { room: usize::try_from(ROOM).unwrap(), ..Simulation::default() };
    let mut simulated = 0;
    for _ in 0..READS {
        let number = next();
        simulated += u64::from(simulation.read(number));
        // One chunk of each block, in the middle, by a reader of its own: nothing is fetched ahead.
        let file = open_file(&scene.claim, &(number / BLOCKS_IN_EACH).to_string(), Access::Read);
        assert_eq!(read(&file, number % BLOCKS_IN_EACH * BLOCK + BLOCK / 2, 4096), [0; 4096]);
    }
    let counts = scene.counts();
    assert_eq!((counts.hits + counts.misses, counts.refused), (READS, 0));
    assert!(counts.evictions > ROOM, "there was never too little room: {counts:?}");
    let (hits, simulated) = (counts.hits as f64 / READS as f64, simulated as f64 / READS as f64);
    assert!((hits - simulated).abs() <= 0.03, "{hits:.3} of the reads were hits; the simulation has {simulated:.3}");
}
