//! Test support: a clock that moves on command, and a wire that counts outside calls and cuts them.

use std::iter;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use aws_smithy_runtime_api::box_error::BoxError;
use aws_smithy_runtime_api::client::interceptors::Intercept;
use aws_smithy_runtime_api::client::interceptors::context::{
    BeforeDeserializationInterceptorContextRef, BeforeTransmitInterceptorContextRef,
};
use aws_smithy_runtime_api::client::runtime_components::RuntimeComponents;
use aws_smithy_types::config_bag::ConfigBag;

use crate::clock::{Clock, Millis};
use crate::outbound::CallHook;

/// A clock that moves only on command.
pub struct FixedClock(AtomicI64);

impl FixedClock {
    /// Creates a clock that shows `now`.
    #[must_use]
    pub fn at(now: Millis) -> Arc<Self> {
        Arc::new(Self(AtomicI64::new(now.0)))
    }

    /// Moves it forward by so many seconds.
    pub fn advance(&self, seconds: i64) {
        self.0.fetch_add(seconds * 1000, Ordering::SeqCst);
    }
}

impl Clock for FixedClock {
    fn now(&self) -> Millis {
        Millis(self.0.load(Ordering::SeqCst))
    }
}

/// The point at which a process dies.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cut {
    /// Just before its n-th outside call (from 0).
    Before(usize),
    /// Just after its n-th outside call took effect, before it saw the answer.
    After(usize),
}

impl Cut {
    /// The deaths of a process that differ: before its first call, then after each call. A death before a
    /// later call leaves the state that a death after the call in front of it leaves.
    pub fn each() -> impl Iterator<Item = Self> {
        iter::once(Self::Before(0)).chain((0..).map(Self::After))
    }
}

/// Watches every call to AWS and to the outside, and can cut the process off from all of them at one point.
/// From there on nothing that it does has an effect, as if it had died.
#[derive(Default)]
pub struct Tripwire {
    calls: AtomicUsize,
    dead: AtomicBool,
    cut: Mutex<Option<Cut>>,
    aws: AtomicUsize,
    outside: AtomicUsize,
    span: Mutex<Option<(Instant, Instant)>>,
}

impl Tripwire {
    /// A wire that only counts.
    #[must_use]
    pub fn new() -> Arc<Self> {
        Arc::default()
    }

    /// A wire that cuts at a point.
    #[must_use]
    pub fn cutting(cut: Cut) -> Arc<Self> {
        Arc::new(Self {
            cut: Mutex::new(Some(cut)),
            ..Self::default()
        })
    }

    /// True if the cut was reached.
    #[must_use]
    pub fn has_cut(&self) -> bool {
        self.dead.load(Ordering::SeqCst)
    }

    /// Calls to AWS so far.
    #[must_use]
    pub fn aws_calls(&self) -> usize {
        self.aws.load(Ordering::SeqCst)
    }

    /// Calls to providers so far.
    #[must_use]
    pub fn outside_calls(&self) -> usize {
        self.outside.load(Ordering::SeqCst)
    }

    /// Start and end of the period of calls to providers, on the machine's own clock.
    #[must_use]
    pub fn span(&self) -> Option<(Instant, Instant)> {
        *self.span.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn stretch(&self) {
        let now = Instant::now();
        let mut span = self.span.lock().unwrap_or_else(PoisonError::into_inner);
        *span = Some((span.map_or(now, |(first, _)| first), now));
    }

    /// Resets the counts.
    pub fn reset(&self) {
        self.aws.store(0, Ordering::SeqCst);
        self.outside.store(0, Ordering::SeqCst);
    }

    fn cut(&self) -> Option<Cut> {
        *self.cut.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn enter(&self, counter: &AtomicUsize) -> bool {
        if self.has_cut() {
            return false;
        }
        let index = self.calls.fetch_add(1, Ordering::SeqCst);
        if self.cut() == Some(Cut::Before(index)) {
            self.dead.store(true, Ordering::SeqCst);
            return false;
        }
        counter.fetch_add(1, Ordering::SeqCst);
        true
    }

    fn leave(&self) -> bool {
        let index = self.calls.load(Ordering::SeqCst).saturating_sub(1);
        // Of simultaneous calls the n-th may not be the one that is answered next.
        if matches!(self.cut(), Some(Cut::After(n)) if index >= n) {
            self.dead.store(true, Ordering::SeqCst);
        }
        !self.has_cut()
    }
}

impl CallHook for Tripwire {
    fn before(&self) -> bool {
        let entered = self.enter(&self.outside);
        if entered {
            self.stretch();
        }
        entered
    }

    fn after(&self) -> bool {
        self.stretch();
        self.leave()
    }
}

/// A tripwire on an AWS client: `Config::builder().interceptor(OnAws(wire))`.
#[derive(Clone)]
pub struct OnAws(pub Arc<Tripwire>);

impl std::fmt::Debug for OnAws {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("OnAws")
    }
}

impl Intercept for OnAws {
    fn name(&self) -> &'static str {
        "Tripwire"
    }

    fn read_before_transmit(
        &self,
        _context: &BeforeTransmitInterceptorContextRef<'_>,
        _components: &RuntimeComponents,
        _config: &mut ConfigBag,
    ) -> Result<(), BoxError> {
        if self.0.enter(&self.0.aws) {
            Ok(())
        } else {
            Err("cut before the call".into())
        }
    }

    fn read_after_transmit(
        &self,
        _context: &BeforeDeserializationInterceptorContextRef<'_>,
        _components: &RuntimeComponents,
        _config: &mut ConfigBag,
    ) -> Result<(), BoxError> {
        if self.0.leave() {
            Ok(())
        } else {
            Err("cut after the call".into())
        }
    }
}
