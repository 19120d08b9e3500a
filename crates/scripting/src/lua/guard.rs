//! Functions of the C API's kind that stand before those of Lua's own libraries, to keep protected tables whole and
//! precompiled code out. None of them owns anything, so errors may leave them at any point.
//!
//! A protected table is an empty one whose metatable forwards reads to the table behind it and refuses writes, and
//! names that table under a key that no script can make ([`MARK`]). What is written past metatables is checked here.

use std::ffi::{c_char, c_int, c_void};
use std::ptr;

use mlua::ffi;

/// Its address marks the metatables of protected tables; what is stored under it is the table behind.
static MARK: u8 = 0;

/// The key under which a protected table's metatable has the table behind it.
pub(crate) fn mark() -> *const () {
    ptr::from_ref(&MARK).cast()
}

/// What scripts are told that change what they must not.
pub(crate) const READ_ONLY: &std::ffi::CStr = c"Attempt to modify a readonly table";

/// The guards.
#[derive(Clone, Copy)]
pub(crate) enum Guard {
    /// Refuses to change a protected first argument, else calls what it wraps.
    Change,
    /// Puts the table behind into the place of a protected first argument, and calls what it wraps.
    Read,
    /// `getmetatable`: protected tables have none but the one they show.
    Metatable,
    /// `pairs`, by the first `next` that it wraps, or of a protected table by the second.
    Pairs,
    /// `load` and `loadstring`: calls what it wraps, on text only.
    LoadString,
    /// The same for a function that returns the parts of the text.
    Load,
    /// Redis's `pcall`: an error that is a table with an error text is that text.
    Pcall,
    /// `xpcall`: the handler runs when the error has left the function, so that a script that is to end cannot go on in
    /// there, where Lua runs no hooks.
    Xpcall,
    /// The `__newindex` of protected tables.
    Refuse,
}

impl Guard {
    /// How many functions it wraps.
    pub(super) fn wraps(self) -> c_int {
        match self {
            Guard::Change | Guard::Read | Guard::Metatable | Guard::LoadString => 1,
            Guard::Pairs => 2,
            Guard::Load | Guard::Pcall | Guard::Xpcall | Guard::Refuse => 0,
        }
    }

    pub(super) fn address(self) -> ffi::lua_CFunction {
        match self {
            Guard::Change => change,
            Guard::Read => read,
            Guard::Metatable => metatable,
            Guard::Pairs => pairs,
            Guard::LoadString => load_string,
            Guard::Load => load,
            Guard::Pcall => pcall,
            Guard::Xpcall => xpcall,
            Guard::Refuse => refuse,
        }
    }
}

/// Called for an error outside of any protected call, which there is none of.
pub(super) unsafe extern "C-unwind" fn panic(_: *mut ffi::lua_State) -> c_int {
    std::process::abort()
}

/// Calls the function that the running guard wraps, with the same arguments.
unsafe fn wrapped(l: *mut ffi::lua_State) -> c_int {
    // SAFETY: the first upvalue of a guard is the C function that it wraps, which needs no upvalues.
    unsafe {
        match ffi::lua_tocfunction(l, ffi::lua_upvalueindex(1)) {
            Some(function) => function(l),
            None => 0,
        }
    }
}

/// Pushes the table behind the first argument, if that is a protected one.
unsafe fn behind(l: *mut ffi::lua_State) -> bool {
    // SAFETY: the state is valid, and a function has room for three more values.
    unsafe {
        if ffi::lua_type(l, 1) != ffi::LUA_TTABLE || ffi::lua_getmetatable(l, 1) == 0 {
            return false;
        }
        ffi::lua_pushlightuserdata(l, mark().cast_mut().cast());
        ffi::lua_rawget_(l, -2);
        if ffi::lua_type(l, -1) == ffi::LUA_TTABLE {
            ffi::lua_remove(l, -2);
            return true;
        }
        ffi::lua_settop(l, -3);
        false
    }
}

unsafe extern "C-unwind" fn change(l: *mut ffi::lua_State) -> c_int {
    // SAFETY: the state is valid; errors may leave this frame.
    unsafe {
        if behind(l) {
            ffi::lua_pushstring_(l, READ_ONLY.as_ptr());
            ffi::lua_error(l);
        }
        wrapped(l)
    }
}

unsafe extern "C-unwind" fn read(l: *mut ffi::lua_State) -> c_int {
    // SAFETY: as above.
    unsafe {
        if behind(l) {
            ffi::lua_replace(l, 1);
        }
        wrapped(l)
    }
}

unsafe extern "C-unwind" fn metatable(l: *mut ffi::lua_State) -> c_int {
    // SAFETY: as above.
    unsafe {
        if behind(l) {
            if ffi::luaL_getmetafield_(l, 1, c"__metatable".as_ptr()) == 0 {
                ffi::lua_pushnil(l);
            }
            return 1;
        }
        wrapped(l)
    }
}

unsafe extern "C-unwind" fn pairs(l: *mut ffi::lua_State) -> c_int {
    // SAFETY: as above; the upvalues are Lua's own `next` and the guarded one.
    unsafe {
        ffi::luaL_checktype(l, 1, ffi::LUA_TTABLE);
        let upvalue = if behind(l) { 2 } else { 1 };
        ffi::lua_pushvalue(l, ffi::lua_upvalueindex(upvalue));
        ffi::lua_pushvalue(l, 1);
        ffi::lua_pushnil(l);
        3
    }
}

unsafe extern "C-unwind" fn load_string(l: *mut ffi::lua_State) -> c_int {
    // SAFETY: as above.
    unsafe {
        let mut len = 0;
        let text = ffi::luaL_checklstring(l, 1, &raw mut len);
        if len > 0 && *text.cast::<u8>() == ffi::LUA_SIGNATURE[0] {
            ffi::lua_pushnil(l);
            ffi::lua_pushstring_(l, c"bytecode is not accepted".as_ptr());
            return 2;
        }
        wrapped(l)
    }
}

/// The state of a [`load`]: plain data, so that errors may leave the frame it is in.
struct Parts {
    begun: bool,
}

/// Passes on what the function at index 1 returns. The part stays at index 3 while it is read.
unsafe extern "C-unwind" fn next_part(
    l: *mut ffi::lua_State,
    user: *mut c_void,
    size: *mut usize,
) -> *const c_char {
    // SAFETY: `load` has put the function at index 1 and room at index 3; `user` is its `Parts`.
    unsafe {
        let parts = &mut *user.cast::<Parts>();
        ffi::luaL_checkstack(l, 2, c"too many nested functions".as_ptr());
        ffi::lua_pushvalue(l, 1);
        ffi::lua_call(l, 0, 1);
        if ffi::lua_type(l, -1) == ffi::LUA_TNIL {
            *size = 0;
            return ptr::null();
        }
        if ffi::lua_isstring(l, -1) == 0 {
            ffi::lua_pushstring_(l, c"reader function must return a string".as_ptr());
            ffi::lua_error(l);
        }
        ffi::lua_replace(l, 3);
        let text = ffi::lua_tolstring(l, 3, size);
        if !parts.begun && *size > 0 {
            parts.begun = true;
            if *text.cast::<u8>() == ffi::LUA_SIGNATURE[0] {
                ffi::lua_pushstring_(l, c"bytecode is not accepted".as_ptr());
                ffi::lua_error(l);
            }
        }
        text
    }
}

unsafe extern "C-unwind" fn load(l: *mut ffi::lua_State) -> c_int {
    // SAFETY: as above. The name is on the stack until the text is compiled.
    unsafe {
        ffi::luaL_checktype(l, 1, ffi::LUA_TFUNCTION);
        let name = if ffi::lua_type(l, 2) <= ffi::LUA_TNIL {
            c"=(load)".as_ptr()
        } else {
            ffi::luaL_checklstring(l, 2, ptr::null_mut())
        };
        ffi::lua_settop(l, 3);
        let mut parts = Parts { begun: false };
        let status = ffi::lua_load(l, next_part, (&raw mut parts).cast(), name);
        if status == ffi::LUA_OK {
            return 1;
        }
        ffi::lua_pushnil(l);
        ffi::lua_insert(l, -2);
        2
    }
}

unsafe extern "C-unwind" fn pcall(l: *mut ffi::lua_State) -> c_int {
    // SAFETY: as above. There is a function at index 1, whose arguments follow.
    unsafe {
        if ffi::lua_gettop(l) == 0 {
            ffi::lua_pushboolean(l, 0);
            ffi::lua_pushstring_(l, c"attempt to call a boolean value".as_ptr());
            return 2;
        }
        let args = ffi::lua_gettop(l) - 1;
        let status = ffi::lua_pcall(l, args, ffi::LUA_MULTRET, 0);
        if status == ffi::LUA_OK {
            ffi::luaL_checkstack(l, 1, c"too many results".as_ptr());
            ffi::lua_pushboolean(l, 1);
            ffi::lua_insert(l, 1);
            return ffi::lua_gettop(l);
        }
        if ffi::lua_type(l, -1) == ffi::LUA_TTABLE {
            ffi::lua_pushstring_(l, c"err".as_ptr());
            ffi::lua_rawget_(l, -2);
            if ffi::lua_isstring(l, -1) != 0 {
                ffi::lua_replace(l, -2);
            }
        }
        ffi::lua_pushboolean(l, 0);
        ffi::lua_insert(l, 1);
        ffi::lua_gettop(l)
    }
}

unsafe extern "C-unwind" fn xpcall(l: *mut ffi::lua_State) -> c_int {
    // SAFETY: as above. The function is moved above its handler.
    unsafe {
        ffi::luaL_checkany(l, 2);
        ffi::lua_settop(l, 2);
        ffi::lua_insert(l, 1);
        let succeeded = ffi::lua_pcall(l, 0, ffi::LUA_MULTRET, 0) == ffi::LUA_OK;
        if !succeeded {
            ffi::lua_pushvalue(l, 1);
            ffi::lua_insert(l, -2);
            if ffi::lua_pcall(l, 1, 1, 0) != ffi::LUA_OK {
                ffi::lua_settop(l, -2);
                ffi::lua_pushstring_(l, c"error in error handling".as_ptr());
            }
        }
        ffi::lua_pushboolean(l, c_int::from(succeeded));
        ffi::lua_replace(l, 1);
        ffi::lua_gettop(l)
    }
}

unsafe extern "C-unwind" fn refuse(l: *mut ffi::lua_State) -> c_int {
    // SAFETY: as above.
    unsafe {
        ffi::luaL_where(l, 1);
        ffi::lua_pushstring_(l, READ_ONLY.as_ptr());
        ffi::lua_concat(l, 2);
        ffi::lua_error(l)
    }
}
