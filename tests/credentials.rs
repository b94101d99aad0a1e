//! Credentials that run out while a tool runs.

use std::fs;

use crate::support::lab::Lab;
use crate::support::run::{Launch, assert_same};
use crate::support::{ACCESS_KEY, PART, SECRET_KEY, bytes};
use serde_json::json;

const KEY: &str = "live/stream.mp4";

/// A profile whose credentials come from a program that notes each time it is asked.
fn provider(lab: &Lab) -> (String, std::path::PathBuf) {
    let asked = lab.dir().join("asked");
    let script = lab.dir().join("provider.sh");
    let answer = json!({
        "Version": 1, "AccessKeyId": ACCESS_KEY, "SecretAccessKey": SECRET_KEY, "Expiration": "2099-01-01T00:00:00Z"
    });
    fs::write(&script, format!("echo asked >> '{}'\necho '{answer}'\n", asked.display())).expect("the provider");
    let config = lab.dir().join("config");
    let process = format!("[default]\ncredential_process = sh {}\n", script.display());
    fs::write(&config, process).expect("the profile");
    (config.display().to_string(), asked)
}

#[test]
fn expired_credentials_are_asked_for_again_and_nothing_is_lost() {
    let lab = Lab::new();
    let (config, asked) = provider(&lab);
    lab.faults(&json!([{
        "operation": "UploadPart", "parts": [2, 2], "times": 1,
        "status": 400, "code": "ExpiredToken", "message": "The provided token has expired."
    }]));
    let data = bytes(1, 2 * PART + 9);
    let writer = Launch::writer(&lab, &[KEY, "-s", "5MB"])
        .no_env("AWS_ACCESS_KEY_ID")
        .no_env("AWS_SECRET_ACCESS_KEY")
        .env("AWS_CONFIG_FILE", config)
        .env("PATH", std::env::var_os("PATH").unwrap_or_default())
        .start();
    let outcome = writer.end_with(&data).code(0);
    assert_same(&lab.object(KEY).expect("the object"), &data, &outcome.state());
    let times = fs::read_to_string(asked).expect("the provider's notes").lines().count();
    // Once to see whether there are any, once for the first request, once after they expired.
    assert_eq!(times, 3, "{}", outcome.state());
}
