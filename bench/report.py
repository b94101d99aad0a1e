"""The results in words: tables on standard output and, of a whole run, docs/performance.md with its plots."""

import os
import statistics
import time

import cost
import gateway
import ingest
import objects
import peers
import svg
from freshness import percentile

DOCS = os.path.join(peers.ROOT, "docs")
GIB, MIB = 1 << 30, 1 << 20
OURS = ("writer", "reader")
OBJECTS_HEAD = "## Live objects"
GATEWAY_HEAD = "## The gateway"
INGEST_HEAD = "## Encoders"
TLS_HEAD = "## Over TLS"


def write(results, machine):
    """Prints everything; a whole run also replaces the document and the plots."""
    text = document(results, machine, kept(GATEWAY_HEAD))
    print(text)
    if results["quick"]:
        print("A quick run: docs/performance.md is left as it is.")
        return
    with open(os.path.join(peers.HERE, "choices.md"), encoding="utf-8") as choices:
        text += "\n" + choices.read()
    with open(os.path.join(DOCS, "performance.md"), "w", encoding="utf-8") as file:
        file.write(text)
    for name, drawing in plots(results).items():
        with open(os.path.join(DOCS, name), "w", encoding="utf-8") as file:
            file.write(drawing)


def write_tls(made, machine):
    """Prints what was measured over TLS, and replaces that section of the document."""
    replace(TLS_HEAD, over_tls(made, machine), "## Requests, and what they cost")


def write_objects(made, machine, quick):
    """Prints what was measured of live objects; a whole run replaces that section of the document."""
    if quick:
        print(live_objects(made, machine))
        return
    replace(OBJECTS_HEAD, live_objects(made, machine), "## Start-up")


def write_gateway(made, machine, quick):
    """Prints what was measured of the gateway; a whole run replaces that section of the document."""
    head = (f"{GATEWAY_HEAD}\n\n`reader --serve` beside nginx and a middleware of FastAPI and boto3 (`make bench BENCH=gateway`), "
            f"{time.strftime('%Y-%m-%d')}, {machine.cores} cores ({machine.model}), all on one machine, which was busy for {made.busy:.0%} of its "
            "processor time: of that the clients have the most. Servers ran on the first processor and their clients on the last; of "
            "three rounds of each the median.\n\n")
    section = head + gateway.text(made, table)
    if quick:
        print(section)
        return
    replace(GATEWAY_HEAD, section, "## Start-up")


def write_ingest(made, machine, quick):
    """Prints what was measured of encoders that publish; a whole run replaces that section of the document."""
    warning = "" if made["busy"] < 0.7 else \
        " **Other work ran beside it: processor time and delays are worth little; counts are not moved by that.**"
    section = (f"{INGEST_HEAD}\n\n`writer` as a server for encoders that publish over RTMP, beside `ffmpeg -listen 1 | writer` and nginx with its RTMP module, "
               f"which records to disk (`make bench BENCH=ingest`), {time.strftime('%Y-%m-%d')}, {machine.cores} cores ({machine.model}), all on one machine "
               f"with encoders and store, which was busy for {made['busy']:.0%} of its processor time. H.264 with two B-frames and AAC, 640x360 at 25 "
               "pictures a second; where nothing else is said in chunks of 4096 bytes." + warning + "\n\n" + ingest.text(made, table))
    if quick:
        print(section)
        return
    replace(INGEST_HEAD, section, "## Start-up")


def replace(head, section, before):
    print(section)
    path = os.path.join(DOCS, "performance.md")
    with open(path, encoding="utf-8") as file:
        text = file.read()
    begin = text.find(head)
    end = text.find("\n## ", begin + 1) + 1 if begin >= 0 else 0
    if begin < 0:
        begin = end = text.index(before)
    with open(path, "w", encoding="utf-8") as file:
        file.write(text[:begin] + section + "\n" + text[end:].lstrip("\n"))


def live_objects(made, machine):
    """Live objects beside Live Read."""
    share = made["busy"]
    warning = "" if share < 0.6 else \
        " **Other work ran beside it: seconds are worth little; counts and memory are hardly moved by that.**"
    return (
        f"{OBJECTS_HEAD}\n\n`writer --live objects` and `reader --live objects` on a store without Live Read and without versions, beside the "
        f"same by Live Read in the same run (`make bench BENCH=objects`), {time.strftime('%Y-%m-%d')}, {machine.cores} cores ({machine.model}); "
        f"random bytes at an even pace. The machine was busy for {share:.0%} of its processor time.{warning}\n\n"
        "Ends are those of "
        f"{len(made['ends']) // 4} short streams of each kind, at any moment of the beat. The recording that is joined, and that which is caught up "
        "with, are laid into the store as a writer would have left them. Memory counts every pair here, a writer and a reader of "
        "512 MiB at full speed, and the reader that catches up.\n\n"
        + table(objects.GOALS_HEAD, objects.goals(made))
        + "\nWhole parts take more looks than that goal: they come each 7 s, and an end is to be seen within 1.5 s, so that there is a look at "
        "least each 1.4 s. Of the two the end counts more.\n"
        "\nOf each pair: *p50* to *worst* from the writer's standard input to the reader's standard output, in seconds. *Uploaded*: "
        "bytes sent for each byte of the "
        "input. *Writes* (PUT, copies of parts) while it flows; *GETs* of the reader for each live object, or for each part sent; *lists* and "
        "*HEADs* of both. *End*: from the completion to the end of what the reader gives. *Left*: what lies beside the object afterwards.\n\n"
        + table(objects.HEAD, objects.rows(made))
    )


def over_tls(made, machine):
    """What TLS costs."""
    size = made["size"]
    rounds = len(next(iter(made["write"].values())))
    text = (
        f"{TLS_HEAD}\n\nThe same over TLS 1.3 to `local_store --tls`, {time.strftime('%Y-%m-%d')}, {machine.cores} cores "
        f"({machine.model}): medians of {rounds} rounds of {size // MIB} MiB. `writer` lets the store verify each part by the hash "
        "that is cheaper on the processor: the SHA-256 that is signed, or Content-MD5 beside an unsigned payload; here either was "
        "chosen by hand. *First request* is the time from the program's start to its first request, the handshake and the reading "
        "of the trusted authorities included, in milliseconds.\n\n")
    for side, word in (("write", "writing"), ("read", "reading")):
        rows = []
        for name, runs in made[side].items():
            wall, cpu, peak = medians(runs, size)
            first = made["start"][side][name] * 1000
            shown = name if "boto3" in name else f"**{name}**"
            rows.append([shown, f"{1024 / wall:.0f}", f"{cpu:.2f}", f"{peak / MIB:.0f}", f"{first:.0f}"])
        text += table([word, "MiB/s", "CPU s/GiB", "peak MiB", "first request ms"], rows) + "\n"
    return text.rstrip("\n") + "\n"


def table(head, rows):
    """A table in Markdown: the first column to the left, all others to the right."""
    lines = ["| " + " | ".join(head) + " |", "|---|" + "---:|" * (len(head) - 1)]
    return "\n".join(lines + ["| " + " | ".join(str(cell) for cell in row) + " |" for row in rows]) + "\n"


def kept(head):
    """A section that is measured by itself, as it is."""
    with open(os.path.join(DOCS, "performance.md"), encoding="utf-8") as file:
        text = file.read()
    begin = text.find(head)
    return text[begin:text.find("\n## ", begin + 1) + 1].rstrip("\n") + "\n" if begin >= 0 else ""


def document(results, machine, served):
    sections = [introduction(results, machine), speed(results), memory(results), over_tls(results["tls"], machine), bill(results), fresh(results), live_objects(results["objects"], machine), served, start(results)]
    sections = [section for section in sections if section]
    return "\n".join(sections)


def introduction(results, machine):
    share = results["busy"]
    # The streams themselves take about a quarter of two cores.
    warning = " **Other work ran beside it: times and throughput are worth little; memory and counts are not moved by that.**" \
        if share > 0.6 else ""
    sizes = ", ".join(f"`{name}` {os.path.getsize(peers.binary(name)) / MIB:.1f} MiB" for name in OURS)
    return (
        "# How fast, how small\n\n"
        "Made by `make bench` (sources in [bench/](../bench)); do not edit by hand. "
        f"{time.strftime('%Y-%m-%d')}, {machine.cores} cores ({machine.model}), {machine.system}; {sizes}.\n\n"
        "All programs copy the same random bytes to and from the local store (`examples/local_store`) over plain HTTP on the "
        "loopback, one after the other in each round, so that what slows the machine down meets all of them. The store runs on "
        "the same cores and costs all the same. Times depend on the machine; compare within a table.\n\n"
        f"Compared: {'; '.join(peers.versions())}. *boto3, as the demo* does what the public Live Read demo in Python does: "
        "serial parts of 5 MiB; ranges of 5 MiB and, where there is nothing yet, a list of the open uploads and a second's wait. "
        "*curl* and *openssl md5* are the floor: the same bytes sent in one request, taken in one, and hashed.\n\n"
        f"While freshness was measured the machine was busy for {share:.0%} of its processor time.{warning}\n"
    )


def medians(runs, size):
    """Seconds a GiB by the clock and of the processor, the range of the former, and the peak."""
    wall = [run.wall * GIB / size for run in runs]
    return (statistics.median(wall), statistics.median(run.cpu for run in runs) * GIB / size,
            max(run.peak for run in runs))


def speed(results):
    made = results["throughput"]
    size = made["size"]
    rounds = len(made["write"]["writer"])
    out = [f"## Throughput, processor time, memory\n\nMedians of {rounds} rounds of {size // MIB} MiB through a pipe; the peak is "
           "the highest of all rounds. *Ratio* is the throughput over that of the fastest other program (not the floor), as the "
           "median of the ratios in each round.\n"]
    for side, ours, floor in (("write", "writer", ("curl -T", "openssl md5")), ("read", "reader", ("curl",))):
        runs = made[side]
        others = [name for name in runs if name != ours and name not in floor]
        best = min(others, key=lambda name: medians(runs[name], size)[0])
        head = ["writing" if side == "write" else "reading", "MiB/s", "ratio", "CPU s/GiB", "peak MiB"]
        rows = []
        for name, of_name in runs.items():
            wall, cpu, peak = medians(of_name, size)
            ratio = statistics.median(b.wall / a.wall for a, b in zip(of_name, runs[best]))
            shown = f"**{name}**" if name == ours else f"{name} (floor)" if name in floor else name
            rows.append([shown, f"{1024 / wall:.0f}", f"{ratio:.2f}", f"{cpu:.2f}", f"{peak / MIB:.0f}"])
        out.append(table(head, rows))
        ratio_of = lambda base: medians(runs[ours], size)[1] / base
        floor_cpu = sum(medians(runs[name], size)[1] for name in floor)
        out.append(f"Processor time of `{ours}`: {ratio_of(medians(runs['boto3, as the demo'], size)[1]):.2f} of the boto3 "
                   f"program's, {ratio_of(floor_cpu):.2f} of the floor's ({' + '.join(floor)}).\n")
    return "\n".join(out)


def memory(results):
    made = results["throughput"]
    rows = []
    for peer in peers.all_peers():
        writer = max(run.peak for run in made["write"][peer.writer]), results["slow_store"][peer.writer].peak
        reader = max(run.peak for run in made["read"][peer.reader]), results["slow_consumer"][peer.reader].peak
        name = "**writer, reader**" if peer.name == "live-read" else peer.name
        rows.append([name, *(f"{value / MIB:.0f}" for value in writer + reader)])
    text = ("## Peak memory, MiB\n\nWith a store that takes 1 MiB/s of each request and a source as fast as it is let; with a "
            "store as fast as it can and a consumer that takes 8 MiB/s.\n\n")
    text += table(["", "writing", "slow store", "reading", "slow consumer"], rows)
    return text + "\n![Memory of the writers while the store is slow](memory-writing.svg)\n\n" \
                  "![Memory of the readers while the consumer is slow](memory-reading.svg)\n"


def priced(name, requests):
    counts = [f"{requests.get(kind, 0):.0f}" for kind in ("uploads", "reads", "lists")]
    backblaze, amazon = (cost.dollars(requests, prices) * 1e6 for prices in (cost.BACKBLAZE, cost.AMAZON))
    return [name, *counts, f"{backblaze:.0f}", f"{amazon:.0f}"]


def bill(results):
    made = results["throughput"]
    rows = []
    for side, ours in (("write", "writer"), ("read", "reader")):
        for name, requests in made["requests"][side].items():
            per_gib = {kind: count * GIB / made["size"] for kind, count in requests.items()}
            shown = f"**{name}**" if name == ours else name
            rows.append(priced(f"{'to write' if side == 'write' else 'to read'} a GiB that is there: {shown}", per_gib))
    for measured in results["freshness"]:
        stream = measured.stream
        who = "boto3 pair" if "boto3" in stream.key else "**writer, reader**"
        if stream.idle:
            rows.append(priced(f"a minute in which nothing comes: {who}", measured.requests))
        elif not stream.tail and stream.rate == 6:
            per_gib = {kind: count * GIB / measured.sent[-1][0] for kind, count in measured.requests.items()}
            rows.append(priced(f"a GiB live, {stream.name}: {who}", per_gib))
    text = (f"## Requests, and what they cost\n\nMillionths of a dollar by the price lists of {cost.DATE}: Backblaze B2, uploads "
            "free, GET and HEAD $0.004 for 10,000, lists $0.004 for 1,000 (beyond the free 2,500 of a day); Amazon S3 Standard, PUT, "
            "POST and lists $0.005 for 1,000, GET and others $0.0004 for 1,000.\n\n")
    return text + table(["", "uploads", "reads", "lists", "B2, µ$", "S3, µ$"], rows)


def milliseconds(values, share):
    value = percentile(values, share)
    return "–" if value != value else f"{value * 1000:.0f}"


def seconds(values, share):
    value = percentile(values, share)
    return "–" if value != value else f"{value:.2f}"


def fresh(results):
    shown = [measured for measured in results["freshness"] if not measured.stream.idle]
    rows = []
    for measured in shown:
        stream = measured.stream
        who = "boto3 pair" if stream.key == "boto3" else "**pair, `--max-latency 1s`**" if stream.tail else "**pair**"
        latency = [value for _, value in measured.latency]
        held = measured.stored_warm
        amplified = measured.uploaded / max(1, measured.sent[-1][0])
        filled = [] if stream.tail else measured.filled_warm
        span = measured.sent[-1][1] - measured.sent[0][1]
        rows.append([f"{stream.name}, {who}", *(seconds(latency, share) for share in (0.5, 0.95, 1)),
                     *(milliseconds(filled, share) for share in (0.5, 0.95)),
                     *(milliseconds(held, share) for share in (0.5, 0.95, 1)), len(held),
                     f"{measured.reads_per_part:.1f}" if measured.reads_per_part else "–", f"{amplified:.1f}",
                     f"{100 * sum(measured.cpu.values()) / span:.1f}"])
    text = (
        "## Freshness\n\n"
        "From a byte entering the writer's standard input to the same byte leaving the reader's standard output, in seconds, over "
        "all bytes but those that the end of the input sends on early; of it what is not the part filling up (*filled*: from the "
        "moment when the last byte of a part enters the writer, its upload included), and from the moment when the store *held* a "
        "part to its last byte on standard output, both in milliseconds, once there is a rhythm (after the first "
        "three parts; at 1 Mbit/s the first). *Parts* is how many of these there were, versions of a tail part included; "
        "*reads* the GET and HEAD requests for each full part; *sent* the bytes uploaded over those of the input; *CPU* the processor time of both programs in percent of one core. All streams ran at the "
        "same time. The x264 stream is played at the pace of its time stamps, in fragments of 2 s; its parts fill in unequal times.\n\n"
        "A part takes 42 s to fill at 1 Mbit/s, 7.0 s at 6 and 0.84 s at 50: half of that is the median that no reader can "
        "beat while only full parts are uploaded.\n\n")
    text += table(["", "p50 s", "p95 s", "max s", "filled: p50 ms", "p95 ms", "held: p50 ms", "p95 ms", "max ms",
                      "parts", "reads", "sent", "CPU %"], rows)
    text += "\n" + beside_boto3({measured.stream.key: measured for measured in shown})
    if not any(measured.stream.tail for measured in shown):
        text += "\n(This build of `writer` has no `--max-latency`.)\n"
    return text + "\n![Freshness over time](freshness.svg)\n"


def beside_boto3(by_key):
    """The same in one sentence."""
    def times(theirs, ours):
        return " and ".join(f"{percentile(theirs, share) / max(1e-4, percentile(ours, share)):.0f}" for share in (0.5, 0.95))

    theirs, ours, tail = by_key["boto3"], by_key["r6"], by_key.get("r6t")
    text = ("At 6 Mbit/s the boto3 pair takes so many times as long, in the median and at p95: "
            f"{times(theirs.filled_warm, ours.filled_warm)} for what is not the part filling up")
    if tail:
        values = lambda measured: [value for _, value in measured.latency]
        text += f", {times(values(theirs), values(tail))} from end to end beside `--max-latency 1s`"
    return text + ".\n"


def start(results):
    rows = []
    for side in ("write", "read"):
        for name, took in results["start"][side].items():
            rows.append([f"{'to write' if side == 'write' else 'to read'}: {f'**{name}**' if name in OURS else name}", f"{took * 1000:.0f}"])
    return "## Start-up\n\nFrom the start of the program to its first request, medians, in milliseconds.\n\n" + table(["", "ms"], rows)


def plots(results):
    by_key = {measured.stream.key: measured for measured in results["freshness"]}
    window = 90
    lines = []
    for key, name in (("boto3", "boto3 pair"), ("r6", "writer, reader"), ("r6t", "with --max-latency 1s")):
        if key in by_key:
            lines.append((name, [point for point in by_key[key].latency if point[0] <= window]))
    drawn = {"freshness.svg": svg.plot("Byte in to byte out at 6 Mbit/s", "seconds since the first byte", "seconds", lines)}
    mebibytes = lambda run: [(at, rss / MIB) for at, rss in run.trace]
    for name, title, runs in (("memory-writing.svg", "Memory, slow store", results["slow_store"]),
                              ("memory-reading.svg", "Memory, slow consumer", results["slow_consumer"])):
        drawn[name] = svg.plot(title, "seconds", "MiB", [(who, mebibytes(run)) for who, run in sorted(runs.items(), key=lambda i: i[0] not in OURS)])
    return drawn

