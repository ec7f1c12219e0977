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

#[test]
fn unary_binds_tighter_than_binary_than_keyword() {
    check(
        "a b c + d e * f g: h i + j k: l.",
        expect![[r#"
        (send g:k: (send * (send + (send c (send b a)) (send e d)) f) (send + (send i h) j) l)
    "#]],
    );
    check(
        "a g: (b g: c) + d.",
        expect![[r#"
        (send g: a (send + (send g: b c) d))
    "#]],
    );
    check(
        "(a + b) c.",
        expect![[r#"
        (send c (send + a b))
    "#]],
    );
}

#[test]
fn binary_operators_are_runs_of_operator_characters() {
    check(
        "a -> b, c ==> d && e || f ~= g // h \\\\ i >= j <= k ~~ l == m @ n % o & p | q ? r.",
        expect![[r#"
        (send ? (send | (send & (send % (send @ (send == (send ~~ (send <= (send >= (send \\ (send // (send ~= (send || (send && (send ==> (send , (send -> a b) c) d) e) f) g) h) i) j) k) l) m) n) o) p) q) r)
    "#]],
    );
    check(
        "a !! b. a <b> c.",
        expect![[r#"
        (send !! a b)
        (send > (send < a b) c)
    "#]],
    );
}

#[test]
fn a_cascade_goes_to_the_receiver_of_the_message_before_it() {
    check(
        "a b; c; + d; e: f g: h.",
        expect![[r#"
        (cascade a (b) (c) (+ d) (e:g: f h))
    "#]],
    );
    check(
        "a b c; d.",
        expect![[r#"
        (cascade (send b a) (c) (d))
    "#]],
    );
    check(
        "a + b c; * d.",
        expect![[r#"
        (cascade a (+ (send c b)) (* d))
    "#]],
    );
    check(
        "a b: c d; e.",
        expect![[r#"
        (cascade a (b: (send d c)) (e))
    "#]],
    );
    check(
        "x := a b; yourself.",
        expect![[r#"
        (:= x (cascade a (b) (yourself)))
    "#]],
    );
    check(
        "a b: (c d; e); f.",
        expect![[r#"
        (cascade a (b: (cascade c (d) (e))) (f))
    "#]],
    );
}

#[test]
fn assignments_nest() {
    check(
        "a := b := c d: e.",
        expect![[r#"
        (:= a (:= b (send d: c e)))
    "#]],
    );
    check(
        "a:=3. b:=a c:(d:=4).",
        expect![[r#"
        (:= a 3)
        (:= b (send c: a (:= d 4)))
    "#]],
    );
}

#[test]
fn far_sends_take_one_message_or_a_cascade() {
    check(
        "tank ! fill: 3 + 4. tank ! stop. tank ! + 1. tank parts first + x ! stop.",
        expect![[r#"
        (far fill: tank (send + 3 4))
        (far stop tank)
        (far + tank 1)
        (far stop (send + (send first (send parts tank)) x))
    "#]],
    );
    check(
        "a ! m: 1; n: 2; stop.",
        expect![[r#"
        (far-cascade a (m: 1) (n: 2) (stop))
    "#]],
    );
    check(
        "(tank ! level) then: [ :l | last := l ] else: [ :e | ].",
        expect![[r#"
        (send then:else: (far level tank) [:l (:= last l)] [:e])
    "#]],
    );
    check(
        "p := tank!level.",
        expect![[r#"
        (:= p (far level tank))
    "#]],
    );
}

#[test]
fn blocks_have_parameters_and_temporaries() {
    check(
        "[]. [ a ]. [ a. b. ]. [ | t | t ]. [ || a ]. [ | | a ].",
        expect![[r#"
        []
        [a]
        [a b]
        [|t| t]
        [a]
        [a]
    "#]],
    );
    check(
        "[ :a ]. [ :a | ]. [:a :b | a]. [ :a | | t u | t ]. [ :a || t | t ]. [:a||t|t]. [ : a | a ].",
        expect![[r#"
        [:a]
        [:a]
        [:a :b a]
        [:a |t u| t]
        [:a |t| t]
        [:a |t| t]
        [:a a]
    "#]],
    );
    check(
        "[ :a | -1 ]. [:a|-1]. [ :a | a | b ]. [ | t |-1 ]. [ a || b ].",
        expect![[r#"
        [:a -1]
        [:a -1]
        [:a (send | a b)]
        [|t| -1]
        [(send || a b)]
    "#]],
    );
    check(
        "[ ^a ]. [ :a | ^a. b ]. [ [ ^[ a ] ] ].",
        expect![[r#"
        [(^ a)]
        [:a (^ a) b]
        [[(^ [a])]]
    "#]],
    );
}

#[test]
fn numbers() {
    check(
        "0. 007. 123456789012345678901234567890. 1_000_000. 1e3. 1e+2.",
        expect![[r#"
        0
        7
        123456789012345678901234567890
        1000000
        1000
        100
    "#]],
    );
    check(
        "16rFF. 2r1010. 36rZZ. -16rFF. 16r0000F_F.",
        expect![[r#"
        16rFF
        2r1010
        36rZZ
        -16rFF
        16rFF
    "#]],
    );
    check(
        "1.5. 1.5e-3. 1.5E3. 1e-3. 6.02e23. -0.0. 1_0.2_5.",
        expect![[r#"
        1.5
        0.0015
        1500.0
        0.001
        6.02e23
        -0.0
        10.25
    "#]],
    );
    check(
        "3.50s2. 3s2. 3.50s. 3.5s2. 0.05s2. -1.5s1. 3s.",
        expect![[r#"
        350s2
        300s2
        350s2
        350s2
        5s2
        -15s1
        3s0
    "#]],
    );
    check(
        "10seconds. 3s2foo. 10 seconds. 3.foo. 1e. 5r. 3.e.",
        expect![[r#"
        (send seconds 10)
        (send s2foo 3)
        (send seconds 10)
        3
        foo
        (send e 1)
        (send r 5)
        3
        e
    "#]],
    );
}

#[test]
fn a_minus_sign_belongs_to_a_number_where_an_operand_starts() {
    check(
        "-3 abs. 3 -4. 3-4. 3 - -4. 3--4. 3 - 4. a -1. a-1. (a)-1. a foo: -1. a + -1. ^-1.",
        expect![[r#"
        (send abs -3)
        (send - 3 4)
        (send - 3 4)
        (send - 3 -4)
        (send - 3 -4)
        (send - 3 4)
        (send - a 1)
        (send - a 1)
        (send - a 1)
        (send foo: a -1)
        (send + a -1)
        (^ -1)
    "#]],
    );
    check(
        "x := -1. a <-1. a >-1. a ->-1. #(1 -2 - 3 -x). { -1. - 1 abs }.",
        expect![[r#"
            (:= x -1)
            (send < a -1)
            (send > a -1)
            (send -> a -1)
            #(1 -2 #"-" 3 #"-" #x)
            {-1. ERROR}
            1:54+1 syntax: expected an expression after `.`, found `-`
              help: the minus sign of a number stands directly before it
        "#]],
    );
    check(
        "a foo; - 1; -1. a ! - 1. - 1.",
        expect![[r#"
        (cascade a (foo) (- 1) (- 1))
        (far - a 1)
        ERROR
        1:26+1 syntax: expected a statement, found `-`
    "#]],
    );
}

#[test]
fn characters_strings_and_symbols() {
    check(
        "$a. $ . $'. $\". $é. $.. '' . 'it''s'. ''''. 'two\nlines'. 'a\\n'.",
        expect![[r#"
        $a
        $ 
        $'
        $"
        $é
        $.
        ""
        "it's"
        "'"
        "two\nlines"
        "a\\n"
    "#]],
    );
    check(
        "#foo. #at:put:. #at:. #+. #==>. #'x y'. #'it''s'. #||. #foo:bar.",
        expect![[r##"
        #foo
        #at:put:
        #at:
        #"+"
        #"==>"
        #"x y"
        #"it's"
        #"||"
        (send bar #foo:)
    "##]],
    );
    check(
        "a foo:#bar. #foo:=3.",
        expect![[r#"
        (send foo: a #bar)
        ERROR
        1:17+2 syntax: expected a message or `.` after `#foo`, found `:=`
          help: only a name can be assigned
    "#]],
    );
}

#[test]
fn literal_arrays_hold_literals_and_bare_words() {
    check(
        "#(1 $a foo #bar (nested) #(x) nil true false at:put: at: put: + - 'str' 1.5 #+ | || < #[1 2] [3 4]).",
        expect![[r##"
        #(1 $a #foo #bar #(#nested) #(#x) nil true false #at:put: #at: #put: #"+" #"-" "str" 1.5 #"+" #"|" #"||" #"<" #[1, 2] #[3, 4])
    "##]],
    );
    check(
        "#(). #[]. #[1 2 16rFF]. {}. { a. b }. { a. b. }. { #(1) }.",
        expect![[r#"
        #()
        #[]
        #[1, 2, 255]
        {}
        {a. b}
        {a. b}
        {#(1)}
    "#]],
    );
    check(
        "#(self super thisContext twin query ! <- := ).",
        expect![[r#"
            ERROR
            1:42+2 syntax: expected a literal or `)` after `<-`, found `:=`
        "#]],
    );
}

#[test]
fn definitions_name_parent_and_traits() {
    check(
        "twin A = ( ) object B = C ( ) trait D = ( ) twin E = F + G + H ( ) I = ( ) J = nil ( ) K = L ( ).",
        expect![[r#"
        (twin A)
        (object B C)
        (trait D)
        (twin E F +G +H)
        (plain I)
        (plain J nil)
        (plain K L)
    "#]],
    );
    check(
        "object A = B + C ( foo = ( ) ---- bar = ( ) )",
        expect![[r#"
        (object A B +C
          (method foo)
          ----
          (method bar))
    "#]],
    );
    check(
        "extend A = ( foo = ( ) ---- bar = ( ) )",
        expect![[r#"
        (extend A
          (method foo)
          ----
          (method bar))
    "#]],
    );
}

#[test]
fn slots_and_constants() {
    check(
        "A = ( | a b c | )",
        expect![[r#"
        (plain A
          (slot a)
          (slot b)
          (slot c))
    "#]],
    );
    check(
        "A = ( | a. b <- 1. c = 2. d e. f <- g foo: 3 + 4. h | )",
        expect![[r#"
        (plain A
          (slot a)
          (slot b <- 1)
          (slot c = 2)
          (slot d)
          (slot e)
          (slot f <- (send foo: g (send + 3 4)))
          (slot h))
    "#]],
    );
    check(
        "A = ( | a <- b = c. d = (e | f). g <- [ :x | x | y ]. h <- i <= j | )",
        expect![[r#"
        (plain A
          (slot a <- (send = b c))
          (slot d = (send | e f))
          (slot g <- [:x (send | x y)])
          (slot h <- (send <= i j)))
    "#]],
    );
    check(
        "A = ( | a | | b | foo = ( ) | c | ---- || | d | bar = ( ) )",
        expect![[r#"
        (plain A
          (slot a)
          (slot b)
          (slot c)
          (method foo)
          ----
          (slot d)
          (method bar))
    "#]],
    );
    check(
        "A = ( |a<-1.b=2.c<Float><-3.d<Float>=-4| )",
        expect![[r#"
        (plain A
          (slot a <- 1)
          (slot b = 2)
          (slot c <Float> <- 3)
          (slot d <Float> = -4))
    "#]],
    );
}

#[test]
fn annotations() {
    check(
        "A = ( | a <Integer 'rev/min' min: 0 max: 3600> <- 0. b <keep: 30 days personal indexed> c <> d | )",
        expect![[r#"
        (plain A
          (slot a <Integer "rev/min" (min: 0) (max: 3600)> <- 0)
          (slot b <(keep: 30 days) personal indexed>)
          (slot c <>)
          (slot d))
    "#]],
    );
    check(
        "A = ( | a <min: -5 max: 3.5 values: #(a b $> '>') default: nil text: 'x' m3> b <1 2.5> | )",
        expect![[r#"
        (plain A
          (slot a <(min: -5) (max: 3.5) (values: #(#a #b $> ">")) (default: nil) (text: "x" m3)>)
          (slot b <1 2.5>))
    "#]],
    );
    check(
        "A = ( | a <min: 0 'kg'> b <min: 0 max: 1> <- 1. c <keep: 30 days> = 3 | )",
        expect![[r#"
        (plain A
          (slot a <(min: 0) "kg">)
          (slot b <(min: 0) (max: 1)> <- 1)
          (slot c <(keep: 30 days)> = 3))
    "#]],
    );
}

#[test]
fn members() {
    check(
        "twin A = (
            foo = ( ) + x = ( ^x ) at: i put: v = ( | t | t := i. ^v )
            private foo2 = ( ) query bar = ( ^1 ) private query baz = ( ) query private at: i = ( ) private - x = ( )
            event full. event alarm: a. event from: a to: b. event + x.
            timer check every: 10 seconds = ( self foo ) timer once after: 2 * (3 = 4) = ( )
            invariant ok = ( ^true )
            version 2. migrate 1 = ( foo := 3 )
            supervise quarantine. supervise retry: 5 after: 0.5 seconds then: escalate.
            hash = primitive at: i = primitive primitive = ( ^primitive )
        )",
        expect![[r#"
            (twin A
              (method foo)
              (method + x (^ x))
              (method at:put: i v |t| (:= t i) (^ v))
              (private method foo2)
              (query method bar (^ 1))
              (private query method baz)
              (private query method at: i)
              (private method - x)
              (event full)
              (event alarm: a)
              (event from:to: a b)
              (event + x)
              (timer check every (send seconds 10) (send foo self))
              (timer once after (send * 2 (send = 3 4)))
              (invariant ok (^ true))
              (version 2)
              (migrate 1 (:= foo 3))
              (supervise quarantine)
              (supervise retry: 5 after: 0.5 seconds then: escalate)
              (method hash primitive)
              (method at: i primitive)
              (method primitive (^ primitive)))
        "#]],
    );
}

#[test]
fn bars_and_equals_can_be_selectors() {
    check(
        "A = ( = other = ( ^1 ) foo = ( ) | other = ( ^2 ) || other = ( ^3 ) private | x = ( ) == x = ( ) )",
        expect![[r#"
        (plain A
          (method = other (^ 1))
          (method foo)
          (method | other (^ 2))
          (method || other (^ 3))
          (private method | x)
          (method == x))
    "#]],
    );
    check(
        "A = ( foo = ( ) | x = (3). | bar = ( ) )",
        expect![[r#"
        (plain A
          (slot x = 3)
          (method foo)
          (method bar))
    "#]],
    );
    check(
        "A = ( foo = ( ) | x = (3) + 4. y = (5) foo. z | bar = ( ) )",
        expect![[r#"
        (plain A
          (slot x = (send + 3 4))
          (slot y = (send foo 5))
          (slot z)
          (method foo)
          (method bar))
    "#]],
    );
    check(
        "A = ( foo = ( ) | x = (3) bar = ( ) | y | )",
        expect![[r#"
        (plain A
          (slot y)
          (method foo)
          (method | x 3)
          (method bar))
    "#]],
    );
    check(
        "A = ( foo = ( ) | x = ( ) )",
        expect![[r#"
        (plain A
          (method foo)
          (method | x))
    "#]],
    );
    check(
        "A = ( foo = ( ) | x = ( ) at: a = ( ) )",
        expect![[r#"
        (plain A
          (method foo)
          (method | x)
          (method at: a))
    "#]],
    );
    check(
        "A = ( foo = ( ) | x = ( ) ---- bar = ( ) )",
        expect![[r#"
        (plain A
          (method foo)
          (method | x)
          ----
          (method bar))
    "#]],
    );
}

#[test]
fn words_of_the_grammar_are_names_elsewhere() {
    check(
        "A = ( | private query event timer invariant version migrate supervise twin object trait extend import primitive | )",
        expect![[r#"
            (plain A
              (slot private)
              (slot query)
              (slot event)
              (slot timer)
              (slot invariant)
              (slot version)
              (slot migrate)
              (slot supervise)
              (slot twin)
              (slot object)
              (slot trait)
              (slot extend)
              (slot import)
              (slot primitive))
        "#]],
    );
    check(
        "A = ( | version <- 1. query = 2. timer <Integer> <- 3. |
            private = ( ) query = ( ) event = ( ) timer = ( ) invariant = ( ) version = ( ) migrate = ( ) supervise = ( )
            twin = ( ) object = ( ) trait = ( ) extend = ( ) import = ( ) primitive = ( )
        )",
        expect![[r#"
            (plain A
              (slot version <- 1)
              (slot query = 2)
              (slot timer <Integer> <- 3)
              (method private)
              (method query)
              (method event)
              (method timer)
              (method invariant)
              (method version)
              (method migrate)
              (method supervise)
              (method twin)
              (method object)
              (method trait)
              (method extend)
              (method import)
              (method primitive))
        "#]],
    );
    check(
        "A = ( private: a = ( ) query: a = ( ) event: a = ( ) timer: a every: b = ( ) version: a = ( ) twin: a = ( ) )",
        expect![[r#"
            (plain A
              (method private: a)
              (method query: a)
              (method event: a)
              (method timer:every: a b)
              (method version: a)
              (method twin: a))
        "#]],
    );
    check(
        "A = ( private private = ( ) private query = ( ) query query = ( ) event event. event query: query.
              timer timer every: every = ( ) invariant version = ( ) )",
        expect![[r#"
            (plain A
              (private method private)
              (private method query)
              (query method query)
              (event event)
              (event query: query)
              (timer timer every every)
              (invariant version))
        "#]],
    );
    check(
        "A = ( foo = ( private query. query := event timer: twin. version version. ^primitive ) )",
        expect![[r#"
            (plain A
              (method foo (send query private) (:= query (send timer: event twin)) (send version version) (^ primitive)))
        "#]],
    );
    check(
        "| twin object trait extend import | twin := 3. twin start. object := twin foo. import foo: extend. trait + 1. primitive print.",
        expect![[r#"
            (variables twin object trait extend import)
            (:= twin 3)
            (send start twin)
            (:= object (send foo twin))
            (send foo: import extend)
            (send + trait 1)
            (send print primitive)
        "#]],
    );
    check(
        "twin = ( ) object = twin ( ) twin lower = ( )",
        expect![[r#"
        (plain twin)
        (plain object twin)
        (twin lower)
    "#]],
    );
}

#[test]
fn items_come_in_any_mix() {
    check(
        "a foo. twin A = ( ) | b | b := 3. import 'x.twin'. extend A = ( ) C = D ( ). b print",
        expect![[r#"
        (send foo a)
        (twin A)
        (variables b)
        (:= b 3)
        (import "x.twin")
        (extend A)
        (plain C D)
        (send print b)
    "#]],
    );
    check(
        "import 'it''s'. import := 3. import foo. | a | | b |. || a.",
        expect![[r#"
        (import "it's")
        (:= import 3)
        (send foo import)
        (variables a)
        (variables b)
        (variables)
        a
    "#]],
    );
    check("", expect![[""]]);
    check(". . .", expect![[""]]);
    check(
        ". . a foo . . b. .",
        expect![[r#"
        (send foo a)
        b
    "#]],
    );
    check(
        "\u{feff}a foo.",
        expect![[r#"
        (send foo a)
    "#]],
    );
}

#[test]
fn periods_may_be_too_many() {
    check(
        "A = ( | a. . b <- 1. . | . foo = ( . a. . b. . ). event x. . ) { . a. . b. . }. [ . a. . ].",
        expect![[r#"
        (plain A
          (slot a)
          (slot b <- 1)
          (method foo a b)
          (event x))
        {a. b}
        [a]
    "#]],
    );
}

#[test]
fn names_are_letters_of_any_script() {
    check(
        "| höhe Größe _x x_1 | höhe := Größe новый: 数.",
        expect![[r#"
        (variables höhe Größe _x x_1)
        (:= höhe (send новый: Größe 数))
    "#]],
    );
}

#[test]
fn comments_belong_to_what_they_stand_at() {
    check(
        "\"about the file\"

\"about A\"
\"and more\"
twin A = ( \"trails\"
  | \"about a\" a. \"not about b\"
    b. \"about b\"
    \"about c\"
    c <- 3.
    d \"about d\" e |

  \"far away\"

  foo = ( \"inside foo\" ^1 )
  \"about bar\"
  bar = ( \"inside bar\" ^2 ) \"trails bar\"
  baz = ( ^$\" )
  \"about the timer\"
  timer t every: 1 = ( )
  \"about ok\" invariant ok = ( )
  \"about migrate\"
  migrate 1 = ( )
)",
        expect![[r#"
            (twin A "about A\nand more"
              (slot a "about a")
              (slot b "about b")
              (slot c <- 3 "about c")
              (slot d "about d")
              (slot e)
              (method foo "inside foo" (^ 1))
              (method bar "about bar" (^ 2))
              (method baz (^ $"))
              (timer t every 1 "about the timer")
              (invariant ok "about ok")
              (migrate 1 "about migrate"))
        "#]],
    );
}
