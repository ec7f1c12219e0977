//! Programs at random, with white space and comments at random.

/// Bytes that decide; when they are used up every throw is 0, which the generator takes for the end of things.
pub struct Dice<'a> {
    bytes: &'a [u8],
    out: Vec<String>,
}

/// A program, its tokens set apart by anything that may stand between tokens.
pub fn program(bytes: &[u8]) -> String {
    let (bytes, gaps) = bytes.split_at(bytes.len() / 2);
    let mut dice = Dice { bytes, out: Vec::new() };
    while !dice.bytes.is_empty() {
        dice.item();
    }
    let mut gaps = Dice { bytes: gaps, out: Vec::new() };
    let mut text = String::new();
    for token in dice.out {
        text += match gaps.throw(24) {
            0..12 => " ",
            12..15 => "\n",
            15 => "\n\n",
            16 => " \n \n\n ",
            17 => " \"c\" ",
            18 => "\n\"c\"\n",
            19 => "\n\n\"c\"\n\n\n\"d\"\n",
            20 => " \"c\"\n",
            21 => "\n\"c\" ",
            22 => " \"c\n   d\" \"e\" ",
            _ => "\t\r\n",
        };
        text += &token;
    }
    text
}

impl Dice<'_> {
    fn throw(&mut self, sides: u8) -> u8 {
        match self.bytes.split_first() {
            Some((&first, rest)) => {
                self.bytes = rest;
                first % sides
            }
            None => 0,
        }
    }

    fn put(&mut self, tokens: &str) {
        self.out.extend(tokens.split(' ').map(str::to_owned));
    }

    fn pick(&mut self, choices: &[&str]) {
        let choice = choices[usize::from(self.throw(choices.len() as u8))];
        self.put(choice);
    }

    fn many(&mut self, part: fn(&mut Self)) {
        while self.throw(3) > 0 {
            part(self);
        }
    }

    fn name(&mut self) {
        self.pick(&["a", "b", "query", "version", "timer", "private", "self", "Foo", "primitive"]);
    }

    fn plain_name(&mut self) {
        self.pick(&["a", "b", "c", "value", "x1", "_"]);
    }

    fn item(&mut self) {
        match self.throw(8) {
            0 | 1 => {
                self.statement();
                self.put(".");
            }
            2 => self.put("import 'x' ."),
            3 => {
                self.put("|");
                self.many(Self::name);
                self.put("|");
            }
            4 => {
                self.put("extend Foo = (");
                self.side();
                self.put(")");
            }
            _ => {
                self.pick(&["twin Foo =", "object Foo =", "trait Foo =", "Foo =", "foo ="]);
                self.pick(&["(", "Bar (", "Bar + Baz (", "nil (", "Bar + Baz + Qux ("]);
                self.side();
                if self.throw(3) == 1 {
                    self.pick(&["----", "---------"]);
                    self.side();
                }
                self.put(")");
            }
        }
    }

    fn side(&mut self) {
        self.many(|dice| match dice.throw(3) {
            0 => {
                dice.put("|");
                dice.many(Self::slot);
                dice.put("|");
            }
            _ => dice.member(),
        });
    }

    fn slot(&mut self) {
        self.name();
        if self.throw(4) == 1 {
            self.pick(&[
                "< >",
                "< Float 'm/s' min: -1 max: 3 >",
                "< keep: 30 days personal >",
                "< of: #( a > | ) >",
                "< -1 of: #+ >",
            ]);
        }
        match self.throw(5) {
            0 => {}
            1 => self.put("."),
            2 => self.put(". ."),
            sides => {
                self.put(if sides == 3 { "<-" } else { "=" });
                self.in_parentheses_or_keyword();
                self.put(".");
            }
        }
    }

    /// An expression without `|` at its outside.
    fn in_parentheses_or_keyword(&mut self) {
        self.put("(");
        self.expression();
        self.put(")");
        if self.throw(2) == 1 {
            self.put("foo:");
            self.primary();
        }
    }

    fn member(&mut self) {
        match self.throw(9) {
            0 => self.pick(&["event foo .", "event foo: a .", "event + a .", "version 2 .", "."]),
            7 => self.pick(&["supervise quarantine .", "supervise retry: 5 after: 1 second then: escalate ."]),
            1 => {
                self.pick(&["timer t every: 10 seconds =", "timer timer after: ( a = b ) + -1 ="]);
                self.body();
            }
            2 => {
                self.pick(&["invariant ok =", "migrate 1 ="]);
                self.body();
            }
            _ => {
                self.pick(&[
                    "foo",
                    "private foo",
                    "query private foo",
                    "private query",
                    "foo: a bar: b",
                    "- a",
                    "private , b",
                    "query: a",
                ]);
                self.put("=");
                if self.throw(6) == 1 { self.put("primitive") } else { self.body() }
            }
        }
    }

    fn body(&mut self) {
        self.put("(");
        self.temporaries();
        self.statements();
        self.put(")");
    }

    fn temporaries(&mut self) {
        if self.throw(3) == 1 {
            self.put("|");
            self.many(Self::plain_name);
            self.put("|");
        }
    }

    fn statements(&mut self) {
        self.many(|dice| {
            dice.statement();
            dice.pick(&[".", ".", ".", ". ."]);
        });
        if self.throw(3) == 1 {
            self.statement();
        }
    }

    fn statement(&mut self) {
        if self.throw(5) == 1 {
            self.put("^");
        }
        // Not a name before `=`, which at top level is a definition.
        self.put("(");
        self.expression();
        self.put(")");
        self.messages();
    }

    fn expression(&mut self) {
        if self.throw(5) == 1 {
            self.name();
            self.put(":=");
        }
        self.primary();
        self.messages();
    }

    fn messages(&mut self) {
        self.many(Self::plain_name);
        self.many(|dice| {
            dice.operator();
            dice.primary();
        });
        match self.throw(6) {
            0 | 1 => return,
            2 => {
                self.put("!");
                self.message();
            }
            3 => self.plain_name_after_parentheses(),
            _ => {
                self.put("foo:");
                self.primary();
                self.many(|dice| {
                    dice.put("bar:");
                    dice.primary();
                });
            }
        }
        if self.throw(4) == 1 {
            self.put(";");
            self.message();
        }
    }

    /// A message at any rate, so that a cascade can follow.
    fn plain_name_after_parentheses(&mut self) {
        self.put("+");
        self.primary();
    }

    fn message(&mut self) {
        match self.throw(3) {
            0 => self.plain_name(),
            1 => {
                self.operator();
                self.put("4");
            }
            _ => {
                self.put("foo:");
                self.primary();
            }
        }
    }

    fn operator(&mut self) {
        self.pick(&["+", "-", ",", "==>", "|", "||", "&&", "<", ">", "=", "//", "->", "~="]);
    }

    fn primary(&mut self) {
        match self.throw(12) {
            0 | 1 => self.name(),
            2 => self.pick(&[
                "1", "-2", "16rFF", "3.5", "3.50s2", "$a", "$'", "$\"", "'it''s'", "'\n'", "#a", "#a:b:", "#+",
                "#'x,y'",
            ]),
            3 => self.pick(&["#( )", "#( 1 a: -2 b #c ( nil | || ) #[ 1 2 ] [ 3 ] , 'x' )", "#[ ]", "#[ 1 2 ]"]),
            4 => {
                self.put("{");
                self.many(|dice| {
                    dice.expression();
                    dice.put(".");
                });
                self.put("}");
            }
            5 | 6 => {
                self.put("(");
                self.expression();
                self.put(")");
            }
            7 => self.put("[ :a ]"),
            _ => {
                self.put("[");
                if self.throw(2) == 1 {
                    self.pick(&[": a |", ": a : b |"]);
                }
                self.temporaries();
                self.statements();
                self.put("]");
            }
        }
    }
}
