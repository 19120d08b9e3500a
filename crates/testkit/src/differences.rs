//! The reviewed list of deliberate differences from the recorded replies.
//!
//! ```text
//! server/info.case: INFO server
//!   reason: the server names itself
//!   ours: ...              the reply in stored form; without this line any reply will do
//! ```
//!
//! `#` begins a comment line.

/// One deliberate difference.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Difference {
    /// The case file, below the cases' directory.
    pub case: String,
    /// The text of the step.
    pub step: String,
    /// Why it is deliberate.
    pub reason: String,
    /// Our replies (one or, where the protocols differ, two); none: any.
    pub ours: Vec<String>,
}

/// A line that does not fit, with its number.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("differences, line {0}: {1}")]
pub struct DifferencesError(usize, &'static str);

impl Difference {
    /// True if it is about this step.
    pub fn concerns(&self, case: &str, step: &str) -> bool {
        self.case == case && self.step == step
    }

    /// True if it explains `actual` (in stored form).
    pub fn explains(&self, actual: &str) -> bool {
        self.ours.is_empty() || self.ours.iter().any(|reply| reply == actual)
    }
}

/// Reads the list.
pub fn parse(text: &str) -> Result<Vec<Difference>, DifferencesError> {
    let mut list: Vec<Difference> = Vec::new();
    for (index, line) in text.lines().enumerate() {
        let wrong = |problem| DifferencesError(index + 1, problem);
        if line.trim().is_empty() || line.starts_with('#') {
            continue;
        }
        if let Some(detail) = line.strip_prefix("  ") {
            let entry = list.last_mut().ok_or(wrong("a detail of nothing"))?;
            match detail.split_once(": ") {
                Some(("reason", reason)) => entry.reason = reason.to_owned(),
                Some(("ours", reply)) => entry.ours.push(reply.to_owned()),
                _ => return Err(wrong("neither reason nor ours")),
            }
        } else {
            let (case, step) = line.split_once(": ").ok_or(wrong("not `case: step`"))?;
            list.push(Difference { case: case.to_owned(), step: step.to_owned(), ..Default::default() });
        }
    }
    match list.iter().find(|entry| entry.reason.is_empty()) {
        Some(_) => Err(DifferencesError(0, "an entry lacks its reason")),
        None => Ok(list),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_entries() {
        let list = parse("# x\na/b.case: INFO: x\n  reason: because\n  ours: +OK\n").expect("valid");
        assert!(list[0].concerns("a/b.case", "INFO: x"));
        assert!(list[0].explains("+OK"));
        assert!(!list[0].explains("+NO"));
        assert!(parse("a/b.case: INFO\n").is_err(), "no reason");
    }
}
