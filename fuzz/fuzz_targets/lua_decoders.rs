//! The decoders of cmsgpack, cjson and struct refuse any bytes or make values of them, and what they make can be encoded
//! and decoded again.
#![no_main]

mod host;

use std::cell::RefCell;

use carnelian_scripting::Scripts;
use libfuzzer_sys::fuzz_target;

thread_local! {
    static STATE: RefCell<Scripts> = RefCell::new(host::scripts());
}

// A key that is a table is not found again in another copy.
const MESSAGES: &[u8] = b"local function same(a, b, depth) \
    if type(a) ~= 'table' or depth > 15 then return a == b or a ~= a or depth > 15 end \
    for k, v in pairs(a) do if type(k) ~= 'table' and not same(v, b[k], depth + 1) then return false end end return true end \
    local values = {cmsgpack.unpack(ARGV[1])} \
    for i, value in ipairs(values) do \
        assert(same(value, cmsgpack.unpack(cmsgpack.pack(value)), 1), 'another value') end";
const JSON: &[u8] = b"local c = cjson.new() c.encode_invalid_numbers(true) c.encode_sparse_array(true) \
    local text = c.encode(c.decode(ARGV[1])) local again = c.encode(c.decode(text)) \
    assert(#text == #again, 'another text')";
const STRUCTS: &[u8] = b"local cut = ARGV[1]:find(';', 1, true) or 0 \
    local format, data = ARGV[1]:sub(1, cut - 1), ARGV[1]:sub(cut + 1) \
    pcall(struct.size, format) local values = {struct.unpack(format, data)} pcall(struct.pack, format, unpack(values))";

fuzz_target!(|data: &[u8]| {
    let Some((kind, rest)) = data.split_first() else { return };
    let body = [MESSAGES, JSON, STRUCTS][usize::from(*kind) % 3];
    STATE.with_borrow_mut(|scripts| {
        let guarded = [b"local ok, err = pcall(function() ", body, b" end) return ok and '' or err"].concat();
        let error = host::run(scripts, &guarded, rest).flatten().unwrap_or_default();
        let error = String::from_utf8_lossy(&error);
        assert!(!error.contains("another value") && !error.contains("another text"), "{error}");
        assert!(scripts.vm_memory() < 4 * host::LIMIT, "{} bytes", scripts.vm_memory());
    });
});
