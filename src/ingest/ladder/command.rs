//! What ffmpeg is told: pictures are decoded once, made smaller, and coded for each rung with key frames where the stream has
//! them. Pure.

use std::time::Duration;

use crate::keys::rungs::Rung;

/// The encoder, unless another is asked for.
pub const ENCODER: &str = "libx264";

/// How pictures are coded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Coding {
    /// ffmpeg's name of the encoder.
    pub encoder: String,
    /// What else it is told, for each rung.
    pub more: Vec<String>,
    /// How long a fragment is at most.
    pub fragment: Duration,
}

/// Encoders by what their names contain, and what they need so that key frames are where they are to be and nowhere else.
const KINDS: [(&str, &str, &str); 4] = [
    ("x264", "", "-preset veryfast -sc_threshold 0"),
    ("nvenc", "", "-forced-idr 1 -no-scenecut 1"),
    ("qsv", "", "-forced_idr 1"),
    ("vaapi", ",format=nv12,hwupload", ""),
];

/// The arguments, for a stream of this size and rungs with the URLs where each is to be sent.
#[must_use]
pub(super) fn arguments(coding: &Coding, size: (u32, u32), rungs: &[(Rung, String)]) -> Vec<String> {
    let (upload, own) = KINDS
        .iter()
        .find(|(kind, ..)| coding.encoder.contains(kind))
        .map_or(("", ""), |(_, upload, own)| (*upload, *own));
    let mut out = Vec::new();
    add(&mut out, "-hide_banner -nostats -loglevel warning");
    if coding.encoder.contains("vaapi") {
        add(&mut out, "-vaapi_device /dev/dri/renderD128");
    }
    // The stream's own times.
    add(&mut out, "-copyts -protocol_whitelist pipe -f mp4 -i pipe:0 -filter_complex");
    let split = (0..rungs.len()).map(|at| format!("[s{at}]")).collect::<Vec<_>>().concat();
    let scaled =
        rungs.iter().enumerate().map(|(at, (rung, _))| format!(";[s{at}]scale={}{upload}[o{at}]", rung.scale(size)));
    let graph = scaled.collect::<Vec<_>>().concat();
    add(&mut out, &format!("[0:v:0]split={}{split}{graph}", rungs.len()));
    for (at, (rung, url)) in rungs.iter().enumerate() {
        let (rate, twice) = (rung.rate, rung.rate * 2);
        add(&mut out, &format!("-map [o{at}] -map 0:a? -c:v {} {own}", coding.encoder));
        // Each picture at its own time, and pictures in the order in which they are shown: so decode times are the stream's, too.
        add(&mut out, "-fps_mode passthrough -enc_time_base 1:90000 -bf 0 -force_key_frames source -g 9999");
        add(&mut out, &format!("-b:v {rate} -maxrate {rate} -bufsize {twice} -c:a copy"));
        out.extend(coding.more.iter().cloned());
        add(
            &mut out,
            "-f mp4 -movflags +frag_keyframe+empty_moov+default_base_moof+frag_discont+negative_cts_offsets+skip_trailer",
        );
        add(&mut out, &format!("-frag_duration {} -method PUT {url}", coding.fragment.as_micros()));
    }
    out
}

/// Adds these words.
fn add(out: &mut Vec<String>, words: &str) {
    out.extend(words.split_whitespace().map(str::to_owned));
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::keys::rungs::Rungs;

    #[test]
    fn it_decodes_once_and_codes_each_rung_to_its_own_url() {
        let more = vec!["-tune".to_owned(), "zero latency".to_owned()];
        let coding = Coding { encoder: ENCODER.to_owned(), more, fragment: Duration::from_millis(500) };
        let rungs = "720p:2M,360p".parse::<Rungs>().expect("rungs").fitting((1920, 1080)).0;
        let urls = ["http://127.0.0.1:1/a".to_owned(), "http://127.0.0.1:1/b".to_owned()];
        let rungs: Vec<_> = rungs.into_iter().zip(urls).collect();
        let all = arguments(&coding, (1920, 1080), &rungs);
        assert!(
            all.contains(&"[0:v:0]split=2[s0][s1];[s0]scale=-2:720[o0];[s1]scale=-2:360[o1]".to_owned()),
            "{all:?}"
        );
        for (wanted, count) in [
            ("libx264", 2),
            ("source", 2),
            ("veryfast", 2),
            ("zero latency", 2),
            ("500000", 2),
            ("2000000", 2),
            ("700000", 2),
            ("4000000", 1),
            ("-copyts", 1),
            ("http://127.0.0.1:1/a", 1),
            ("http://127.0.0.1:1/b", 1),
        ] {
            assert_eq!(all.iter().filter(|one| *one == wanted).count(), count, "{wanted} in {all:?}");
        }
        let vaapi = Coding { encoder: "h264_vaapi".to_owned(), more: Vec::new(), ..coding };
        let all = arguments(&vaapi, (1080, 1920), &rungs).join(" ");
        assert!(all.contains("scale=720:-2,format=nv12,hwupload[o0]") && !all.contains("veryfast"), "{all}");
    }
}
