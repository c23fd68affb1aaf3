//! The store on a PostgreSQL server of the test's own, on the loopback address:
//! `cargo test --release -p sweep --test postgres -- --ignored` (Debian's package `postgresql`).

#![cfg(all(unix, feature = "postgres"))]

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use sweep::export;
use sweep::schedule::Next;
use sweep::stopping::Decision;
use sweep::store::{Address, Store, Worker};
use sweep::sweep::{Draft, Sweep};
use sweep::trial::ReportPlace;
use tempfile::TempDir;

/// A server, ended when it is dropped.
struct Server {
    folder: TempDir,
    programs: PathBuf,
    port: u16,
}

impl Server {
    fn begin() -> Self {
        let versions = std::fs::read_dir("/usr/lib/postgresql").expect("PostgreSQL is installed");
        let newest = versions.map(|entry| entry.unwrap().path().join("bin")).max().unwrap();
        let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let server = Self { folder: tempfile::tempdir().unwrap(), programs: newest, port };
        let place = server.folder.path().display();
        if server.is_root() {
            server.shell(&format!("chown postgres {place}"), false);
        }
        let programs = server.programs.display();
        let run = |line: &str| server.shell(&format!("{programs}/{line}"), true);
        run(&format!("initdb -D {place}/data -U me --auth=trust -E UTF8"));
        run(&format!(
            "pg_ctl -D {place}/data -o '-p {port} -c listen_addresses=127.0.0.1 -k {place} -c \
             timezone=America/New_York -c fsync=off' -l {place}/log -w start"
        ));
        run(&format!("createdb -h 127.0.0.1 -p {port} -U me sweeps"));
        server
    }

    fn is_root(&self) -> bool {
        whoami() == "root"
    }

    /// Runs a line, as the user `postgres` where this process is root, which a server may not be.
    fn shell(&self, line: &str, as_user: bool) {
        let mut command = match as_user && self.is_root() {
            true => {
                let mut command = Command::new("runuser");
                command.args(["-u", "postgres", "--", "sh", "-c", line]);
                command
            }
            false => {
                let mut command = Command::new("sh");
                command.args(["-c", line]);
                command
            }
        };
        let status = command.stdout(Stdio::null()).current_dir("/").status().unwrap();
        assert!(status.success(), "{line}");
    }

    fn address(&self) -> Address {
        Address::parse(&format!("postgresql://me@127.0.0.1:{}/sweeps", self.port)).unwrap()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let (programs, place) = (self.programs.display(), self.folder.path().display());
        self.shell(&format!("{programs}/pg_ctl -D {place}/data -m immediate stop"), true);
        if self.is_root() {
            self.shell(&format!("rm -rf {place}/data {place}/log"), false);
        }
    }
}

fn whoami() -> String {
    let found = Command::new("id").arg("-un").output().unwrap();
    String::from_utf8(found.stdout).unwrap().trim().to_owned()
}

/// Trains until nothing is left; every third trial is left behind once, as by a killed worker.
fn work(folder: &Path, address: &Address, name: &str) {
    let mut sweep = Sweep::open(folder, address, "s").unwrap();
    let worker = Worker { name: name.to_owned(), lease_seconds: 1.0 };
    loop {
        let assigned = match sweep.next(&worker).unwrap() {
            Next::Train(assigned) => assigned,
            Next::Wait => {
                std::thread::sleep(std::time::Duration::from_millis(50));
                continue;
            }
            Next::Done | Next::Stopped => return,
        };
        let mut places: Vec<ReportPlace> =
            assigned.reports.iter().map(|(place, _)| *place).collect();
        if assigned.number.is_multiple_of(3) && assigned.why == "is new" {
            continue;
        }
        let lost = |error: sweep::SweepError| assert!(error.is_lost_lease(), "{error}");
        let value = |epoch: f64| 4.0 + assigned.stored[0].value + 1.0 / epoch;
        while places.len() < 9 {
            let epoch = places.len() as f64 + 1.0;
            places.push(ReportPlace { step: 10 * epoch as u64, epoch, share: epoch / 9.0 });
            match sweep.report(&assigned.lease, &places, value(epoch), 1.0) {
                Ok(Decision::Continue) => {}
                Ok(_) => break,
                // Another took it after a pause that was too long.
                Err(error) => {
                    lost(error);
                    break;
                }
            }
        }
        if places.len() == 9 {
            sweep.complete(&assigned.lease, value(9.0), &[]).unwrap_or_else(lost);
        }
    }
}

#[test]
#[ignore = "needs PostgreSQL's programs"]
fn four_workers_share_a_study_on_a_server_in_another_time_zone() {
    let server = Server::begin();
    let (address, folder) = (server.address(), tempfile::tempdir().unwrap());
    let base = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../recipes/quickstart.toml");
    let path = folder.path().join("s.toml");
    let text = format!(
        "name = 's'\nrecipe = '{}'\nmodel = 'undistilled'\ntrials = 60\nretries = 1000\n\
         heartbeat_seconds = 0.1\n[space]\n'train.learning_rate' = {{ uniform = [0.001, 0.1] }}\n\
         'train.schedule' = ['linear', 'cosine']\n",
        base.display()
    );
    std::fs::write(&path, text).unwrap();
    let place = folder.path().join("s");
    Draft::read(&path, &[]).unwrap().create(&place, &address).unwrap();
    std::thread::scope(|scope| {
        for worker in 0..4 {
            let (place, address) = (&place, &address);
            scope.spawn(move || work(place, address, &format!("worker {worker}")));
        }
    });
    let mut sweep = Sweep::open(&place, &address, "s").unwrap();
    let trials = sweep.trials().unwrap();
    let numbers: Vec<u64> = trials.iter().map(|trial| trial.number()).collect();
    assert_eq!(numbers, (0..60).collect::<Vec<u64>>());
    assert!(trials.iter().all(|trial| trial.row.state.is_finished() && trial.row.lease.is_none()));
    assert!(trials.iter().all(|trial| trial.row.system::<u64>("babyllama:lost") < Some(1000)));
    let checked = sweep.check().unwrap();
    assert_eq!((checked.same, checked.differs), (60, vec![]));
    // Times are UTC whatever the server's zone is.
    let started = trials[0].row.started.clone().unwrap();
    let now = Command::new("date").args(["-u", "+%Y-%m-%d"]).output().unwrap();
    assert_eq!(started[..10], String::from_utf8(now.stdout).unwrap()[..10]);

    // A copy in SQLite holds the same.
    let copy = folder.path().join("copy.db");
    export::sqlite(&mut Store::open(&address).unwrap(), &copy).unwrap();
    let mut other = Sweep::open(&place, &Address::Sqlite(copy), "s").unwrap();
    assert_eq!(other.check().unwrap(), sweep.check().unwrap());
    let overview = other.overview().unwrap();
    assert_eq!(overview, sweep.overview().unwrap());

    // A server that is not there, and a database that is not.
    let elsewhere = format!("postgresql://me:s3cret@127.0.0.1:{}/none", server.port);
    let error = Store::open(&Address::parse(&elsewhere).unwrap()).err().unwrap().to_string();
    assert!(error.contains("\"none\" does not exist") && !error.contains("s3cret"), "{error}");
}
