//! Stock clients, set as for Backblaze B2, against the local store. A client that this machine lacks is left out, loudly.

use std::path::Path;
use std::process::Output;

use crate::support::{ACCESS_KEY, BUCKET, SECRET_KEY, Store, bytes, present};

/// Larger than the part size of all of them, so that each uploads in parts.
const SIZE: usize = 21_000_000;

fn run(store: &Store, dir: &Path, program: &str, args: &[&str]) -> Output {
    let output = store.command(program).args(args).current_dir(dir).output().expect(program);
    assert!(
        output.status.success(),
        "{program} {args:?}: {}\n{}\n{}",
        output.status,
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    );
    output
}

fn input() -> (tempfile::TempDir, Vec<u8>) {
    let dir = tempfile::tempdir().expect("a directory");
    let body = bytes(3, SIZE);
    std::fs::write(dir.path().join("in"), &body).expect("a file");
    (dir, body)
}

#[test]
fn aws_cli() {
    if !present("aws", &["--version"]) {
        return;
    }
    let store = Store::start();
    let (dir, body) = input();
    // Given on the command line: AWS CLIs before 2.13 do not read AWS_ENDPOINT_URL.
    let endpoint = ["--endpoint-url", store.endpoint()];
    let aws = |args: &[&str]| run(&store, dir.path(), "aws", &[args, &endpoint].concat());
    let url = format!("s3://{BUCKET}/dir/object name");
    aws(&["s3", "cp", "--no-progress", "in", &url]);
    aws(&["s3", "cp", "--no-progress", &url, "out"]);
    assert!(std::fs::read(dir.path().join("out")).expect("out") == body);
    let list = aws(&["s3", "ls", "--recursive", &format!("s3://{BUCKET}/")]);
    assert!(String::from_utf8_lossy(&list.stdout).contains("21000000 dir/object name"));
    aws(&["s3", "rm", &url]);
    let list = aws(&["s3api", "list-multipart-uploads", "--bucket", BUCKET, "--output", "json"]);
    assert!(!String::from_utf8_lossy(&list.stdout).contains("UploadId"));
}

#[test]
fn boto3() {
    // Where `scripts/install-deps.sh` puts it if the system has none.
    let own = Path::new(env!("CARGO_MANIFEST_DIR")).join("target/tools/bench/bin/python");
    let python = if own.exists() { own.display().to_string() } else { "python3".to_owned() };
    if !present(&python, &["-c", "import boto3"]) {
        return;
    }
    let store = Store::start();
    let (dir, body) = input();
    let script = "
import boto3, sys
from botocore.config import Config
s3 = boto3.client('s3', config=Config(s3={'addressing_style': 'path'}))
bucket = sys.argv[1]
s3.upload_file('in', bucket, 'key', ExtraArgs={'ContentType': 'video/mp4', 'Metadata': {'a': 'b'}})
head = s3.head_object(Bucket=bucket, Key='key')
assert head['ContentType'] == 'video/mp4' and head['Metadata'] == {'a': 'b'}, head
s3.download_file(bucket, 'key', 'out')
s3.put_object(Bucket=bucket, Key='a key+%', Body=b'small')
keys = [o['Key'] for page in s3.get_paginator('list_objects_v2').paginate(Bucket=bucket, PaginationConfig={'PageSize': 1}) for o in page['Contents']]
assert keys == ['a key+%', 'key'], keys
url = s3.generate_presigned_url('get_object', Params={'Bucket': bucket, 'Key': 'a key+%'})
import urllib.request
assert urllib.request.urlopen(url).read() == b'small'
# Without the settings for Backblaze a boto3 of 2025 or later is refused, whatever it asks for.
from botocore.exceptions import ClientError
def refused(ask, header):
    try:
        ask()
    except ClientError as error:
        told = error.response['Error']
        assert told['Code'] == 'InvalidArgument' and header in told['Message'], told
    else:
        raise AssertionError('not refused: ' + header)
if tuple(map(int, boto3.__version__.split('.')[:2])) >= (1, 36):
    usual = Config(s3={'addressing_style': 'path'}, response_checksum_validation='when_supported')
    usual = boto3.client('s3', config=usual)
    refused(lambda: usual.get_object(Bucket=bucket, Key='key'), 'x-amz-checksum-mode')
    rules = {'CORSRules': [{'AllowedOrigins': ['*'], 'AllowedMethods': ['GET']}]}
    refused(lambda: s3.put_bucket_cors(Bucket=bucket, CORSConfiguration=rules), 'checksum')
# boto3 insists on a checksum here, which Backblaze refuses; Content-MD5 is what it takes.
import base64, hashlib
def md5(request, **_):
    for name in [name for name in request.headers if 'checksum' in name.lower()]:
        del request.headers[name]
    request.headers['Content-MD5'] = base64.b64encode(hashlib.md5(request.body).digest()).decode()
s3.meta.events.register('before-sign.s3.DeleteObjects', md5)
gone = s3.delete_objects(Bucket=bucket, Delete={'Objects': [{'Key': key} for key in keys]})
assert len(gone['Deleted']) == 2 and 'Errors' not in gone, gone
assert 'Contents' not in s3.list_objects_v2(Bucket=bucket)
";
    run(&store, dir.path(), &python, &["-c", script, BUCKET]);
    assert!(std::fs::read(dir.path().join("out")).expect("out") == body);
}

#[test]
fn rclone() {
    if !present("rclone", &["version"]) {
        return;
    }
    let store = Store::start();
    let (dir, body) = input();
    let remote = format!(
        ":s3,provider=Other,access_key_id={ACCESS_KEY},secret_access_key={SECRET_KEY},endpoint='{}',\
         chunk_size=5Mi,upload_cutoff=5Mi:{BUCKET}",
        store.endpoint()
    );
    let rclone = |args: &[&str]| run(&store, dir.path(), "rclone", &[&["--config", "/dev/null"], args].concat());
    rclone(&["copyto", "in", &format!("{remote}/dir/a b%.bin")]);
    rclone(&["copyto", &format!("{remote}/dir/a b%.bin"), "out"]);
    assert!(std::fs::read(dir.path().join("out")).expect("out") == body);
    let list = rclone(&["lsf", "-R", "--files-only", &remote]);
    assert_eq!(String::from_utf8_lossy(&list.stdout).trim(), "dir/a b%.bin");
    rclone(&["deletefile", &format!("{remote}/dir/a b%.bin")]);
}
