use lisafs::wire::FdId;

use super::seen::SET_GID;
use super::*;

const DIR: u16 = 0o040_755;
const FILE: u16 = 0o100_644;

type Table = Nodes<u64>;

fn stat(ino: u64, mode: u16) -> Statx {
    Statx { ino, mode, dev_minor: 1, ..Statx::default() }
}

fn table() -> Table {
    Nodes::new(&Inode { control_fd: FdId(1), stat: stat(100, DIR) }, 1)
}

impl Table {
    fn add(&mut self, parent: NodeId, name: &str, control: u64, ino: u64, mode: u16) -> NodeId {
        self.insert(parent, name.as_bytes(), &stat(ino, mode), control).unwrap()
    }

    fn held(&mut self, id: NodeId) -> Option<u64> {
        match self.control(id) {
            Ok(Found::Held(control)) => Some(control),
            _ => None,
        }
    }

    /// The name to walk to, and the control FD for when that does not work.
    fn lost(&mut self, id: NodeId) -> (Name, Option<u64>) {
        match self.control(id) {
            Ok(Found::Lost(way)) => (way.name, way.otherwise),
            other => panic!("{other:?}"),
        }
    }

    /// Control FDs as counted and as they are.
    fn assert_counts(&self, fds: usize, spare: usize) {
        assert_eq!((self.fds, self.spare), (fds, spare));
        let nodes = self.nodes.values();
        assert_eq!(nodes.clone().filter(|node| node.control.is_some()).count(), fds);
        assert_eq!(nodes.filter(|node| node.is_spare()).count(), spare);
    }
}

#[test]
fn hard_links_are_one_node_with_one_control_fd_by_a_living_name() {
    let mut nodes = table();
    let a = nodes.add(NodeId::ROOT, "a", 2, 7, FILE);
    let b = nodes.add(NodeId::ROOT, "b", 3, 7, FILE);
    assert_eq!((a, b), (NodeId(7), NodeId(7)));
    assert_eq!(nodes.held(a), Some(2));
    nodes.assert_counts(2, 1);
    nodes.lose_name(NodeId::ROOT, b"a");
    let (name, otherwise) = nodes.lost(a);
    assert_eq!((&*name.name, otherwise), (&b"b"[..], Some(2)));
    nodes.walked(a, &name, 4);
    assert_eq!(nodes.held(a), Some(4));
    nodes.lose_name(NodeId::ROOT, b"b");
    assert_eq!(nodes.held(a), Some(4), "who is in it goes on");
    nodes.assert_counts(2, 0);
    nodes.forget(a, 1);
    assert_eq!(nodes.held(a), Some(4));
    nodes.forget(a, 1);
    assert_eq!(nodes.control(a).unwrap_err(), Errno::STALE);
    nodes.assert_counts(1, 0);
}

#[test]
fn any_number_of_names_costs_one_control_fd() {
    let mut nodes = table();
    for number in 0..5000 {
        nodes.add(NodeId::ROOT, &number.to_string(), number, 7, FILE);
    }
    nodes.assert_counts(2, 1);
    for number in 0..4999 {
        nodes.lose_name(NodeId::ROOT, number.to_string().as_bytes());
    }
    assert_eq!(&*nodes.lost(NodeId(7)).0.name, b"4999");
    nodes.lose_name(NodeId::ROOT, b"4999");
    assert_eq!(nodes.held(NodeId(7)), Some(0));
}

#[test]
fn a_name_that_was_lost_and_found_is_served_by_its_new_control_fd() {
    let mut nodes = table();
    let id = nodes.add(NodeId::ROOT, "a", 2, 7, FILE);
    nodes.lose_name(NodeId::ROOT, b"a");
    nodes.add(NodeId::ROOT, "a", 3, 7, FILE);
    assert_eq!(nodes.held(id), Some(3));
}

#[test]
fn a_name_that_became_another_file_leads_there() {
    let mut nodes = table();
    nodes.add(NodeId::ROOT, "a", 2, 7, FILE);
    nodes.add(NodeId::ROOT, "a", 3, 8, FILE);
    assert_eq!(nodes.child(NodeId::ROOT, b"a").unwrap().0, NodeId(8));
    assert_eq!(nodes.held(NodeId(7)), Some(2), "the old file can still be used by who has it");
}

#[test]
fn renames_move_names() {
    let mut nodes = table();
    let dir = nodes.add(NodeId::ROOT, "d", 2, 5, DIR);
    nodes.add(NodeId::ROOT, "a", 3, 7, FILE);
    nodes.add(dir, "b", 4, 8, FILE);
    nodes.renamed((NodeId::ROOT, b"a"), (dir, b"b"), false);
    assert_eq!(nodes.child(NodeId::ROOT, b"a"), None);
    assert_eq!(nodes.child(dir, b"b").unwrap().0, NodeId(7));
    assert_eq!(nodes.parent(NodeId(7)), dir);
    nodes.add(dir, "c", 5, 9, FILE);
    nodes.renamed((dir, b"b"), (dir, b"c"), true);
    assert_eq!(nodes.child(dir, b"b").unwrap().0, NodeId(9));
    assert_eq!(nodes.child(dir, b"c").unwrap().0, NodeId(7));
    assert_eq!((nodes.held(NodeId(7)), nodes.held(NodeId(9))), (Some(3), Some(5)), "renames keep control FDs");
}

#[test]
fn renaming_one_link_over_another_changes_nothing() {
    let mut nodes = table();
    nodes.add(NodeId::ROOT, "a", 2, 7, FILE);
    nodes.add(NodeId::ROOT, "b", 3, 7, FILE);
    nodes.renamed((NodeId::ROOT, b"a"), (NodeId::ROOT, b"b"), false);
    assert!(nodes.child(NodeId::ROOT, b"a").is_some() && nodes.child(NodeId::ROOT, b"b").is_some());
}

#[test]
fn two_types_under_one_identity_are_refused() {
    let mut nodes = table();
    nodes.add(NodeId::ROOT, "a", 2, 7, FILE);
    assert_eq!(nodes.insert(NodeId::ROOT, b"b", &stat(7, DIR), 3), None);
    assert_eq!(nodes.insert(NodeId::ROOT, b"loop", &stat(100, DIR), 4), None);
}

#[test]
fn idle_files_are_given_up_when_they_still_are_the_next_time() {
    let mut nodes = table();
    let dir = nodes.add(NodeId::ROOT, "d", 2, 5, DIR);
    for (name, control, ino) in [("used", 3, 7), ("idle", 4, 8), ("open", 5, 9), ("kept", 6, 10), ("gone", 7, 11)] {
        nodes.add(dir, name, control, ino, FILE);
    }
    nodes.opened(NodeId(9), true);
    nodes.keep(NodeId(10));
    nodes.lose_name(dir, b"gone");
    nodes.assert_counts(7, 3);
    let first = nodes.sweep(100, false);
    assert!(first.idle.is_empty() && first.given_up.is_empty(), "all were just used");
    nodes.control(NodeId(7)).unwrap();
    let second = nodes.sweep(100, false);
    assert_eq!((second.idle, second.given_up.len()), (vec![NodeId(8)], 0), "a directory goes after what is in it");
    nodes.control(NodeId(7)).unwrap();
    assert_eq!(nodes.sweep(100, false).given_up, [2, 4]);
    nodes.assert_counts(5, 1);
    assert_eq!(nodes.sweep(100, true).given_up, [3]);
    nodes.assert_counts(4, 0);
    nodes.closed(NodeId(9), true);
    nodes.assert_counts(4, 1);
}

#[test]
fn what_was_given_up_is_walked_to_again() {
    let mut nodes = table();
    let dir = nodes.add(NodeId::ROOT, "d", 2, 5, DIR);
    let file = nodes.add(dir, "a", 3, 7, FILE);
    assert_eq!(nodes.sweep(100, true).given_up, [2, 3]);
    let (name, otherwise) = nodes.lost(file);
    assert_eq!((name.parent, otherwise), (dir, None));
    assert_eq!(nodes.lost(dir).0.parent, NodeId::ROOT);
    nodes.walked(file, &name, 4);
    assert_eq!(nodes.held(file), Some(4));
    // A name that was lost meanwhile is no way to it.
    nodes.sweep(100, true);
    nodes.lose_name(dir, b"a");
    nodes.walked(file, &name, 5);
    assert_eq!(nodes.control(file).unwrap_err(), Errno::STALE);
    nodes.restore(file, 6);
    assert_eq!(nodes.held(file), Some(6));
}

#[test]
fn the_queue_stays_short_though_files_come_and_go() {
    let mut nodes = table();
    for ino in 2..20_000 {
        let id = nodes.add(NodeId::ROOT, "a", ino, if ino == 100 { 20_000 } else { ino }, FILE);
        nodes.forget(id, 1);
    }
    assert!(nodes.queued() < 2000, "{}", nodes.queued());
}

#[test]
fn a_name_of_a_directory_that_came_back_is_known_again() {
    let mut nodes = table();
    let dir = nodes.add(NodeId::ROOT, "d", 2, 5, DIR);
    let file = nodes.add(dir, "a", 3, 7, FILE);
    nodes.add(NodeId::ROOT, "b", 4, 7, FILE);
    // The file stays because of its other name.
    nodes.forget(dir, 1);
    assert_eq!(nodes.held(file), Some(3), "its control FD is as good as before");
    nodes.add(NodeId::ROOT, "d", 5, 5, DIR);
    nodes.add(dir, "a", 6, 7, FILE);
    assert_eq!(nodes.child(dir, b"a").unwrap().0, file);
    nodes.lose_name(dir, b"a");
    assert_eq!(&*nodes.lost(file).0.name, b"b");
}

#[test]
fn a_file_of_another_type_under_a_known_number_is_another_file() {
    let mut nodes = table();
    let id = nodes.add(NodeId::ROOT, "a", 2, 7, FILE);
    assert!(nodes.looked_up_again(id, &stat(7, FILE)));
    assert!(!nodes.looked_up_again(id, &stat(7, DIR)));
    // This number is what a file of the second device with inode number 7 gets.
    let foreign = Statx { dev_minor: 2, ..stat(7, FILE) };
    let taken = nodes.insert(NodeId::ROOT, b"b", &foreign, 3).unwrap();
    assert_ne!(nodes.insert(NodeId::ROOT, b"c", &stat(taken.0, FILE), 4), Some(taken));
}

#[test]
fn an_exchange_with_an_unknown_file_leaves_no_name_behind() {
    let mut nodes = table();
    let known = nodes.add(NodeId::ROOT, "a", 2, 7, FILE);
    nodes.renamed((NodeId::ROOT, b"a"), (NodeId::ROOT, b"b"), true);
    assert_eq!(nodes.child(NodeId::ROOT, b"b").unwrap().0, known);
    assert!(nodes.child(NodeId::ROOT, b"a").is_none());
    nodes.renamed((NodeId::ROOT, b"c"), (NodeId::ROOT, b"b"), true);
    assert_eq!(nodes.child(NodeId::ROOT, b"c").unwrap().0, known);
    assert!(nodes.child(NodeId::ROOT, b"b").is_none());
}

#[test]
fn a_set_group_id_directory_passes_its_group_on() {
    let mut nodes = table();
    let stat = Statx { gid: 42, ..stat(5, DIR | SET_GID) };
    let dir = nodes.insert(NodeId::ROOT, b"d", &stat, 2).unwrap();
    assert_eq!(nodes.inheritance(dir).gid, Some(42));
    assert_eq!(nodes.inheritance(NodeId::ROOT).gid, None);
}

#[test]
fn the_kernel_may_believe_in_any_end_that_it_was_told() {
    let mut nodes = table();
    let id = nodes.add(NodeId::ROOT, "a", 2, 101, FILE);
    let sized = |size| Statx { size, ..stat(101, FILE) };
    nodes.grown(id, 10);
    // Others append, and answers overtake each other.
    for (size, end) in [(20, 10), (15, 10), (5, 5), (30, 5)] {
        assert!(nodes.see(id, &sized(size)));
        assert_eq!((nodes.size(id), nodes.least_end(id)), (Some(size), Some(end)));
    }
    // It appends, and what is in between is not its own.
    nodes.grown(id, 12);
    assert_eq!((nodes.size(id), nodes.least_end(id)), (Some(30), Some(12)));
}
