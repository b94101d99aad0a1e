//! `/openapi.json`: all that can be asked for, in words for programs. A test holds it against the routes.

use serde_json::{Value, json};

use crate::serve::routes::Right;

/// A parameter: its name, where it is, whether it must be there, and what it says.
type Parameter = (&'static str, &'static str, bool, &'static str);

/// What can be done: path, method, right, what it does, parameters, answers.
struct Operation {
    path: &'static str,
    method: &'static str,
    right: Option<Right>,
    does: &'static str,
    parameters: &'static [Parameter],
    answers: &'static [(&'static str, &'static str)],
}

const KEY: Parameter = ("key", "path", true, "The object's key; slashes may stay");
const BUCKET: Parameter = ("bucket", "path", true, "One of the buckets that the gateway was started with");
const OF_BUCKET: Parameter =
    ("bucket", "query", false, "One of the buckets that the gateway was started with; else the first");
const VERSION: Parameter = ("version", "query", false, "One certain version; else the newest");
const PREFIX: Parameter = ("prefix", "query", false, "Only keys that begin with this");
const PAGE: Parameter = ("page", "query", false, "`next` of the page before");

const OPERATIONS: &[Operation] = &[
    Operation {
        path: "/watch",
        method: "get",
        right: Some(Right::Watch),
        does: "The bytes of an object, finished or growing, to their end",
        parameters: &[
            ("v", "query", true, "The object's key"),
            OF_BUCKET,
            VERSION,
            ("Range", "header", false, "One range of bytes"),
            ("Prefer", "header", false, "`wait=N`: wait up to N seconds, 10 at most, for bytes that are not there yet"),
        ],
        answers: &[
            ("200", "All of it; in chunks while it grows"),
            ("206", "A range of it"),
            ("304", "It is the one that the client has"),
            ("412", "It is not the one that the client means"),
            ("416", "There are no such bytes, or not yet"),
        ],
    },
    Operation {
        path: "/live/{key}",
        method: "get",
        right: Some(Right::Watch),
        does: "A fragmented MP4 from its newest key frame on, to its end",
        parameters: &[KEY, ("back", "query", false, "From so much before, such as `30s`"), OF_BUCKET, VERSION],
        answers: &[
            ("200", "The header, the newest key frame, and all that follows"),
            ("415", "It is no fragmented MP4"),
        ],
    },
    Operation {
        path: "/hls/{key}/index.m3u8",
        method: "get",
        right: Some(Right::Watch),
        does: "HLS: the multivariant playlist of an object, and of those that go on it (`--rollover`), which leads to all others",
        parameters: &[KEY, OF_BUCKET],
        answers: &[
            ("200", "The playlist"),
            ("415", "It is no fragmented MP4 that can be played so"),
            ("503", "There is nothing to play yet: ask again"),
        ],
    },
    Operation {
        path: "/dash/{key}/manifest.mpd",
        method: "get",
        right: Some(Right::Watch),
        does: "DASH: the manifest of an object, which leads to each of its tracks; or of all renditions, where the key is that of a multivariant playlist (`MASTER.m3u8`)",
        parameters: &[KEY, OF_BUCKET],
        answers: &[
            ("200", "The manifest"),
            ("304", "It is the one that the client has"),
            ("415", "It is no fragmented MP4 that can be played so"),
            ("503", "There is nothing to play yet: ask again"),
        ],
    },
    Operation {
        path: "/{key}.isml/Manifest",
        method: "get",
        right: Some(Right::Watch),
        does: "Smooth Streaming: the manifest of an object, which leads to the fragments of its tracks, or of all renditions of `KEY.m3u8`; `.ism` for `.isml` as well",
        parameters: &[
            KEY,
            ("dvr", "query", false, "Of what grows no more than the newest so much, such as `30m`"),
            OF_BUCKET,
            VERSION,
        ],
        answers: &[
            ("200", "The manifest"),
            ("304", "It is the one that the client has"),
            ("415", "It is no fragmented MP4 with H.264 or AAC that can be played so"),
            ("503", "There is nothing to play yet: ask again"),
        ],
    },
    Operation {
        path: "/{key}.isml/{last}.m3u8",
        method: "get",
        right: Some(Right::Watch),
        does: "For players that know nothing of Smooth Streaming: leads to HLS of the same key, of which the name is the last part",
        parameters: &[KEY, ("last", "path", true, "What follows the last slash of the key"), OF_BUCKET, VERSION],
        answers: &[("302", "To `/hls/{key}/index.m3u8`, or `/hls/{key}.m3u8` where that is a multivariant playlist")],
    },
    Operation {
        path: "/{key}.isml/QualityLevels({rate})/Fragments({track}={time})",
        method: "get",
        right: Some(Right::Watch),
        does: "A fragment of a track, held back until the one after it is there; `FragmentInfo` for all of it but the samples",
        parameters: &[
            KEY,
            ("rate", "path", true, "Bits a second, as the manifest names them"),
            ("track", "path", true, "The name of the track in the manifest"),
            ("time", "path", true, "When it begins"),
            OF_BUCKET,
            VERSION,
        ],
        answers: &[
            ("200", "The fragment"),
            ("206", "A range of it"),
            ("304", "It is the one that the client has"),
            ("412", "It is too far in the future"),
            ("416", "There are no such bytes"),
        ],
    },
    Operation {
        path: "/play/{key}",
        method: "get",
        right: Some(Right::Watch),
        does: "A page that plays it",
        parameters: &[KEY, OF_BUCKET],
        answers: &[("200", "The page")],
    },
    Operation {
        path: "/",
        method: "get",
        right: Some(Right::List),
        does: "A page of what is live and what is recorded",
        parameters: &[OF_BUCKET, PREFIX, PAGE],
        answers: &[("200", "The page")],
    },
    Operation {
        path: "/page/{name}",
        method: "get",
        right: Some(Right::Watch),
        does: "What the pages are made of",
        parameters: &[("name", "path", true, "The name of a script or a style")],
        answers: &[("200", "It"), ("304", "It is the one that the client has")],
    },
    Operation {
        path: "/buckets",
        method: "get",
        right: Some(Right::List),
        does: "The buckets that the gateway was started with, and which of them exist",
        parameters: &[],
        answers: &[("200", "`{\"buckets\": [{\"name\", \"exists\"}], \"default\"}`")],
    },
    Operation {
        path: "/buckets/{bucket}",
        method: "get",
        right: Some(Right::List),
        does: "Whether one of them exists",
        parameters: &[BUCKET],
        answers: &[("200", "`{\"name\", \"exists\": true}`"), ("404", "It does not")],
    },
    Operation {
        path: "/buckets/{bucket}",
        method: "put",
        right: Some(Right::Write),
        does: "Makes one of them, private",
        parameters: &[BUCKET],
        answers: &[("201", "It exists now"), ("409", "It was there already")],
    },
    Operation {
        path: "/buckets/{bucket}/objects",
        method: "get",
        right: Some(Right::List),
        does: "What is in a bucket, by rising keys; `state` is live, recorded or uploading",
        parameters: &[BUCKET, PREFIX, PAGE, ("limit", "query", false, "1 to 1000 objects on a page; else 100")],
        answers: &[(
            "200",
            "`{\"bucket\", \"prefix\", \"objects\": [{\"key\", \"state\", \"size\", \"since\", \"age\"}], \"next\"}`; \
             `next` is null on the last page",
        )],
    },
    Operation {
        path: "/buckets/{bucket}/objects/{key}",
        method: "put",
        right: Some(Right::Write),
        does: "Stores the body of the request as an object. What does not come to its end leaves nothing",
        parameters: &[BUCKET, KEY],
        answers: &[
            ("201", "`{\"bucket\", \"key\", \"size\", \"version\"}`"),
            ("409", "It is being recorded or uploaded right now"),
            ("413", "It is larger than `--max-upload`"),
            ("429", "This token is uploading something else right now"),
        ],
    },
    Operation {
        path: "/metrics",
        method: "get",
        right: Some(Right::Admin),
        does: "How the gateway is doing, for Prometheus",
        parameters: &[],
        answers: &[("200", "Text")],
    },
    Operation {
        path: "/openapi.json",
        method: "get",
        right: Some(Right::Watch),
        does: "This description",
        parameters: &[],
        answers: &[("200", "OpenAPI 3.1")],
    },
    Operation {
        path: "/docs",
        method: "get",
        right: Some(Right::Watch),
        does: "This description for people",
        parameters: &[],
        answers: &[("200", "The page")],
    },
    Operation {
        path: "/healthz",
        method: "get",
        right: None,
        does: "Whether the program runs",
        parameters: &[],
        answers: &[("200", "It does")],
    },
    Operation {
        path: "/readyz",
        method: "get",
        right: None,
        does: "Whether it takes requests",
        parameters: &[],
        answers: &[("200", "It does"), ("503", "It is about to end")],
    },
];

/// What every answer may be.
const COMMON: &[(&str, &str)] = &[
    ("400", "The URL cannot be understood"),
    ("403", "This bucket is not served, or the token has no right to this"),
    ("404", "There is nothing of this name"),
    ("502", "The store refuses it"),
    ("503", "Not now: the store is away, or no memory or connection is left"),
];

pub(super) fn name_of(right: Right) -> &'static str {
    match right {
        Right::Watch => "watch",
        Right::List => "list",
        Right::Write => "write",
        Right::Admin => "admin",
    }
}

/// The document.
pub(crate) fn document() -> Value {
    let mut paths = serde_json::Map::new();
    for operation in OPERATIONS {
        let path = paths.entry(operation.path).or_insert_with(|| json!({}));
        if let Some(path) = path.as_object_mut() {
            path.insert(operation.method.to_owned(), operation.described());
        }
    }
    json!({
        "openapi": "3.1.0",
        "info": {
            "title": "live-read gateway",
            "version": env!("CARGO_PKG_VERSION"),
            "description": "Objects that are finished, and objects that still grow, over HTTP. All of this is also there below /s/TOKEN/ as far as a signed link allows it.",
            "license": { "name": "MIT OR Apache-2.0", "identifier": "MIT OR Apache-2.0" },
        },
        "servers": [{ "url": "/" }],
        "components": { "securitySchemes": {
            "bearer": { "type": "http", "scheme": "bearer", "description": "A token of --auth FILE" },
            "basic": { "type": "http", "scheme": "basic", "description": "A name and a password of --auth FILE" },
        }},
        "paths": paths,
    })
}

impl Operation {
    fn described(&self) -> Value {
        let parameter = |(name, place, required, says): &Parameter| json!({ "name": name, "in": place, "required": required, "description": says, "schema": { "type": "string" } });
        let parameters: Vec<_> = self.parameters.iter().map(parameter).collect();
        let mut answers = serde_json::Map::new();
        let common = COMMON.iter().filter(|_| self.right.is_some());
        for (status, says) in self.answers.iter().chain(common) {
            answers.entry(*status).or_insert_with(|| json!({ "description": says }));
        }
        if self.right.is_some() {
            answers.insert("401".to_owned(), json!({ "description": "This needs a token" }));
        }
        let right = self.right.map(name_of);
        let security = if right.is_some() { json!([{ "bearer": [] }, { "basic": [] }]) } else { json!([]) };
        let mut described = json!({
            "summary": self.does,
            "parameters": parameters,
            "responses": answers,
            "security": security,
            "x-right": right,
        });
        if self.method == "put" && self.path.ends_with("{key}") {
            described["requestBody"] = json!({ "required": true, "content": { "*/*": {} } });
        }
        described
    }
}

#[cfg(test)]
mod tests {
    use http::Method;

    use super::*;
    use crate::serve::routes::{ROUTES, find};

    /// A path as somebody would ask for it.
    fn asked(path: &str) -> String {
        let path = path
            .replace("{key}", "a/b.mp4")
            .replace("{bucket}", "tv")
            .replace("{name}", "page.css")
            .replace("{last}", "b.mp4");
        path.replace("{rate}", "9").replace("{track}", "video").replace("{time}", "0")
    }

    #[test]
    fn what_is_described_is_there_and_what_is_there_is_described() {
        let document = document();
        let paths = document["paths"].as_object().expect("paths");
        let mut seen = Vec::new();
        for (path, operations) in paths {
            for (method, operation) in operations.as_object().expect("operations") {
                let wanted = Method::from_bytes(method.to_uppercase().as_bytes()).expect("a method");
                let path = asked(path);
                let (route, _) = find(&path, &wanted).unwrap_or_else(|| panic!("{method} {path} is no route"));
                assert!(route.methods.contains(&wanted), "{method} {path}");
                assert_eq!(operation["x-right"].as_str(), route.right.map(name_of), "{method} {path}");
                seen.push((route.path, wanted));
            }
        }
        for route in ROUTES {
            for method in route.methods.iter().filter(|method| **method != Method::HEAD) {
                assert!(seen.contains(&(route.path, method.clone())), "{method} {} is not described", route.path);
            }
        }
        assert_eq!(document["openapi"], "3.1.0");
    }

    #[test]
    fn each_parameter_of_a_path_is_described() {
        for operation in OPERATIONS {
            for name in operation.path.split('{').skip(1).filter_map(|rest| rest.split('}').next()) {
                let has = operation.parameters.iter().any(|one| one.0 == name && one.1 == "path" && one.2);
                assert!(has, "{name} of {}", operation.path);
            }
        }
    }
}
