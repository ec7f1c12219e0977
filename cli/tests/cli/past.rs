//! The verbs that ask about the past, as a user meets them. All times are those of devices.

use expect_test::{Expect, expect};

use crate::folder::Folder;

/// A pump that tells its tank what it pumps; the tank counts what it looks at, and asks the pump.
const PLANT: &str = "
twin Pump = (
  | rpm <- 0. |
  speed: n = (
    rpm := n.
    Tank ensure: 'tank-1'.
    (Tank at: 'tank-1') ! inflow: n / 100; ask
  )
  query flow = ( ^rpm / 100 )
)
twin Gauge = ( | shown <- 0. | show: n = ( shown := n ) )
twin Tank = (
  | level <- 0. log <- List new. flow answer checks <- 0. |
  created = ( self part: 'gauge' of: Gauge )
  inflow: n = (
    level := level + n.
    log add: n.
    flow := (Pump at: 'pump-1') flow.
    level > 22 ifTrue: [ ^(self part: 'gauge') remove ].
    (self part: 'gauge') show: level
  )
  ask = ( ((Pump at: 'pump-1') ! flow) then: [ :f | answer := f ] )
  timer check every: 10 seconds = ( checks := checks + 1 )
)
";

const ROWS: &str = "time,rpm
2024-01-01 00:00:00,1500
2024-01-01 00:00:25,600
2024-01-01 00:00:50,700
";

fn plant() -> Folder {
    let folder = Folder::with(&[("plant.twin", PLANT), ("rows.csv", ROWS)]);
    let fed =
        "feed rows.csv plant.twin --store s --to pump-1 --as Pump --send speed: --args rpm --time time --clock device";
    assert_eq!(folder.run(fed), "");
    folder
}

fn check(words: &[&str], expected: Expect) {
    let folder = plant();
    let mut said = String::new();
    for words in words {
        let answer = folder.run(words);
        // Up to where it sees depends on how rows were grouped for commits.
        let lines = answer.lines().filter(|line| !line.starts_with("! twintalk: the log up to position "));
        said.push_str(&format!("$ {words}\n{}", lines.map(|line| format!("{line}\n")).collect::<String>()));
    }
    expected.assert_eq(&said);
}

// delivery: D12.11
#[test]
fn two_moments_of_a_twin_and_its_parts_differ_in_places() {
    check(
        &[
            "diff tank-1 --from-rev 4 --to-rev 8 --store s",
            "diff tank-1 --from 2024-01-01T00:00:30Z --store s",
            "diff tank-1 --from 2024-01-01T00:00:30Z --to 2024-01-01T00:00:30Z --store s",
            "diff tank-1/gauge --to-rev 4 --store s --json",
            "diff tank-1/gauge --from-rev 4 --store s --json",
        ],
        expect![[r#"
            $ diff tank-1 --from-rev 4 --to-rev 8 --store s
            Tank tank-1, turn 4, 2024-01-01T00:00:00Z -> turn 8, 2024-01-01T00:00:25Z
              level   15 -> 21
              log[2]  + 6
              flow    15 -> 6
              checks  0 -> 2
            Gauge tank-1/gauge, turn 2, 2024-01-01T00:00:00Z -> turn 8, 2024-01-01T00:00:25Z
              shown  15 -> 21
            $ diff tank-1 --from 2024-01-01T00:00:30Z --store s
            Tank tank-1, turn 11, 2024-01-01T00:00:30Z -> turn 17, 2024-01-01T00:00:50Z
              level   21 -> 28
              log[3]  + 7
              flow    6 -> 7
              answer  6 -> 7
              checks  3 -> 5
            Gauge tank-1/gauge, turn 8, 2024-01-01T00:00:25Z -> nothing
              shown  - 21
            $ diff tank-1 --from 2024-01-01T00:00:30Z --to 2024-01-01T00:00:30Z --store s
            $ diff tank-1/gauge --to-rev 4 --store s --json
            {"path":"tank-1/gauge","prototype":"Gauge","from_rev":null,"to_rev":2,"twin":"made"}
            {"path":"tank-1/gauge","prototype":"Gauge","from_rev":null,"to_rev":2,"place":"shown","after":15}
            $ diff tank-1/gauge --from-rev 4 --store s --json
            {"path":"tank-1/gauge","prototype":"Gauge","from_rev":2,"to_rev":null,"twin":"removed"}
            {"path":"tank-1/gauge","prototype":"Gauge","from_rev":2,"to_rev":null,"place":"shown","before":15}
        "#]],
    );
}

// delivery: D12.12
#[test]
fn the_causal_chain_of_a_value_leads_outside() {
    check(
        &[
            "why tank-1 level --store s",
            "why tank-1 level --at 2024-01-01T00:00:30Z --store s",
            "why tank-1 log[1] --store s",
            "why tank-1 answer --rev 5 --store s",
            "why tank-1 checks --store s",
            "why tank-1/gauge --store s",
            "why tank-1/gauge shown --rev 4 --store s --json",
        ],
        expect![[r#"
            $ why tank-1 level --store s
            level of tank-1 is 28
                15  2024-01-01T00:00:50Z  tank-1 inflow: 7  from pump-1
                    level  21 -> 28
                    pump-1, turn 6, answered 7
                 6  2024-01-01T00:00:50Z  pump-1 speed: 700  from rows.csv 3
                    sent that
            $ why tank-1 level --at 2024-01-01T00:00:30Z --store s
            level of tank-1 is 21
                 8  2024-01-01T00:00:25Z  tank-1 inflow: 6  from pump-1
                    level  15 -> 21
                    pump-1, turn 4, answered 6
                 4  2024-01-01T00:00:25Z  pump-1 speed: 600  from rows.csv 2
                    sent that
            $ why tank-1 log[1] --store s
            log[1] of tank-1 is 15
                 2  2024-01-01T00:00:00Z  tank-1 inflow: 15  from pump-1
                    log[1]  + 15
                    pump-1, turn 2, answered 15
                 2  2024-01-01T00:00:00Z  pump-1 speed: 1500  from rows.csv 1
                    sent that
            $ why tank-1 answer --rev 5 --store s
            answer of tank-1 is 15
                 4  2024-01-01T00:00:00Z  tank-1 reply: 15  from <reply of pump-1>
                    answer  nil -> 15
                 3  2024-01-01T00:00:00Z  pump-1 flow  from tank-1
                    gave that reply
                 3  2024-01-01T00:00:00Z  tank-1 ask  from pump-1
                    sent that
                 2  2024-01-01T00:00:00Z  pump-1 speed: 1500  from rows.csv 1
                    sent that
            $ why tank-1 checks --store s
            checks of tank-1 is 5
                13  2024-01-01T00:00:50Z  tank-1 timer: #check 1704067250000000000  from <timer check>
                    checks  4 -> 5
                 1  2024-01-01T00:00:00Z  tank-1 ensure: #Tank  from pump-1
                    set that timer
                 2  2024-01-01T00:00:00Z  pump-1 speed: 1500  from rows.csv 1
                    sent that
            $ why tank-1/gauge --store s
            tank-1/gauge
                15  2024-01-01T00:00:50Z  tank-1 inflow: 7  from pump-1
                    removed it
                    pump-1, turn 6, answered 7
                 6  2024-01-01T00:00:50Z  pump-1 speed: 700  from rows.csv 3
                    sent that
            $ why tank-1/gauge shown --rev 4 --store s --json
            {"step":"set","partition":0,"value":15,"answers":[{"composite":"pump-1","rev":2,"answer":15}],"position":"2.3","rev":2,"time":"2024-01-01T00:00:00Z","device_time":null,"sender":"pump-1","number":null,"receiver":"tank-1","selector":"inflow:","arguments":[15],"change":"changed","output":"","events":[],"far_sends":[],"fault":null,"notes":[]}
            {"step":"sent","partition":0,"answers":[],"position":"2.1","rev":2,"time":"2024-01-01T00:00:00Z","device_time":"2024-01-01T00:00:00Z","sender":"rows.csv","number":1,"receiver":"pump-1","selector":"speed:","arguments":[1500],"change":"changed","output":"","events":[],"far_sends":[{"twin":"tank-1","selector":"inflow:","arguments":[15]},{"twin":"tank-1","selector":"ask","arguments":[]}],"fault":null,"notes":[]}
        "#]],
    );
}

// delivery: D12.10
#[test]
fn what_is_not_there_is_said_so() {
    check(
        &[
            "state tank-1 --rev 99 --store s",
            "state tank-1 --at 2023-01-01 --store s",
            "state tank-1/gauge --store s",
            "state tank-1/gauge --at 2024-02-01 --store s",
            "state tank-2 --rev 1 --store s",
            "diff tank-2 --store s",
            "diff tank-1 --from-rev 7 --to-rev 70 --store s",
            "why tank-1 depth --store s",
            "why tank-1 log[ --store s",
            "why tank-1 log[9] --store s",
            "why tank-1 level --at 2023-01-01 --store s",
            "why tank-1 level --rev 99 --store s",
            "why tank-2 --store s",
        ],
        expect![[r#"
            $ state tank-1 --rev 99 --store s
            ! twintalk: tank-1 has had 17 turns, so there is no turn 99
            exit 1
            $ state tank-1 --at 2023-01-01 --store s
            ! twintalk: there was no twin tank-1 yet: it was made in turn 1, 2024-01-01T00:00:00Z
            exit 1
            $ state tank-1/gauge --store s
            ! twintalk: there is no twin tank-1/gauge
            exit 1
            $ state tank-1/gauge --at 2024-02-01 --store s
            ! twintalk: there was no twin tank-1/gauge then: it was removed in turn 15, 2024-01-01T00:00:50Z
            exit 1
            $ state tank-2 --rev 1 --store s
            ! twintalk: there never was a twin tank-2
            exit 1
            $ diff tank-2 --store s
            ! twintalk: there never was a twin tank-2
            exit 1
            $ diff tank-1 --from-rev 7 --to-rev 70 --store s
            ! twintalk: tank-1 has had 17 turns, so there is no turn 70
            exit 1
            $ why tank-1 depth --store s
            ! twintalk: tank-1, a Tank, has no depth; it stores level, log, flow, answer, checks
            exit 1
            $ why tank-1 log[ --store s
            ! twintalk: `log[` is no place: it is written like level, baseline.mean, readings[3] or latest['power']
            exit 1
            $ why tank-1 log[9] --store s
            ! twintalk: tank-1, a Tank, has no log[9]; it stores level, log, flow, answer, checks
            exit 1
            $ why tank-1 level --at 2023-01-01 --store s
            ! twintalk: there was no twin tank-1 yet: it was made in turn 1, 2024-01-01T00:00:00Z
            exit 1
            $ why tank-1 level --rev 99 --store s
            ! twintalk: tank-1 has had 17 turns, so there is no turn 99
            exit 1
            $ why tank-2 --store s
            ! twintalk: there never was a twin tank-2
            exit 1
        "#]],
    );
}
