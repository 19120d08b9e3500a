//! Members chosen at random: SPOP, SRANDMEMBER.

use carnelian_keyspace::encoding::listpack::Element;
use carnelian_keyspace::{Event, Set};
use carnelian_resp::number;

use super::{BASE, commit, reply, set};
use crate::args::int;
use crate::context::Ctx;
use crate::error::Error;
use crate::row::{Flags, KeyFlags, KeySpec, Row};

/// The most members of one SREM that stands for a SPOP.
const EFFECT_MEMBERS: usize = 1024;

pub(super) const SPOP: Row = Row {
    name: "spop",
    summary: "Removes and returns members chosen at random, and the key with the last one.",
    since: "1.0.0",
    arity: -2,
    flags: Flags::WRITE.union(Flags::FAST),
    keys: &[KeySpec::one(1, KeyFlags::RW.union(KeyFlags::ACCESS).union(KeyFlags::DELETE))],
    syntax: "key [count:integer]",
    complexity: "O(N), N being the number of members returned.",
    tips: &["nondeterministic_output"],
    run: spop,
    ..BASE
};

fn spop(cx: &mut Ctx<'_>) -> Result<(), Error> {
    match cx.argv.len() {
        2 => spop_one(cx),
        3 => {
            let count = number::parse_i64(cx.arg(2)).and_then(|count| usize::try_from(count).ok());
            spop_many(cx, count.ok_or(Error::NotPositive)?)
        }
        _ => Err(Error::Syntax),
    }
}

fn spop_one(cx: &mut Ctx<'_>) -> Result<(), Error> {
    let key = cx.key(1);
    let mut guard = cx.keyspace.write(cx.db, key);
    if !guard.exists() {
        cx.out.null();
        return Ok(());
    }
    let mut popped = Vec::new();
    guard.edit(|set: &mut Set, space| {
        set.pop(space, &mut |member| {
            reply(cx.out, member);
            member.with_bytes(|bytes| popped.extend_from_slice(bytes));
        });
    })?;
    commit(guard, "spop", 1);
    cx.effect(&[b"SREM", key.bytes(), &popped]);
    Ok(())
}

fn spop_many(cx: &mut Ctx<'_>, count: usize) -> Result<(), Error> {
    let key = cx.key(1);
    let mut guard = cx.keyspace.write(cx.db, key);
    let Some(members) = guard.item().map(|item| set(&item)).transpose()? else {
        cx.out.set(0);
        return Ok(());
    };
    let len = members.len();
    cx.out.set(count.min(len));
    if count >= len {
        members.for_each(|member| reply(cx.out, member));
        guard.remove();
        guard.commit_many(&[Event::set("spop"), Event::generic("del")], len as u64);
        cx.effect(&[cx.state.effects.removals().aside, key.bytes()]);
    } else if count > 0 {
        let is_logged = cx.state.effects.is_on();
        let mut popped = Vec::new();
        let mut show = |member: Element<'_>| {
            reply(cx.out, member);
            if is_logged {
                popped.push(member.to_bytes().into_owned());
            }
        };
        guard.edit(|set: &mut Set, space| set.pop_many(space, count, &mut show))?;
        commit(guard, "spop", count);
        for some in popped.chunks(EFFECT_MEMBERS) {
            let words = [&b"SREM"[..], key.bytes()];
            cx.effect(&words.into_iter().chain(some.iter().map(Vec::as_slice)).collect::<Vec<_>>());
        }
    }
    Ok(())
}

pub(super) const SRANDMEMBER: Row = Row {
    name: "srandmember",
    summary: "Returns members chosen at random.",
    since: "1.0.0",
    arity: -2,
    flags: Flags::READONLY,
    keys: &[KeySpec::one(1, KeyFlags::RO.union(KeyFlags::ACCESS))],
    syntax: "key [count:integer]",
    complexity: "O(N), N being the number of members returned.",
    tips: &["nondeterministic_output"],
    run: srandmember,
    ..BASE
};

fn srandmember(cx: &mut Ctx<'_>) -> Result<(), Error> {
    match cx.argv.len() {
        2 => srandmember_one(cx),
        3 => srandmember_many(cx),
        _ => Err(Error::Syntax),
    }
}

fn srandmember_one(cx: &mut Ctx<'_>) -> Result<(), Error> {
    let (key, mut random) = (cx.key(1), cx.keyspace.fork_random());
    let members = cx.keyspace.read(cx.db, key).map(|item| set(&item)).transpose()?;
    match members.and_then(|set| set.random(&mut random)) {
        Some(member) => reply(cx.out, member),
        None => cx.out.null(),
    }
    Ok(())
}

fn srandmember_many(cx: &mut Ctx<'_>) -> Result<(), Error> {
    let count = int(cx.arg(2))?;
    if count == i64::MIN {
        return Err(Error::Text(
            "ERR value is out of range, value must between -9223372036854775807 and 9223372036854775807",
        ));
    }
    let (key, mut random) = (cx.key(1), cx.keyspace.fork_random());
    let Some(members) = cx.keyspace.read(cx.db, key).map(|item| set(&item)).transpose()? else {
        cx.out.array(0);
        return Ok(());
    };
    if count < 0 {
        cx.out.array(count.unsigned_abs() as usize);
        members.random_with_repeats(count.unsigned_abs(), &mut random, |member| reply(cx.out, member));
    } else {
        let count = members.len().min(count as usize);
        cx.out.array(count);
        members.random_distinct(count, &mut random, |member| reply(cx.out, member));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use crate::testing::Session;

    #[test]
    fn the_effect_of_popping_names_the_members() {
        let mut session = Session::new();
        session.engine.log_effects(true);
        for line in ["SADD s a", "SPOP s", "SADD s 7", "SPOP s 3", "SPOP s", "SPOP s 2"] {
            session.run(line);
        }
        let bytes = session.engine.take_effects(Vec::new());
        let text = String::from_utf8(bytes).expect("text").replace("\r\n", " ");
        let words: Vec<_> = text.split(' ').filter(|w| !w.starts_with(['*', '$'])).collect();
        assert_eq!(words.join(" ").trim(), "SELECT 0 SADD s a SREM s a SADD s 7 DEL s");
    }

    #[test]
    fn what_is_popped_is_gone_and_what_its_effect_removes() {
        let mut session = Session::new();
        let members: Vec<String> = (0..2000).map(|i| format!("m{i}")).collect();
        session.run(&format!("SADD s {}", members.join(" ")));
        session.engine.log_effects(true);
        session.run("SPOP s 1500");
        assert_eq!(session.run("SCARD s"), "(integer) 500");
        let bytes = session.engine.take_effects(Vec::new());
        let text = String::from_utf8(bytes).expect("text");
        assert_eq!((text.matches("SREM").count(), text.matches("\r\nm").count()), (2, 1500));
    }
}
