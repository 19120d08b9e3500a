//! Servers under test: started on loopback and on a core of their own, watched through /proc, and gone when dropped.

use std::fs::{self, File};
use std::io::{Seek, SeekFrom};
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Mutex;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use rustix::process::{Pid, Signal, kill_process};
use rustix::thread::{CpuSet, sched_setaffinity};
use tempfile::TempDir;

use crate::client::Client;

const START_PATIENCE: Duration = Duration::from_secs(10);

/// A server program.
#[derive(Clone)]
pub(crate) struct Program {
    /// Its column in the tables.
    pub(crate) name: String,
    /// The executable.
    pub(crate) path: PathBuf,
    /// A shared library to load into it.
    pub(crate) preload: Option<PathBuf>,
}

/// Where servers and the generator run.
#[derive(Clone, Copy)]
pub(crate) struct Placement {
    /// The servers' core.
    pub(crate) server_core: usize,
    /// The generator's core.
    pub(crate) client_core: usize,
    /// Servers listen on a free port from here on.
    pub(crate) first_port: u16,
}

/// A running server.
pub(crate) struct Server {
    /// Its program's name.
    pub(crate) name: String,
    /// Its port on 127.0.0.1.
    pub(crate) port: u16,
    child: Child,
    _directory: TempDir,
}

impl Server {
    /// Starts a program without persistence, and waits until it answers.
    pub(crate) fn start(program: &Program, placement: Placement, arguments: &[&str]) -> Result<Self> {
        let directory = tempfile::Builder::new().prefix("carnelian-compare-").tempdir()?;
        let log_path = directory.path().join("log");
        let port = free_port(placement.first_port)?;
        let mut command = Command::new(&program.path);
        command
            .args([
                "--port",
                &port.to_string(),
                "--bind",
                "127.0.0.1",
                "--save",
                "",
                "--appendonly",
                "no",
                "--dir",
            ])
            .arg(directory.path())
            .args(arguments)
            .stdin(Stdio::null())
            .stdout(File::create(&log_path)?)
            .stderr(Stdio::null());
        if let Some(library) = &program.preload {
            command.env("LD_PRELOAD", library);
        }
        // A child starts where its parent runs, and so do all threads that it starts.
        pin(placement.server_core)?;
        let spawned = spawn(&mut command).with_context(|| format!("starting {}", program.path.display()));
        pin(placement.client_core)?;
        let server = Server { name: program.name.clone(), port, child: spawned?, _directory: directory };
        server.wait_until_ready(&log_path)
    }

    fn wait_until_ready(mut self, log: &Path) -> Result<Self> {
        let began = Instant::now();
        loop {
            if let Ok(reply) = Client::connect(self.port).and_then(|mut client| client.ask(&["PING"])) {
                ensure!(reply == "PONG", "{} answered {reply:?} to PING", self.name);
                return Ok(self);
            }
            if let Some(status) = self.child.try_wait()? {
                bail!("{} ended at once ({status}):\n{}", self.name, fs::read_to_string(log)?);
            }
            ensure!(
                began.elapsed() < START_PATIENCE,
                "{} did not start:\n{}",
                self.name,
                fs::read_to_string(log)?
            );
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// A connection for single questions.
    pub(crate) fn client(&self) -> Result<Client> {
        Client::connect(self.port)
    }

    /// Process id.
    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Resident bytes now.
    pub(crate) fn resident(&self) -> Result<u64> {
        self.status("VmRSS:")
    }

    /// The most bytes that have been resident so far.
    pub(crate) fn peak_resident(&self) -> Result<u64> {
        self.status("VmHWM:")
    }

    fn status(&self, field: &str) -> Result<u64> {
        let text = fs::read_to_string(format!("/proc/{}/status", self.pid()))?;
        let line =
            text.lines().find_map(|line| line.strip_prefix(field)).context("a line of /proc/PID/status")?;
        let kilobytes: u64 = line.trim().trim_end_matches(" kB").parse()?;
        Ok(kilobytes * 1024)
    }

    /// Processor time of all threads.
    pub(crate) fn cpu(&self) -> Result<Duration> {
        let mut total = Duration::ZERO;
        for task in fs::read_dir(format!("/proc/{}/task", self.pid()))? {
            total += SchedStat::open(&task?.path())?.read()?.ran;
        }
        Ok(total)
    }

    /// The scheduler's account of the main thread.
    pub(crate) fn main_thread(&self) -> Result<SchedStat> {
        SchedStat::open(Path::new(&format!("/proc/{}", self.pid())))
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        RUNNING.lock().expect("nobody panics while holding it").pids.retain(|pid| *pid != self.child.id());
        // Both fail only if the process is gone already.
        self.child.kill().ok();
        self.child.wait().ok();
    }
}

/// What the scheduler says about a thread.
#[derive(Clone, Copy, Default)]
pub(crate) struct Scheduled {
    /// Time on a processor.
    pub(crate) ran: Duration,
    /// Time in which it wanted to run and could not.
    pub(crate) waited: Duration,
}

/// An open /proc/.../schedstat.
pub(crate) struct SchedStat(File);

impl SchedStat {
    /// The account of this thread.
    pub(crate) fn own() -> Result<Self> {
        Self::open(Path::new("/proc/thread-self"))
    }

    fn open(task: &Path) -> Result<Self> {
        let path = task.join("schedstat");
        Ok(SchedStat(File::open(&path).with_context(|| path.display().to_string())?))
    }

    /// The account now.
    pub(crate) fn read(&mut self) -> Result<Scheduled> {
        self.0.seek(SeekFrom::Start(0))?;
        let text = std::io::read_to_string(&self.0)?;
        let mut numbers = text.split_whitespace().map(str::parse);
        let (Some(Ok(ran)), Some(Ok(waited))) = (numbers.next(), numbers.next()) else {
            bail!("schedstat: {text:?}");
        };
        Ok(Scheduled { ran: Duration::from_nanos(ran), waited: Duration::from_nanos(waited) })
    }
}

/// Processes to end on a signal, and whether there was one.
struct Running {
    pids: Vec<u32>,
    stopped: bool,
}

static RUNNING: Mutex<Running> = Mutex::new(Running { pids: Vec::new(), stopped: false });

fn spawn(command: &mut Command) -> Result<Child> {
    let mut running = RUNNING.lock().expect("nobody panics while holding it");
    ensure!(!running.stopped, "interrupted");
    let child = command.spawn()?;
    running.pids.push(child.id());
    Ok(child)
}

/// On SIGINT or SIGTERM ends all servers. The workload that drives them fails then, and the program ends in order.
pub(crate) fn stop_on_signals() -> Result<()> {
    let mut signals =
        signal_hook::iterator::Signals::new([signal_hook::consts::SIGINT, signal_hook::consts::SIGTERM])?;
    std::thread::spawn(move || {
        for _ in signals.forever() {
            let mut running = RUNNING.lock().expect("nobody panics while holding it");
            running.stopped = true;
            for pid in running.pids.iter().filter_map(|pid| Pid::from_raw(*pid as i32)) {
                // Fails only if the process is gone already.
                kill_process(pid, Signal::KILL).ok();
            }
        }
    });
    Ok(())
}

/// Keeps this thread, and the children it starts from now on, on one core.
pub(crate) fn pin(core: usize) -> Result<()> {
    let mut cores = CpuSet::new();
    cores.set(core);
    sched_setaffinity(None, &cores).with_context(|| format!("pinning to core {core}"))
}

fn free_port(first: u16) -> Result<u16> {
    (first..first.saturating_add(100))
        .find(|port| TcpListener::bind(("127.0.0.1", *port)).is_ok())
        .with_context(|| format!("no free port from {first} on"))
}
