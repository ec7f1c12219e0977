//! `twintalk doc`: what the pages say, and that nothing of a source becomes markup.

use std::collections::{HashMap, HashSet};
use std::fs;
use std::path::Path;

use crate::folder::Folder;

const TANK: &str = "\"What can go wrong. See `Tank`.\"
trait Alarmed = (
  \"Says `what` <b>loudly</b>.\"
  event alarm: what.
  raise: what = ( self emit: #alarm: with: what )
)
\"A tank & its level. It leaks.

    tank fill: 3\"
twin Tank = Twin + Alarmed (
  | level <Float m3 min: 0> <- 0.0. \"how full\"
    limit = 100. |
  \"Fills it.\"
  fill: n = (
    level := level + n )
  private mend = ( ^nil )
  query isFull = ( ^level >= limit )
  timer drip every: 10 seconds = ( level := level - 1 )
  invariant holds = ( level <= limit )
  version 2.
  migrate 1 = ( )
  ----
  of: n = ( ^self new: n )
)
twin BigTank = Tank ( fill: n = ( super fill: n * 2 ) )
extend Tank = ( empty = ( level := 0.0 ) )
";

/// Each page, by name.
fn pages(folder: &Path) -> HashMap<String, String> {
    let files = fs::read_dir(folder).expect("the pages are there").map(|entry| entry.expect("a page"));
    files
        .map(|entry| {
            let text = fs::read_to_string(entry.path()).expect("a page is text");
            (entry.file_name().into_string().expect("a name in UTF-8"), text)
        })
        .collect()
}

/// What stands between `from` and each `to`.
fn between<'a>(text: &'a str, from: &'a str, to: char) -> impl Iterator<Item = &'a str> {
    text.split(from).skip(1).map(move |rest| rest.split(to).next().unwrap_or_default())
}

/// Every link leads somewhere in these pages, and every tag is one of ours and closed.
fn check_pages(pages: &HashMap<String, String>) {
    for (name, page) in pages.iter().filter(|(name, _)| name.ends_with(".html")) {
        for target in between(page, "href=\"", '"') {
            let (file, anchor) = target.split_once('#').unwrap_or((target, ""));
            let to = pages.get(file).unwrap_or_else(|| panic!("{name} leads to {target}"));
            assert!(anchor.is_empty() || to.contains(&format!("id=\"{anchor}\"")), "{name} leads to {target}");
        }
        let ids: Vec<&str> = between(page, "id=\"", '"').collect();
        assert_eq!(ids.len(), ids.iter().collect::<HashSet<_>>().len(), "{name} has an anchor twice");
        let mut open: Vec<&str> = Vec::new();
        for tag in between(page, "<", '>') {
            let word = tag.split(' ').next().unwrap_or_default();
            match word.strip_prefix('/') {
                Some(word) => assert_eq!(open.pop(), Some(word), "{name}: {tag}"),
                None if ["!DOCTYPE", "meta", "link"].contains(&word) => {}
                None => open.push(word),
            }
        }
        assert!(open.is_empty(), "{name}: {open:?}");
        assert!(!page.contains("http:") && !page.contains("https:"), "{name} asks nothing of others");
    }
}

#[test]
fn a_prototype_has_a_page_with_all_that_it_says() {
    let folder = Folder::with(&[("tank.twin", TANK)]);
    assert_eq!(folder.run("doc tank.twin -o out --title 'A & B'"), "out/index.html, 3 prototypes\n");
    let pages = pages(&folder.path("out"));
    check_pages(&pages);
    let tank = &pages["Tank.html"];
    for part in [
        "<title>Tank - A &amp; B</title>",
        "<p>Traits: <a href=\"Alarmed.html\">Alarmed</a></p>",
        "<p>Children: <a href=\"BigTank.html\">BigTank</a></p>",
        "<p>A tank &amp; its level. It leaks.</p>\n<pre>tank fill: 3</pre>",
        "<tr><th>Name</th><th>Type</th><th>Unit</th><th>Range</th><th>Starts with</th><th></th></tr>",
        "<td><code>level</code></td><td><code>Float</code></td><td><code>m3</code></td><td><code>min: 0</code></td>\
         <td><code>&lt;- 0.0</code></td><td><p>how full</p>",
        "<td><code>= 100</code></td>",
        "<h3><code>fill: n</code></h3>\n<p>Fills it.</p>",
        "<pre>fill: n = (\n  level := level + n )</pre>",
        "<code>mend</code> <span class=\"mark\">private</span>",
        "<code>isFull</code> <span class=\"mark\">query</span>",
        "<code>drip every: 10 seconds</code>",
        "<code>holds</code>",
        "<code>version 2</code>",
        "<code>migrate 1</code>",
        "<h2>Messages to the prototype</h2>\n<section id=\"c-of_3a_\">",
        "<code>empty</code>",
        "<h3>From <a href=\"Alarmed.html\">Alarmed</a></h3>",
        "tank.twin:14",
    ] {
        assert!(tank.contains(part), "{part}\nis not in\n{tank}");
    }
    let alarmed = &pages["Alarmed.html"];
    assert!(alarmed.contains("<p>Says <code>what</code> &lt;b&gt;loudly&lt;/b&gt;.</p>"), "{alarmed}");
    assert!(alarmed.contains("See <code><a href=\"Tank.html\">Tank</a></code>."), "{alarmed}");
    let big = &pages["BigTank.html"];
    assert!(big.contains("<a href=\"Tank.html#m-isFull\">isFull</a>"), "{big}");
    assert!(!big.contains("#m-fill"), "what is done anew is not inherited");
    assert!(!big.contains("#m-mend"), "what is private is not inherited");
}

#[test]
fn the_class_library_has_pages_and_all_its_links_lead_somewhere() {
    let folder = Folder::with(&[]);
    let kernel = concat!(env!("CARGO_MANIFEST_DIR"), "/../kernel");
    let shown = folder.run(&format!("doc {kernel} -o out"));
    assert!(shown.starts_with("out/index.html, "), "{shown}");
    let pages = pages(&folder.path("out"));
    check_pages(&pages);
    assert!(pages["List.html"].contains("Sequence.html#m-"), "what is inherited is linked");
}

#[test]
fn names_that_differ_in_case_alone_or_not_at_all_have_pages_of_their_own() {
    let folder = Folder::with(&[
        ("a.twin", "object Tank = ( a = ( ) )\nobject TANK = ( )\nobject Index = ( )"),
        ("b.twin", "object Tank = ( b = ( ) )"),
    ]);
    assert_eq!(folder.run("doc a.twin b.twin a.twin -o out"), "out/index.html, 4 prototypes\n");
    let pages = pages(&folder.path("out"));
    check_pages(&pages);
    let names: HashSet<String> = pages.keys().map(|name| name.to_lowercase()).collect();
    assert_eq!(names.len(), 4 + 3);
}

#[test]
fn of_a_source_with_mistakes_there_is_what_could_be_read() {
    let folder = Folder::with(&[("t.twin", "object A = ( a = ( 3 + ) b = ( ) )\nobject B = A ( )")]);
    let shown = folder.run("doc t.twin -o out");
    assert!(shown.contains("2 prototypes") && shown.contains("syntax") && shown.ends_with("exit 1\n"), "{shown}");
    check_pages(&pages(&folder.path("out")));
    folder.write("none.twin", "3 displayNl.");
    assert_eq!(folder.run("doc none.twin -o out"), "! twintalk: there are no definitions there\nexit 1\n");
}

#[test]
fn a_circle_of_parents_ends() {
    let folder = Folder::with(&[(
        "t.twin",
        "object A = B ( a = ( ) )\nobject B = A ( b = ( ) )\ntrait T = ( )\nobject C = C + T + T ( )",
    )]);
    assert_eq!(folder.run("doc t.twin -o out"), "out/index.html, 4 prototypes\n");
    check_pages(&pages(&folder.path("out")));
}

#[test]
fn what_extends_a_definition_elsewhere_has_a_page() {
    let text = "\"More numbers.\"\nextend Integer = ( \"Twice.\" twice = ( ^self * 2 ) )\n\
                extend Integer = ( half = ( ^self / 2 ) )\nobject A = ( a = ( ^`Integer` ) )"
        .replace('`', "");
    let folder = Folder::with(&[("t.twin", &text)]);
    assert_eq!(folder.run("doc t.twin -o out"), "out/index.html, 2 prototypes\n");
    let pages = pages(&folder.path("out"));
    check_pages(&pages);
    let integer = &pages["Integer.html"];
    for part in ["<span class=\"kind\">extend</span> Integer", "<p>More numbers.</p>", "<p>Twice.</p>", "m-half"] {
        assert!(integer.contains(part), "{part}\nis not in\n{integer}");
    }
    assert!(pages["index.html"].contains("<h2>Extensions of what is defined elsewhere</h2>"));
    // With the class library there is one page of it, and it has both.
    folder.run("doc t.twin --kernel -o out");
    let pages = self::pages(&folder.path("out"));
    check_pages(&pages);
    let integer = &pages["Integer.html"];
    assert!(integer.contains("m-twice") && integer.contains("m-gcd_3a_") && !pages.contains_key("Integer-2.html"));
}

#[test]
fn each_member_has_an_anchor_of_its_own() {
    let text = "twin T = (\n  \"First.\"\n  supervise retry: 3.\n  \"Second.\"\n  supervise deadLetter.\n  a = ( ^1 )\n)\n\
                extend T = ( a = ( ^2 ) )";
    let folder = Folder::with(&[("t.twin", text)]);
    folder.run("doc t.twin -o out");
    let pages = pages(&folder.path("out"));
    check_pages(&pages);
    let page = &pages["T.html"];
    for part in ["id=\"r-supervise\"", "id=\"r-supervise-2\"", "<p>First.</p>", "<p>Second.</p>", "a = ( ^2 )"] {
        assert!(page.contains(part), "{part}\nis not in\n{page}");
    }
    assert!(!page.contains("a = ( ^1 )"), "an extension replaces the method");
}

#[test]
fn a_name_means_the_prototype_of_its_own_program() {
    let folder = Folder::with(&[
        ("one/Base.twin", "object Base = ( one = ( ) )"),
        ("one/main.twin", "object A = Base ( )"),
        ("two/lib/base.twin", "object Base = ( two = ( ) )"),
        ("two/main.twin", "import 'lib/base.twin'.\nobject B = Base ( )\nextend Base = ( more = ( ) )"),
        ("three/main.twin", "object C = Base ( )"),
    ]);
    folder.run("doc one two three -o out");
    let pages = pages(&folder.path("out"));
    check_pages(&pages);
    assert!(pages["A.html"].contains("<p>Parent: <a href=\"Base.html\">Base</a></p>"), "{}", pages["A.html"]);
    assert!(pages["B.html"].contains("<p>Parent: <a href=\"Base-2.html\">Base</a></p>"), "{}", pages["B.html"]);
    assert!(pages["C.html"].contains("<p>Parent: Base</p>"), "of two strangers none is guessed: {}", pages["C.html"]);
    assert!(pages["Base-2.html"].contains("m-more") && !pages["Base.html"].contains("m-more"));
    assert!(pages["Base.html"].contains("Children: <a href=\"A.html\">A</a>"));
}

#[test]
fn comments_of_members_are_those_that_the_compiler_finds() {
    let text =
        "twin T = (\n  a = ( ^'say \"' )\n  event x.\n\n  \"of nobody\"\n\n  event y.\n  \"Of z.\"\n  event z.\n)";
    let folder = Folder::with(&[("t.twin", text)]);
    folder.run("doc t.twin -o out");
    let page = &pages(&folder.path("out"))["T.html"];
    assert!(page.contains("<code>z</code></h3>\n<p>Of z.</p>"), "{page}");
    assert!(
        page.contains("<code>x</code></h3>\n<details>") && page.contains("<code>y</code></h3>\n<details>"),
        "{page}"
    );
}

#[test]
fn pages_of_what_is_gone_go_and_what_is_not_ours_stays() {
    let folder = Folder::with(&[("t.twin", "object A = ( )\nobject B = ( )"), ("out/mine.html", "<p>mine</p>")]);
    folder.run("doc t.twin -o out");
    assert!(pages(&folder.path("out")).contains_key("B.html"));
    folder.write("t.twin", "object A = ( )");
    folder.run("doc t.twin -o out");
    let left = pages(&folder.path("out"));
    assert!(!left.contains_key("B.html") && left.contains_key("A.html") && left.contains_key("mine.html"));
}

#[test]
fn the_class_library_needs_no_folder() {
    let folder = Folder::with(&[]);
    let shown = folder.run("doc --kernel -o out");
    assert!(shown.starts_with("out/index.html, "), "{shown}");
    let pages = pages(&folder.path("out"));
    check_pages(&pages);
    assert!(pages["List.html"].contains("kernel/List.twin:"));
}
