//! All orders in which threads come to the pool. Loom says if one waits for ever.

use loom::sync::Arc as Shared;
use loom::thread;
use rustix::net::{AddressFamily, SocketFlags, SocketType, socketpair};

use super::*;
use crate::transport::{Channel, FdSocket, PacketMemory, Role};

const ROOM: usize = 100;

/// A pool whose socket is real, and leads to nobody.
fn pool() -> Shared<Pool> {
    let (ours, _) = socketpair(AddressFamily::UNIX, SocketType::STREAM, SocketFlags::CLOEXEC, None).unwrap();
    let socket = Arc::new(Socket::new(ours));
    let communicator = Communicator::socket(socket.clone(), ROOM);
    Shared::new(Pool::new(socket, communicator))
}

/// A channel to nobody.
fn channel() -> Channel {
    let mut memory = PacketMemory::new().unwrap();
    let (offset, len) = memory.allocate(ROOM).unwrap();
    Channel::new(memory.window(offset, len).unwrap(), Role::Client)
}

fn add(pool: &Pool) -> Result<(), Ended> {
    let channel = channel();
    let id = pool.register(channel.stopper())?;
    pool.add(id, Communicator::channel(id.number(), channel, FdSocket::pair().unwrap().0, ROOM));
    Ok(())
}

/// A communicator; if one is to be made, that is done first.
fn acquire(pool: &Pool) -> Result<Lease<'_>, Ended> {
    loop {
        match pool.acquire()? {
            Acquired::Free(lease) => return Ok(lease),
            Acquired::ForMore(socket) => {
                if add(pool).is_err() {
                    pool.stop_growing();
                }
                drop(socket);
                pool.has_grown();
            }
        }
    }
}

/// Takes a communicator and gives it back.
fn call(pool: &Pool) -> Result<u16, Ended> {
    Ok(acquire(pool)?.communicator().number())
}

/// As [`call`], but the answer never comes.
fn call_in_vain(pool: &Pool) -> Result<(), Ended> {
    acquire(pool)?.communicator().pretend_in_flight();
    Ok(())
}

fn among(pool: &Shared<Pool>, act: impl FnOnce(&Pool) + Send + 'static) -> thread::JoinHandle<()> {
    let pool = pool.clone();
    thread::spawn(move || act(&pool))
}

#[test]
fn who_waits_for_a_communicator_gets_it() {
    loom::model(|| {
        let pool = pool();
        let others = [0, 1].map(|_| among(&pool, |pool| assert_eq!(call(pool), Ok(0))));
        assert_eq!(call(&pool), Ok(0));
        others.into_iter().for_each(|other| other.join().unwrap());
    });
}

#[test]
fn a_new_channel_is_used_by_who_waits() {
    loom::model(|| {
        let pool = pool();
        let held = acquire(&pool).unwrap();
        let waiting = among(&pool, |pool| assert_eq!(call(pool), Ok(1)));
        add(&pool).unwrap();
        waiting.join().unwrap();
        drop(held);
        assert_eq!(pool.channels(), 1);
    });
}

#[test]
fn who_finds_no_channel_makes_one_while_there_is_room() {
    loom::model(|| {
        let pool = pool();
        pool.grow_by(1);
        let other = among(&pool, |pool| assert!(call(pool).is_ok()));
        assert!(call(&pool).is_ok());
        other.join().unwrap();
        assert_eq!(pool.channels(), 1);
    });
}

#[test]
fn a_pool_that_grows_ends_for_all() {
    loom::model(|| {
        let pool = pool();
        pool.grow_by(1);
        let ending = among(&pool, Pool::shut_down);
        assert!(matches!(call(&pool), Ok(_) | Err(Ended::ShutDown)));
        ending.join().unwrap();
        assert_eq!(call(&pool), Err(Ended::ShutDown));
    });
}

#[test]
fn nobody_waits_for_a_pool_that_has_ended() {
    loom::model(|| {
        let pool = pool();
        let ending = among(&pool, Pool::shut_down);
        let adding = among(&pool, |pool| assert!(matches!(add(pool), Ok(()) | Err(Ended::ShutDown))));
        assert!(matches!(call(&pool), Ok(_) | Err(Ended::ShutDown)));
        ending.join().unwrap();
        adding.join().unwrap();
        assert!(pool.is_dead());
        assert_eq!(call(&pool), Err(Ended::ShutDown));
        assert_eq!(add(&pool), Err(Ended::ShutDown));
    });
}

#[test]
fn with_the_last_communicator_the_pool_ends_for_all() {
    loom::model(|| {
        let pool = pool();
        add(&pool).unwrap();
        let others = [0, 1].map(|_| among(&pool, |pool| assert!(matches!(call_in_vain(pool), Ok(())))));
        // One communicator is enough for this one, but there may be none left.
        assert!(matches!(call(&pool), Ok(_) | Err(Ended::ShutDown)));
        others.into_iter().for_each(|other| other.join().unwrap());
        assert!(pool.is_dead());
    });
}
