//! Names of fields and globals that conversions use all the time: each state keeps them, so that they need not be hashed
//! and found again.

/// A name, by its place in [`ALL`].
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Name {
    Err,
    Ok,
    Double,
    Map,
    Set,
    BigNumber,
    VerbatimString,
    Format,
    String,
    Counted,
    Keys,
    Argv,
}

/// The texts, in the order of [`Name`].
pub(crate) const ALL: [&str; 12] = [
    "err",
    "ok",
    "double",
    "map",
    "set",
    "big_number",
    "verbatim_string",
    "format",
    "string",
    "ignore_error_stats_update",
    "KEYS",
    "ARGV",
];
