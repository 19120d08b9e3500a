//! A request stream means the same in one piece and in any pieces, and its commands survive re-encoding.
//!
//! The first input byte chooses the limits and how much is executed at a time, the second how the rest is
//! cut.
#![no_main]

use carnelian_resp::{Batch, Limits, OwnedArgv, Progress, ProtocolError, RequestParser};
use libfuzzer_sys::fuzz_target;

#[derive(Debug, Default, PartialEq)]
struct Outcome {
    commands: Vec<OwnedArgv>,
    error: Option<ProtocolError>,
    rest: usize,
}

/// What a connection makes of bytes that arrive in `pieces`, when it executes at most `execute` commands of a
/// batch.
fn run<'a>(
    pieces: impl Iterator<Item = &'a [u8]>,
    limits: &Limits,
    max_commands: usize,
    execute: usize,
) -> Outcome {
    let (mut parser, mut batch) = (RequestParser::new(), Batch::new());
    let mut outcome = Outcome::default();
    let mut buffer = Vec::new();
    for piece in pieces {
        buffer.extend_from_slice(piece);
        loop {
            batch.clear();
            let progress = match parser.parse(&buffer, max_commands, limits, &mut batch) {
                Ok(progress) => progress,
                Err(error) => {
                    outcome.error = Some(error);
                    return outcome;
                }
            };
            let executed = batch.len().min(execute);
            outcome.commands.extend((0..executed).map(|i| OwnedArgv::from(batch.argv(i, &buffer))));
            let all = executed == batch.len();
            let end = if all { parser.skippable() } else { batch.end(executed - 1) };
            buffer.drain(..end);
            parser.consumed(end);
            if !all {
                parser.rewind();
            } else if progress == Progress::NeedMore {
                break;
            }
        }
    }
    assert!(parser.memory() <= 200 + 64 * buffer.len(), "memory beyond what was received");
    outcome.rest = buffer.len();
    outcome
}

fuzz_target!(|data: &[u8]| {
    let [choice, cut, input @ ..] = data else { return };
    let limits = Limits { authenticated: choice & 1 == 0, max_inline: 64, ..Limits::default() };
    let (max_commands, execute) = (1 + usize::from(choice >> 1 & 7), 1 + usize::from(choice >> 4 & 3));
    let whole = run(std::iter::once(input), &limits, usize::MAX, usize::MAX);
    let pieces = run(input.chunks(1 + usize::from(*cut)), &limits, max_commands, execute);
    assert_eq!(whole, pieces);

    let sent: Vec<u8> = whole.commands.iter().flat_map(|command| command.as_argv().to_request()).collect();
    let again = run(std::iter::once(&sent[..]), &Limits::default(), 7, 7);
    assert_eq!(again, Outcome { commands: whole.commands, error: None, rest: 0 });
});
