//! `writer --setup-cors`: the rules of the bucket, shown, asked about and set, in a way that Backblaze B2 takes.

use crate::support::BUCKET;
use crate::support::lab::Lab;
use crate::support::run::Launch;

/// Names and origins of the bucket's rules.
fn rules(lab: &Lab) -> Vec<(String, Vec<String>)> {
    let answer = lab.run(lab.client().get_bucket_cors().bucket(BUCKET).send());
    let rules = answer.map(|answer| answer.cors_rules().to_vec()).unwrap_or_default();
    rules.iter().map(|rule| (rule.id().unwrap_or_default().to_owned(), rule.allowed_origins().to_vec())).collect()
}

#[test]
fn rules_are_shown_and_set_once() {
    for lab in [Lab::new(), Lab::with_tls()] {
        let page = "https://www.example.com";
        let set = |origins: &[&str]| {
            let mut args = vec!["--yes"];
            origins.iter().for_each(|origin| args.extend(["--setup-cors", origin]));
            Launch::writer(&lab, &args).start().end().code(0)
        };
        set(&[page]).says(page).says("x-backblaze-live-read-enabled").says("are set");
        assert_eq!(rules(&lab), [("live-read-players".to_owned(), vec![page.to_owned()])]);
        set(&[page]).says("nothing to set");
        assert_eq!(lab.requests()["operations"]["PutBucketCors"], serde_json::json!({"200": 1}));
        set(&[page, "http://localhost:8000"]).says("no longer in").says("http://localhost:8000");
        assert_eq!(rules(&lab)[0].1, [page, "http://localhost:8000"]);
    }
}

#[test]
fn nothing_is_set_without_a_yes() {
    let lab = Lab::new();
    Launch::writer(&lab, &["--setup-cors", "*"]).start().end().code(2).says("new in").says("give --yes");
    assert!(rules(&lab).is_empty());
    let wrong = Launch::writer(&lab, &["--setup-cors", "https://www.example.com/page", "--yes"]).start().end();
    wrong.code(2).says("an origin has no path; give https://www.example.com");
    Launch::writer(&lab, &["live.mp4", "--setup-cors", "*", "--yes"]).start().end().code(2);
}

#[test]
fn a_key_that_may_not_is_told_so() {
    let lab = Lab::with_args(&["--user", "lister:lister-secret:list"]);
    let run = Launch::writer(&lab, &["--setup-cors", "*", "--yes"]).key("lister", "lister-secret").start();
    run.end().failed_with_one_message("setting the CORS rules (s3://bucket)");
}
