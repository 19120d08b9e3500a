//! RDB.
mod crc64;
mod lzf;
