// Playback as near to live as the stream allows.
'use strict';

/*
 * Data comes in bursts: nothing, then a whole part. Playback does not stop as long as it has not reached the end of
 * what there is when the next burst comes. So of every burst it is noted when it came and where the list had ended
 * until then: this clock minus that position is what that burst would have needed as a distance. About the largest of
 * the last ones, and some reserve, is kept; by playing a little faster or slower, never by skipping.
 */
const follow = {
  on: true,       // the viewer watches live, and has not gone back
  hold: 6,        // distance from the end of the list to start with
  real: 0,        // the list's own target duration
  lacking: 0,     // seconds of that distance which the list does not have yet
  needs: [],      // { at, need, late } of the last bursts: what it would have needed, and how late its own end was
  back: 0,        // PART-HOLD-BACK of a list with parts
  lists: new Map(), // 'main' or 'audio' → { id, edge, calm }: the list that is played, and its end
  unusual: 0,
  steers: false,  // plays at a speed of its own choice
  loads: [],      // seconds that the last fragments took to load
  paces: [],      // { took, seconds, bytes } of the last fragments
  loading: null,  // { at, seconds } of the fragment that is on its way
  jumped: -Infinity, // when it last went to live because it was too far behind
  reserve: 0.35,
  stays: null,    // { position, at }: where the picture stays before its end, and since when

  /** The first look at a list, before hls.js has it: where to start. */
  begins(text) {
    this.real = Number(/^#EXT-X-TARGETDURATION:(\d+)/m.exec(text)?.[1] ?? 6);
    const tail = text.slice(-4000);
    const lengths = [...tail.matchAll(/^#EXTINF:([\d.]+)/gm)].map((match) => Number(match[1]));
    const segment = Math.max(1, ...lengths.slice(-6));
    this.hold = Math.max(this.real, 1.5 * segment);
    // With the wall clock in the list it is known how old its end is, and part of the distance is there already.
    const tag = '#EXT-X-PROGRAM-DATE-TIME:';
    const dated = text.slice(Math.max(0, text.lastIndexOf(tag)));
    const date = dated.startsWith(tag) ? Date.parse(dated.slice(tag.length).split('\n', 1)[0].trim()) / 1000 : NaN;
    const after = [...dated.matchAll(/^#EXTINF:([\d.]+)/gm)].reduce((sum, match) => sum + Number(match[1]), 0);
    const age = serverNow() - (date + after);
    if (age > -1 && age < 3 * this.real + 10) {
      this.hold = clamp(this.real + segment - Math.max(0, age), Math.min(2, this.hold), this.real + segment);
    }
    // Of a list with parts they are played, and how far from its end is said in it. hls.js keeps to no distance of its own
    // (maxLiveSyncPlaybackRate is 1): that is done here.
    this.back = /^#EXT-X-PART-INF:/m.test(text) ? Number(/^#EXT-X-SERVER-CONTROL:.*PART-HOLD-BACK=([\d.]+)/m.exec(text)?.[1] ?? 0) : 0;
    if (this.back > 0) this.hold = this.back;
    if (hls) {
      hls.config.liveSyncDuration = this.hold;
      if (hls.lowLatencyMode !== this.back > 0) hls.lowLatencyMode = this.back > 0;
    }
    const whole = text.length > tail.length ? Infinity : lengths.reduce((sum, one) => sum + one, 0);
    this.lacking = Math.max(0, this.hold - whole);
  },
  restart(on) {
    Object.assign(this, { on, needs: [], unusual: 0, paces: [], loading: null });
    this.lists.clear();
  },
  /** Something went wrong: when the next burst comes says nothing about the stream. */
  disturbed() { for (const list of this.lists.values()) list.calm = false; },
  /** hls.js has a list. */
  listed(kind, id, { edge, live }, at) {
    if (!live) return;
    const list = this.lists.get(kind);
    if (list?.id !== id) return void this.lists.set(kind, { id, edge, calm: true });
    if (edge < list.edge + 0.01) return;
    if (list.calm) {
      const need = at - list.edge;
      // A pause of the sender, say. Once is an accident, three times is the way the stream is.
      if (this.needs.length > 0 && need > this.most() + 4 && this.unusual < 2) this.unusual += 1;
      else {
        this.unusual = 0;
        this.needs = [...this.needs.filter((one) => at - one.at < 120), { at, need, late: at - edge }].slice(-12 * this.finer);
      }
    }
    Object.assign(list, { edge, calm: true });
  },
  /** Of parts that many more come in the same time as of segments. */
  get finer() { return hls?.lowLatencyMode ? 5 : 1; },
  /** The largest; of many, the largest but one, so that a single hiccup is not paid for long. */
  most() {
    const [first, second] = this.needs.map((one) => one.need).sort((a, b) => b - a);
    return this.needs.length < 8 ? first : second;
  },
  /** Where live is: the position at which to be now. `sure`: as far back as may turn out to be needed. */
  target(sure = true) {
    if (!details?.live) return null;
    const newest = details.edge - 0.3;
    if (this.needs.length < 2) return clamp(details.edge + details.age - this.hold, details.fragmentStart, newest);
    // Few bursts have not shown all there is: segments and parts end at different times.
    const early = sure && this.needs.length < 4 ? Math.min((hls.lowLatencyMode && details.partTarget) || details.averagetargetduration || 2, 2) : 0;
    const load = this.loads.length ? Math.min(3, Math.max(...this.loads)) : 0.3;
    const measured = now() - this.most() - early - load - this.reserve;
    // Nearer than the server of parts allows a single late one would be a pause.
    const allowed = this.back ? now() - Math.min(...this.needs.map((one) => one.late)) - this.back : Infinity;
    return clamp(Math.min(measured, allowed), details.fragmentStart, newest);
  },
  /** Seconds that the viewer is behind that. */
  behind() {
    const target = this.target();
    return target === null ? 0 : target - video.currentTime;
  },
  /** How much of the time of what it plays loading takes: 1 is just enough, more is too slow. */
  load() {
    const [took, seconds] = this.paces.reduce(([t, s], one) => [t + one.took, s + one.seconds], [0, 0]);
    const done = this.paces.length >= 2 && seconds > 0 ? took / seconds : 0;
    const on = this.loading ? (now() - this.loading.at) / this.loading.seconds : 0;
    return Math.max(done, this.paces.length && on > 1.2 ? on : 0);
  },
  /** Bits a second: what the connection gave for the last fragments, and what they need. */
  rates() {
    const sum = (what) => this.paces.reduce((all, one) => all + one[what], 0);
    return this.paces.length ? { gives: sum('bytes') * 8 / sum('took'), needs: sum('bytes') * 8 / sum('seconds') } : null;
  },
  tick() {
    if (holding && (now() > holding || ended || rhythm()?.growths > 0)) start();
    this.finish();
    // A recording may be played at any speed.
    if (ended && !this.steers) return;
    let rate = 1;
    const ahead = bufferedAhead();
    if (this.on && hls && !ended && !video.paused && !video.seeking && started && this.needs.length >= 2) {
      const late = this.behind();
      const going = video.playbackRate > 1;
      const load = this.load();
      // After an outage a fifth faster would take minutes. Over a line that is too slow it would never end.
      if (late > 15 && load < 0.8 && !troubles.size && now() > this.jumped + 10) {
        this.jumped = now();
        tell(tr('Skipped {0} to be live again.', amount(late)));
        video.currentTime = this.target();
      } else if (late > (going ? 0.05 : 0.2) && ahead > 1 && load < 0.8) rate = 1 + Math.min(Math.ceil(late * 2) * 0.05, 0.2);
      else if (this.target(false) - video.currentTime < (video.playbackRate < 1 ? 0 : -0.4)) rate = 0.95;
    }
    this.steers = rate !== 1;
    if (video.playbackRate !== rate) video.playbackRate = rate;
  },
  /** Takes a picture that stays just before the end of a recording there. */
  finish() {
    // Chromium has been seen to stay a tenth of a second before the end of all that there is, as if more were to come.
    const last = hls && ended && !video.ended && !video.paused && !video.seeking && video.duration - video.currentTime < 0.5;
    if (!last || bufferedAhead() >= 0.5) this.stays = null;
    else if (this.stays?.position !== video.currentTime) this.stays = { position: video.currentTime, at: now() };
    else if (now() - this.stays.at > 2) {
      this.stays = null;
      hls.trigger(Hls.Events.BUFFER_EOS, {});
      video.currentTime = video.duration;
    }
  },
};
function bufferedAhead() {
  const { buffered, currentTime } = video;
  for (let i = 0; i < buffered.length; i += 1) {
    if (buffered.start(i) <= currentTime + 0.1 && buffered.end(i) > currentTime) return buffered.end(i) - currentTime;
  }
  return 0;
}
