//! What stands at the end of `--help` and of the manual pages: examples, the environment, exit codes, and where there is more.

/// What one tool says of itself: its name, its examples, and what may stand behind "the key".
macro_rules! help {
    ($tool:literal, $without_key:literal, $examples:literal) => {
        concat!(
            "Examples:\n",
            $examples,
            "
Environment, which .env in this directory adds to:
  AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY, AWS_SESSION_TOKEN   the key",
            $without_key,
            "
  AWS_PROFILE                      or a profile of ~/.aws
  AWS_ENDPOINT_URL, AWS_REGION     the store
  BUCKET_NAME                      the bucket
  AWS_CA_BUNDLE, HTTPS_PROXY, HTTP_PROXY, ALL_PROXY, NO_PROXY   the way there
  RUST_LOG                         which messages are written

Exit code: 0 done, 1 failed, 2 wrong usage, 128+N ended by signal N.
Documentation: README.md and docs/ in the source, or /usr/share/doc/live-read; `man ",
            $tool,
            "`."
        )
    };
}

/// For `writer`.
pub(super) const WRITER: &str = help!(
    "writer",
    "",
    "  ffmpeg … -movflags +empty_moov+frag_keyframe+default_base_moof -f mp4 - | writer live.mp4
        what ffmpeg makes, until it ends
  writer live.mp4 recording.mp4
        a file as it grows, such as OBS writes it; Ctrl-C ends it
  writer live.mp4 rtmp://127.0.0.1:1935/live/stream
        what OBS or another encoder sends there
  writer 'live-{rendition}.mp4' rtmp://:1935/live/KEY --ladder 720p,480p --hls --hls-master live.m3u8
        the same in several qualities; of a file or standard input, too
  … | writer live.mp4 --hls --max-latency 1s
        with a playlist for browsers, and about a second behind
  writer live.mp4 recording.mp4 --resume
        go on with an upload that was left open
  writer --check
        is everything set up?
"
);

/// For `reader`.
pub(super) const READER: &str = help!(
    "reader",
    "; none with --anon",
    "  reader live.mp4 | ffplay -
        watch it while it is written; waits for it to begin
  reader live.mp4 copy.mp4
        keep a copy
  reader --no-wait live.mp4 copy.mp4
        what is there already: a recording, or a stream that is running
  reader live.mp4 --from live | ffplay -
        join a running stream now
  reader live.mp4 clip.mp4 --from 00:10:00 --to 00:12:30
        cut a clip
  reader --list
        what is live, and what is recorded
  reader --serve
        give the bucket's objects to players over HTTP
"
);
