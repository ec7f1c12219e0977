//! What ARCHITECTURE.md says about crates, compared with the manifests and the sources.
//!
//! The page is the list and the sources are the fact: a new arrow, dependency or `unsafe` file needs
//! its line there first, where a reviewer sees it.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

const PACKAGE_PREFIX: &str = "twintalk-";

#[test]
fn a_crate_depends_on_what_its_arrow_says_and_nothing_else() {
    let arrows = arrows();
    let members = members();
    assert_eq!(
        arrows.keys().collect::<Vec<_>>(),
        members.iter().collect::<Vec<_>>(),
        "ARCHITECTURE.md has an arrow for each member of the workspace"
    );
    for (crate_name, allowed) in &arrows {
        let named: BTreeSet<String> = dependencies(crate_name, &["dependencies", "build-dependencies"])
            .iter()
            .filter_map(|dependency| Some(dependency.strip_prefix(PACKAGE_PREFIX)?.to_owned()))
            .collect();
        let forbidden: Vec<_> = named.difference(allowed).collect();
        assert!(forbidden.is_empty(), "{crate_name}/Cargo.toml depends on {forbidden:?}; its arrow allows {allowed:?}");
    }
}

#[test]
fn sources_name_only_the_crates_of_their_arrow() {
    for (crate_name, allowed) in arrows() {
        let own = |source: &Source| source.path.contains("/src/") || source.path.ends_with("/build.rs");
        for source in sources(&crate_name).filter(own) {
            for word in words(&source.code) {
                let Some(named) = word.strip_prefix("twintalk_") else { continue };
                if !members().contains(named) {
                    continue; // a function or test of our own that starts with the project's name
                }
                assert!(
                    named == crate_name || allowed.contains(named),
                    "{} names {word}; the arrow of {crate_name} allows {allowed:?}",
                    source.path
                );
            }
        }
    }
}

#[test]
fn no_arrows_make_a_cycle() {
    let arrows = arrows();
    let mut settled = BTreeSet::new();
    while settled.len() < arrows.len() {
        let next: Vec<_> = arrows
            .iter()
            .filter(|(name, allowed)| !settled.contains(*name) && allowed.iter().all(|other| settled.contains(other)))
            .map(|(name, _)| name.clone())
            .collect();
        assert!(!next.is_empty(), "these crates depend on each other: {:?}", arrows.keys().collect::<Vec<_>>());
        settled.extend(next);
    }
}

#[test]
fn every_dependency_has_a_line_that_says_what_it_is_for() {
    let described: BTreeSet<String> = outside_crates().into_keys().collect();
    let shared: BTreeSet<String> = section(&read("Cargo.toml"), "workspace.dependencies")
        .into_iter()
        .filter(|name| !name.starts_with(PACKAGE_PREFIX))
        .collect();
    assert_eq!(described, shared, "ARCHITECTURE.md, \"Other people's crates\", beside [workspace.dependencies]");
}

#[test]
fn every_shared_dependency_is_used_by_a_crate() {
    let mut unused: BTreeSet<String> = section(&read("Cargo.toml"), "workspace.dependencies").into_iter().collect();
    for member in members() {
        for dependency in dependencies(&member, &["dependencies", "dev-dependencies", "build-dependencies"]) {
            unused.remove(&dependency);
        }
    }
    unused.remove("twintalk-tests");
    assert!(unused.is_empty(), "[workspace.dependencies] has {unused:?}, and no crate wants them");
}

#[test]
fn a_crate_with_a_file_of_its_own_is_named_in_no_other() {
    for (outside, home) in outside_crates() {
        let Some(home) = home else { continue };
        let word = outside.replace('-', "_");
        for member in members() {
            for source in sources(&member) {
                let belongs = source.path == home || !source.path.contains("/src/") || member == "benches";
                assert!(
                    belongs || !words(&source.code).any(|found| found == word),
                    "{} names {word}, which belongs to {home}",
                    source.path
                );
            }
        }
    }
}

#[test]
fn unsafe_is_only_in_the_files_made_for_it() {
    let allowed = unsafe_files();
    for member in members() {
        let has_file = allowed.iter().any(|file| file.starts_with(&format!("{member}/")));
        for source in sources(&member).filter(|source| source.path.contains("/src/")) {
            assert!(
                allowed.contains(&source.path) || !words(&source.code).any(|word| word == "unsafe"),
                "{} has unsafe code; ARCHITECTURE.md, \"Unsafe\", allows {allowed:?}",
                source.path
            );
        }
        for root in sources(&member)
            .filter(|source| ["/src/lib.rs", "/src/main.rs"].iter().any(|end| source.path.ends_with(end)))
        {
            assert!(
                has_file || root.code.trim().is_empty() || root.code.contains("#![forbid(unsafe_code)]"),
                "{}: a crate without a file for unsafe code forbids it",
                root.path
            );
        }
    }
}

#[test]
fn every_source_file_opens_with_its_idea() {
    for member in members() {
        for source in sources(&member).filter(|source| source.path.contains("/src/")) {
            assert!(read(&source.path).starts_with("//!"), "{} does not open with a //! comment", source.path);
        }
    }
}

/// A source file without its comments and strings.
struct Source {
    /// Relative to the workspace, with forward slashes.
    path: String,
    code: String,
}

fn workspace() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("tests/ lies in the workspace").to_owned()
}

fn read(path: &str) -> String {
    fs::read_to_string(workspace().join(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

/// The folders that Cargo.toml lists.
fn members() -> BTreeSet<String> {
    let manifest = read("Cargo.toml");
    let list = manifest.lines().find(|line| line.starts_with("members = [")).expect("Cargo.toml lists its members");
    list.split('"').skip(1).step_by(2).map(str::to_owned).collect()
}

/// What a crate's manifest names in some of its sections.
fn dependencies(crate_name: &str, sections: &[&str]) -> BTreeSet<String> {
    let manifest = read(&format!("{crate_name}/Cargo.toml"));
    sections.iter().flat_map(|name| section(&manifest, name)).collect()
}

/// The keys of a manifest's section, without what follows a dot.
fn section(manifest: &str, name: &str) -> Vec<String> {
    let header = format!("[{name}]");
    manifest
        .lines()
        .skip_while(|line| line.trim() != header)
        .skip(1)
        .take_while(|line| !line.starts_with('['))
        .filter_map(|line| Some(line.split_once('=')?.0.trim().split('.').next()?.to_owned()))
        .filter(|key| !key.is_empty() && !key.starts_with('#'))
        .collect()
}

fn architecture(title: &str) -> String {
    let page = read("ARCHITECTURE.md");
    let start = page.find(&format!("\n## {title}\n")).unwrap_or_else(|| panic!("ARCHITECTURE.md has no \"{title}\""));
    let rest = &page[start + 1..];
    rest[..rest.find("\n## ").unwrap_or(rest.len())].to_owned()
}

/// The lines between the first two fences of a section.
fn fenced(title: &str) -> Vec<String> {
    let text = architecture(title);
    let block = text.split("```").nth(1).unwrap_or_else(|| panic!("\"{title}\" has no block"));
    block.lines().filter(|line| !line.is_empty()).map(str::to_owned).collect()
}

fn arrows() -> BTreeMap<String, BTreeSet<String>> {
    fenced("Arrows")
        .iter()
        .map(|line| {
            let (from, to) = line.split_once(" → ").expect("an arrow is `A → B, C`");
            let to = if to.starts_with('(') { BTreeSet::new() } else { to.split(", ").map(str::to_owned).collect() };
            (from.to_owned(), to)
        })
        .collect()
}

fn unsafe_files() -> BTreeSet<String> {
    fenced("Unsafe").into_iter().collect()
}

/// Each crate of other people, and the one file that may name it, if there is one.
fn outside_crates() -> BTreeMap<String, Option<String>> {
    architecture("Other people's crates")
        .lines()
        .filter_map(|line| {
            let (name, text) = line.strip_prefix("- `")?.split_once("`: ")?;
            let home = text.strip_suffix("`)").and_then(|text| Some(text.rsplit_once("(`")?.1.to_owned()));
            Some((name.to_owned(), home))
        })
        .collect()
}

fn sources(crate_name: &str) -> impl Iterator<Item = Source> {
    let mut files = Vec::new();
    collect(&workspace().join(crate_name), &mut files);
    files.sort();
    files.into_iter().map(|file| {
        let path = file.strip_prefix(workspace()).expect("it was found there");
        let path = path.components().map(|part| part.as_os_str().to_string_lossy()).collect::<Vec<_>>().join("/");
        let code = read(&path).lines().map(code_of).collect::<Vec<_>>().join("\n");
        Source { path, code }
    })
}

fn collect(folder: &Path, files: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display())) {
        let path = entry.expect("a folder that can be listed").path();
        if path.is_dir() && path.file_name().is_some_and(|name| name != "target") {
            collect(&path, files);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            files.push(path);
        }
    }
}

/// The line without its comment and without what its string literals say; a string of several lines
/// is taken for code, which only makes the tests stricter.
fn code_of(line: &str) -> String {
    let mut code = String::new();
    let mut in_string = false;
    let mut characters = line.chars().peekable();
    while let Some(character) = characters.next() {
        match character {
            '"' => in_string = !in_string,
            '\\' if in_string => {
                characters.next();
            }
            '\'' if !in_string && characters.next_if_eq(&'"').is_some() => {}
            '/' if !in_string && characters.peek() == Some(&'/') => break,
            _ if in_string => continue,
            _ => {}
        }
        code.push(character);
    }
    code
}

fn words(code: &str) -> impl Iterator<Item = &str> {
    code.split(|character: char| !(character.is_alphanumeric() || character == '_')).filter(|word| !word.is_empty())
}
