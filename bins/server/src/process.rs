//! What the process knows of itself: memory, processor time, the machine it runs on.
#![expect(clippy::disallowed_methods, reason = "the figures are in files of /proc")]

use carnelian_commands::{Identity, ProcessStats};
use carnelian_config::{Config, Directive};
use std::fs;
use std::os::unix::fs::FileExt;
use std::path::Path;
use tikv_jemalloc_ctl::{Access, AsName, Name, epoch, stats};

/// Reads memory and processor time. Costs about 30 us: for INFO and MEMORY, not for every command.
pub(crate) fn measure() -> ProcessStats {
    // The allocator's figures are as of the last advance of its epoch.
    let fresh = epoch::advance().is_ok();
    let bytes = |read: Result<usize, tikv_jemalloc_ctl::Error>| read.map_or(0, |n| n as u64);
    let (cpu_user_us, cpu_system_us) = processor_time("/proc/self/stat");
    let (cpu_main_user_us, cpu_main_system_us) = processor_time("/proc/thread-self/stat");
    ProcessStats {
        rss: resident_bytes(),
        allocated: if fresh { bytes(stats::allocated::read()) } else { 0 },
        allocator_active: bytes(stats::active::read()),
        allocator_resident: bytes(stats::resident::read()),
        system_memory: system_memory(),
        cpu_user_us,
        cpu_system_us,
        cpu_main_user_us,
        cpu_main_system_us,
    }
}

fn resident_bytes() -> u64 {
    let statm = fs::read_to_string("/proc/self/statm").unwrap_or_default();
    let pages: u64 = statm.split(' ').nth(1).and_then(|n| n.parse().ok()).unwrap_or(0);
    pages * rustix::param::page_size() as u64
}

fn system_memory() -> u64 {
    let info = fs::read_to_string("/proc/meminfo").unwrap_or_default();
    let line = info.lines().find_map(|l| l.strip_prefix("MemTotal:")).unwrap_or("");
    let kib: u64 = line.trim().trim_end_matches("kB").trim().parse().unwrap_or(0);
    kib * 1024
}

/// User and system time of a process or thread, in microseconds.
fn processor_time(path: &str) -> (u64, u64) {
    let stat = fs::read_to_string(path).unwrap_or_default();
    // The second field is the program's name in parentheses and may contain spaces.
    let mut fields = stat.rsplit(')').next().unwrap_or("").split_whitespace().skip(11);
    let mut ticks = || fields.next().and_then(|n| n.parse::<u64>().ok()).unwrap_or(0);
    let per_second = rustix::param::clock_ticks_per_second();
    let mut micros = || ticks() * 1_000_000 / per_second;
    (micros(), micros())
}

/// Facts that stay the same while the process lives.
pub(crate) fn identity(config_file: Option<&Path>, run_id: String) -> Identity {
    let uname = rustix::system::uname();
    let [system, release, machine] =
        [uname.sysname(), uname.release(), uname.machine()].map(|part| part.to_string_lossy().into_owned());
    let multiplexing = if cfg!(any(target_os = "linux", target_os = "android")) { "epoll" } else { "kqueue" };
    Identity {
        pid: std::process::id(),
        executable: std::env::current_exe().map_or(String::new(), |path| path.display().to_string()),
        config_file: config_file.map_or(String::new(), |path| path.display().to_string()),
        os: format!("{system} {release} {machine}"),
        allocator: ALLOCATOR.to_owned(),
        run_id,
        multiplexing: multiplexing.to_owned(),
    }
}

/// The general allocator, as INFO and `--version` name it.
pub(crate) const ALLOCATOR: &str = "jemalloc-5.3.0";

/// Seeds from the system: of the keyspace's hashes, of random choices, and 40 hexadecimal digits that name this run.
pub(crate) fn secrets() -> anyhow::Result<((u64, u64), u64, String)> {
    let mut bytes = [0u8; 44];
    getrandom::fill(&mut bytes).map_err(|error| anyhow::anyhow!("no random numbers: {error}"))?;
    let word = |at: usize| u64::from_le_bytes(bytes[at..at + 8].try_into().expect("8 bytes"));
    let run_id = bytes[24..].iter().map(|byte| format!("{byte:02x}")).collect();
    Ok(((word(0), word(8)), word(16), run_id))
}

/// Raises the limit of open files to what `maxclients` needs, or lowers `maxclients` to what the limit allows.
pub(crate) fn limit_clients(config: &mut Config) -> anyhow::Result<()> {
    const MAXCLIENTS: Directive = Directive::named("maxclients");
    let wanted = config.size(MAXCLIENTS) as usize;
    let adjusted = carnelian_net::raise_open_files(wanted);
    if adjusted.max_clients == 0 {
        anyhow::bail!(
            "Your current 'ulimit -n' of {} is not enough for the server to start",
            adjusted.before
        );
    }
    if adjusted.max_clients < wanted {
        log::warn!(
            "You requested maxclients of {wanted} requiring at least {} max file descriptors; \
             maxclients has been reduced to {} to compensate for low ulimit.",
            adjusted.needed,
            adjusted.max_clients
        );
        config
            .assign(MAXCLIENTS, &[adjusted.max_clients.to_string().as_bytes()])
            .map_err(|reason| anyhow::anyhow!(reason))?;
    } else if adjusted.now != adjusted.before {
        log::info!(
            "Increased maximum number of open files to {} (it was originally set to {}).",
            adjusted.now,
            adjusted.before
        );
    }
    Ok(())
}

/// Maps the program's own pages, as far as the system can: otherwise the first commands of each kind wait for page faults,
/// and after a reboot for the disk. Costs a system call per 64 KiB, and the text counts as resident from the start.
pub(crate) fn map_text() {
    /// The kernel maps the pages around a fault together, in aligned blocks of this size.
    const AROUND: u64 = 64 * 1024;
    let maps = fs::read_to_string("/proc/self/maps").unwrap_or_default();
    let (Ok(program), Ok(memory)) = (std::env::current_exe(), fs::File::open("/proc/self/mem")) else {
        return;
    };
    let program = program.to_string_lossy();
    for line in maps.lines().filter(|line| line.ends_with(&*program)) {
        let mut fields = line.split([' ', '-']);
        let mut address = || fields.next().and_then(|digits| u64::from_str_radix(digits, 16).ok());
        let (Some(begin), Some(end), Some("r")) =
            (address(), address(), line.split(' ').nth(1).map(|p| &p[..1]))
        else {
            continue;
        };
        for at in (begin..end).step_by(AROUND as usize) {
            let _byte = memory.read_at(&mut [0], at);
        }
    }
}

/// Milliseconds after which the general allocator has given back what it does not use: a tenth of its default.
const DECAY_MS: isize = 1000;

/// Lets the general allocator give memory back to the system on a thread of its own, also while nothing is allocated.
pub(crate) fn start_allocator_thread() {
    if let Err(error) = tikv_jemalloc_ctl::background_thread::write(true) {
        log::debug!("The allocator has no background thread: {error}");
    }
    let new: Result<(), _> = b"arenas.dirty_decay_ms\0".name().write(DECAY_MS);
    if let Err(error) = new.and_then(|()| each_decay("dirty", |decay| decay.write(DECAY_MS))) {
        log::debug!("The allocator keeps its decay time: {error}");
    }
}

/// Gives unused memory of the general allocator back to the system.
pub(crate) fn purge() {
    if let Err(error) = purge_arenas() {
        log::debug!("The allocator did not purge: {error}");
    }
}

/// Sets each arena's decay times to "at once", which purges it, and back.
fn purge_arenas() -> tikv_jemalloc_ctl::Result<()> {
    for kind in ["dirty", "muzzy"] {
        each_decay(kind, |decay| {
            let before: isize = decay.read()?;
            decay.write(0isize)?;
            decay.write(before)
        })?;
    }
    Ok(())
}

/// Hands the name of each arena's decay time, of pages of a kind, to `change`.
fn each_decay(
    kind: &str,
    change: impl Fn(&Name) -> tikv_jemalloc_ctl::Result<()>,
) -> tikv_jemalloc_ctl::Result<()> {
    let arenas: u32 = tikv_jemalloc_ctl::arenas::narenas::read()?;
    for arena in 0..arenas {
        let initialized = format!("arena.{arena}.initialized\0");
        if Access::<bool>::read(initialized.as_bytes().name())? {
            change(format!("arena.{arena}.{kind}_decay_ms\0").as_bytes().name())?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_of_a_running_process_are_plausible() {
        let stats = measure();
        assert!(stats.rss > 1 << 20 && stats.rss < stats.system_memory, "{stats:?}");
        assert!(stats.allocated > 0 && stats.allocated <= stats.allocator_active, "{stats:?}");
        purge_arenas().expect("every arena has a decay time");
    }
}
