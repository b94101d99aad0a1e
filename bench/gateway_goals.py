"""What the gateway is held against, beside what it is compared with."""

MIB = 1 << 20
OURS, STATIC = "**gateway**", "nginx, sendfile"
HEAD = ["what", "goal", "gateway", "beside it", "held"]


def rows(made):
    """What, the goal, ours, the anchor, and whether it is held; what was not measured says so."""
    rates = made.of.get("answers from memory") or {}
    crowd = lambda viewers, stalled=0: made.of[f"{viewers} viewers, {stalled} stalled"]
    first = lambda name: made.of["first bytes"][name]

    def row(what, goal, judge):
        try:
            ours, anchor, held = judge()
        except (KeyError, TypeError, ZeroDivisionError):
            return [what, goal, "–", "–", "not measured"]
        return [what, goal, ours, anchor, "yes" if held else "**no**"]

    def costs(beside, most, ours=OURS):
        def judge():
            mine, theirs = rates[ours, "segment"], rates[beside, "segment"]
            return f"{mine:.3f} ({mine / theirs:.2f} ×)", f"{theirs:.3f}", mine <= most * theirs
        return judge

    def answers(kind):
        def judge():
            mine, theirs = rates[OURS, kind], rates[STATIC, kind]
            return f"{mine:,.0f} ({mine / theirs:.2f} ×)", f"{theirs:,.0f}", mine >= 0.5 * theirs
        return judge

    def late(name):
        return lambda: (f"{made.of[name]['p99']}", "–", made.of[name]["p99"] <= 250)

    def a_core():
        one = crowd(1000)
        return f"{one['viewers'] / one['cpu']:,.0f}", "–", one["viewers"] >= 1000 * one["cpu"]

    def beside_a_proxy():
        one, other = crowd(1000), made.of["viewers by nginx"]
        mine, theirs = one["viewers"] / one["cpu"], other["viewers"] / other["cpu"]
        return f"{mine:,.0f} ({mine / theirs:.1f} ×)", f"{theirs:,.0f}", mine >= 3 * theirs

    def upstream(viewers):
        return lambda: (f"{crowd(viewers)['upstream']:.3f}", "–", crowd(viewers)["upstream"] <= 1.02)

    def in_memory(which, most):
        return lambda: (f"{first(f'{OURS}, in memory')[which]:.2f}", "–", first(f"{OURS}, in memory")[which] <= most)

    def fetched(which, more):
        def judge():
            mine, store = first(f"{OURS}, fetched")[which], first("the store itself")[which]
            return f"{mine:.2f}", f"{store:.2f}, the store", mine <= store + more
        return judge

    def beside_python():
        mine, theirs = first(f"{OURS}, in memory")[0], first("FastAPI and boto3")[0]
        return f"{mine:.2f} (1/{theirs / mine:.0f})", f"{theirs:.2f}", mine * 20 <= theirs

    def delivered():
        one = made.of["delivery"]
        return f"{one['gateway']:.0f}", f"{one['reader']:.0f}, `reader`", one["gateway"] <= one["reader"] + 5

    def memory():
        one = crowd(1000, 500)
        most = 256 + one["viewers"] * 100 / 1024 + 20
        return f"{one['peak'] / MIB:.0f}", f"{most:.0f}", one["peak"] / MIB <= most

    def behind():
        one = made.of["player"]
        return f"{one['p50']:.2f}, worst {one['worst']:.2f}", "–", one["p50"] <= 3

    def stalls():
        one = made.of["player"]
        return f"{one['stalls']} in {one['seconds'] / 60:.1f} min", "–", one["stalls"] == 0

    segments = "2 MiB from memory, 64 connections, CPU s a GiB; nginx"
    yield row(f"{segments} by sendfile", "≤ 1.5 ×", costs(STATIC, 1.5))
    yield row(f"{segments} without sendfile", "≤ 1.0 ×", costs("nginx, copied", 1.0))
    yield row(f"{segments} from its cache", "≤ 1.0 ×", costs("nginx, cached", 1.0))
    yield row(f"{segments} over TLS", "≤ 1.1 ×", costs("nginx, TLS", 1.1, f"{OURS}, TLS"))
    yield row("playlist of 4 KiB not sent again (304), answers a CPU s; nginx static", "≥ 0.5 ×", answers("playlist 304"))
    yield row("playlist of 4 KiB whole, answers a CPU s; nginx static", "≥ 0.5 ×", answers("playlist"))
    yield row("1,000 live viewers, 6 Mbit/s, a burst each second: p99 behind the first, ms", "≤ 250", late("1000 viewers, 0 stalled"))
    yield row("the same, a burst each 250 ms", "≤ 250", late("1000 viewers, a burst each 250 ms"))
    yield row("live viewers that a core is enough for, 6 Mbit/s", "≥ 1,000", a_core)
    yield row("the same beside nginx that hands on as many answers as it has viewers", "≥ 3 ×", beside_a_proxy)
    for viewers in (1, 100, 1000):
        yield row(f"read from the store over the object, {viewers:,} viewer{'s' if viewers > 1 else ''}", "≤ 1.02", upstream(viewers))
    yield row("first byte, in memory: p50, ms", "≤ 0.5", in_memory(0, 0.5))
    yield row("p99, ms", "≤ 3", in_memory(1, 3))
    yield row("first byte, fetched: p50, ms", "≤ store + 1", fetched(0, 1))
    yield row("p99, ms", "≤ store + 3", fetched(1, 3))
    yield row("first byte, in memory, p50, ms; FastAPI and boto3, which keeps nothing", "≤ 1/20", beside_python)
    yield row("part at the store → last byte at a viewer, 6 Mbit/s, p95, ms", "≤ `reader` + 5", delivered)
    yield row("memory with 1,000 viewers, 500 of them stalled, MiB", "≤ `--memory` + 100 KiB a viewer + 20", memory)
    yield row("hls.js (`maxLiveSyncPlaybackRate: 1.2`) in Chromium behind the camera, `--max-latency 1s`, parts of 0.5 s: p50, s", "≤ 3", behind)
    yield row("its stalls", "0", stalls)
