//! Files that were assembled from parts go through the real servers and come back.

use std::fs;

use carnelian_persistence::rdb::{Format, WriteOptions};
use carnelian_persistence::snapshot::Access;
use carnelian_testkit::{Peer, Peers, ServerOptions};

use super::render::picture;
use super::workload::{self, Workload};
use super::{Save, load};

#[test]
#[ignore = "needs the real servers, whose directory PEERS names: just real-servers"]
fn real_servers_load_what_was_assembled() {
    let peers = Peers::from_env().expect("the real servers are there");
    for (peer, format) in [(Peer::Redis, Format::Redis12), (Peer::Valkey, Format::Valkey80)] {
        for seed in 0..3 {
            let (mut keyspace, mut workload) = (workload::keyspace(seed), Workload::new(seed));
            workload::every_encoding(&mut keyspace);
            workload.fill(&mut keyspace, 3000);
            let before = picture(&mut keyspace);
            let save = Save::begin(&mut keyspace, Access::Nothing);
            while keyspace.step_snapshot(1).is_none() {
                workload.change(&mut keyspace);
            }
            let file = save
                .file(WriteOptions { format, ..WriteOptions::default() })
                .expect("the snapshot came to its end");
            let directory = tempfile::tempdir().expect("a directory");
            let path = directory.path().join("it.rdb");
            fs::write(&path, file).expect("the file is written");
            let server = ServerOptions::new(peers.binary(peer))
                .args(["--dbfilename", "it.rdb", "--sanitize-dump-payload", "yes", "--dir"])
                .args([directory.path()])
                .start()
                .expect("it starts");
            let mut client = server.connect().expect("it answers");
            assert!(client.call(&["SAVE"]).expect("it replies").starts_with(b"+OK"));
            let theirs = fs::read(&path).expect("the file was saved");
            assert_eq!(picture(&mut load(&theirs)), before, "{peer:?}, seed {seed}");
        }
    }
}
