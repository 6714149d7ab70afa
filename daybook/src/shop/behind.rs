//! Where what follows the log runs.

use anyhow::{Context, Result};
use tokio::runtime::{Builder, Runtime};

/// Threads of their own for what follows the log. A step of a follower folds hundreds of events at once; on the threads
/// that answer callers each of them would wait for it, and by priority only the kernel can tell them apart.
pub(super) struct Behind(Option<Runtime>);

/// What a caller waits for gets a core about three times as often as what follows. It is not much, for what follows
/// holds locks that others want.
const NICE: i32 = 5;

impl Behind {
    pub(super) fn start() -> Result<Self> {
        let runtime = Builder::new_multi_thread()
            .enable_all()
            .thread_name("behind")
            .on_thread_start(|| {
                // Of this thread alone, as Linux has it. Where it is not allowed all are served alike.
                let _ = rustix::process::setpriority_process(None, NICE);
            })
            .build();
        Ok(Self(Some(runtime.context("threads for what follows the log")?)))
    }

    /// What `start` spawns is spawned there.
    pub(super) fn spawns<T>(&self, start: impl FnOnce() -> T) -> T {
        let _there = self.0.as_ref().map(Runtime::enter);
        start()
    }
}

impl Drop for Behind {
    fn drop(&mut self) {
        if let Some(runtime) = self.0.take() {
            // Nothing is waited for: whoever drops this may be a task himself.
            runtime.shutdown_background();
        }
    }
}
