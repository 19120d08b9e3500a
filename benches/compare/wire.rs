//! Requests rendered beforehand, and what their replies must look like. Replies are counted by their length, so that
//! the generator costs less than the servers it drives; every workload uses requests whose replies are equally long.

/// Bytes of a key: `key:` and twelve digits.
pub(crate) const KEY_BYTES: usize = 16;

/// A reply of known length.
#[derive(Clone, Copy)]
pub(crate) struct Reply {
    /// Its first byte.
    pub(crate) first: u8,
    /// Its length, line ends included.
    pub(crate) bytes: usize,
}

impl Reply {
    /// `+OK`
    pub(crate) const OK: Reply = Reply { first: b'+', bytes: 5 };
    /// `+PONG`
    pub(crate) const PONG: Reply = Reply { first: b'+', bytes: 7 };

    /// A bulk string of `len` bytes.
    pub(crate) fn bulk(len: usize) -> Reply {
        Reply { first: b'$', bytes: 1 + len.to_string().len() + 2 + len + 2 }
    }
}

/// Appends a command as clients send it.
pub(crate) fn command(out: &mut Vec<u8>, args: &[&[u8]]) {
    out.extend_from_slice(format!("*{}\r\n", args.len()).as_bytes());
    for arg in args {
        out.extend_from_slice(format!("${}\r\n", arg.len()).as_bytes());
        out.extend_from_slice(arg);
        out.extend_from_slice(b"\r\n");
    }
}

/// The key of a number.
pub(crate) fn key(number: u64) -> [u8; KEY_BYTES] {
    let mut key = *b"key:000000000000";
    let mut rest = number;
    for digit in key[4..].iter_mut().rev() {
        *digit = b'0' + (rest % 10) as u8;
        rest /= 10;
    }
    key
}

/// A command on one key, rendered once; only the key's digits are written anew for each request.
pub(crate) struct Template {
    text: Vec<u8>,
    key_at: usize,
    /// What the server answers.
    pub(crate) reply: Reply,
}

impl Template {
    fn new(before: &[&[u8]], after: &[&[u8]], reply: Reply) -> Self {
        let mut text = Vec::new();
        let key = key(0);
        command(&mut text, &[before, &[&key], after].concat());
        let key_at =
            text.windows(KEY_BYTES).position(|window| window == key).expect("the key was just written");
        Template { text, key_at, reply }
    }

    /// `SET key value`
    pub(crate) fn set(value_bytes: usize) -> Self {
        Self::new(&[b"SET"], &[&vec![b'v'; value_bytes]], Reply::OK)
    }

    /// `GET key`, where the key exists.
    pub(crate) fn get(value_bytes: usize) -> Self {
        Self::new(&[b"GET"], &[], Reply::bulk(value_bytes))
    }

    /// Appends the request for one key.
    pub(crate) fn render(&self, number: u64, out: &mut Vec<u8>) {
        let start = out.len() + self.key_at;
        out.extend_from_slice(&self.text);
        out[start..start + KEY_BYTES].copy_from_slice(&key(number));
    }
}

/// Requests in a row, all of one template, for keys drawn at random.
pub(crate) struct Requests {
    bytes: Vec<u8>,
    each: usize,
    /// What the server answers to each.
    pub(crate) reply: Reply,
}

impl Requests {
    /// `count` requests for keys below `keys`, the same ones for the same seed.
    pub(crate) fn random(template: &Template, count: usize, keys: u64, seed: u64) -> Self {
        let mut bytes = Vec::with_capacity(count * template.text.len());
        let mut state = seed;
        for _ in 0..count {
            template.render(split_mix(&mut state) % keys, &mut bytes);
        }
        Requests { bytes, each: template.text.len(), reply: template.reply }
    }

    /// Number of requests.
    pub(crate) fn len(&self) -> usize {
        self.bytes.len() / self.each
    }

    /// The requests from the `first` on.
    pub(crate) fn slice(&self, first: usize, count: usize) -> &[u8] {
        &self.bytes[first * self.each..(first + count) * self.each]
    }
}

/// The generator of random numbers known as SplitMix64.
pub(crate) fn split_mix(state: &mut u64) -> u64 {
    *state = state.wrapping_add(0x9E37_79B9_7F4A_7C15);
    let mut z = *state;
    z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    z ^ (z >> 31)
}
