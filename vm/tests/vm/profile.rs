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
    let profile =
        profile(1, "object A = ( spin = ( 1 to: 10 do: [ :i | i ] ) rest = ( ^1 + 1 ) ) A new spin. A new rest.");
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

#[test]
fn a_block_that_is_not_inlined_is_a_function_of_its_own() {
    let profile =
        profile_on_kernel(1, "object A = ( run = ( ^#(1 2 3 4) inject: 0 into: [ :a :b | a + b ] ) ) A new run.");
    assert_eq!(calls(&profile, "A>>run block"), 4.0);
    assert_eq!(weights(&profile)[1], row("A>>run block", 4, 4));
}

#[test]
fn an_exception_leaves_samples_where_they_fell() {
    let text = "
        object A = (
          fail: n = ( 1 to: 20 do: [ :i | i ]. n = 0 ifTrue: [ ^self error: 'here' ]. ^self fail: n - 1 )
          run = ( ^[ self fail: 3 ] on: Error do: [ :e | 1 to: 50 do: [ :i | i ]. e return: 7 ] )
          again = ( | n | n := 0.
            ^[ n := n + 1. n < 3 ifTrue: [ self error: 'more' ]. n ] on: Error do: [ :e | e retry ] )
          safe = ( ^[ 1 to: 30 do: [ :i | i ] ] ensure: [ 1 to: 40 do: [ :i | i ] ] )
        )
        {A new run. A new again. A new safe}.";
    let profile = profile_on_kernel(1, text);
    assert_eq!((calls(&profile, "A>>fail:"), calls(&profile, "A>>run"), calls(&profile, "A>>safe")), (4.0, 1.0, 1.0));
    let rows = weights(&profile);
    let of = |name: &str| rows.iter().find(|(found, ..)| found == name).map(|(_, own, total)| (*own, *total));
    // 4 activations with 20 rounds each.
    assert_eq!(of("A>>fail:").map(|(own, _)| own), Some(84));
    let rounds: f64 = profile.loops.iter().map(|head| head.rounds).sum();
    assert_eq!(rounds, 80.0 + 50.0 + 30.0 + 40.0);
    assert!(of("A>>run").is_some_and(|(_, total)| total >= 84 + 50), "{rows:?}");
}

#[test]
fn a_deep_stack_keeps_its_ends() {
    let text = "object A = ( down: n = ( n = 0 ifFalse: [ self down: n - 1 ] ) ) A new down: 50000.";
    let profile = profile(1000, text);
    assert_eq!(calls(&profile, "A>>down:"), 50_001.0);
    let deepest = profile.samples.iter().map(|sample| profile.stack(sample.node).len()).max();
    assert!(deepest.is_some_and(|depth| (1000..1100).contains(&depth)), "{deepest:?}");
    let gap =
        profile.functions.iter().position(|function| function.kind == FunctionKind::Gap).expect("one is left out");
    assert!(profile.shares()[gap].total > 40_000);
    assert_eq!(weights(&profile), [row("A>>down:", 50_000, 50_000), row("main", 0, 50_000)]);
}

#[test]
fn a_primitive_has_the_fuel_that_it_takes() {
    let text = "object A = ( run = ( | a | a := Array new: 50000. ^a copyFrom: 1 to: 40000 ) ) A new run.";
    let profile = profile_on_kernel(1, text);
    let shares = profile.shares();
    let primitive = |(function, _): &(&twintalk_vm::profile::Function, twintalk_vm::profile::Share)| {
        function.kind == FunctionKind::Primitive
    };
    let own: u64 = profile.functions.iter().zip(shares).filter(primitive).map(|(_, share)| share.own).sum();
    assert!(own * 10 > profile.weight() * 9, "{own} of {}", profile.weight());
}

#[test]
fn allocation_is_counted_where_it_happens() {
    let text = "
        object P = ( | x y | )
        object A = (
          run = (
            1 to: 100 do: [ :i | P new ].
            1 to: 10 do: [ :i | Array new: 1000 ].
          ) )
        A new run.";
    let profile = profile_on_kernel(1000, text);
    let made: Vec<(Option<&str>, Option<u32>, f64, f64)> = profile
        .allocations
        .iter()
        .map(|made| {
            let line = profile.spots[made.spot].line.map(|(line, _)| line);
            (made.prototype.as_deref(), line, made.objects, made.bytes)
        })
        .collect();
    assert_eq!(made[0], (Some("Array"), Some(6), 10.0, 80_160.0));
    assert_eq!(made[1], (Some("P"), Some(5), 100.0, 2_400.0));
    let all: f64 = profile.allocations.iter().map(|made| made.bytes).sum();
    assert_eq!(all, profile.allocated_bytes as f64);
}

#[test]
fn a_profile_changes_nothing_but_time() {
    let text = "| list | list := List new. 1 to: 500 do: [ :i | list add: i printString ]. ^list inject: '' into: [ :a :b | a , b ]";
    let image = compiled("test.twin", text, &[whole_kernel()]);
    let run = |profiled: bool| {
        let mut vm = Vm::link(&[whole_kernel(), &image]).expect("links");
        vm.set_limits(Limits { fuel: 10_000_000, memory_bytes: 16 << 20 });
        vm.set_stress(true);
        if profiled {
            vm.start_profile(Pace::Fuel(NonZeroU64::MIN));
        }
        let answer = vm.run_main(&mut String::new()).map(|value| vm.as_text(value).map(str::to_owned));
        (answer, vm.take_profile().is_some())
    };
    assert_eq!(run(true).0, run(false).0);
    assert_eq!(profile_on_kernel(7, text), profile_on_kernel(7, text));
}

#[test]
fn a_request_is_a_sample() {
    // All profiles by request share the time, so this is the one test that asks.
    let text = "object A = ( spin = ( 1 to: 30000000 do: [ :i | i ] ) ) A new spin.";
    let mut vm = link(text);
    vm.set_limits(Limits { fuel: i64::MAX, memory_bytes: 16 << 20 });
    vm.start_profile(Pace::Requests);
    let stop = std::sync::Arc::new(std::sync::atomic::AtomicBool::new(false));
    let asking = stop.clone();
    let thread = std::thread::spawn(move || {
        let mut now = 0;
        while !asking.load(std::sync::atomic::Ordering::Relaxed) {
            now += 1000;
            twintalk_vm::profile::request(now);
            std::thread::sleep(std::time::Duration::from_millis(1));
        }
    });
    vm.run_main(&mut String::new()).expect("runs");
    stop.store(true, std::sync::atomic::Ordering::Relaxed);
    thread.join().expect("ends");
    let profile = vm.take_profile().expect("one was started");
    assert!(profile.samples.len() > 5, "{}", profile.samples.len());
    let spin = profile.functions.iter().position(|function| function.name == "A>>spin").expect("it was sampled");
    assert!(profile.shares()[spin].own * 10 > profile.weight() * 9);
    let rounds: f64 = profile.loops.iter().map(|head| head.rounds).sum();
    assert!((20e6..40e6).contains(&rounds), "{rounds}");
    // Nothing looks any more, and a request that comes late finds nobody.
    twintalk_vm::profile::request(u64::MAX / 2);
    assert!(vm.run_main(&mut String::new()).is_ok());
    assert_eq!(vm.take_profile(), None);
}
