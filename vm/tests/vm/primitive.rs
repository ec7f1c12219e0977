//! Every primitive, with whatever receiver and arguments: any program may name any of them in a method
//! of its own, so they check both.

use twintalk_bytecode::Image;
use twintalk_vm::primitives::TABLES;
use twintalk_vm::symbol::argument_count;
use twintalk_vm::{Limits, Value, Vm};

use crate::program::{compiled, kernel};

/// Values of every kind.
const VALUES: &str = "
    Thing = ( | a b | )
    MyError = Error ( | more | )
    {nil. true. 1. 0. -7. 4611686018427387903. 2.5. 1.0e300. 123456789012345678901234567890. 3.50s2. $a. 'text'. ''.
     'tëxt'. #value:. #(1 two $c). {1. 'two'. 3.0}. {}. #[1 2 3]. [ 5 ]. [ :x | x ]. Thing new. Thing. ZeroDivide new.
     MyError new. ZeroDivide. Array. String. Integer. Block. Message new. ExceptionSet new. TwinReference new. Promise new.
     Object. Twin. Exception}";

fn image() -> &'static Image {
    static IMAGE: std::sync::OnceLock<Image> = std::sync::OnceLock::new();
    IMAGE.get_or_init(|| compiled("values.twin", VALUES, &[kernel()]))
}

fn values(vm: &mut Vm) -> Vec<Value> {
    let array = vm.run_main(&mut String::new()).expect("makes the values");
    vm.array_elements(array).expect("an array").to_vec()
}

#[test]
fn every_primitive_survives_every_receiver_and_argument() {
    let mut vm = Vm::link(&[kernel(), image()]).expect("links");
    vm.set_limits(Limits { fuel: 100_000, memory_bytes: 8 << 20 });
    let mut random = 0x9e37_79b9_7f4a_7c15u64;
    for &(name, primitive) in TABLES.iter().flat_map(|table| table.iter()) {
        let selector = name.rsplit_once('.').map_or(name, |(_, selector)| selector);
        let count = argument_count(selector);
        let kinds = values(&mut vm).len();
        for receiver in 0..kinds {
            for round in 0..if count == 0 { 1 } else { 12 } {
                vm.set_stress(round % 4 == 3);
                let all = values(&mut vm);
                let mut chosen = vec![all[receiver]];
                for _ in 0..count {
                    random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
                    chosen.push(all[(random >> 33) as usize % kinds]);
                }
                let _ = vm.run_primitive(primitive, &chosen, &mut String::new());
            }
        }
    }
}
