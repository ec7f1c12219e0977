//! Every primitive, with whatever receiver and arguments: any program may name any of them in a method
//! of its own, so they check both.

use twintalk_bytecode::Image;
use twintalk_vm::primitives::TABLES;
use twintalk_vm::symbol::argument_count;
use twintalk_vm::{Limits, Value, Vm};

use crate::program::{compiled, kernel, whole_kernel};

/// Values of every kind.
const VALUES: (&str, &str) = (
    "Thing = ( | a b | ) MyError = Error ( | more | )",
    "{nil. true. 1. 0. -7. 4611686018427387903. 2.5. 1.0e300. 123456789012345678901234567890. 3.50s2. $a. 'text'. ''.
     'tëxt'. #value:. #(1 two $c). {1. 'two'. 3.0}. {}. #[1 2 3]. [ 5 ]. [ :x | x ]. Thing new. Thing. ZeroDivide new.
     MyError new. ZeroDivide. Array. String. Integer. Block. Message new. ExceptionSet new. TwinReference new. Promise new.
     Object. Twin. Exception}",
);

/// More of them, on the whole kernel.
const MORE_VALUES: &str = "
    {List new. (List new add: 1; add: 2; yourself). Twig new. Dictionary new. (Dictionary new at: 1 put: 2; yourself).
     (Set new add: 3; yourself). Bag new. WriteStream new. ReadStream new. (ReadStream on: #(1 2 3)).
     (ReadStream on: 'text'). 3 / 4. 5 seconds. Random new. List. Dictionary. (1 to: 5). DateTime. Clock. Transcript.
     List basicNew. Dictionary basicNew. Set basicNew. ReadStream basicNew. WriteStream basicNew. Interval basicNew.
     Association new. SortedList new. Fraction basicNew. ScaledDecimal basicNew. ExceptionSet basicNew. 1.5 copy.
     'text' copy. #(1 2) copy. #[1 2] copy. (Array new: 3). (ByteArray new: 3). Series new}";

fn values(vm: &mut Vm) -> Vec<Value> {
    let array = vm.run_main(&mut String::new()).unwrap_or_else(|fault| panic!("{fault}"));
    let halves = vm.array_elements(array).expect("an array").to_vec();
    halves.iter().flat_map(|&half| vm.array_elements(half).expect("an array").to_vec()).collect()
}

/// Runs each primitive `rounds` times with each of the values as receiver.
fn check(kernel: &Image, program: &str, rounds: u32) {
    let image = compiled("values.twin", program, &[kernel]);
    let mut vm = Vm::link(&[kernel, &image]).expect("links");
    vm.set_limits(Limits { fuel: 20_000, memory_bytes: 8 << 20 });
    let mut random = 0x9e37_79b9_7f4a_7c15u64;
    let kinds = values(&mut vm).len();
    for &(name, primitive) in TABLES.iter().flat_map(|table| table.iter()) {
        let selector = name.rsplit_once('.').map_or(name, |(_, selector)| selector);
        let count = argument_count(selector);
        for receiver in 0..kinds {
            for round in 0..if count == 0 { 1 } else { rounds } {
                let all = values(&mut vm);
                let mut chosen = vec![all[receiver]];
                for _ in 0..count {
                    random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
                    chosen.push(all[(random >> 33) as usize % kinds]);
                }
                vm.set_stress(round % 4 == 3);
                let _ = vm.run_primitive(primitive, &chosen, &mut String::new());
                vm.set_stress(false);
            }
        }
    }
}

/// What is left of the fuel after a program, or the kind of the fault that ends it.
fn fuel_left(text: &str, fuel: i64) -> Result<i64, String> {
    let image = compiled("test.twin", text, &[whole_kernel()]);
    let mut vm = Vm::link(&[whole_kernel(), &image]).unwrap_or_else(|error| panic!("{text}\n{error}"));
    vm.set_limits(Limits { fuel, memory_bytes: 16 << 20 });
    match vm.run_main(&mut String::new()) {
        Ok(_) => Ok(vm.fuel_left()),
        Err(fault) => Err(fault.kind),
    }
}

#[test]
fn what_a_primitive_spends_is_noticed_there() {
    for last in
        ["Array new: 3200", "ByteArray new: 6400", "'aa,bb,cc' split: ','", "(2 raisedTo: 6400) bitCount", "d size"]
    {
        // Nothing is sent after the statement.
        let text = format!("| d | d := Dictionary new. 1 to: 60 do: [ :i | d at: i * 16384 put: i ]. {last}");
        let most = 1_000_000;
        let needed = most - fuel_left(&text, most).expect("enough");
        assert_eq!(fuel_left(&text, needed), Ok(0), "{last}");
        assert_eq!(fuel_left(&text, needed - 1), Err("OutOfFuel".to_owned()), "{last}");
    }
}

#[test]
fn every_primitive_survives_every_receiver_and_argument() {
    check(kernel(), &format!("{} {{{}. {{}}}}", VALUES.0, VALUES.1), 12);
}

#[test]
fn so_it_does_on_the_whole_kernel() {
    check(whole_kernel(), &format!("{} Twig = List ( | more | ) {{{}. {}}}", VALUES.0, VALUES.1, MORE_VALUES), 8);
}
