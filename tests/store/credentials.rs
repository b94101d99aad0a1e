//! Where credentials come from, and what happens when they run out while a tool runs.

use std::fs;

use crate::support::lab::Lab;
use crate::support::liar::{Answer, Liar, Then};
use crate::support::run::{Launch, assert_same};
use crate::support::{ACCESS_KEY, PART, SECRET_KEY, bytes};
use serde_json::json;

const KEY: &str = "live/stream.mp4";
const FOR_EVER: &str = "2099-01-01T00:00:00Z";

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
    // Once at the start, once after they expired.
    assert_eq!(times, 2, "{}", outcome.state());
}

/// What a service for credentials gives as JSON.
fn as_json(token: &str, expires: &str) -> String {
    json!({
        "Code": "Success", "Type": "AWS-HMAC", "LastUpdated": "2020-01-01T00:00:00Z",
        "AccessKeyId": ACCESS_KEY, "SecretAccessKey": SECRET_KEY, "Token": token, "Expiration": expires
    })
    .to_string()
}

/// A writer that knows the store, and of credentials only what the test gives it.
fn without_keys(lab: &Lab, key: &str) -> Launch {
    Launch::writer(lab, &[key, "-s", "5MB"]).no_env("AWS_ACCESS_KEY_ID").no_env("AWS_SECRET_ACCESS_KEY")
}

#[test]
fn a_container_gives_credentials() {
    let lab = Lab::new();
    let service = Liar::start(|asked| match (asked.target.as_str(), asked.header("authorization")) {
        ("/role", Some("let-me-in")) => Answer::new(200).body(as_json("the-token-of-the-role", FOR_EVER)),
        _ => Answer::new(404),
    });
    let writer = without_keys(&lab, KEY)
        .env("AWS_CONTAINER_CREDENTIALS_FULL_URI", format!("{}/role", service.endpoint()))
        .env("AWS_CONTAINER_AUTHORIZATION_TOKEN", "let-me-in\n")
        .env("RUST_LOG", "trace");
    let run = writer.start().end_with(b"data").code(0);
    run.does_not_say("let-me-in").does_not_say(SECRET_KEY).does_not_say("the-token-of-the-role");
    assert_eq!(lab.object(KEY).as_deref(), Some(&b"data"[..]));
    assert_eq!(service.asked().len(), 1, "asked more than once");
}

#[test]
fn an_instance_gives_credentials() {
    let lab = Lab::new();
    let service = Liar::start(|asked| {
        let known = asked.header("x-aws-ec2-metadata-token") == Some("session");
        match (asked.method.as_str(), asked.target.as_str(), known) {
            ("PUT", "/latest/api/token", _) => {
                Answer::new(200).header("x-aws-ec2-metadata-token-ttl-seconds", 21600).body("session")
            }
            (_, "/latest/meta-data/iam/security-credentials/", true) => Answer::new(200).body("role"),
            (_, "/latest/meta-data/iam/security-credentials/role", true) => {
                Answer::new(200).body(as_json("token", FOR_EVER))
            }
            _ => Answer::new(404),
        }
    });
    let writer = without_keys(&lab, KEY)
        .no_env("AWS_EC2_METADATA_DISABLED")
        .env("AWS_EC2_METADATA_SERVICE_ENDPOINT", service.endpoint());
    writer.start().end_with(b"data").code(0);
    assert_eq!(lab.object(KEY).as_deref(), Some(&b"data"[..]));
}

#[test]
fn a_machine_that_is_no_instance_costs_no_seconds() {
    let lab = Lab::new();
    // As where a firewall swallows it.
    let silent = Liar::start(|_| Answer::raw("").then(Then::Silence));
    let writer = without_keys(&lab, KEY)
        .no_env("AWS_EC2_METADATA_DISABLED")
        .env("AWS_EC2_METADATA_SERVICE_ENDPOINT", silent.endpoint());
    writer.start().end().code(1).says("no credentials").says("AWS_ACCESS_KEY_ID");
    // It is asked once, and not waited for until its connection is given up by the system.
    assert_eq!(silent.asked().len(), 1);
}

fn sts(action: &'static str) -> Liar {
    Liar::start(move |asked| {
        let form = String::from_utf8_lossy(&asked.body);
        if !form.contains(&format!("Action={action}&")) {
            return Answer::error(400, "InvalidAction", "not this one");
        }
        Answer::xml(
            200,
            &format!(
                "<{action}Response xmlns=\"https://sts.amazonaws.com/doc/2011-06-15/\"><{action}Result>\
                 <AssumedRoleUser><AssumedRoleId>a:b</AssumedRoleId><Arn>arn:aws:sts::1:assumed-role/r/s</Arn>\
                 </AssumedRoleUser><Credentials><AccessKeyId>{ACCESS_KEY}</AccessKeyId>\
                 <SecretAccessKey>{SECRET_KEY}</SecretAccessKey><SessionToken>the-token-of-the-role</SessionToken>\
                 <Expiration>{FOR_EVER}</Expiration></Credentials></{action}Result></{action}Response>"
            ),
        )
    })
}

#[test]
fn a_profile_with_a_role_asks_for_it() {
    let lab = Lab::new();
    let sts = sts("AssumeRole");
    let config = lab.dir().join("config");
    let profiles = "[profile streamer]\nrole_arn = arn:aws:iam::123456789012:role/streamer\nsource_profile = base\n\
                    [profile base]\naws_access_key_id = other\naws_secret_access_key = other-secret\n";
    fs::write(&config, profiles).expect("the profiles");
    let writer = without_keys(&lab, KEY)
        .env("AWS_PROFILE", "streamer")
        .env("AWS_CONFIG_FILE", &config)
        .env("AWS_ENDPOINT_URL_STS", sts.endpoint())
        .env("RUST_LOG", "trace");
    let run = writer.start().end_with(b"data").code(0);
    run.does_not_say(SECRET_KEY).does_not_say("other-secret").does_not_say("the-token-of-the-role");
    assert_eq!(lab.object(KEY).as_deref(), Some(&b"data"[..]));
}

#[test]
fn a_role_that_may_not_be_taken_is_told() {
    let lab = Lab::new();
    let sts = Liar::start(|_| {
        let error = "<Error><Type>Sender</Type><Code>AccessDenied</Code><Message>not yours</Message></Error>";
        let envelope = "<ErrorResponse xmlns=\"https://sts.amazonaws.com/doc/2011-06-15/\">";
        Answer::xml(403, &format!("{envelope}{error}</ErrorResponse>"))
    });
    let config = lab.dir().join("config");
    let profiles = "[default]\nrole_arn = arn:aws:iam::123456789012:role/r\nsource_profile = base\n\
                    [profile base]\naws_access_key_id = other\naws_secret_access_key = other-secret\n";
    fs::write(&config, profiles).expect("the profiles");
    let writer = without_keys(&lab, KEY).env("AWS_CONFIG_FILE", &config).env("AWS_ENDPOINT_URL_STS", sts.endpoint());
    writer.start().end().code(1).says("no credentials").says("AccessDenied").says("not yours");
}

#[test]
fn a_web_identity_is_changed_into_a_role() {
    let lab = Lab::new();
    let sts = sts("AssumeRoleWithWebIdentity");
    let token = lab.dir().join("token");
    fs::write(&token, "a.web.token").expect("the token");
    let writer = without_keys(&lab, KEY)
        .env("AWS_ROLE_ARN", "arn:aws:iam::123456789012:role/streamer")
        .env("AWS_WEB_IDENTITY_TOKEN_FILE", &token)
        .env("AWS_ENDPOINT_URL_STS", sts.endpoint());
    writer.start().end_with(b"data").code(0);
}

#[test]
fn a_session_of_single_sign_on_is_taken() {
    let lab = Lab::new();
    let portal = Liar::start(|asked| match asked.header("x-amz-sso_bearer_token") {
        Some("the-cached-token") if asked.target.starts_with("/federation/credentials?") => {
            let role = json!({ "roleCredentials": {
                "accessKeyId": ACCESS_KEY, "secretAccessKey": SECRET_KEY, "sessionToken": "token",
                "expiration": 4_070_908_800_000_u64
            }});
            Answer::new(200).header("content-type", "application/json").body(role.to_string())
        }
        _ => Answer::new(401),
    });
    let config = lab.dir().join("config");
    let profile = "[default]\nsso_session = company\nsso_account_id = 123456789012\nsso_role_name = streamer\n\
                   [sso-session company]\nsso_region = us-east-1\nsso_start_url = https://example.awsapps.com/start\n";
    fs::write(&config, profile).expect("the profile");
    let cache = lab.dir().join(".aws/sso/cache");
    fs::create_dir_all(&cache).expect("the cache");
    let launch = || {
        let launch = without_keys(&lab, KEY).env("HOME", lab.dir()).env("AWS_CONFIG_FILE", &config);
        launch.env("AWS_ENDPOINT_URL_SSO", portal.endpoint())
    };
    launch().start().end().code(1).says("no credentials").says("aws sso login");
    // The SHA-1 of the session's name.
    let file = cache.join("71b21161ffa1e6516bcc072aaf5ef38cbe85b511.json");
    let token = json!({
        "accessToken": "the-cached-token", "expiresAt": FOR_EVER, "region": "us-east-1",
        "startUrl": "https://example.awsapps.com/start"
    });
    fs::write(&file, token.to_string()).expect("the token");
    let run = launch().env("RUST_LOG", "trace").start().end_with(b"data").code(0);
    run.does_not_say("the-cached-token").does_not_say(SECRET_KEY);
    assert_eq!(lab.object(KEY).as_deref(), Some(&b"data"[..]));
}

#[test]
fn a_service_for_credentials_that_fails_for_a_moment_ends_nothing() {
    let lab = Lab::new();
    let service = Liar::start(|asked| match asked.nth {
        // Out of date as soon as it is given, so that each request asks for new ones.
        0 => Answer::new(200).body(as_json("token", "2020-01-01T00:00:00Z")),
        1..=6 => Answer::new(500),
        _ => Answer::new(200).body(as_json("token", FOR_EVER)),
    });
    let writer =
        without_keys(&lab, KEY).env("AWS_CONTAINER_CREDENTIALS_FULL_URI", format!("{}/role", service.endpoint()));
    writer.start().end_with(b"data").code(0).says("Trying again");
    assert_eq!(lab.object(KEY).as_deref(), Some(&b"data"[..]));
    assert!(service.asked().len() > 7, "{}", service.asked().len());
}

#[test]
fn a_service_for_credentials_that_is_down_at_the_start_is_asked_again() {
    let lab = Lab::new();
    let service = Liar::start(|asked| match asked.nth {
        0 => Answer::raw("").then(Then::Close),
        // The SDK itself asks three times.
        1..=3 => Answer::new(503),
        _ => Answer::new(200).body(as_json("token", FOR_EVER)),
    });
    let uri = format!("{}/role", service.endpoint());
    let writer = without_keys(&lab, KEY).env("AWS_CONTAINER_CREDENTIALS_FULL_URI", &uri);
    let run = writer.start().end_with(b"data").code(0);
    run.says("asking for credentials").says("Trying again").says("answers again");
    assert_eq!(lab.object(KEY).as_deref(), Some(&b"data"[..]));
    // What refuses does so for good, and a check says what is wrong now.
    for (status, args) in [(403, &[KEY][..]), (503, &["--check"])] {
        let service = Liar::start(move |_| Answer::new(status));
        let uri = format!("{}/role", service.endpoint());
        let writer = Launch::writer(&lab, args).no_env("AWS_ACCESS_KEY_ID").no_env("AWS_SECRET_ACCESS_KEY");
        let run = writer.env("AWS_CONTAINER_CREDENTIALS_FULL_URI", &uri).start().end().code(1);
        run.says("no credentials").does_not_say("Trying again");
    }
}

#[test]
fn secrets_of_a_renewal_are_in_no_message() {
    let lab = Lab::new();
    let service = Liar::start(|asked| match asked.nth {
        0 => Answer::new(200).body(as_json("token-of-the-start", "2020-01-01T00:00:00Z")),
        _ => Answer::new(200).body(as_json("token-of-the-renewal", FOR_EVER)),
    });
    // The key is the same as the token, so that messages would bring it.
    let writer = without_keys(&lab, "token-of-the-renewal")
        .env("AWS_CONTAINER_CREDENTIALS_FULL_URI", format!("{}/role", service.endpoint()));
    let run = writer.start().end_with(b"data").code(0).says("s3://bucket/*** is complete");
    assert_eq!(service.asked().len(), 2, "{}", run.state());
}
