//! carnelian-server: wires the configuration, the engine and the network together and runs the loop.

mod adapter;
mod cli;
mod daemon;
mod links;
mod logging;
mod process;
mod rewrite;
mod signals;
mod title;
mod tools;

use adapter::Adapter;
use anyhow::Context;
use carnelian_commands::{Engine, Options, Storage};
use carnelian_config::{COMPATIBLE_VERSION, Config, Directive};
use carnelian_net::Net;
use carnelian_persistence::disk::RealDisk;
use cli::{Launch, Request};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;

#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

fn main() -> ExitCode {
    match run() {
        Ok(code) => code,
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}

/// Does what the command line asks for.
fn run() -> anyhow::Result<ExitCode> {
    let directory = std::env::current_dir().context("no current directory")?;
    match cli::parse(std::env::args_os(), &directory) {
        Request::Help => print!("{}", cli::USAGE),
        Request::Version => println!("{}", cli::version_line(process::ALLOCATOR)),
        Request::Refused(reason) => anyhow::bail!(reason),
        Request::Check(call) => return Ok(tools::run(&call)),
        Request::Serve(launch) => launch_server(&launch, &directory)?,
    }
    Ok(ExitCode::SUCCESS)
}

/// Reads the configuration, goes to the background if it says so, and serves until a shutdown.
fn launch_server(launch: &Launch, directory: &Path) -> anyhow::Result<()> {
    let stdin = cli::read_stdin(launch)?;
    let mut config = cli::load(launch, &stdin)?;
    if let Some(line) = config.user_lines().first() {
        return Err(line
            .error("user directives need access control lists, which this server does not have")
            .into());
    }
    if config.flag(Directive::named("daemonize"))
        && daemon::detach(directory, &stdin)? == daemon::Side::Foreground
    {
        return Ok(());
    }
    start_log(launch, &config);
    let pid_file = daemon::write_configured_pid_file(&config);
    process::limit_clients(&mut config)?;
    // What CONFIG GET dir answers when nobody set it.
    let here = std::env::current_dir()?;
    config.assign(links::DIR, &[here.as_os_str().as_bytes()]).map_err(|reason| anyhow::anyhow!(reason))?;
    let result = serve(config, launch.file.clone());
    if let Err(error) = &result {
        log::warn!("{error}");
    }
    if let Some(path) = pid_file {
        daemon::remove_pid_file(&path);
    }
    result
}

fn start_log(launch: &Launch, config: &Config) {
    logging::init(links::log_file(config), config.word(Directive::named("loglevel")));
    logging::set_style(config.word(links::LOG_FORMAT), config.word(links::LOG_TIMESTAMPS));
    log::info!("oO0OoO0OoO0Oo Redis is starting oO0OoO0OoO0Oo");
    let (own, bits, pid) = (env!("CARGO_PKG_VERSION"), usize::BITS, std::process::id());
    log::info!("Redis version={COMPATIBLE_VERSION}, carnelian={own}, bits={bits}, pid={pid}, just started");
    if launch.bare {
        log::warn!("Warning: no config file specified, using the default config.");
    } else {
        log::info!("Configuration loaded");
    }
    logging::set_role(logging::Role::Primary);
    if config.flag(Directive::named("always-show-logo")) {
        logging::banner(own, config.int(Directive::named("port")) as u16);
    }
}

fn serve(config: Config, config_file: Option<PathBuf>) -> anyhow::Result<()> {
    process::start_allocator_thread();
    process::map_text();
    let mut net = Net::new(links::net_config(&config))?;
    log::info!("Running mode=standalone, port={}.", config.int(Directive::named("port")));
    net.listen()?;
    let waker = net.waker();
    let shutdown = signals::listen(move || waker.wake())?;
    let (hash_seed, random_seed, run_id) = process::secrets()?;
    let title = title::Title::find(config_file.as_deref());
    title.set(&config);
    let mut ready = Vec::new();
    if net.listening().next().is_some() {
        ready.push("tcp");
    }
    if !config.text(Directive::named("unixsocket")).is_empty() {
        ready.push("unix");
    }
    let identity = process::identity(config_file.as_deref(), run_id);
    let mut host = links::Host { identity, config_file, title, shutdown };
    let waker = net.waker();
    let storage = Storage { disk: Arc::new(RealDisk), wake: Arc::new(move || waker.wake()) };
    let now_us = net.now().wall_us;
    let mut engine = Engine::new(Options { config, hash_seed, random_seed, now_us, storage });
    engine.rename_commands()?;
    log::info!("Server initialized");
    let mut outside = links::Outside { net: &mut net, host: &mut host };
    engine.load(&mut outside).map_err(|reason| anyhow::anyhow!(reason))?;
    let mut adapter = Adapter::new(engine, host, ready);
    net.run(&mut adapter)?;
    adapter.finish(&mut net);
    if let Some(reason) = adapter.engine.failure() {
        anyhow::bail!(reason.to_owned());
    }
    log::warn!("Redis is now ready to exit, bye bye...");
    Ok(())
}
