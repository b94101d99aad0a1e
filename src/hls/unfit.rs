//! Why an object cannot be played by a playlist that points into it. Pure.

use crate::media::fmp4::{Base, Fragment, Movie, TrackKind};

/// See the [module](self).
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Unfit {
    /// It has no fragments.
    #[error(
        "{0}. HLS needs fragmented MP4: with ffmpeg, -movflags +empty_moov+frag_keyframe+default_base_moof -f mp4; in OBS (29.1 or \
         newer), the recording format \"Fragmented MP4\" with the custom muxer settings \
         movflags=frag_keyframe+empty_moov+delay_moov+default_base_moof"
    )]
    NoFragments(String),
    /// Its fragments tell places in the whole stream.
    #[error(
        "its fragments lack default-base-is-moof, so that browsers cannot play them apart: with ffmpeg, add default_base_moof \
         to -movflags; in OBS, set the custom muxer settings movflags=frag_keyframe+empty_moov+delay_moov+default_base_moof"
    )]
    NoDefaultBase,
    /// Its fragments do not tell when they are to be played.
    #[error(
        "its fragments do not tell their times (tfdt), so that browsers cannot play them apart: send the stream through \
         ffmpeg -i - -c copy -movflags +empty_moov+frag_keyframe+default_base_moof -f mp4 -, which adds them"
    )]
    NoTimes,
    /// It is encrypted.
    #[error(
        "its track {0} is encrypted, and the playlist would have to name a key. Send the stream as it is before encryption"
    )]
    Encrypted(u32),
    /// There is nothing to see and nothing to hear.
    #[error("it has neither pictures nor sound, and players play no subtitles alone")]
    NothingToPlay,
}

/// Sample entries of encrypted tracks (ISO/IEC 14496-12, 8.12).
const ENCRYPTED: [&str; 6] = ["encv", "enca", "enct", "encs", "encm", "encf"];

/// Whether a stream with this header can be played.
///
/// # Errors
/// [`Unfit`], if not.
pub fn check_movie(movie: &Movie) -> Result<(), Unfit> {
    let encrypted = movie.tracks.iter().find(|track| ENCRYPTED.contains(&track.codec.as_str()));
    if let Some(track) = encrypted {
        return Err(Unfit::Encrypted(track.id));
    }
    if movie.tracks.iter().all(|track| track.kind == TrackKind::Other) {
        return Err(Unfit::NothingToPlay);
    }
    Ok(())
}

/// Whether this fragment can be played apart from the others.
///
/// # Errors
/// [`Unfit`], if not.
pub fn check_fragment(fragment: &Fragment) -> Result<(), Unfit> {
    // Without the flag the places of the first track are counted from the `moof` all the same (8.8.7.1), and those of the
    // others from where its data end: browsers go by the first rule only.
    let apart = match fragment.base {
        Base::Moof => true,
        Base::Chained => fragment.runs.len() <= 1,
        Base::Stream => false,
    };
    if !apart {
        return Err(Unfit::NoDefaultBase);
    }
    if fragment.timed { Ok(()) } else { Err(Unfit::NoTimes) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::media::fmp4::fragments::tests::{header, moof, picture, sound};
    use crate::media::fmp4::{Found, Scanner};

    /// A movie with these tracks.
    fn movie(tracks: &[(TrackKind, &str)]) -> Movie {
        let mut movie = Movie::parse(&header()).expect("a movie");
        let any = movie.tracks.first().cloned().expect("a track");
        let track = |(id, (kind, codec)): (u32, &(TrackKind, &str))| {
            let mut track = any.clone();
            (track.id, track.kind, track.codec) = (id, *kind, (*codec).to_owned());
            track
        };
        movie.tracks = (1..).zip(tracks).map(track).collect();
        movie
    }

    #[test]
    fn what_players_have_no_key_for_or_nothing_to_show_of_is_refused() {
        use TrackKind::{Audio, Other, Video};
        assert_eq!(check_movie(&movie(&[(Video, "avc1.64001f"), (Audio, "mp4a.40.2"), (Other, "wvtt")])), Ok(()));
        assert_eq!(check_movie(&movie(&[(Audio, "opus")])), Ok(()));
        assert_eq!(check_movie(&movie(&[(Video, "avc1.64001f"), (Audio, "enca")])), Err(Unfit::Encrypted(2)));
        assert_eq!(check_movie(&movie(&[(Other, "stpp"), (Other, "wvtt")])), Err(Unfit::NothingToPlay));
    }

    /// The first fragment of a stream with these parts of tracks.
    fn fragment(trafs: &[Vec<u8>]) -> Fragment {
        let found = Scanner::new().feed(&[header(), moof(trafs)].concat());
        let begun =
            found.into_iter().find_map(|found| if let Found::Begun(fragment) = found { Some(fragment) } else { None });
        begun.expect("a fragment")
    }

    #[test]
    fn what_is_not_in_the_fragment_itself_is_refused() {
        let with = |flags: u32, mut traf: Vec<u8>| {
            // The flags of the `tfhd`, which is the first box.
            traf[16..20].copy_from_slice(&flags.to_be_bytes());
            traf
        };
        assert_eq!(check_fragment(&fragment(&[picture(0, true), sound(0, 4)])), Ok(()));
        // One track, whose places are counted from the `moof` although nothing says so (GStreamer's mp4mux).
        assert_eq!(check_fragment(&fragment(&[with(0, picture(0, true))])), Ok(()));
        let chained = fragment(&[with(0, picture(0, true)), with(8, sound(0, 4))]);
        assert_eq!(check_fragment(&chained), Err(Unfit::NoDefaultBase));
        let untimed = |mut traf: Vec<u8>| {
            let at = traf.windows(4).position(|window| window == b"tfdt").expect("a tfdt");
            traf[at..at + 4].copy_from_slice(b"free");
            traf
        };
        assert_eq!(check_fragment(&fragment(&[untimed(picture(0, true))])), Err(Unfit::NoTimes));
    }
}
