//! A Lua 5.1 state behind an interface that cannot corrupt it: the only module of the crate that calls the C API
//! (with its children [`guard`], functions that wrap those of Lua's own libraries, and [`memory`], the allocator).
//! Knows nothing of Redis.
//!
//! Lua reports errors by `longjmp`, which must not cross a Rust frame that owns anything. Hence:
//!
//! * A native function is a Rust `fn` that returns [`Raise`] with the error on top of the stack; [`native`], which owns
//!   nothing, raises it after the function has returned.
//! * While Rust code runs, allocations do not fail ([`Shared::sheltered`]); a script that is over its limit fails at
//!   its next own allocation, or where the Rust code asks ([`Lua::within_limit`]).
//! * The methods here use no metamethods, and check types and indices before they touch a value.
#![allow(unsafe_code)]

pub(crate) mod guard;
mod memory;

use std::ffi::{CStr, c_char, c_int, c_void};
use std::ptr::{self, NonNull};

use mlua::ffi;

use crate::host::{Session, Verdict};
use crate::names::{self, Name};
use memory::Shared;

/// Instructions between two looks at the clock.
const TICK: c_int = 100_000;

/// The type of a Lua value.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Kind {
    Absent,
    Nil,
    Boolean,
    LightUserdata,
    Number,
    String,
    Table,
    Function,
    Userdata,
    Thread,
}

/// An error value is on top of the stack, to be raised.
#[derive(Debug)]
pub(crate) struct Raise;

/// A native function: its arguments are the whole stack, its results the topmost values, as many as it says.
pub(crate) type Native = fn(&mut Lua) -> Result<i32, Raise>;

/// Why a protected call ended early. The error value is on top of the stack, unless memory was short.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Failure {
    /// The code raised an error, or did not compile.
    Error,
    /// The memory limit was met.
    Memory,
}

/// A value kept in the registry.
#[derive(Debug)]
pub(crate) struct Ref(c_int);

/// Where code is: what the error handler adds to errors.
#[derive(Clone, Debug)]
pub(crate) struct Place {
    pub(crate) source: Vec<u8>,
    pub(crate) line: i32,
}

/// A Lua state with its own memory.
pub(crate) struct Vm {
    lua: Lua,
    shared: Box<Shared>,
}

/// The stack of one thread of a state.
pub(crate) struct Lua {
    raw: NonNull<ffi::lua_State>,
    /// The top when the running native function was entered: that many arguments. There is room for
    /// `LUA_MINSTACK` values above them, however many they are.
    entry: c_int,
}

impl Vm {
    /// A state with Lua's own libraries, nothing protected yet, that may allocate `limit` bytes.
    pub(crate) fn new(limit: usize) -> Vm {
        let shared = Box::new(Shared::new(limit));
        let user = ptr::from_ref::<Shared>(&shared).cast_mut().cast::<c_void>();
        // SAFETY: `allocate` fulfils the contract of an allocator, and `shared` outlives the state: it is dropped after
        // it. Allocations are sheltered, so the functions called here do not raise.
        let raw = unsafe {
            let raw = NonNull::new(ffi::lua_newstate(memory::allocate, user));
            let raw = raw.expect("a sheltered allocation does not fail");
            let l = raw.as_ptr();
            ffi::lua_atpanic(l, guard::panic);
            for open in LIBRARIES {
                ffi::lua_pushcclosure(l, *open, 0);
                let status = ffi::lua_pcall(l, 0, 0, 0);
                assert_eq!(status, ffi::LUA_OK, "a library opens in a new state");
            }
            ffi::lua_sethook(l, Some(tick), ffi::LUA_MASKCOUNT, TICK);
            raw
        };
        shared.main.set(Some(raw));
        let mut vm = Vm { lua: Lua { raw, entry: 0 }, shared };
        for (i, name) in names::ALL.iter().enumerate() {
            vm.lua.push_str(name);
            let kept = vm.lua.keep();
            assert_eq!(kept.0, Name::FIRST + i as c_int, "references of a new state are counted from 1 on");
        }
        vm
    }

    /// The main thread's stack.
    pub(crate) fn lua(&mut self) -> &mut Lua {
        &mut self.lua
    }

    /// Bytes allocated.
    pub(crate) fn memory(&self) -> usize {
        self.shared.used.get()
    }

    /// Changes how many bytes may be allocated.
    pub(crate) fn set_limit(&mut self, limit: usize) {
        self.shared.limit.set(limit);
    }

    /// Calls the function below the `args` topmost values on behalf of `session`, as [`Lua::call`] does. Native
    /// functions reach the session by [`Lua::with_session`].
    pub(crate) fn call(
        &mut self,
        session: &mut Session<'_>,
        args: i32,
        handler: &Ref,
    ) -> Result<(), Failure> {
        let erased = NonNull::from(session).cast::<Session<'static>>();
        let outer = self.shared.session.replace(Some(erased));
        let result = self.lua.call(args, 1, handler);
        self.shared.session.set(outer);
        if self.shared.stopping.take() {
            // SAFETY: the state is valid; setting a hook allocates and raises nothing.
            unsafe { ffi::lua_sethook(self.lua.raw(), Some(tick), ffi::LUA_MASKCOUNT, TICK) };
        }
        result
    }
}

impl Drop for Vm {
    fn drop(&mut self) {
        // SAFETY: the state is valid and not used again. There are no finalizers.
        unsafe { ffi::lua_close(self.lua.raw()) };
    }
}

/// What opens the libraries that scripts may use, and more than those: the sandbox removes the rest.
const LIBRARIES: &[ffi::lua_CFunction] =
    &[ffi::luaopen_base, ffi::luaopen_table, ffi::luaopen_string, ffi::luaopen_math, ffi::luaopen_os];

/// Runs a native function: its address is the first upvalue.
unsafe extern "C-unwind" fn native(l: *mut ffi::lua_State) -> c_int {
    // SAFETY: Lua calls with a valid state, and only [`Lua::push_native`] makes closures over this function, so the
    // upvalue is the address of a `Native`. Nothing here owns anything when `lua_error` leaves the frame.
    unsafe {
        let address = ffi::lua_touserdata(l, ffi::lua_upvalueindex(1));
        let function: Native = std::mem::transmute::<*mut c_void, Native>(address);
        let shared = Shared::of(l);
        let depth = (*shared).sheltered.get();
        (*shared).sheltered.set(depth + 1);
        let entry = ffi::lua_gettop(l);
        let result = function(&mut Lua { raw: NonNull::new_unchecked(l), entry });
        (*shared).sheltered.set(depth);
        match result {
            Ok(results) => results,
            Err(Raise) => ffi::lua_error(l),
        }
    }
}

/// Called every [`TICK`] instructions: asks the session whether the script may go on.
unsafe extern "C-unwind" fn tick(l: *mut ffi::lua_State, _: *mut ffi::lua_Debug) {
    // SAFETY: Lua calls with a valid state whose allocator is ours. The session is valid while a call runs; native
    // functions take it out of the cell while they use it, and no instruction is executed meanwhile. Nothing here owns
    // anything when `lua_error` leaves the frame.
    unsafe {
        let shared = Shared::of(l);
        if !(*shared).stopping.get() {
            let Some(mut session) = (*shared).session.get() else { return };
            (*shared).session.set(None);
            let verdict = session.as_mut().host.tick();
            (*shared).session.set(Some(session));
            let Verdict::Stop(reason) = verdict else { return };
            (*shared).stopping.set(true);
            (*shared).reason.set(reason);
        }
        // From now on each instruction of this thread and of the main one raises, also behind a pcall.
        ffi::lua_sethook(l, Some(tick), ffi::LUA_MASKCOUNT, 1);
        if let Some(main) = (*shared).main.get() {
            ffi::lua_sethook(main.as_ptr(), Some(tick), ffi::LUA_MASKCOUNT, 1);
        }
        let depth = (*shared).sheltered.get();
        (*shared).sheltered.set(depth + 1);
        let reason = (*shared).reason.get();
        ffi::lua_pushlstring_(l, reason.as_ptr().cast(), reason.len());
        (*shared).sheltered.set(depth);
        ffi::lua_error(l)
    }
}

impl Lua {
    fn raw(&self) -> *mut ffi::lua_State {
        self.raw.as_ptr()
    }

    fn shared(&self) -> &Shared {
        // SAFETY: the allocator's user data is the `Shared` of the `Vm`, which lives as long as the state.
        unsafe { &*Shared::of(self.raw()) }
    }

    /// Index of the topmost value; the lowest has index 1.
    #[inline]
    pub(crate) fn top(&self) -> i32 {
        // SAFETY: the state is valid.
        unsafe { ffi::lua_gettop(self.raw()) }
    }

    /// Checks an index, and counts it from below.
    #[inline]
    pub(crate) fn absolute(&self, index: i32) -> i32 {
        if index > 0 || index <= ffi::LUA_REGISTRYINDEX {
            return index;
        }
        let top = self.top();
        assert!(index != 0 && -index <= top, "index {index} of {top}");
        top + 1 + index
    }

    /// Removes the `n` topmost values.
    #[inline]
    pub(crate) fn pop(&mut self, n: i32) {
        let top = self.top();
        assert!((0..=top).contains(&n), "{n} of {top} to pop");
        // SAFETY: the new top is between 0 and the present one.
        unsafe { ffi::lua_settop(self.raw(), top - n) };
    }

    /// Removes all values above index `top`.
    pub(crate) fn truncate(&mut self, top: i32) {
        assert!((0..=self.top()).contains(&top));
        // SAFETY: the new top is between 0 and the present one.
        unsafe { ffi::lua_settop(self.raw(), top) };
    }

    /// Makes room for `n` more values.
    #[inline]
    pub(crate) fn reserve(&mut self, n: i32) -> Result<(), StackFull> {
        // SAFETY: the state is valid, and allocation is sheltered, so this does not raise.
        if unsafe { ffi::lua_checkstack(self.raw(), n) } == 0 { Err(StackFull) } else { Ok(()) }
    }

    /// Makes sure that there is room for one value: native functions have some, and reserve what they recurse with.
    #[inline]
    fn room(&mut self) {
        if self.top() < self.entry + ffi::LUA_MINSTACK {
            return;
        }
        // SAFETY: as in `reserve`.
        assert!(unsafe { ffi::lua_checkstack(self.raw(), 1) } != 0, "the Lua stack is full");
    }

    #[inline]
    pub(crate) fn kind(&self, index: i32) -> Kind {
        // SAFETY: the index is checked; reading beyond the top yields `LUA_TNONE`.
        match unsafe { ffi::lua_type(self.raw(), self.absolute(index)) } {
            ffi::LUA_TNIL => Kind::Nil,
            ffi::LUA_TBOOLEAN => Kind::Boolean,
            ffi::LUA_TLIGHTUSERDATA => Kind::LightUserdata,
            ffi::LUA_TNUMBER => Kind::Number,
            ffi::LUA_TSTRING => Kind::String,
            ffi::LUA_TTABLE => Kind::Table,
            ffi::LUA_TFUNCTION => Kind::Function,
            ffi::LUA_TUSERDATA => Kind::Userdata,
            ffi::LUA_TTHREAD => Kind::Thread,
            _ => Kind::Absent,
        }
    }

    /// The name of a value's type, as `type` returns it.
    pub(crate) fn kind_name(&self, index: i32) -> &'static str {
        match self.kind(index) {
            Kind::Absent => "no value",
            Kind::Nil => "nil",
            Kind::Boolean => "boolean",
            Kind::LightUserdata | Kind::Userdata => "userdata",
            Kind::Number => "number",
            Kind::String => "string",
            Kind::Table => "table",
            Kind::Function => "function",
            Kind::Thread => "thread",
        }
    }

    /// Whether the value is neither nil nor false.
    pub(crate) fn truth(&self, index: i32) -> bool {
        // SAFETY: the index is checked.
        unsafe { ffi::lua_toboolean(self.raw(), self.absolute(index)) != 0 }
    }

    /// The number, or 0 if it is none and no string that reads as one.
    pub(crate) fn number(&self, index: i32) -> f64 {
        // SAFETY: the index is checked.
        unsafe { ffi::lua_tonumber(self.raw(), self.absolute(index)) }
    }

    /// The number, if the value is one or a string that reads as one.
    pub(crate) fn as_number(&self, index: i32) -> Option<f64> {
        // SAFETY: the index is checked.
        let is = unsafe { ffi::lua_isnumber(self.raw(), self.absolute(index)) } != 0;
        is.then(|| self.number(index))
    }

    /// The address of a light userdata.
    pub(crate) fn light(&self, index: i32) -> Option<*const ()> {
        if self.kind(index) != Kind::LightUserdata {
            return None;
        }
        // SAFETY: the index is checked.
        Some(unsafe { ffi::lua_touserdata(self.raw(), self.absolute(index)) }.cast_const().cast())
    }

    /// The bytes of a string. They live as long as the value stays where it is, hence the borrow.
    #[inline]
    pub(crate) fn bytes(&self, index: i32) -> Option<&[u8]> {
        if self.kind(index) != Kind::String {
            return None;
        }
        let mut len = 0;
        // SAFETY: the value is a string, so it is not converted; the pointer is not null, and valid for `len` bytes
        // while the string is on the stack. It stays there as long as `self` is borrowed.
        unsafe {
            let data = ffi::lua_tolstring(self.raw(), self.absolute(index), &raw mut len);
            Some(std::slice::from_raw_parts(data.cast::<u8>(), len))
        }
    }

    /// The bytes of a string or a number; the number becomes a string, as `tostring` would write it.
    pub(crate) fn coerce_bytes(&mut self, index: i32) -> Option<&[u8]> {
        if self.kind(index) == Kind::Number {
            // SAFETY: the index is checked; the value is a number, and allocation is sheltered, so this does not raise.
            unsafe { ffi::lua_tolstring(self.raw(), self.absolute(index), ptr::null_mut()) };
        }
        self.bytes(index)
    }

    /// The length of a string, or of the part of a table that `#` counts.
    pub(crate) fn length(&self, index: i32) -> usize {
        match self.kind(index) {
            // SAFETY: the index is checked, and these types are not converted.
            Kind::String | Kind::Table => unsafe { ffi::lua_objlen(self.raw(), self.absolute(index)) },
            _ => 0,
        }
    }

    /// The address that identifies a table, function or thread.
    pub(crate) fn identity(&self, index: i32) -> usize {
        // SAFETY: the index is checked.
        unsafe { ffi::lua_topointer(self.raw(), self.absolute(index)) as usize }
    }

    pub(crate) fn push_nil(&mut self) {
        self.room();
        // SAFETY: there is room.
        unsafe { ffi::lua_pushnil(self.raw()) };
    }

    pub(crate) fn push_boolean(&mut self, value: bool) {
        self.room();
        // SAFETY: there is room.
        unsafe { ffi::lua_pushboolean(self.raw(), c_int::from(value)) };
    }

    #[inline]
    pub(crate) fn push_number(&mut self, value: f64) {
        self.room();
        // SAFETY: there is room.
        unsafe { ffi::lua_pushnumber(self.raw(), value) };
    }

    #[inline]
    pub(crate) fn push_bytes(&mut self, bytes: &[u8]) {
        self.room();
        // SAFETY: there is room, the bytes are copied, and allocation is sheltered.
        unsafe { ffi::lua_pushlstring_(self.raw(), bytes.as_ptr().cast(), bytes.len()) };
    }

    pub(crate) fn push_str(&mut self, text: &str) {
        self.push_bytes(text.as_bytes());
    }

    pub(crate) fn push_light(&mut self, address: *const ()) {
        self.room();
        // SAFETY: there is room; the address is not followed.
        unsafe { ffi::lua_pushlightuserdata(self.raw(), address.cast_mut().cast()) };
    }

    /// Pushes a copy of a value.
    #[inline]
    pub(crate) fn push_value(&mut self, index: i32) {
        let index = self.absolute(index);
        self.room();
        // SAFETY: there is room and the index is checked.
        unsafe { ffi::lua_pushvalue(self.raw(), index) };
    }

    /// Pushes a native function that closes over the `upvalues` topmost values, which are popped.
    pub(crate) fn push_native(&mut self, function: Native, upvalues: i32) {
        assert!((0..=self.top()).contains(&upvalues));
        self.push_light(function as *const ());
        // SAFETY: there is room, and the upvalues are there; the address becomes the first one. Allocation is sheltered.
        unsafe {
            ffi::lua_insert(self.raw(), -upvalues - 1);
            ffi::lua_pushcclosure(self.raw(), native, upvalues + 1);
        }
    }

    /// Index of an upvalue of the running native function; the first is 1.
    pub(crate) fn upvalue(&self, i: i32) -> i32 {
        assert!((1..=253).contains(&i));
        ffi::lua_upvalueindex(i + 1)
    }

    /// Wraps the C functions on top of the stack, as many as the guard takes, in that guard.
    pub(crate) fn wrap(&mut self, function: guard::Guard) {
        let count = function.wraps();
        assert!(count <= self.top());
        for i in 1..=count {
            let index = self.absolute(-i);
            // SAFETY: the index is checked.
            let is = unsafe { ffi::lua_iscfunction(self.raw(), index) } != 0;
            assert!(is, "only C functions are wrapped");
        }
        // SAFETY: the wrapped functions become the closure's upvalues, as guards expect. Allocation is sheltered.
        unsafe { ffi::lua_pushcclosure(self.raw(), function.address(), count) };
    }

    /// Pushes a new table with room for `array` elements and `fields` others.
    #[inline]
    pub(crate) fn push_table(&mut self, array: usize, fields: usize) {
        const MOST: usize = 1 << 20;
        self.room();
        let clamp = |n: usize| n.min(MOST) as c_int;
        // SAFETY: there is room, and sizes are small enough not to raise. Allocation is sheltered.
        unsafe { ffi::lua_createtable(self.raw(), clamp(array), clamp(fields)) };
    }

    #[inline]
    fn table(&self, index: i32) -> i32 {
        let index = self.absolute(index);
        assert!(self.kind(index) == Kind::Table, "a table is expected");
        index
    }

    /// Replaces the key on top of the stack by its value in the table at `index`.
    pub(crate) fn raw_get(&mut self, index: i32) {
        let index = self.table(index);
        // SAFETY: the value at the index is a table, and there is a key.
        unsafe { ffi::lua_rawget_(self.raw(), index) };
    }

    /// Pops a value and below it a key, neither nil nor NaN, and stores them in the table at `index`.
    pub(crate) fn raw_set(&mut self, index: i32) {
        let index = self.table(index);
        assert!(self.is_key(-2), "nil and NaN are no keys");
        // SAFETY: the value at the index is a table, and the key one that does not raise.
        unsafe { ffi::lua_rawset(self.raw(), index) };
    }

    /// Whether a value can be a key of a table.
    pub(crate) fn is_key(&self, index: i32) -> bool {
        match self.kind(index) {
            Kind::Nil | Kind::Absent => false,
            Kind::Number => !self.number(index).is_nan(),
            _ => true,
        }
    }

    /// Pushes element `i` of the table at `index`.
    #[inline]
    pub(crate) fn get_element(&mut self, index: i32, i: i32) {
        let index = self.table(index);
        self.room();
        // SAFETY: the value at the index is a table, and there is room.
        unsafe { ffi::lua_rawgeti_(self.raw(), index, i) };
    }

    /// Pops a value and stores it as element `i` of the table at `index`.
    #[inline]
    pub(crate) fn set_element(&mut self, index: i32, i: i32) {
        let index = self.table(index);
        // SAFETY: the value at the index is a table, which is not on top. Allocation is sheltered.
        unsafe { ffi::lua_rawseti_(self.raw(), index, i) };
    }

    /// Pushes a field of the table at `index`.
    pub(crate) fn get_field(&mut self, index: i32, name: &str) {
        let index = self.table(index);
        self.push_str(name);
        self.raw_get(index);
    }

    /// Pops a value and stores it as a field of the table at `index`.
    pub(crate) fn set_field(&mut self, index: i32, name: &str) {
        let index = self.table(index);
        self.push_str(name);
        // SAFETY: there are two values above the table.
        unsafe { ffi::lua_insert(self.raw(), -2) };
        self.raw_set(index);
    }

    /// Pushes a name.
    #[inline]
    pub(crate) fn push_name(&mut self, name: Name) {
        self.room();
        // SAFETY: there is room; the names were kept first of all.
        unsafe { ffi::lua_rawgeti_(self.raw(), ffi::LUA_REGISTRYINDEX, Name::FIRST + name as c_int) };
    }

    /// Pushes a field of the table at `index`.
    #[inline]
    pub(crate) fn get_named(&mut self, index: i32, name: Name) {
        let index = self.table(index);
        self.push_name(name);
        self.raw_get(index);
    }

    /// Pops a value and stores it as a field of the table at `index`.
    #[inline]
    pub(crate) fn set_named(&mut self, index: i32, name: Name) {
        let index = self.table(index);
        self.push_name(name);
        // SAFETY: there are two values above the table.
        unsafe { ffi::lua_insert(self.raw(), -2) };
        self.raw_set(index);
    }

    /// Replaces the key on top of the stack by the next one and its value, or by nothing at the end. The first key is
    /// nil, and the others are those that this method has pushed; the table must not change in between.
    pub(crate) fn next(&mut self, index: i32) -> bool {
        let index = self.table(index);
        self.room();
        // SAFETY: the value at the index is a table, the key one of its own, so this does not raise.
        unsafe { ffi::lua_next(self.raw(), index) != 0 }
    }

    /// Pushes the metatable of a value, if it has one.
    pub(crate) fn metatable(&mut self, index: i32) -> bool {
        let index = self.absolute(index);
        self.room();
        // SAFETY: the index is checked and there is room.
        unsafe { ffi::lua_getmetatable(self.raw(), index) != 0 }
    }

    /// Pops a table and makes it the metatable of the value at `index`.
    pub(crate) fn set_metatable(&mut self, index: i32) {
        let index = self.absolute(index);
        self.table(-1);
        // SAFETY: there is a table on top.
        unsafe { ffi::lua_setmetatable(self.raw(), index) };
    }

    /// Moves the topmost value to `index`.
    pub(crate) fn insert(&mut self, index: i32) {
        let index = self.absolute(index);
        assert!((1..=self.top()).contains(&index));
        // SAFETY: the index is within the stack.
        unsafe { ffi::lua_insert(self.raw(), index) };
    }

    /// Pops a value and puts it in the place of the one at `index`.
    pub(crate) fn replace(&mut self, index: i32) {
        let index = self.absolute(index);
        assert!((1..=self.top()).contains(&index));
        // SAFETY: the index is within the stack.
        unsafe { ffi::lua_replace(self.raw(), index) };
    }

    /// Removes the value at `index`.
    pub(crate) fn remove(&mut self, index: i32) {
        let index = self.absolute(index);
        assert!((1..=self.top()).contains(&index));
        // SAFETY: the index is within the stack.
        unsafe { ffi::lua_remove(self.raw(), index) };
    }

    /// Pushes the table of global variables.
    pub(crate) fn push_globals(&mut self) {
        self.room();
        // SAFETY: there is room.
        unsafe { ffi::lua_pushvalue(self.raw(), ffi::LUA_GLOBALSINDEX) };
    }

    /// Pops a table and makes it that of global variables, of code loaded from now on.
    pub(crate) fn set_globals(&mut self) {
        self.table(-1);
        // SAFETY: there is a table on top.
        unsafe { ffi::lua_replace(self.raw(), ffi::LUA_GLOBALSINDEX) };
    }

    /// Keeps the topmost value, which is popped.
    pub(crate) fn keep(&mut self) -> Ref {
        assert!(self.top() > 0);
        self.room();
        // SAFETY: there is a value and room for another. Allocation is sheltered.
        Ref(unsafe { ffi::luaL_ref(self.raw(), ffi::LUA_REGISTRYINDEX) })
    }

    /// Pushes a kept value. It must be one of this state.
    #[inline]
    pub(crate) fn push_ref(&mut self, kept: &Ref) {
        self.room();
        // SAFETY: there is room; an index that is not in the registry yields nil.
        unsafe { ffi::lua_rawgeti_(self.raw(), ffi::LUA_REGISTRYINDEX, kept.0) };
    }

    /// Lets go of a kept value.
    pub(crate) fn release(&mut self, kept: Ref) {
        self.room();
        self.room();
        // SAFETY: the reference was made by `keep` and is used up. Allocation is sheltered.
        unsafe { ffi::luaL_unref(self.raw(), ffi::LUA_REGISTRYINDEX, kept.0) };
    }

    /// Compiles text, and pushes the function, or the error.
    pub(crate) fn load(&mut self, text: &[u8], name: &CStr) -> Result<(), Failure> {
        self.room();
        if text.first() == Some(&ffi::LUA_SIGNATURE[0]) {
            self.push_str("precompiled code is not accepted");
            return Err(Failure::Error);
        }
        // SAFETY: the text is valid during the call, and is text, which the compiler checks. It reports errors by
        // its result.
        let status =
            unsafe { ffi::luaL_loadbuffer(self.raw(), text.as_ptr().cast(), text.len(), name.as_ptr()) };
        failure(status)
    }

    /// Calls the function below the `args` topmost values and leaves `results` values, or an error that the kept
    /// `handler` has seen.
    pub(crate) fn call(&mut self, args: i32, results: i32, handler: &Ref) -> Result<(), Failure> {
        assert!((0..self.top()).contains(&args) && (0..64).contains(&results));
        assert!(self.reserve(results + 2).is_ok(), "a new call has room");
        let function = self.top() - args;
        self.push_ref(handler);
        self.insert(function);
        let sheltered = self.shared().sheltered.replace(0);
        // SAFETY: the function and its arguments are there, and the handler below them. Errors end here. The natives
        // that run meanwhile have stacks of their own.
        let status = unsafe { ffi::lua_pcall(self.raw(), args, results, function) };
        self.shared().sheltered.set(sheltered);
        self.remove(function);
        failure(status)
    }

    /// The session of the running call, beside the stack; it cannot be had twice at the same time.
    pub(crate) fn with_session<R>(&mut self, use_it: impl FnOnce(&mut Lua, &mut Session<'_>) -> R) -> R {
        let shared = ptr::from_ref(self.shared());
        // SAFETY: `shared` is valid as long as the state. The session is valid while the call runs which it was given
        // to, and native functions run within it only. It is taken out of the cell, so there is no second reference.
        unsafe {
            let mut session = (*shared).session.take().expect("native functions run within a call");
            let result = use_it(self, session.as_mut());
            (*shared).session.set(Some(session));
            result
        }
    }

    /// An error if the script has taken more memory than it may.
    #[inline]
    pub(crate) fn within_limit(&mut self) -> Result<(), Raise> {
        let shared = self.shared();
        if shared.used.get() > shared.limit.get() {
            return Err(self.raise("not enough memory"));
        }
        Ok(())
    }

    /// Pushes an error text as it is.
    #[cold]
    pub(crate) fn raise(&mut self, text: &str) -> Raise {
        self.push_str(text);
        Raise
    }

    /// Pushes an error text with the place of the code that has called the running function.
    #[cold]
    pub(crate) fn raise_here(&mut self, text: &str) -> Raise {
        self.room();
        // SAFETY: the state is valid and there is room. Allocation is sheltered.
        unsafe { ffi::luaL_where(self.raw(), 1) };
        let place = self.bytes(-1).unwrap_or_default().to_vec();
        self.pop(1);
        self.push_bytes(&[&place, text.as_bytes()].concat());
        Raise
    }

    /// The error for a wrong argument of the running function, in Lua's words.
    #[cold]
    pub(crate) fn bad_argument(&mut self, argument: i32, reason: &str) -> Raise {
        let (name, is_method) = self.running_name();
        let text = match (argument, is_method) {
            (1, true) => format!("calling '{name}' on bad self ({reason})"),
            (_, true) => format!("bad argument #{} to '{name}' ({reason})", argument - 1),
            (_, false) => format!("bad argument #{argument} to '{name}' ({reason})"),
        };
        self.raise_here(&text)
    }

    /// The error for an argument of another type than expected.
    #[cold]
    pub(crate) fn wrong_type(&mut self, argument: i32, expected: &str) -> Raise {
        let reason = format!("{expected} expected, got {}", self.kind_name(argument));
        self.bad_argument(argument, &reason)
    }

    /// The name by which the running function was called, and whether as a method.
    fn running_name(&self) -> (String, bool) {
        // SAFETY: all zeros are a valid value of this plain record; it is filled by `lua_getstack` and
        // `lua_getinfo`, whose strings are valid until the call ends.
        unsafe {
            let mut info: ffi::lua_Debug = std::mem::zeroed();
            if ffi::lua_getstack(self.raw(), 0, &raw mut info) == 0 {
                return ("?".to_owned(), false);
            }
            ffi::lua_getinfo(self.raw(), c"n".as_ptr(), &raw mut info);
            if info.name.is_null() {
                return ("?".to_owned(), false);
            }
            let name = CStr::from_ptr(info.name).to_string_lossy().into_owned();
            (name, CStr::from_ptr(info.namewhat) == c"method")
        }
    }

    /// Where the code is that has called the running function, or the function that called that, if that is a native
    /// one.
    pub(crate) fn caller(&self) -> Option<Place> {
        // SAFETY: as in `running_name`; `source` is never null.
        unsafe {
            for level in 1..=2 {
                let mut info: ffi::lua_Debug = std::mem::zeroed();
                if ffi::lua_getstack(self.raw(), level, &raw mut info) == 0 {
                    return None;
                }
                ffi::lua_getinfo(self.raw(), c"Sl".as_ptr(), &raw mut info);
                if level == 2 || CStr::from_ptr(info.what) != c"C" {
                    let source = CStr::from_ptr(info.source).to_bytes().to_vec();
                    return Some(Place { source, line: info.currentline });
                }
            }
            None
        }
    }
}

impl Name {
    /// The reference of the first name.
    const FIRST: c_int = 1;
}

/// There is no room on the Lua stack.
#[derive(Debug)]
pub(crate) struct StackFull;

fn failure(status: c_int) -> Result<(), Failure> {
    match status {
        ffi::LUA_OK => Ok(()),
        ffi::LUA_ERRMEM => Err(Failure::Memory),
        _ => Err(Failure::Error),
    }
}

/// What C strings are made of.
const _: () = assert!(size_of::<c_char>() == 1);
