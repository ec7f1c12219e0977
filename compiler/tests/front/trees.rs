//! What the tree of each construct is.

use expect_test::{Expect, expect};

use crate::print::tree;

fn check(text: &str, expected: Expect) {
    expected.assert_eq(&tree(text));
}

#[test]
fn the_example_of_the_design() {
    check(
        include_str!("fixtures/tank.twin"),
        expect![[r#"
        (trait Alarmed
          (slot alarms <- (send new List))
          (event alarm: aSymbol)
          (method raise: aSymbol (send add: alarms aSymbol) (send emit:with: self #alarm: aSymbol)))
        (twin Pump
          (slot maxRpm = 3600 "= makes a constant, <- a slot")
          (slot rpm <Integer "rev/min" (min: 0) (max: 3600)> <- 0)
          (method start (send rpm: self 1500))
          (method rpm: target (send ifTrue: (send > target maxRpm) [(^ (send fault: self "over speed"))]) (:= rpm target) (send inflow: (send parent self) (send flow self)))
          (query method flow (^ (send * rpm 0.02))))
        (twin Tank Twin +Alarmed
          (slot level <Float m3> <- 0.0)
          (slot capacity <- 100.0)
          (slot readings <(keep: 30 days)> <- (send new Series))
          (method created (send part:of: self "pump-1" Pump))
          (method inflow: rate (send ifTrue: (send > (send + level rate) capacity) [(^ (send raise: self #overflow))]) (:= level (send + level rate)) (send add: readings level))
          (timer check every (send seconds 10) (send ifTrue: (send anySatisfy: (send parts self) [:p (send > (send rpm p) 3000)]) [(far warn: (send at: Fleet "fleet-1") self)]))
          (invariant plausible (send between:and: level 0 capacity))
          (version 2)
          (migrate 1 (:= level (send / (send oldSlot: self #litres) 1000))))
        (variables tank)
        (:= tank (send ensure: Tank "tank-1"))
        (send start (send part: tank "pump-1"))
        (send printNl (send level tank))
    "#]],
    );
}

#[test]
fn a_program_in_the_plain_form() {
    check(
        include_str!("fixtures/Plain.som"),
        expect![[r#"
        (plain Plain Object
          (slot first)
          (slot second)
          (slot total)
          (method first (^ first))
          (method first:second: f s (:= first f) (:= second s))
          (method + other "binary methods" (^ (send with:with: Plain (send + first (send first other)) -1)))
          (method && block (^ (send value block)))
          (method || block (^ (send value block)))
          (method ==> other (^ self))
          (method - other (^ (send - first 1)))
          (method run |t block| (:= t 3) (:= block [:x :y |z| (:= z (send + x y)) z]) (:= block [:x x]) (send to:do: 1 10 [:i (:= t (send + t i))]) (send do: #(1 -2 $a #foo #bar #at:put: #"+" #(1 2) #(3) nil true false "it's") [:e (send print e)]) (send whileTrue: [(send > t 3)] [(:= t (send - t 1))]) (^ #at:put:))
          (method hash primitive)
          (method at:put: index value primitive)
          ----
          (slot count)
          (method new (:= count (send + count 1)) (^ (send new super)))
          (method with:with: a b (^ (send first:second: (send new self) a b))))
    "#]],
    );
}
