//! How a run ends before its time: it is told to stop, or what it runs panics.

use std::{
    cell::{Cell, RefCell},
    panic::{self, AssertUnwindSafe},
    sync::{
        Arc, Once,
        atomic::{AtomicBool, Ordering},
    },
};

/// Tells a run to stop. A run that is never told is a function of scenario and seed.
#[derive(Clone, Debug, Default)]
pub struct Stop(Arc<AtomicBool>);

impl Stop {
    /// Stops the run at its next event.
    pub fn now(&self) {
        self.0.store(true, Ordering::Relaxed);
    }

    /// Whether the run was told.
    #[must_use]
    pub fn is_told(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }
}

/// Why a run ended early.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CutShort {
    /// It was told to.
    Told,
    /// The code that it runs panicked: where, and with what message.
    Panicked(String),
}

thread_local! {
    /// Whether this thread is inside a guard.
    static GUARDED: Cell<bool> = const { Cell::new(false) };
    static PANIC: RefCell<Option<String>> = const { RefCell::new(None) };
}

/// Runs `step`; a panic in it is an error that says where.
///
/// What `step` changes must not be used afterwards but to describe how far it got.
///
/// # Errors
///
/// If it panics.
pub fn guarded<T>(step: impl FnOnce() -> T) -> Result<T, CutShort> {
    static HOOK: Once = Once::new();
    HOOK.call_once(|| {
        let others = panic::take_hook();
        panic::set_hook(Box::new(move |info| {
            if GUARDED.get() {
                PANIC.replace(Some(info.to_string().replace('\n', " ")));
            } else {
                others(info);
            }
        }));
    });
    let outer = GUARDED.replace(true);
    let result = panic::catch_unwind(AssertUnwindSafe(step));
    GUARDED.set(outer);
    result.map_err(|payload| {
        let message = payload.downcast_ref::<&str>().copied().unwrap_or("it panicked");
        CutShort::Panicked(PANIC.take().unwrap_or_else(|| message.into()))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_panic_is_told_with_its_place() {
        let Err(CutShort::Panicked(what)) = guarded(|| panic!("no such height")) else { panic!() };
        assert!(what.contains("world/guard.rs:") && what.contains("no such height"), "{what}");
        assert_eq!(guarded(|| 7), Ok(7));
    }
}
