# The everyday commands. Each recipe is one plain command line: nobody needs just to build, run or test.

# where the real servers are: bin/redis-server-8.2 and bin/valkey-server-9.1
export PEERS := env("PEERS", "target/peers")

# list the recipes
default:
    @just --list

# build the server as it is released
build:
    cargo build --release --package carnelian-server

# start the server; arguments are those of redis-server
run *args:
    cargo run --release --package carnelian-server -- {{args}}

# all tests
test:
    cargo test

# everything that has to pass before a change is merged
ci:
    .ci/run

# record the compatibility cases again from the real servers (some, or all)
record *cases:
    cargo xtask record {{cases}}

# random commands to ours (build first) and to both peers, every reply compared
diff *options:
    cargo xtask diff {{options}}

# criterion: parser, encoder, table, SET and GET in process
bench-micro *filter:
    cargo bench --manifest-path benches/Cargo.toml {{filter}}

# throughput, CPU per request and memory beside the real servers (build first)
bench-compare *options:
    cargo run --release --manifest-path benches/Cargo.toml --bin compare -- {{options}}

# one file of a checkout of Valkey's or Redis's Tcl suite against ours (build first): just tcl ../valkey unit/type/string
tcl suite unit port="21111":
    cd {{suite}} && ./runtest --host 127.0.0.1 --port {{port}} --single {{unit}}

# fuzz one target for some seconds, from the committed seeds: just fuzz requests 600
fuzz target seconds="60":
    mkdir -p fuzz/corpus-work/{{target}} && cargo +nightly fuzz run {{target}} fuzz/corpus-work/{{target}} fuzz/corpus/{{target}} -- -max_total_time={{seconds}}

# every fuzz target compiles
fuzz-build:
    cargo +nightly fuzz build

# make the files again that the tests of persistence load, with the real servers (OLDER: a redis-server 7.0)
corpus older="redis-server":
    cargo xtask corpus --older {{older}}

# files and payloads to the real servers and back (build first)
exchange older="redis-server":
    cargo xtask exchange --ours target/release/carnelian-server --older {{older}}

# kill -9 under appendfsync always, then damage to logs (build first): just crash 1000 10000
crash runs="100" damages="1000":
    cargo xtask crash --ours target/release/carnelian-server --runs {{runs}} --damages {{damages}}

# a long differential run with a seed from the clock
soak commands="50000000":
    cargo xtask diff --commands {{commands}}

# the tests of persistence that need the real servers (PEERS)
real-servers:
    cargo test --package carnelian-persistence --test rdb --test snapshot -- --ignored --skip other_files --skip cost

# the same for the dump files in a directory: RDB_FILES=/dumps just real-files
real-files:
    cargo test --package carnelian-persistence --test rdb -- --ignored other_files

# what a snapshot costs the thread that owns the data, key by key and for large collections
snapshot-cost:
    cargo test --release --package carnelian-persistence --test snapshot cost -- --ignored --nocapture --test-threads 1
