//! Profiles: samples fall where the fuel goes, and counts are exact when every instruction is looked at.

use std::num::NonZeroU64;

use twintalk_vm::profile::{FunctionKind, Pace, Profile, SiteState};
use twintalk_vm::{Limits, Vm};

use crate::program::{compiled, link, whole_kernel};

/// A profile of a program on the smallest kernel, with a sample whenever so much fuel is spent.
fn profile(every: u64, text: &str) -> Profile {
    profile_of(link(text), every)
}

/// The same on the kernel that TwinTalk comes with.
fn profile_on_kernel(every: u64, text: &str) -> Profile {
    let image = compiled("test.twin", text, &[whole_kernel()]);
    profile_of(Vm::link(&[whole_kernel(), &image]).unwrap_or_else(|error| panic!("{text}\n{error}")), every)
}

fn profile_of(mut vm: Vm, every: u64) -> Profile {
    vm.set_limits(Limits { fuel: 10_000_000, memory_bytes: 16 << 20 });
    vm.start_profile(Pace::Fuel(NonZeroU64::new(every).expect("not zero")));
    // A fault is no reason to lose what was seen.
    let _ = vm.run_main(&mut String::new());
    vm.take_profile().expect("one was started")
}

/// Own and total weight of the functions of the program, by name.
fn weights(profile: &Profile) -> Vec<(String, u64, u64)> {
    let shares = profile.shares();
    let functions = profile.functions.iter().zip(shares).filter(|(_, share)| share.total > 0);
    let mut rows: Vec<(String, u64, u64)> = functions
        .filter(|(function, _)| function.kind == FunctionKind::Program)
        .map(|(function, share)| (function.name.clone(), share.own, share.total))
        .collect();
    rows.sort();
    rows
}

fn calls(profile: &Profile, name: &str) -> f64 {
    profile.functions.iter().filter(|function| function.name == name).map(|function| function.calls).sum()
}

fn row(name: &str, own: u64, total: u64) -> (String, u64, u64) {
    (name.to_owned(), own, total)
}

#[test]
fn samples_fall_on_the_method_that_spends_the_fuel() {
    // A sample at every unit: one for each activation, one for each round of a loop.
    let profile = profile(1, "object A = ( spin = ( 1 to: 10 do: [ :i | i ] ) rest = ( ^1 ) ) A new spin. A new rest.");
    assert_eq!(weights(&profile), [row("A>>rest", 1, 1), row("A>>spin", 11, 11), row("main", 0, 12)]);
}

#[test]
fn send_sites_widen_as_they_see_more() {
    let profile = profile(
        1000,
        "A = ( it = ( ^1 ) )  B = ( it = ( ^2 ) )
         Asker = ( one = ( ^A new it ) ask: x = ( ^x it ) none = ( ^A new it ) )
         | asker | asker := Asker new. asker one. asker ask: A new. asker ask: B new. asker ask: A new",
    );
    let of = |method: &str| {
        let sites = profile.sites.iter().filter(|site| site.selector == "it");
        let mut here = sites.filter(|site| profile.functions[profile.spots[site.spot].function].name == method);
        here.next().map(|site| (site.state, site.sends, site.misses, site.receivers.clone()))
    };
    let receivers = |rows: &[(&str, f64)]| rows.iter().map(|(name, times)| ((*name).to_owned(), *times)).collect();
    assert_eq!(of("Asker>>one"), Some((SiteState::Monomorphic, 1.0, 1, receivers(&[("A", 1.0)]))));
    assert_eq!(of("Asker>>ask:"), Some((SiteState::Polymorphic, 3.0, 3, receivers(&[("A", 2.0), ("B", 1.0)]))));
    assert_eq!(of("Asker>>none"), None);
}

#[test]
fn a_method_on_the_stack_twice_counts_once_in_total() {
    let profile = profile_on_kernel(
        1,
        "object A = ( fib: n = ( n < 2 ifTrue: [ ^n ]. ^(self fib: n - 1) + (self fib: n - 2) ) ) A new fib: 10.",
    );
    assert_eq!(calls(&profile, "A>>fib:"), 177.0);
    assert_eq!(weights(&profile), [row("A>>fib:", 177, 177), row("main", 0, 177)]);
}

#[test]
fn a_sample_knows_its_line() {
    let profile = profile(
        1,
        "object A = (
           run = (
             1 to: 5 do: [ :i | i ].
             1 to: 7 do: [ :i |
               i ]. ) )
         A new run.",
    );
    let shares = profile.shares_of_spots();
    let mut lines: Vec<(u32, u64)> = Vec::new();
    for (spot, share) in profile.spots.iter().zip(shares).filter(|(_, share)| share.own > 0) {
        let (line, _) = spot.line.expect("the program has a map of its source");
        match lines.iter_mut().find(|(known, _)| *known == line) {
            Some((_, sum)) => *sum += share.own,
            None => lines.push((line, share.own)),
        }
    }
    lines.sort_unstable();
    // The activation and five rounds fall on the head of the first loop.
    assert_eq!(lines, [(3, 6), (4, 7)]);
    let rounds: Vec<(Option<u32>, f64)> =
        profile.loops.iter().map(|head| (profile.spots[head.spot].line.map(|(line, _)| line), head.rounds)).collect();
    assert_eq!(rounds, [(Some(4), 7.0), (Some(3), 5.0)]);
}
