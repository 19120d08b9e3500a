//! The allocator of a Lua state, and what the state's functions share: found by the allocator's user data.

use std::alloc::{Layout, alloc, dealloc, realloc};
use std::cell::Cell;
use std::ffi::c_void;
use std::ptr::{self, NonNull};

use mlua::ffi;

use crate::host::Session;

/// What all threads of a state share with the Rust side.
pub(super) struct Shared {
    /// Bytes allocated.
    pub(super) used: Cell<usize>,
    /// Bytes that may be allocated while `sheltered` is zero.
    pub(super) limit: Cell<usize>,
    /// How many Rust functions are running that an error must not jump across.
    pub(super) sheltered: Cell<u32>,
    /// On whose behalf the running call is. Valid while it runs.
    pub(super) session: Cell<Option<NonNull<Session<'static>>>>,
    /// The running call is being ended.
    pub(super) stopping: Cell<bool>,
    /// Why.
    pub(super) reason: Cell<&'static str>,
    /// The main thread.
    pub(super) main: Cell<Option<NonNull<ffi::lua_State>>>,
}

impl Shared {
    pub(super) fn new(limit: usize) -> Shared {
        Shared {
            used: Cell::new(0),
            limit: Cell::new(limit),
            sheltered: Cell::new(1),
            session: Cell::new(None),
            stopping: Cell::new(false),
            reason: Cell::new(""),
            main: Cell::new(None),
        }
    }

    /// That of a state.
    ///
    /// # Safety
    /// The state is valid, and was made with [`allocate`] and a `Shared` as its user data.
    #[inline]
    pub(super) unsafe fn of(l: *mut ffi::lua_State) -> *const Shared {
        let mut user = ptr::null_mut();
        // SAFETY: the state is valid.
        unsafe { ffi::lua_getallocf(l, &raw mut user) };
        user.cast_const().cast()
    }
}

/// Alignment of all blocks: that of any Lua object.
const ALIGN: usize = 16;

/// Allocates, resizes and frees for Lua, and counts.
///
/// # Safety
/// `user` is a valid `Shared`; `block` is null or was allocated here with size `old`.
pub(super) unsafe extern "C" fn allocate(
    user: *mut c_void,
    block: *mut c_void,
    old: usize,
    new: usize,
) -> *mut c_void {
    // SAFETY: `user` is a valid `Shared`, which is only used by shared references. Sizes and alignment are those of
    // the allocation; zero sizes never reach the allocator, and Lua's sizes are far below `isize::MAX`.
    unsafe {
        let shared = &*user.cast::<Shared>();
        let used = shared.used.get() - old + new;
        if new == 0 {
            if !block.is_null() && old > 0 {
                dealloc(block.cast(), Layout::from_size_align_unchecked(old, ALIGN));
            }
            shared.used.set(used);
            return ptr::null_mut();
        }
        if new > old && used > shared.limit.get() && shared.sheltered.get() == 0 {
            return ptr::null_mut();
        }
        let Ok(layout) = Layout::from_size_align(new, ALIGN) else { return ptr::null_mut() };
        let moved = if block.is_null() || old == 0 {
            alloc(layout)
        } else {
            realloc(block.cast(), Layout::from_size_align_unchecked(old, ALIGN), new)
        };
        if !moved.is_null() {
            shared.used.set(used);
        } else if shared.sheltered.get() > 0 {
            std::alloc::handle_alloc_error(layout);
        }
        moved.cast()
    }
}
