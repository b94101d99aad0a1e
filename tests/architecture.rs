//! The house stays as docs/architecture.md draws it: rooms named, arrows downward, files that can be read at one sitting.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

/// The rooms from the ground up. A room imports only from those before it.
const FLOORS: [&str; 18] = [
    "human", "protocol", "media", "rtmp", "mux", "keys", "message", "store", "tool", "object", "hls", "reader",
    "writer", "ingest", "serve", "admin", "cli", "bin",
];

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// All source files below `folder`, with their text.
fn sources(folder: &Path) -> Vec<(PathBuf, String)> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).expect("src is there") {
        let path = entry.expect("an entry").path();
        if path.is_dir() {
            found.extend(sources(&path));
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            let text = fs::read_to_string(&path).expect("a source file");
            found.push((path, text));
        }
    }
    found
}

/// The room that a file of `src/` lies in; none for lib.rs.
fn room(path: &Path) -> Option<String> {
    let inside = path.strip_prefix(root().join("src")).expect("below src");
    let first = inside.components().next().expect("a name").as_os_str().to_string_lossy().into_owned();
    (inside.components().count() > 1).then_some(first)
}

/// What a file's code imports from other rooms, unit tests left out.
fn rooms_used(text: &str) -> BTreeSet<String> {
    let code = text.split("#[cfg(test)]\nmod ").next().unwrap_or_default();
    let lines = code.lines().filter(|line| !line.trim_start().starts_with("//"));
    let mut used = BTreeSet::new();
    for line in lines {
        for start in ["crate::", "live_read::"] {
            for (at, _) in line.match_indices(start) {
                let name: String =
                    line[at + start.len()..].chars().take_while(|c| c.is_ascii_lowercase() || *c == '_').collect();
                if FLOORS.contains(&name.as_str()) {
                    used.insert(name);
                }
            }
        }
    }
    used
}

/// Everything that is written in Rust here, the tests among it.
fn all_sources() -> Vec<(PathBuf, String)> {
    ["src", "tests", "examples", "benches"].iter().flat_map(|folder| sources(&root().join(folder))).collect()
}

#[test]
fn every_room_has_its_line_in_the_document() {
    let document = fs::read_to_string(root().join("docs/architecture.md")).expect("docs/architecture.md");
    let mut folders = BTreeSet::new();
    for (path, _) in ["src", "tests"].iter().flat_map(|folder| sources(&root().join(folder))) {
        let inside = path.strip_prefix(root()).expect("below the root").parent().expect("a folder").to_owned();
        folders.extend(inside.ancestors().filter(|folder| folder.components().count() > 1).map(Path::to_owned));
    }
    assert!(folders.len() > 16, "the folders were not found: {folders:?}");
    for folder in folders {
        let name = format!("`{}/", folder.display());
        assert!(document.contains(&name), "docs/architecture.md does not name {name}");
    }
}

#[test]
fn rooms_import_only_from_lower_floors() {
    let mut arrows: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for (path, text) in sources(&root().join("src")) {
        let Some(from) = room(&path) else { continue };
        let floor = FLOORS.iter().position(|name| *name == from);
        let floor = floor.unwrap_or_else(|| panic!("src/{from} has no floor: put it into FLOORS and the document"));
        for to in rooms_used(&text) {
            let below = FLOORS[..=floor].contains(&to.as_str());
            assert!(below, "{} imports from {to}, which lies above {from}", path.display());
            arrows.entry(from.clone()).or_default().insert(to);
        }
    }
    assert!(arrows.get("writer").is_some_and(|used| used.contains("store")), "no arrows were found: {arrows:?}");
}

/// The module that a source file is, by its names from the crate on: `src/object/follow/looks.rs` is `object::follow::looks`.
fn module(path: &Path) -> Vec<String> {
    let inside = path.strip_prefix(root().join("src")).expect("below src").with_extension("");
    let names = inside.components().map(|name| name.as_os_str().to_string_lossy().into_owned());
    names.filter(|name| name != "mod" && name != "lib").collect()
}

/// The paths from the crate on that the code of the module `own` names, each of a group `a::{b, c::d}` by itself, unit tests
/// left out: those from the crate on, and those from the module itself or from what it lies in.
fn paths_used(own: &[String], text: &str) -> Vec<Vec<String>> {
    let code = text.split("#[cfg(test)]\nmod ").next().unwrap_or_default();
    let code: String = code.lines().filter(|line| !line.trim_start().starts_with("//")).collect();
    let is_name = |c: char| c.is_alphanumeric() || c == '_' || c == ':';
    let mut found = Vec::new();
    let starts = ["crate::", "self::", "super::"].iter().flat_map(|start| code.match_indices(start));
    for (at, start) in starts.filter(|(at, _)| !code[..*at].ends_with(is_name)) {
        let mut rest = &code[at + start.len()..];
        let mut from = if start == "crate::" { Vec::new() } else { own.to_vec() };
        if start == "super::" {
            from.pop();
            while let Some(more) = rest.strip_prefix("super::") {
                (rest, _) = (more, from.pop());
            }
        }
        let path = &rest[..rest.find(|c| !is_name(c)).unwrap_or(rest.len())];
        let names = |path: &str| {
            let names = path.split("::").filter(|name| !name.is_empty()).map(str::to_owned);
            from.iter().cloned().chain(names).collect::<Vec<_>>()
        };
        let group = rest[path.len()..].strip_prefix('{').and_then(|group| group.split_once(['{', '}']));
        match group {
            Some((group, _)) => found.extend(group.split(',').map(|name| names(&format!("{path}::{}", name.trim())))),
            None => found.push(names(path)),
        }
    }
    found
}

#[test]
fn no_files_import_each_other_in_a_circle() {
    let is_test = |path: &Path| path.file_stem().is_some_and(|name| name.to_string_lossy().ends_with("tests"));
    let files: Vec<_> = sources(&root().join("src")).into_iter().filter(|(path, _)| !is_test(path)).collect();
    let modules: BTreeSet<_> = files.iter().map(|(path, _)| module(path)).collect();
    let mut arrows: BTreeMap<Vec<String>, BTreeSet<Vec<String>>> = BTreeMap::new();
    for (path, text) in &files {
        let from = module(path);
        for used in paths_used(&from, text) {
            // The longest beginning that is a file. A room and what lies in it are one: parents name their children.
            let to = (1..=used.len()).rev().map(|end| used[..end].to_vec()).find(|start| modules.contains(start));
            if let Some(to) = to.filter(|to| !from.starts_with(to) && !to.starts_with(&from)) {
                arrows.entry(from.clone()).or_default().insert(to);
            }
        }
    }
    assert!(arrows.values().map(BTreeSet::len).sum::<usize>() > 200, "the arrows were not found: {arrows:?}");
    // What leads nowhere is no part of a circle; what is left when all of that is gone, is.
    while let Some(end) = arrows.iter().find(|(_, to)| !to.iter().any(|to| arrows.contains_key(to))) {
        let end = end.0.clone();
        arrows.remove(&end);
    }
    assert!(arrows.is_empty(), "these files import each other in a circle, or lead into one: {arrows:#?}");
}

#[test]
fn files_say_their_job_first() {
    for (path, text) in all_sources() {
        assert!(text.starts_with("//! "), "{} does not begin with what its job is", path.display());
    }
}

#[test]
fn files_are_short() {
    for (path, text) in all_sources() {
        let lines = text.lines().count();
        let most = if path.starts_with(root().join("src/bin")) { 99 } else { 500 };
        assert!(lines <= most, "{} has {lines} lines: split it by the jobs it does", path.display());
    }
}

/// Whether this is how a test is called, and no option, code or file.
fn is_test_name(word: &str) -> bool {
    let plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_';
    word.matches('_').count() > 3 && word.chars().all(plain)
}

#[test]
fn the_tests_that_the_documents_name_exist() {
    let code: String = all_sources().into_iter().map(|file| file.1).collect();
    let document = fs::read_to_string(root().join("docs/reliability.md")).expect("docs/reliability.md");
    let (mut found, mut missing) = (0, Vec::new());
    for line in document.lines() {
        // `folder/file`: `a_test`, `another_test`; `folder/file`: …
        let mut file = None;
        for word in line.split('`').skip(1).step_by(2) {
            let path = root().join("tests").join(format!("{word}.rs"));
            if word.contains('/') && path.exists() {
                file = Some(fs::read_to_string(path).expect("a file of tests"));
            } else if word.ends_with(".rs") || word.contains("::") {
                file = None;
            } else if is_test_name(word) {
                found += 1;
                let text = if line.contains("unit test") { &code } else { file.as_ref().unwrap_or(&code) };
                if !text.contains(&format!("fn {word}(")) {
                    missing.push(word);
                }
            }
        }
    }
    assert!(found > 100, "the names of tests were not found");
    assert!(missing.is_empty(), "docs/reliability.md names tests that are not there: {missing:#?}");
}
