//! What a request costs: each operation over the socket and over a channel, beside what it cannot do without, which is
//! passing control there and back, and the system calls that the server makes.
//!
//! The server runs on threads of this process and, again, in a child process. At the end all medians stand in one
//! table, with their ratios to the futex ping-pongs and bare calls of the same run.

mod support;

use std::process::ExitCode;
use std::time::Duration;

use criterion::Criterion;

use support::bare::Bare;
use support::client::{Client, Over};
use support::files::Files;
use support::operation::Operation;
use support::partner::{self, Setting};
use support::ping_pong::PingPong;
use support::table::{Recorder, Subject};

fn main() -> ExitCode {
    if let Some(status) = partner::run_if_asked() {
        return status;
    }
    let mut criterion = Criterion::default()
        .sample_size(50)
        .nresamples(10_000)
        .warm_up_time(Duration::from_millis(300))
        .measurement_time(Duration::from_secs(1))
        .configure_from_args();
    // What a server's process sets as well: modes are taken as they are.
    rustix::process::umask(rustix::fs::Mode::empty());

    let files = Files::new();
    let mut recorder = Recorder::default();
    for setting in Setting::all() {
        let mut ping_pong = PingPong::start(setting);
        recorder.bench(&mut criterion, Subject::PingPong(setting), || ping_pong.round_trip());
    }
    for operation in Operation::ALL {
        let mut bare = Bare::new(&files);
        recorder.bench(&mut criterion, Subject::Bare(operation), || bare.run(operation));
        for setting in Setting::all() {
            let mut client = Client::connect(partner::serve(setting, files.dir()));
            for over in Over::ALL {
                let mut target = operation.prepare(&mut client);
                recorder.bench(&mut criterion, Subject::Call(operation, setting, over), || {
                    target.run(&mut client, over);
                });
            }
        }
    }
    criterion.final_summary();
    // Without it, cargo only wants to know whether everything runs.
    if std::env::args().any(|argument| argument == "--bench") {
        println!("{}", recorder.table(&files));
    }
    ExitCode::SUCCESS
}
