//! CLIENT TRACKING and its relatives: how a client asks for invalidation messages. What becomes of that is in
//! [`crate::tracking`].

use crate::args::{Rest, int, is};
use crate::client::Client;
use crate::context::Ctx;
use crate::engine::State;
use crate::error::{Error, shown};
use crate::links::ClientId;
use crate::row::{Acl, Flags, Group, Row};
use crate::tracking::{Mode, Options};

/// What all rows of this group have in common.
const BASE: Row = Row {
    since: "6.0.0",
    group: Group::Connection,
    flags: Flags::ANYTIME,
    acl: Acl::CONNECTION,
    complexity: "O(1)",
    ..Row::EMPTY
};

pub(super) const CACHING: Row = Row {
    name: "caching",
    summary: "Tells whether the keys of the next command are tracked.",
    arity: 3,
    syntax: "<mode=YES|NO>",
    run: caching,
    ..BASE
};

fn caching(cx: &mut Ctx<'_>) -> Result<(), Error> {
    let word = cx.arg(2);
    let Some(mode) = &mut cx.client().tracking else {
        return Err(Error::Text(
            "ERR CLIENT CACHING can be called only when the client is in tracking mode with OPTIN or OPTOUT mode enabled",
        ));
    };
    let (option, refusal) = match word {
        _ if is(word, "yes") => {
            (Options::OPTIN, "ERR CLIENT CACHING YES is only valid when tracking is enabled in OPTIN mode.")
        }
        _ if is(word, "no") => {
            (Options::OPTOUT, "ERR CLIENT CACHING NO is only valid when tracking is enabled in OPTOUT mode.")
        }
        _ => return Err(Error::Syntax),
    };
    if !mode.options.contains(option) {
        return Err(Error::Text(refusal));
    }
    mode.options |= Options::CACHING;
    cx.out.ok();
    Ok(())
}

pub(super) const GETREDIR: Row = Row {
    name: "getredir",
    summary: "Answers the number of the client that receives the connection's invalidation messages.",
    arity: 2,
    run: getredir,
    ..BASE
};

fn getredir(cx: &mut Ctx<'_>) -> Result<(), Error> {
    let redirect = cx.client().redirect();
    cx.out.integer(redirect);
    Ok(())
}

pub(super) const TRACKING: Row = Row {
    name: "tracking",
    summary: "Turns messages about keys that have changed on or off.",
    arity: -3,
    syntax: "<status=ON|OFF> [REDIRECT client-id:integer] [PREFIX prefix:string]*** [BCAST] [OPTIN] [OPTOUT] [NOLOOP]",
    complexity: "O(N), N being the number of prefixes, whose overlaps cost O(N^2).",
    run: tracking,
    ..BASE
};

/// What a CLIENT TRACKING command asks for.
#[derive(Default)]
struct Request<'a> {
    options: Options,
    redirect: Option<ClientId>,
    prefixes: Vec<&'a [u8]>,
}

fn tracking(cx: &mut Ctx<'_>) -> Result<(), Error> {
    let request = parse(cx)?;
    match cx.arg(2) {
        word if is(word, "on") => {
            check_modes(&request, cx.client().tracking.as_deref())?;
            check_prefixes(&request.prefixes, cx.client().tracking.as_deref())?;
            if cx.keyspace.has_changes() {
                // Those were made before in the same transaction: they are none of this client's business.
                let running = cx.client().id;
                cx.state.note_changes(cx.keyspace, cx.links, Some(running));
            }
            let State { tracking, clients, .. } = &mut *cx.state;
            let Request { options, redirect, prefixes } = request;
            tracking.begin(clients.at(cx.client), options, redirect, &prefixes);
            cx.keyspace.set_recording(true);
        }
        word if is(word, "off") => end(cx),
        _ => return Err(Error::Syntax),
    }
    cx.out.ok();
    Ok(())
}

/// The client no longer tracks, if it did.
pub(super) fn end(cx: &mut Ctx<'_>) {
    let State { tracking, clients, .. } = &mut *cx.state;
    tracking.end(clients.at(cx.client));
}

fn parse<'a>(cx: &mut Ctx<'a>) -> Result<Request<'a>, Error> {
    let mut rest = Rest::new(cx.argv, 3);
    let mut request = Request::default();
    while let Some(option) = rest.next() {
        match option {
            _ if is(option, "redirect") && rest.len() > 0 => {
                if request.redirect.is_some() {
                    return Err(Error::Text("ERR A client can only redirect to a single other client"));
                }
                let serial = int(rest.value()?)?;
                let named = |client: &&Client| i64::try_from(client.id.serial) == Ok(serial);
                let client = cx.state.clients.iter().find(named);
                let missing = Error::Text("ERR The client ID you want redirect to does not exist");
                request.redirect = Some(client.ok_or(missing)?.id);
            }
            _ if is(option, "bcast") => request.options |= Options::BCAST,
            _ if is(option, "optin") => request.options |= Options::OPTIN,
            _ if is(option, "optout") => request.options |= Options::OPTOUT,
            _ if is(option, "noloop") => request.options |= Options::NOLOOP,
            _ if is(option, "prefix") && rest.len() > 0 => request.prefixes.push(rest.value()?),
            _ => return Err(Error::Syntax),
        }
    }
    Ok(request)
}

/// Whether the options fit each other and what the client has asked for before.
fn check_modes(request: &Request<'_>, present: Option<&Mode>) -> Result<(), Error> {
    let options = request.options;
    let has = |option| options.contains(option);
    let had = |option| present.is_some_and(|mode| mode.options.contains(option));
    let refusal = match () {
        () if !has(Options::BCAST) && !request.prefixes.is_empty() => {
            "ERR PREFIX option requires BCAST mode to be enabled"
        }
        () if present.is_some() && has(Options::BCAST) != had(Options::BCAST) => {
            "ERR You can't switch BCAST mode on/off before disabling tracking for this client, and then re-enabling it \
             with a different mode."
        }
        () if has(Options::BCAST) && options.intersects(Options::OPTIN | Options::OPTOUT) => {
            "ERR OPTIN and OPTOUT are not compatible with BCAST"
        }
        () if has(Options::OPTIN) && has(Options::OPTOUT) => {
            "ERR You can't specify both OPTIN mode and OPTOUT mode"
        }
        () if has(Options::OPTIN) && had(Options::OPTOUT) || has(Options::OPTOUT) && had(Options::OPTIN) => {
            "ERR You can't switch OPTIN/OPTOUT mode before disabling tracking for this client, and then re-enabling it \
             with a different mode."
        }
        () => return Ok(()),
    };
    Err(Error::Text(refusal))
}

/// Whether no key begins like two of the prefixes of a client, which would hear of it twice.
fn check_prefixes(prefixes: &[&[u8]], present: Option<&Mode>) -> Result<(), Error> {
    let overlap = |a: &[u8], b: &[u8]| a.starts_with(b) || b.starts_with(a);
    let refusal = |new: &[u8], with: &[u8], other: &[u8]| {
        let head: &[u8] = b"ERR Prefix '";
        let tail: &[u8] = b"'. Prefixes for a single client must not overlap.";
        let (new, other) = (shown(new, usize::MAX), shown(other, usize::MAX));
        Error::Bytes([head, new, b"' overlaps with ", with, b" prefix '", other, tail].concat().into())
    };
    for (i, new) in prefixes.iter().enumerate() {
        let mut existing = present.into_iter().flat_map(|mode| &mode.prefixes);
        if let Some(other) = existing.find(|other| overlap(new, other)) {
            return Err(refusal(new, b"an existing", other));
        }
        if let Some(other) = prefixes[i + 1..].iter().find(|other| overlap(new, other)) {
            return Err(refusal(new, b"another provided", other));
        }
    }
    Ok(())
}

pub(super) const TRACKINGINFO: Row = Row {
    name: "trackinginfo",
    summary: "Describes how the connection tracks keys.",
    since: "6.2.0",
    arity: 2,
    run: trackinginfo,
    ..BASE
};

fn trackinginfo(cx: &mut Ctx<'_>) -> Result<(), Error> {
    let client = cx.state.clients.get_at(cx.client);
    let options = client.tracking.as_ref().map_or(Options::empty(), |mode| mode.options);
    let has = |option| options.contains(option);
    let flags = [
        ("on", client.tracking.is_some()),
        ("off", client.tracking.is_none()),
        ("bcast", has(Options::BCAST)),
        ("optin", has(Options::OPTIN)),
        ("caching-yes", has(Options::OPTIN | Options::CACHING)),
        ("optout", has(Options::OPTOUT)),
        ("caching-no", has(Options::OPTOUT | Options::CACHING)),
        ("noloop", has(Options::NOLOOP)),
        ("broken_redirect", has(Options::BROKEN)),
    ];
    cx.out.map(3);
    cx.out.bulk(b"flags");
    cx.out.set(flags.iter().filter(|(_, shown)| *shown).count());
    for (name, _) in flags.iter().filter(|(_, shown)| *shown) {
        cx.out.bulk(name.as_bytes());
    }
    cx.out.bulk(b"redirect");
    cx.out.integer(client.redirect());
    cx.out.bulk(b"prefixes");
    let prefixes = client.tracking.iter().flat_map(|mode| &mode.prefixes);
    cx.out.array(prefixes.clone().count());
    prefixes.for_each(|prefix| cx.out.bulk(prefix));
    Ok(())
}
