//! The samples of one fragment, wherever its boxes say that they are: out of places that count from the `moof`, from the
//! stream, or from the track before; with a decode time from `tfdt`, or from the box by which Smooth Streaming tells it.

use bytes::Bytes;

use super::boxes::FourCc;
use super::fields::{Boxes, byte, find, long, word};
use super::moof::NON_SYNC;
use super::movie::Movie;
use super::traf::{self, Entry, Tfhd, Trun};

/// The most samples of one fragment.
const MOST: usize = 65_536;
/// The type of the box with a decode time (`tfxd`) in Smooth Streaming ([MS-SSTR] 2.2.4.4).
const TFXD: [u8; 16] = [0x6d, 0x1d, 0x9b, 0x05, 0x42, 0xd5, 0x44, 0xe6, 0x80, 0xe2, 0x14, 0x1d, 0xaf, 0xf7, 0x57, 0xb2];

/// A fragment as it came.
#[derive(Debug, Clone)]
pub struct Raw {
    /// Where its `moof` begins in the stream, and what is in that.
    pub moof_at: u64,
    /// The contents of the `moof`.
    pub moof: Bytes,
    /// Where the contents of its `mdat` begin.
    pub mdat_at: u64,
    /// The contents of the `mdat`.
    pub mdat: Bytes,
}

/// What a fragment has of one track. Times are in ticks of the track.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Samples {
    /// The track's id.
    pub track: u32,
    /// Ticks a second.
    pub timescale: u32,
    /// When the first is decoded, where that is told. It may be negative.
    pub decode: Option<i64>,
    /// The samples, at least one.
    pub samples: Vec<OneSample>,
}

/// One sample, in ticks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OneSample {
    /// How long it lasts.
    pub duration: u32,
    /// How long after it is decoded it is shown.
    pub shown_after: i32,
    /// Others are not needed to decode it.
    pub sync: bool,
    /// Its bytes.
    pub data: Bytes,
}

impl Raw {
    /// Whether it says that nothing more comes: there is nothing in it of any track.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        !Boxes::new(&self.moof).any(|inner| inner.kind == FourCc::TRAF)
    }

    /// Whether all that it has tells by itself when it is decoded (`tfdt`).
    #[must_use]
    pub fn is_timed(&self) -> bool {
        let tells = |traf: &[u8]| traf::decode_time(traf).is_ok_and(|time| time.is_some());
        let mut trafs = Boxes::new(&self.moof).filter(|inner| inner.kind == FourCc::TRAF);
        trafs.all(|traf| tells(traf.body) || find(traf.body, *b"trun").is_none())
    }

    /// What it has of each track of the movie; `None` if it is broken, or encrypted.
    #[must_use]
    pub fn samples(&self, movie: &Movie) -> Option<Vec<Samples>> {
        if !Boxes::new(&self.moof).fit() {
            return None;
        }
        let (mut found, mut base, mut count) = (Vec::new(), self.moof_at, 0);
        for traf in Boxes::new(&self.moof).filter(|inner| inner.kind == FourCc::TRAF) {
            let tfhd = Tfhd::parse(find(traf.body, *b"tfhd")?)?;
            if find(traf.body, *b"senc").is_some() || find(traf.body, *b"saio").is_some() {
                return None;
            }
            if let Some(place) = tfhd.base {
                base = place;
            } else if tfhd.moof_based {
                base = self.moof_at;
            }
            let (samples, end) = self.of_track(traf.body, &tfhd, movie, base, &mut count)?;
            base = end;
            let track = movie.track(tfhd.track).filter(|_| !samples.is_empty());
            found.extend(track.map(|track| Samples {
                track: track.id,
                timescale: track.timescale,
                decode: decode_time(traf.body, samples.first().map_or(0, |sample| sample.shown_after)),
                samples,
            }));
        }
        Some(found)
    }

    /// The samples of a `traf`, and where the data of the last of them end.
    fn of_track(
        &self,
        traf: &[u8],
        tfhd: &Tfhd,
        movie: &Movie,
        base: u64,
        count: &mut usize,
    ) -> Option<(Vec<OneSample>, u64)> {
        let defaults = tfhd.defaults(movie.track(tfhd.track));
        let (mut samples, mut place) = (Vec::new(), base);
        for trun in Boxes::new(traf).filter(|inner| &inner.kind.0 == b"trun") {
            let trun = Trun::parse(trun.body)?;
            if let Some(offset) = trun.data_offset {
                place = base.checked_add_signed(i64::from(offset))?;
            }
            for index in 0..trun.count {
                *count += 1;
                // Each has a byte of its own somewhere: claims cost nothing.
                if *count > MOST || *count > self.moof.len() + self.mdat.len() {
                    return None;
                }
                let Entry { duration, size, flags, composition } = trun.entry(index, &defaults);
                let from = usize::try_from(place.checked_sub(self.mdat_at)?).ok()?;
                let to = from.checked_add(usize::try_from(size).ok()?)?;
                if to > self.mdat.len() {
                    return None;
                }
                // Unsigned in version 0, where some write negative ones all the same; none is so large that it matters.
                #[expect(clippy::cast_possible_truncation, reason = "it comes from 32 bits, and goes into them")]
                let shown_after = composition as i32;
                let sync = flags & NON_SYNC == 0;
                samples.push(OneSample { duration, shown_after, sync, data: self.mdat.slice(from..to) });
                place = place.checked_add(u64::from(size))?;
            }
        }
        Some((samples, place))
    }
}

/// When the first sample is decoded, where the `traf` tells it; it is shown so long after.
fn decode_time(traf: &[u8], shown_after: i32) -> Option<i64> {
    if let Some(time) = traf::decode_time(traf).ok()? {
        return Some(time.cast_signed());
    }
    let uuid = Boxes::new(traf).find(|inner| inner.kind == FourCc::UUID && inner.body.starts_with(&TFXD))?;
    let wide = byte(uuid.body, 16) == Some(1);
    let shown = if wide { long(uuid.body, 20)?.cast_signed() } else { i64::from(word(uuid.body, 20)?) };
    // Smooth Streaming tells when it is shown.
    Some(shown.saturating_sub(i64::from(shown_after)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::media::fmp4::fragments::tests::{AUDIO, VIDEO, header};
    use crate::media::fmp4::{bx, words};

    const DATA: &[u8] = b"aaabbbbcc";

    fn raw(trafs: &[Vec<u8>]) -> Raw {
        let moof = [&[words(*b"mfhd", &[0, 7])], trafs].concat().concat();
        let mdat_at = 1000 + 8 + moof.len() as u64 + 8;
        Raw { moof_at: 1000, moof: moof.into(), mdat_at, mdat: Bytes::from_static(DATA) }
    }

    fn samples(raw: &Raw) -> Option<Vec<Samples>> {
        raw.samples(&Movie::parse(&header()).expect("a movie"))
    }

    fn datas(found: &[Samples]) -> Vec<Vec<&[u8]>> {
        found.iter().map(|track| track.samples.iter().map(|sample| &sample.data[..]).collect()).collect()
    }

    fn tfxd(time: i64) -> Vec<u8> {
        bx(*b"uuid", &[TFXD.to_vec(), vec![1, 0, 0, 0], time.to_be_bytes().to_vec(), vec![0; 8]])
    }

    #[test]
    fn samples_are_found_by_each_way_of_telling_places() {
        let traf =
            |head: Vec<u8>, more: Vec<u8>, runs: &[Vec<u8>]| bx(*b"traf", &[vec![head, more], runs.to_vec()].concat());
        let lengths = |place: Option<u32>, sizes: &[u32]| {
            let (flags, place) = (0x200 | u32::from(place.is_some()), place.map_or(vec![], |place| vec![place]));
            let count = u32::try_from(sizes.len()).expect("small");
            words(*b"trun", &[vec![flags, count], place, sizes.to_vec()].concat())
        };
        let size = |trafs: &[Vec<u8>]| u32::try_from(raw(trafs).moof.len()).expect("small") + 16;
        // From the moof, by both ways in which the first track can say so.
        for flags in [0, 0x02_0000] {
            let build = |place| {
                let runs = [lengths(Some(place), &[3]), lengths(None, &[4])];
                [
                    traf(words(*b"tfhd", &[flags, VIDEO]), words(*b"tfdt", &[0, 9]), &runs),
                    traf(words(*b"tfhd", &[0, AUDIO]), tfxd(-5), &[lengths(None, &[2])]),
                ]
            };
            let found = samples(&raw(&build(size(&build(0))))).expect("samples");
            assert_eq!(datas(&found), [vec![&b"aaa"[..], b"bbbb"], vec![b"cc"]], "{flags}");
            assert_eq!((found[0].decode, found[1].decode), (Some(9), Some(-5)));
        }
        // From the stream; and nothing is told of the time.
        let build = |base: u32| [traf(words(*b"tfhd", &[1, VIDEO, 0, base]), vec![], &[lengths(Some(2), &[7])])];
        let found = samples(&raw(&build(1000 + size(&build(0))))).expect("samples");
        assert_eq!((datas(&found), found[0].decode), (vec![vec![&DATA[2..]]], None));
        // Past the data, before them, or more than can be.
        assert_eq!(samples(&raw(&build(1001 + size(&build(0))))), None);
        assert_eq!(samples(&raw(&build(0))), None);
        let many = [traf(words(*b"tfhd", &[0x10, VIDEO, 0]), vec![], &[words(*b"trun", &[0, u32::MAX])])];
        assert_eq!(samples(&raw(&many)), None);
        assert!(raw(&[]).is_empty() && !raw(&many).is_empty());
    }
}
