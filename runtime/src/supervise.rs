//! What becomes of a message whose turn failed: a pure function of the policy and of what failed before.
//!
//! A message is tried again after a wait that doubles with each attempt, up to a limit. It is given up when it was
//! tried again as often as the policy says, or, where the policy has a window, when its twin has failed more often than
//! that within it, whatever the messages were: restart intensity, as supervisors in Erlang/OTP have it.
//!
//! Invariants: waits are at least the first and at most the longest that the policy names, and never shrink from attempt
//! to attempt; a message is tried at most once more often than the policy's count says.

use twintalk_bytecode::image::{GivingUp, Retry, Supervision};

/// What becomes of a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Decision {
    /// It is tried again then, in nanoseconds since 1970.
    TryAgain { due_ns: i64 },
    /// It is not.
    GiveUp(GivingUp),
}

/// When a twin failed within its policy's window, oldest first.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Failures(pub Vec<i64>);

impl Failures {
    /// Forgets those before the window that ends at `now_ns`.
    pub fn forget(&mut self, within_ns: i64, now_ns: i64) {
        let start_ns = now_ns.saturating_sub(within_ns);
        self.0.retain(|&time_ns| time_ns > start_ns);
    }
}

/// What becomes of a message that has failed `attempts` times, this one included, at `now_ns`; `failures` are those of its
/// twin, and get this one.
pub(crate) fn decide(policy: &Supervision, attempts: u32, failures: &mut Failures, now_ns: i64) -> Decision {
    let Some(retry) = &policy.retry else {
        failures.0.clear();
        return Decision::GiveUp(policy.then);
    };
    let too_often = match retry.within_ns {
        Some(within_ns) => {
            failures.forget(within_ns, now_ns);
            failures.0.push(now_ns);
            // More than one too many says nothing more.
            let spare = failures.0.len().saturating_sub(retry.count as usize + 1);
            failures.0.drain(..spare);
            failures.0.len() > retry.count as usize
        }
        None => {
            failures.0.clear();
            false
        }
    };
    if too_often || attempts > retry.count {
        return Decision::GiveUp(policy.then);
    }
    Decision::TryAgain { due_ns: now_ns.saturating_add(wait_ns(retry, attempts)) }
}

/// How long is waited after the `attempts`th attempt, counted from 1.
pub(crate) fn wait_ns(retry: &Retry, attempts: u32) -> i64 {
    let doublings = attempts.saturating_sub(1).min(62);
    retry.after_ns.saturating_mul(1 << doublings).min(retry.up_to_ns)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const SECOND: i64 = 1_000_000_000;

    fn retry(count: u32, within_ns: Option<i64>) -> Supervision {
        let retry = Retry { count, after_ns: SECOND, up_to_ns: 5 * SECOND, within_ns };
        Supervision { retry: Some(retry), then: GivingUp::Quarantine }
    }

    /// What becomes of a message that fails each time it is tried, with nothing lost between: when it is tried again,
    /// in seconds after it came, and in the end what.
    fn story(policy: &Supervision, failures: &mut Failures, start_ns: i64) -> (Vec<i64>, GivingUp) {
        let (mut now_ns, mut tried) = (start_ns, Vec::new());
        for attempts in 1.. {
            match decide(policy, attempts, failures, now_ns) {
                Decision::TryAgain { due_ns } => {
                    now_ns = due_ns;
                    tried.push((due_ns - start_ns) / SECOND);
                }
                Decision::GiveUp(then) => return (tried, then),
            }
        }
        unreachable!("each message is given up at some time")
    }

    #[test]
    fn waits_double_up_to_a_limit() {
        let told = story(&retry(5, None), &mut Failures::default(), 0);
        assert_eq!(told, (vec![1, 3, 7, 12, 17], GivingUp::Quarantine));
    }

    #[test]
    fn without_retry_a_message_is_given_up_at_once() {
        for then in [GivingUp::DeadLetter, GivingUp::Quarantine, GivingUp::Escalate] {
            let told = story(&Supervision { retry: None, then }, &mut Failures::default(), 0);
            assert_eq!(told, (vec![], then));
        }
    }

    #[test]
    fn failures_of_all_messages_within_the_window_count() {
        let (policy, mut failures) = (retry(3, Some(60 * SECOND)), Failures::default());
        assert_eq!(story(&policy, &mut failures, 0).0, [1, 3, 7]);
        // Four failures are in the window, so the next message is not tried again.
        assert!(story(&policy, &mut failures, 10 * SECOND).0.is_empty());
        // Behind the window all is as it was.
        assert_eq!(story(&policy, &mut failures, 100 * SECOND).0, [1, 3, 7]);
    }

    #[test]
    fn a_slow_message_is_given_up_although_the_window_is_short() {
        let told = story(&retry(4, Some(SECOND)), &mut Failures::default(), 0);
        assert_eq!(told.0.len(), 4);
    }

    proptest! {
        #[test]
        fn every_message_is_given_up_after_its_count(
            count in 1u32..=1000,
            after_ns in 1i64..i64::MAX,
            more_ns in 0i64..i64::MAX,
            within_ns in proptest::option::of(1i64..i64::MAX),
            start_ns in any::<i64>(),
        ) {
            let up_to_ns = after_ns.saturating_add(more_ns);
            let retry = Retry { count, after_ns, up_to_ns, within_ns };
            let policy = Supervision { retry: Some(retry), then: GivingUp::Escalate };
            let (mut now_ns, mut failures, mut last_ns) = (start_ns, Failures::default(), after_ns);
            for attempts in 1..=count + 1 {
                match decide(&policy, attempts, &mut failures, now_ns) {
                    Decision::TryAgain { due_ns } => {
                        prop_assert!(attempts <= count && due_ns >= now_ns);
                        let wait_ns = wait_ns(&retry, attempts);
                        prop_assert!((last_ns..=up_to_ns).contains(&wait_ns));
                        prop_assert!(failures.0.len() <= count as usize);
                        (now_ns, last_ns) = (due_ns, wait_ns);
                    }
                    Decision::GiveUp(then) => {
                        prop_assert_eq!(then, GivingUp::Escalate);
                        prop_assert!(attempts == count + 1 || within_ns.is_some());
                        return Ok(());
                    }
                }
            }
            prop_assert!(false, "it was tried too often");
        }

        #[test]
        fn what_is_remembered_is_within_the_window(
            times in proptest::collection::vec(0i64..1000, 1..50),
            count in 1u32..10,
            within_ns in 1i64..100,
        ) {
            let mut times = times;
            times.sort_unstable();
            let retry = Retry { count, after_ns: 1, up_to_ns: 1, within_ns: Some(within_ns) };
            let policy = Supervision { retry: Some(retry), then: GivingUp::DeadLetter };
            let mut failures = Failures::default();
            for (nth, &now_ns) in times.iter().enumerate() {
                let decision = decide(&policy, 1, &mut failures, now_ns);
                let within = times[..=nth].iter().filter(|&&time_ns| time_ns > now_ns - within_ns).count();
                prop_assert_eq!(failures.0.len(), within.min(count as usize + 1));
                prop_assert_eq!(decision == Decision::GiveUp(GivingUp::DeadLetter), within > count as usize);
            }
        }
    }
}
