//! One planned command of the random stream, and how its replies are compared.

use carnelian_testkit::reply;
use carnelian_testkit::rule::Rule;

/// A command to be sent to every server.
#[derive(Clone, Debug)]
pub(crate) struct Plan {
    pub(crate) argv: Vec<Vec<u8>>,
    pub(crate) how: How,
    pub(crate) damage: Damage,
}

/// How far a command may be changed at random.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Damage {
    /// In any way.
    Any,
    /// It holds a deadline: another small number would make replies depend on the clock.
    Timed,
    /// Not at all: changed, it could stop the server for a while.
    Forbidden,
}

/// How replies are compared.
#[derive(Clone, Debug)]
pub(crate) enum How {
    /// By a rule of the recorded cases.
    By(Rule),
    /// Integers that may differ by so much: they count time.
    Near(i64),
    /// By a form of their own, that leaves out what depends on the clock.
    Through(fn(&[u8]) -> Vec<u8>),
    /// Not at all: neither this command nor the one that follows it gets a reply.
    Silent(Box<Plan>),
}

impl Plan {
    pub(crate) fn of(name: &str) -> Self {
        Self { argv: vec![name.as_bytes().to_vec()], how: How::By(Rule::Exact), damage: Damage::Any }
    }

    pub(crate) fn arg(mut self, arg: impl AsRef<[u8]>) -> Self {
        self.argv.push(arg.as_ref().to_vec());
        self
    }

    pub(crate) fn args<A: AsRef<[u8]>>(mut self, args: impl IntoIterator<Item = A>) -> Self {
        self.argv.extend(args.into_iter().map(|arg| arg.as_ref().to_vec()));
        self
    }

    pub(crate) fn by(mut self, rule: Rule) -> Self {
        self.how = How::By(rule);
        self
    }

    pub(crate) fn near(mut self, tolerance: i64) -> Self {
        self.how = How::Near(tolerance);
        self
    }

    pub(crate) fn timed(mut self) -> Self {
        self.damage = Damage::Timed;
        self
    }

    pub(crate) fn undamaged(mut self) -> Self {
        self.damage = Damage::Forbidden;
        self
    }

    /// The number of replies it gets.
    pub(crate) fn replies(&self) -> usize {
        usize::from(!matches!(self.how, How::Silent(_)))
    }

    /// Appends it as the server is to receive it.
    pub(crate) fn encode(&self, out: &mut Vec<u8>) {
        carnelian_testkit::encode(&self.argv, out);
        if let How::Silent(next) = &self.how {
            next.encode(out);
        }
    }
}

impl How {
    /// True if `ours` is as good as `theirs`.
    pub(crate) fn equal(&self, ours: &[u8], theirs: &[u8]) -> bool {
        if ours == theirs {
            return true;
        }
        match self {
            How::By(Rule::Exact) => false,
            How::By(rule) => rule.canonical(ours) == rule.canonical(theirs),
            How::Through(form) => form(ours) == form(theirs),
            How::Silent(_) => false,
            How::Near(tolerance) => match (reply::integer(ours), reply::integer(theirs)) {
                // -1 and -2 are no times.
                (Some(a), Some(b)) => a >= 0 && b >= 0 && a.abs_diff(b) <= tolerance.unsigned_abs(),
                _ => false,
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn replies_are_compared_as_planned() {
        let near = Plan::of("TTL").near(1).how;
        assert!(near.equal(b":100\r\n", b":99\r\n"));
        assert!(!near.equal(b":100\r\n", b":98\r\n"));
        assert!(!near.equal(b":-1\r\n", b":-2\r\n"), "no deadline is not no key");
        let exact = Plan::of("GET").how;
        assert!(!exact.equal(b"$-1\r\n", b"_\r\n"));
        let sorted = Plan::of("KEYS").by(Rule::Sorted).how;
        assert!(sorted.equal(b"*2\r\n+a\r\n+b\r\n", b"*2\r\n+b\r\n+a\r\n"));
    }

    #[test]
    fn a_silent_command_is_sent_with_the_next_and_gets_no_reply() {
        let plan = Plan { how: How::Silent(Box::new(Plan::of("PING"))), ..Plan::of("SKIP") };
        let mut request = Vec::new();
        plan.encode(&mut request);
        assert_eq!(request, b"*1\r\n$4\r\nSKIP\r\n*1\r\n$4\r\nPING\r\n");
        assert_eq!(plan.replies(), 0);
    }
}
