//! INFO: sections of `name:value` lines. Fields whose feature does not exist (yet) have the value they have in a server
//! that does not use it, since exporters expect them.

use std::fmt::Write as _;

use carnelian_config::Directive;

use super::memory::Breakdown;
use crate::args::is;
use crate::context::Ctx;
use crate::engine::REDIS_VERSION;
use crate::error::Error;
use crate::persistence::aof::Phase;
use crate::persistence::saving::Job;
use crate::pubsub::Kind;
use crate::row::{Acl, Flags, Group, Row};

const PORT: Directive = Directive::named("port");
const HZ: Directive = Directive::named("hz");
const UNIX_SOCKET: Directive = Directive::named("unixsocket");
const MAXCLIENTS: Directive = Directive::named("maxclients");
const MAXMEMORY: Directive = Directive::named("maxmemory");
const MAXMEMORY_POLICY: Directive = Directive::named("maxmemory-policy");
const BACKLOG_SIZE: Directive = Directive::named("repl-backlog-size");

pub(crate) static ROWS: &[Row] = &[Row {
    name: "info",
    summary: "Describes the server and what it has done.",
    since: "1.0.0",
    group: Group::Server,
    arity: -1,
    flags: Flags::HELPING,
    acl: Acl::DANGEROUS,
    syntax: "[section]...",
    complexity: "O(1)",
    tips: &["nondeterministic_output", "request_policy:all_shards", "response_policy:special"],
    run: info,
    ..Row::EMPTY
}];

/// A section: its heading, whether INFO shows it without being asked, and what writes its lines.
struct Section {
    heading: &'static str,
    shown: Shown,
    write: fn(&mut Ctx<'_>, &mut Lines),
}

#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Shown {
    /// Without arguments.
    ByDefault,
    /// With `all` or `everything`.
    WithAll,
    /// By its name only.
    ByName,
}

static SECTIONS: &[Section] = &[
    Section { heading: "Server", shown: Shown::ByDefault, write: server },
    Section { heading: "Clients", shown: Shown::ByDefault, write: clients },
    Section { heading: "Memory", shown: Shown::ByDefault, write: memory },
    Section { heading: "Persistence", shown: Shown::ByDefault, write: persistence },
    Section { heading: "Threads", shown: Shown::ByDefault, write: threads },
    Section { heading: "Stats", shown: Shown::ByDefault, write: stats },
    Section { heading: "Replication", shown: Shown::ByDefault, write: replication },
    Section { heading: "CPU", shown: Shown::ByDefault, write: cpu },
    Section { heading: "Modules", shown: Shown::ByDefault, write: |_, _| {} },
    Section { heading: "Commandstats", shown: Shown::WithAll, write: commandstats },
    Section { heading: "Errorstats", shown: Shown::ByDefault, write: errorstats },
    Section { heading: "Latencystats", shown: Shown::WithAll, write: latencystats },
    Section { heading: "Cluster", shown: Shown::ByDefault, write: cluster },
    Section { heading: "Keyspace", shown: Shown::ByDefault, write: keyspace },
    Section { heading: "Debug", shown: Shown::ByName, write: debug },
];

/// The text of INFO.
struct Lines(String);

impl Lines {
    fn put(&mut self, name: &str, value: impl std::fmt::Display) {
        write!(self.0, "{name}:{value}\r\n").expect("a string accepts all text");
    }

    fn zeros(&mut self, names: &[&str]) {
        names.iter().for_each(|name| self.put(name, 0));
    }

    /// A number of bytes, and the same for people.
    fn bytes(&mut self, name: &str, bytes: u64) {
        self.put(name, bytes);
        self.put(&format!("{name}_human"), human(bytes));
    }
}

/// Bytes in a unit of a suitable size.
fn human(bytes: u64) -> String {
    let units = [(40, 'T'), (30, 'G'), (20, 'M'), (10, 'K')];
    match units.iter().find(|(shift, _)| bytes >> shift > 0) {
        Some((shift, unit)) => format!("{:.2}{unit}", bytes as f64 / (1u64 << shift) as f64),
        None => format!("{bytes}B"),
    }
}

fn info(cx: &mut Ctx<'_>) -> Result<(), Error> {
    let asked = |word: &str| cx.argv.iter().skip(1).any(|arg| is(arg, word));
    let all = asked("all") || asked("everything");
    let default = cx.argv.len() == 1 || asked("default");
    let chosen: Vec<&Section> = SECTIONS
        .iter()
        .filter(|section| {
            (all && section.shown <= Shown::WithAll)
                || (default && section.shown == Shown::ByDefault)
                || asked(section.heading)
        })
        .collect();
    let mut lines = Lines(String::new());
    for section in chosen {
        if !lines.0.is_empty() {
            lines.0.push_str("\r\n");
        }
        write!(lines.0, "# {}\r\n", section.heading).expect("a string accepts all text");
        (section.write)(cx, &mut lines);
    }
    cx.out.verbatim("txt", lines.0.as_bytes());
    Ok(())
}

fn server(cx: &mut Ctx<'_>, to: &mut Lines) {
    let uptime = cx.now_us.saturating_sub(cx.state.started_us) / 1_000_000;
    let now_us = cx.now_us;
    let config = &cx.state.config;
    let identity = cx.links.identity();
    to.put("redis_version", REDIS_VERSION);
    to.put("server_name", "carnelian");
    to.put("carnelian_version", env!("CARGO_PKG_VERSION"));
    to.put("redis_git_sha1", "00000000");
    to.put("redis_git_dirty", 0);
    to.put("redis_build_id", 0);
    to.put("redis_mode", "standalone");
    to.put("os", &identity.os);
    to.put("arch_bits", usize::BITS);
    to.put("monotonic_clock", "POSIX clock_gettime");
    to.put("multiplexing_api", &identity.multiplexing);
    to.put("process_id", identity.pid);
    to.put("process_supervised", "no");
    to.put("run_id", &identity.run_id);
    to.put("tcp_port", config.int(PORT));
    to.put("server_time_usec", now_us);
    to.put("uptime_in_seconds", uptime);
    to.put("uptime_in_days", uptime / 86_400);
    to.put("hz", config.int(HZ));
    to.put("configured_hz", config.int(HZ));
    to.put("lru_clock", (now_us / 1_000_000) & 0xff_ffff);
    to.put("executable", &identity.executable);
    to.put("config_file", &identity.config_file);
    to.put("io_threads_active", 0);
    let mut listeners = Vec::new();
    if config.int(PORT) != 0 {
        let addresses: String = config
            .bind()
            .iter()
            .map(|address| format!("bind={},", String::from_utf8_lossy(address)))
            .collect();
        listeners.push(format!("name=tcp,{addresses}port={}", config.int(PORT)));
    }
    let unix = config.text(UNIX_SOCKET);
    if !unix.is_empty() {
        listeners.push(format!("name=unix,bind={}", String::from_utf8_lossy(unix)));
    }
    for (index, listener) in listeners.iter().enumerate() {
        to.put(&format!("listener{index}"), listener);
    }
}

fn clients(cx: &mut Ctx<'_>, to: &mut Lines) {
    to.put("connected_clients", cx.state.clients.len());
    to.put("cluster_connections", 0);
    to.put("maxclients", cx.state.config.int(MAXCLIENTS));
    let totals = cx.links.totals();
    to.put("client_recent_max_input_buffer", totals.recent_input);
    to.put("client_recent_max_output_buffer", totals.recent_output);
    let (sync_waits, sync_timeouts) = cx.state.persistence.aof.count_waits();
    to.put("blocked_clients", cx.state.pauses.waiting() + cx.state.blocking.len() + sync_waits);
    to.put("tracking_clients", cx.state.tracking.figures()[0]);
    to.put("pubsub_clients", cx.state.pubsub.clients());
    to.put("watching_clients", cx.state.clients.iter().filter(|client| !client.watched.is_empty()).count());
    to.put("clients_in_timeout_table", cx.state.blocking.count_timeouts() + sync_timeouts);
    to.put("total_watched_keys", cx.state.watches.count_keys());
    let (keys, keys_on_loss) = cx.state.blocking.count_keys();
    to.put("total_blocking_keys", keys);
    to.put("total_blocking_keys_on_nokey", keys_on_loss);
    to.put("paused_reason", if cx.state.pauses.deadline().is_some() { "client_pause" } else { "none" });
    to.put("paused_actions", cx.state.pauses.actions());
    let now_ms = cx.now_ms();
    let left = cx.state.pauses.deadline().map_or(0, |end| end.saturating_sub(now_ms));
    to.put("paused_timeout_milliseconds", left);
}

fn memory(cx: &mut Ctx<'_>, to: &mut Lines) {
    let memory = Breakdown::of(cx);
    let system = cx.links.process().system_memory;
    to.bytes("used_memory", memory.used);
    to.bytes("used_memory_rss", memory.rss);
    to.bytes("used_memory_peak", memory.peak);
    to.put("used_memory_peak_time", cx.state.stats.peak_time_ms / 1000);
    to.put("used_memory_peak_perc", format_args!("{:.2}%", memory.peak_percent()));
    to.put("used_memory_overhead", memory.overhead);
    to.put("used_memory_startup", memory.startup);
    to.put("used_memory_dataset", memory.dataset);
    to.put("used_memory_dataset_perc", format_args!("{:.2}%", memory.dataset_percent()));
    let (active, resident) = (memory.active, memory.resident);
    to.put("allocator_allocated", memory.used);
    to.put("allocator_active", active);
    to.put("allocator_resident", resident);
    to.put("allocator_muzzy", 0);
    to.bytes("total_system_memory", system);
    let scripts = cx.state.scripting.figures();
    to.bytes("used_memory_lua", scripts.vm_eval);
    to.put("used_memory_vm_eval", scripts.vm_eval);
    to.put("used_memory_scripts_eval", scripts.scripts);
    to.put("number_of_cached_scripts", scripts.cached);
    to.put("number_of_functions", scripts.function_count);
    to.put("number_of_libraries", scripts.library_count);
    to.put("used_memory_vm_functions", scripts.vm_functions);
    to.bytes("used_memory_vm_total", scripts.vm_eval + scripts.vm_functions);
    to.put("used_memory_functions", scripts.functions);
    to.bytes("used_memory_scripts", scripts.scripts + scripts.functions);
    to.bytes("maxmemory", cx.state.config.size(MAXMEMORY));
    to.put("maxmemory_policy", cx.state.config.word(MAXMEMORY_POLICY));
    let ratio = |a: u64, b: u64| if b == 0 { 0.0 } else { a as f64 / b as f64 };
    to.put("allocator_frag_ratio", format_args!("{:.2}", ratio(active, memory.used)));
    to.put("allocator_frag_bytes", active as i64 - memory.used as i64);
    to.put("allocator_rss_ratio", format_args!("{:.2}", ratio(resident, active)));
    to.put("allocator_rss_bytes", resident as i64 - active as i64);
    to.put("rss_overhead_ratio", format_args!("{:.2}", ratio(memory.rss, resident)));
    to.put("rss_overhead_bytes", memory.rss as i64 - resident as i64);
    to.put("mem_fragmentation_ratio", format_args!("{:.2}", memory.fragmentation()));
    to.put("mem_fragmentation_bytes", memory.rss as i64 - memory.used as i64);
    to.zeros(&["mem_not_counted_for_evict", "mem_replication_backlog", "mem_total_replication_buffers"]);
    to.zeros(&["mem_replica_full_sync_buffer", "mem_clients_slaves"]);
    to.put("mem_clients_normal", memory.clients);
    to.zeros(&["mem_cluster_links", "mem_aof_buffer"]);
    to.put("mem_allocator", &cx.links.identity().allocator);
    to.zeros(&["mem_overhead_db_hashtable_rehashing", "active_defrag_running"]);
    let (pending, freed) = cx.keyspace.lazy_free_counts();
    to.put("lazyfree_pending_objects", pending);
    to.put("lazyfreed_objects", freed);
}

fn persistence(cx: &mut Ctx<'_>, to: &mut Lines) {
    let now_ms = cx.now_ms();
    to.put("loading", u8::from(cx.state.gate.loading));
    let dirty = cx.keyspace.stats().dirty;
    let saving = &cx.state.persistence.saving;
    to.zeros(&["async_loading", "current_cow_peak", "current_cow_size", "current_cow_size_age"]);
    to.put("current_fork_perc", "0.00");
    let (saved, keys) = saving.job.as_ref().map_or((0, 0), Job::progress);
    to.put("current_save_keys_processed", saved);
    to.put("current_save_keys_total", keys);
    to.put("rdb_changes_since_last_save", saving.unsaved(dirty));
    let job = saving.job.as_ref().filter(|job| job.is_dump());
    let in_progress = saving.is_in_progress(cx.keyspace.snapshot_active());
    to.put("rdb_bgsave_in_progress", u8::from(in_progress));
    to.put("rdb_last_save_time", saving.last_save_s);
    to.put("rdb_last_bgsave_status", if saving.last_ok { "ok" } else { "err" });
    to.put("rdb_last_bgsave_time_sec", seconds(saving.last_duration_s));
    to.put("rdb_current_bgsave_time_sec", seconds(job.map(|job| job.seconds(now_ms / 1000))));
    to.put("rdb_saves", saving.saves);
    to.put("rdb_last_cow_size", 0);
    let persistence = &cx.state.persistence;
    to.put("rdb_last_load_keys_expired", persistence.loaded.expired);
    to.put("rdb_last_load_keys_loaded", persistence.loaded.keys);
    let aof = &persistence.aof;
    to.put("aof_enabled", u8::from(aof.phase != Phase::Off));
    let since = aof.rewriting_since();
    to.put("aof_rewrite_in_progress", u8::from(since.is_some()));
    to.put("aof_rewrite_scheduled", u8::from(aof.scheduled));
    to.put("aof_last_rewrite_time_sec", seconds(aof.last_duration_s));
    to.put(
        "aof_current_rewrite_time_sec",
        seconds(since.map(|began_s| (now_ms / 1000).saturating_sub(began_s))),
    );
    to.put("aof_last_bgrewrite_status", if aof.last_failed { "err" } else { "ok" });
    to.put("aof_rewrites", aof.rewrites);
    to.put("aof_rewrites_consecutive_failures", aof.failures);
    to.put("aof_last_write_status", if aof.error.is_some() { "err" } else { "ok" });
    to.zeros(&["aof_last_cow_size", "module_fork_in_progress", "module_fork_last_cow_size"]);
    if aof.phase != Phase::Off {
        let (is_syncing, delayed) = aof.syncs();
        to.put("aof_current_size", aof.current_size());
        to.put("aof_base_size", aof.base_size);
        to.put("aof_pending_rewrite", 0);
        to.put("aof_buffer_length", aof.queued());
        to.put("aof_pending_bio_fsync", u8::from(is_syncing));
        to.put("aof_delayed_fsync", delayed);
    }
    let (longest_slice, longest_slice_cpu) = persistence.saving.longest_slice_us();
    to.put("snapshot_longest_slice_usec", longest_slice);
    to.put("snapshot_longest_slice_cpu_usec", longest_slice_cpu);
    if let Some(loading) = &persistence.loading {
        let (loaded, total) = loading.progress();
        let percent = if total == 0 { 100.0 } else { loaded as f64 * 100.0 / total as f64 };
        to.put("loading_start_time", loading.began_s());
        to.put("loading_total_bytes", total);
        to.put("loading_rdb_used_mem", persistence.memory_then);
        to.put("loading_loaded_bytes", loaded);
        to.put("loading_loaded_perc", format_args!("{percent:.2}"));
        to.put("loading_eta_seconds", loading.remaining_s(now_ms));
    }
}

/// A duration that there need not be.
fn seconds(duration: Option<u64>) -> i64 {
    duration.map_or(-1, |seconds| seconds as i64)
}

fn threads(cx: &mut Ctx<'_>, to: &mut Lines) {
    let totals = cx.links.totals();
    let clients = cx.state.clients.len();
    to.put("io_thread_0", format_args!("clients={clients},reads={},writes={}", totals.reads, totals.writes));
}

fn stats(cx: &mut Ctx<'_>, to: &mut Lines) {
    let totals = cx.links.totals();
    let (stats, pubsub) = (&cx.state.stats, &cx.state.pubsub);
    let keyspace = cx.keyspace.stats();
    let kilobytes = |rate: u64| format!("{:.2}", rate as f64 / 1024.0);
    to.put("total_connections_received", totals.accepted);
    to.put("total_commands_processed", stats.processed);
    to.put("instantaneous_ops_per_sec", stats.ops.per_second());
    to.put("total_net_input_bytes", totals.read);
    to.put("total_net_output_bytes", totals.written);
    to.zeros(&["total_net_repl_input_bytes", "total_net_repl_output_bytes"]);
    to.put("instantaneous_input_kbps", kilobytes(stats.input.per_second()));
    to.put("instantaneous_output_kbps", kilobytes(stats.output.per_second()));
    to.put("instantaneous_input_repl_kbps", "0.00");
    to.put("instantaneous_output_repl_kbps", "0.00");
    to.put("rejected_connections", totals.rejected);
    to.zeros(&["sync_full", "sync_partial_ok", "sync_partial_err"]);
    to.put("expired_subkeys", keyspace.expired_fields);
    to.put("expired_keys", keyspace.expired);
    to.put("expired_stale_perc", "0.00");
    to.zeros(&["expired_time_cap_reached_count", "expire_cycle_cpu_milliseconds"]);
    to.put("expiry_lag_p50_ms", keyspace.lag.quantile(0.5));
    to.put("expiry_lag_p99_ms", keyspace.lag.quantile(0.99));
    to.put("expiry_lag_max_ms", keyspace.lag.max());
    to.zeros(&["evicted_keys", "evicted_clients"]);
    to.put("evicted_scripts", cx.state.scripting.figures().evicted);
    to.zeros(&["total_eviction_exceeded_time", "current_eviction_exceeded_time"]);
    to.put("keyspace_hits", keyspace.hits);
    to.put("keyspace_misses", keyspace.misses);
    to.put("pubsub_channels", pubsub.topics(Kind::Channel).len());
    to.put("pubsub_patterns", pubsub.topics(Kind::Pattern).len());
    to.put("pubsubshard_channels", pubsub.topics(Kind::Shard).len());
    to.zeros(&["latest_fork_usec", "total_forks"]);
    to.zeros(&["migrate_cached_sockets", "slave_expires_tracked_keys"]);
    to.zeros(&[
        "active_defrag_hits",
        "active_defrag_misses",
        "active_defrag_key_hits",
        "active_defrag_key_misses",
    ]);
    to.zeros(&["total_active_defrag_time", "current_active_defrag_time"]);
    let [_, keys, items, prefixes] = cx.state.tracking.figures();
    to.put("tracking_total_keys", keys);
    to.put("tracking_total_items", items);
    to.put("tracking_total_prefixes", prefixes);
    to.put("unexpected_error_replies", 0);
    to.put("total_error_replies", stats.error_replies);
    to.put("dump_payload_sanitizations", 0);
    to.put("total_reads_processed", totals.reads);
    to.put("total_writes_processed", totals.writes);
    to.zeros(&["io_threaded_reads_processed", "io_threaded_writes_processed"]);
    to.zeros(&["io_threaded_total_prefetch_batches", "io_threaded_total_prefetch_entries"]);
    to.put("client_query_buffer_limit_disconnections", totals.query_limit_closes);
    to.put("client_output_buffer_limit_disconnections", totals.output_limit_closes);
    to.zeros(&["reply_buffer_shrinks", "reply_buffer_expands"]);
    let in_commands: u64 = stats.commands.iter().map(|command| command.nanos).sum();
    to.put("eventloop_cycles", totals.turns);
    to.put("eventloop_duration_sum", totals.busy_us);
    to.put("eventloop_duration_cmd_sum", in_commands / 1000);
    to.put("instantaneous_eventloop_cycles_per_sec", stats.turns.per_second());
    let turns = stats.turns.per_second();
    to.put("instantaneous_eventloop_duration_usec", stats.busy.per_second().checked_div(turns).unwrap_or(0));
    to.put("acl_access_denied_auth", stats.auth_failures);
    to.zeros(&["acl_access_denied_cmd", "acl_access_denied_key", "acl_access_denied_channel"]);
}

fn replication(cx: &mut Ctx<'_>, to: &mut Lines) {
    to.put("role", "master");
    to.put("connected_slaves", 0);
    to.put("master_failover_state", "no-failover");
    to.put("master_replid", &cx.links.identity().run_id);
    to.put("master_replid2", "0".repeat(40));
    to.put("master_repl_offset", 0);
    to.put("second_repl_offset", -1);
    to.put("repl_backlog_active", 0);
    to.put("repl_backlog_size", cx.state.config.size(BACKLOG_SIZE));
    to.zeros(&["repl_backlog_first_byte_offset", "repl_backlog_histlen"]);
}

fn cpu(cx: &mut Ctx<'_>, to: &mut Lines) {
    let process = cx.links.process();
    let seconds = |us: u64| format!("{}.{:06}", us / 1_000_000, us % 1_000_000);
    to.put("used_cpu_sys", seconds(process.cpu_system_us));
    to.put("used_cpu_user", seconds(process.cpu_user_us));
    to.put("used_cpu_sys_children", seconds(0));
    to.put("used_cpu_user_children", seconds(0));
    to.put("used_cpu_sys_main_thread", seconds(process.cpu_main_system_us));
    to.put("used_cpu_user_main_thread", seconds(process.cpu_main_user_us));
}

fn commandstats(cx: &mut Ctx<'_>, to: &mut Lines) {
    for (id, stats) in cx.state.stats.commands.iter().enumerate() {
        if stats.calls == 0 && stats.rejected == 0 {
            continue;
        }
        let micros = stats.nanos / 1000;
        let mean = if stats.calls == 0 { 0.0 } else { stats.nanos as f64 / 1000.0 / stats.calls as f64 };
        let value = format_args!(
            "calls={},usec={micros},usec_per_call={mean:.2},rejected_calls={},failed_calls={}",
            stats.calls, stats.rejected, stats.failed
        )
        .to_string();
        to.put(&format!("cmdstat_{}", cx.state.table.name(id)), value);
    }
}

fn errorstats(cx: &mut Ctx<'_>, to: &mut Lines) {
    for (code, count) in &cx.state.stats.errors {
        to.put(&format!("errorstat_{code}"), format_args!("count={count}"));
    }
}

fn latencystats(cx: &mut Ctx<'_>, to: &mut Lines) {
    for (id, stats) in cx.state.stats.commands.iter().enumerate() {
        let Some(latency) = &stats.latency else { continue };
        let values: Vec<String> = cx
            .state
            .config
            .latency_percentiles()
            .iter()
            .map(|percent| format!("p{percent}={:.3}", latency.percentile(*percent) as f64 / 1000.0))
            .collect();
        to.put(&format!("latency_percentiles_usec_{}", cx.state.table.name(id)), values.join(","));
    }
}

fn cluster(_: &mut Ctx<'_>, to: &mut Lines) {
    to.put("cluster_enabled", 0);
}

fn keyspace(cx: &mut Ctx<'_>, to: &mut Lines) {
    for db in 0..cx.keyspace.databases() {
        let keys = cx.keyspace.len(db);
        if keys > 0 {
            let (volatile, ttl) = (cx.keyspace.volatile_len(db), cx.keyspace.mean_ttl(db));
            let timed = cx.keyspace.timed_hashes(db);
            let value = format!("keys={keys},expires={volatile},avg_ttl={ttl},subexpiry={timed}");
            to.put(&format!("db{db}"), value);
        }
    }
}

fn debug(cx: &mut Ctx<'_>, to: &mut Lines) {
    to.put("eventloop_duration_aof_sum", 0);
    to.put("eventloop_duration_cron_sum", cx.state.stats.upkeep_nanos / 1000);
    to.put("eventloop_duration_max", cx.links.totals().longest_turn_us);
    to.put("eventloop_cmd_per_cycle_max", cx.state.stats.most_per_turn);
    let memory = cx.keyspace.memory();
    to.put("keyspace_block_bytes", memory.used);
    to.put("keyspace_page_bytes", memory.held);
    to.put("keyspace_mapped_bytes", memory.mapped);
    to.put("keyspace_table_bytes", memory.tables);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_for_people() {
        assert_eq!(human(0), "0B");
        assert_eq!(human(1023), "1023B");
        assert_eq!(human(1536), "1.50K");
        assert_eq!(human(25_276_502_016), "23.54G");
    }
}
