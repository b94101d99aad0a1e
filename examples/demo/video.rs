//! The ffmpeg command lines: the test pattern that goes in, the decoder and the
//! player of what comes out.

use std::path::Path;

use tokio::process::Command;

use crate::tools::command;

pub(crate) const FRAMES_PER_SECOND: u64 = 30;

/// A test pattern in real time, with a running clock and a beep each second, as
/// fragmented MP4 on standard output. Constant 6 Mbit/s: x264 fills up what the
/// pattern does not need. Its progress comes on standard error, and once a second the newest picture in `png`.
pub(crate) fn source(seconds: u64, clock: bool, png: &Path) -> Command {
    // A little noise, so that the pictures cost what camera pictures cost.
    let mut picture = String::from("noise=alls=10:allf=t,");
    if clock {
        picture.push_str(CLOCK);
        picture.push(',');
    }
    picture.push_str("format=yuv420p");
    let gop = (2 * FRAMES_PER_SECOND).to_string();

    let mut ffmpeg = command("ffmpeg");
    ffmpeg
        .args(["-hide_banner", "-loglevel", "warning", "-nostats"])
        .args(["-progress", "pipe:2"])
        .args(["-re", "-f", "lavfi", "-i"])
        .arg(format!("testsrc2=size=1280x720:rate={FRAMES_PER_SECOND}"))
        .args(["-re", "-f", "lavfi", "-i"])
        .arg("sine=frequency=440:beep_factor=4:sample_rate=48000")
        .args(["-t", &seconds.to_string(), "-vf", &picture])
        .args(["-c:v", "libx264", "-preset", "ultrafast"])
        .args(["-tune", "zerolatency", "-b:v", "5850k"])
        .args(["-minrate", "5850k", "-maxrate", "5850k"])
        .args(["-bufsize", "2925k", "-x264-params", "nal-hrd=cbr"])
        .args(["-g", &gop, "-keyint_min", &gop, "-sc_threshold", "0"])
        .args(["-c:a", "aac", "-b:a", "128k"])
        .args(["-movflags", "+empty_moov+frag_keyframe+default_base_moof"])
        .args(["-f", "mp4", "pipe:1"])
        .args(["-map", "0:v:0", "-t", &seconds.to_string()])
        .args(["-vf", &if clock { format!("fps=1,{CLOCK}") } else { "fps=1".to_owned() }])
        .args(["-update", "1", "-atomic_writing", "1", "-y"])
        .arg(png);
    ffmpeg
}

/// Puts two pictures side by side into a third.
pub(crate) fn side_by_side(left: &Path, right: &Path, png: &Path) -> Command {
    let mut ffmpeg = command("ffmpeg");
    ffmpeg
        .args(["-nostdin", "-loglevel", "quiet", "-y", "-i"])
        .arg(left)
        .arg("-i")
        .arg(right)
        .args([
            "-filter_complex",
            "[0]scale=640:-2[l];[1]scale=640:-2[r];[l][r]hstack",
            "-frames:v",
            "1",
            "-update",
            "1",
        ])
        .args(["-atomic_writing", "1"])
        .arg(png);
    ffmpeg
}

const CLOCK: &str = "drawtext=text='%{localtime\\:%T}  %{pts\\:hms}':fontsize=48:fontcolor=white\
    :box=1:boxcolor=black@0.6:boxborderw=12:x=(w-tw)/2:y=h-th-48";

/// Not every ffmpeg can write text, and not every machine has a font.
pub(crate) async fn can_draw_a_clock() -> bool {
    command("ffmpeg")
        .args(["-loglevel", "quiet", "-f", "lavfi", "-i"])
        .args(["color=size=64x64", "-frames:v", "1", "-vf", CLOCK])
        .args(["-f", "null", "-"])
        .status()
        .await
        .is_ok_and(|status| status.success())
}

/// Decodes standard input: a line per picture and per block of sound on
/// standard output, and once a second of stream the newest picture to `png`.
pub(crate) fn decoder(png: &Path) -> Command {
    let mut ffmpeg = command("ffmpeg");
    ffmpeg
        .args(["-nostdin", "-hide_banner", "-loglevel", "warning"])
        .args(["-nostats", "-y", "-i", "pipe:0"])
        .args(["-map", "0:v:0", "-map", "0:a:0"])
        .args(["-f", "framecrc", "pipe:1"])
        .args(["-map", "0:v:0", "-vf", "fps=1", "-update", "1"])
        .args(["-atomic_writing", "1"])
        .arg(png);
    ffmpeg
}

pub(crate) fn is_a_picture(framecrc: &str) -> bool {
    framecrc.starts_with("0,")
}

/// `frame=123` in ffmpeg's progress.
pub(crate) fn frames_of(progress: &str) -> Option<u64> {
    progress.strip_prefix("frame=")?.trim().parse().ok()
}

/// A `name=value` line of ffmpeg's progress, which is not for people.
pub(crate) fn is_progress(line: &str) -> bool {
    line.split_once('=')
        .is_some_and(|(name, _)| !name.is_empty() && name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_'))
}

pub(crate) fn there_is_a_display() -> bool {
    cfg!(target_os = "macos")
        || ["DISPLAY", "WAYLAND_DISPLAY"]
            .iter()
            .any(|name| std::env::var_os(name).is_some_and(|value| !value.is_empty()))
}

pub(crate) fn player() -> Command {
    let mut ffplay = command("ffplay");
    ffplay
        .args(["-hide_banner", "-loglevel", "error", "-nostats"])
        .args(["-autoexit", "-window_title", "live-read demo"])
        .args(["-i", "pipe:0"]);
    ffplay
}
