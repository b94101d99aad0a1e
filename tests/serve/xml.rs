//! Manifests read as strictly as XML has it: what is no well-formed document fails the test.

use std::collections::BTreeMap;

/// An element.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Element {
    pub name: String,
    pub attributes: BTreeMap<String, String>,
    pub text: String,
    pub children: Vec<Self>,
}

impl Element {
    /// Those right below it with this name.
    pub fn all(&self, name: &str) -> Vec<&Self> {
        self.children.iter().filter(|child| child.name == name).collect()
    }

    /// The only one.
    #[track_caller]
    pub fn one(&self, name: &str) -> &Self {
        let all = self.all(name);
        assert_eq!(all.len(), 1, "{name} in {self:?}");
        all[0]
    }

    #[track_caller]
    pub fn get(&self, name: &str) -> &str {
        self.attributes.get(name).unwrap_or_else(|| panic!("no {name} in {} {:?}", self.name, self.attributes))
    }

    #[track_caller]
    pub fn number(&self, name: &str) -> u64 {
        self.get(name).parse().unwrap_or_else(|_| panic!("{name}=\"{}\" is no number", self.get(name)))
    }
}

/// The document's element.
#[track_caller]
pub fn parse(document: &str) -> Element {
    let rest = document.trim().strip_prefix("<?xml ").and_then(|rest| rest.split_once("?>")).expect("a declaration").1;
    let (element, rest) = element(rest.trim_start());
    assert!(rest.trim().is_empty(), "after the end: {rest}");
    element
}

fn element(text: &str) -> (Element, &str) {
    let inside = text.strip_prefix('<').unwrap_or_else(|| panic!("no element: {text}"));
    let end = inside.find([' ', '>', '/']).expect("the end of a name");
    let (name, mut rest) = inside.split_at(end);
    assert!(!name.is_empty() && name.bytes().all(|letter| letter.is_ascii_alphanumeric()), "{name}");
    let mut element =
        Element { name: name.to_owned(), attributes: BTreeMap::new(), text: String::new(), children: Vec::new() };
    loop {
        rest = rest.trim_start();
        if let Some(after) = rest.strip_prefix("/>") {
            return (element, after);
        }
        if let Some(after) = rest.strip_prefix('>') {
            rest = after;
            break;
        }
        let (attribute, after) = rest.split_once("=\"").expect("an attribute");
        let (value, after) = after.split_once('"').expect("the end of a value");
        assert!(!value.contains(['<', '&']), "{attribute}=\"{value}\"");
        let known = element.attributes.insert(attribute.to_owned(), value.to_owned());
        assert_eq!(known, None, "{attribute} twice in {name}");
        assert!(after.starts_with([' ', '>', '/']), "after {attribute} in {name}");
        rest = after;
    }
    loop {
        let (text, after) = rest.split_once('<').expect("the end of an element");
        element.text.push_str(text.trim());
        rest = &rest[rest.len() - after.len() - 1..];
        if let Some(after) = rest.strip_prefix("</") {
            let after = after.strip_prefix(name).and_then(|after| after.strip_prefix('>'));
            return (element, after.unwrap_or_else(|| panic!("{name} does not end: {rest}")));
        }
        let (child, after) = self::element(rest);
        element.children.push(child);
        rest = after;
    }
}
