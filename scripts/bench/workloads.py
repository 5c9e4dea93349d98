"""What is measured: each workload is a function from a bench and a column to its metrics.

A metric's unit is in its name. A request carries one batch, and a producer has one request in flight; so `x16` is 16
requests in flight on 16 connections.
"""

import mmap
import os
import time

BATCHES = {
    "64k": ("--producers", 4, "--batch-bytes", "64KiB", "--record-size", 1000, "--partitions", 4),
    "16k": ("--producers", 16, "--batch-bytes", "16KiB", "--record-size", 1000, "--partitions", 16),
    "1k": ("--producers", 64, "--batch-bytes", "1KiB", "--record-size", 900, "--partitions", 64),
    "1m": ("--producers", 4, "--batch-bytes", 1_000_000, "--record-size", 1000, "--partitions", 4),
}
ONE = ("--producers", 1, "--batch-bytes", "1KiB", "--record-size", 900, "--partitions", 1)
COLD_READERS = ("--producers", 0, "--consumers", 2, "--from", "earliest", "--replay")


def produced(result):
    """Throughput, CPU and latency of a produce measurement."""
    seconds, gigabytes = result["window_seconds"], result["bytes_per_second"] * result["window_seconds"] / 1e9
    requests = max(result["requests_per_second"] * seconds, 1)
    latency = result["latencies"]["latency"]
    return {
        "MB/s": result["bytes_per_second"] / 1e6,
        "requests/s": result["requests_per_second"],
        "CPU s/GB": result["server_cpu_seconds"] / max(gigabytes, 1e-9),
        "CPU us/request": result["server_cpu_seconds"] * 1e6 / requests,
        "CPU us/record": result["server_cpu_us_per_record"],
        "cores less load s/GB": others_cpu(result) / max(gigabytes, 1e-9),
        "p50 us": latency["p50"],
        "p99 us": latency["p99"],
        "p99.9 us": latency["p99_9"],
        "peak MiB": peak_mib(result),
    }


def peak_mib(result):
    """Resident memory of the server, the most that a reading in the window showed."""
    return result["server_resident_bytes_peak"] / 1048576


def others_cpu(result):
    """Busy seconds of all cores that the load generator did not use: the server's, and the kernel's for it."""
    return sum(result["core_busy"]) * result["window_seconds"] - result["own_cpu_seconds"]


def fetched(result):
    gigabytes = max(result["consumed_bytes_per_second"] * result["window_seconds"] / 1e9, 1e-9)
    return {
        "MB/s": result["consumed_bytes_per_second"] / 1e6,
        "CPU s/GB": result["server_cpu_seconds"] / gigabytes,
        "cores less load s/GB": others_cpu(result) / gigabytes,
        "peak MiB": peak_mib(result),
    }


def batches(name):
    return lambda bench, column: produced(bench.measure(column, name, *BATCHES[name]))


def one_in_flight(bench, column):
    return {key: value for key, value in produced(bench.measure(column, "one", *ONE)).items() if key.endswith(" us")}


def fixed_rate(bench, column):
    """Open loop at half of what Kafka takes of 16 KiB batches: latency counts from when each record was due."""
    rate = bench.half_of_kafka()
    result = produced(bench.measure(column, "rate", *BATCHES["16k"], "--rate", f"{rate}/s", "--linger", "1ms"))
    return {key: result[key] for key in ("p50 us", "p99 us", "p99.9 us", "CPU s/GB")}


def many_partitions(bench, column):
    """The same batches over more partitions; the loss is against one partition in the same round."""
    out = {}
    for partitions in (1, 256, 2000):
        load = ("--producers", 16, "--batch-bytes", "16KiB", "--record-size", 1000, "--partitions", partitions)
        out[f"MB/s at {partitions}"] = produced(bench.measure(column, f"p{partitions}", *load))["MB/s"]
    out["loss % at 256"] = 100 * (1 - out["MB/s at 256"] / out["MB/s at 1"])
    out["loss % at 2000"] = 100 * (1 - out["MB/s at 2000"] / out["MB/s at 1"])
    return out


def tail_fetch(bench, column):
    """Consumers that keep up with a fixed rate: what they cost is the difference to the same rate without them."""
    load = (*BATCHES["64k"], "--rate", f"{bench.half_of_kafka()}/s", "--linger", "1ms")
    alone = bench.measure(column, "tail-without", *load)
    read = bench.measure(column, "tail", *load, "--consumers", 4)
    gigabytes = max(read["consumed_bytes_per_second"] * read["window_seconds"] / 1e9, 1e-9)
    return {
        "consumed MB/s": read["consumed_bytes_per_second"] / 1e6,
        "extra CPU s/GB": (read["server_cpu_seconds"] - alone["server_cpu_seconds"]) / gigabytes,
        "end to end p99 us": read["latencies"]["end_to_end"]["p99"],
    }


def cold_fetch(bench, column):
    """A log larger than any cache of ours, read from its start; the page cache is dropped first if that is allowed."""
    with bench.filled_topic(column) as topic:
        bench.drop_page_cache()
        return fetched(bench.measure(column, "cold", *COLD_READERS, topic=topic))


def cold_readers(bench, column):
    """Produce latency at a fixed rate, without and with readers that replay at full speed."""
    load = (*BATCHES["16k"], "--rate", f"{max(bench.half_of_kafka() // 2, 1)}/s", "--linger", "1ms")
    with bench.filled_topic(column) as topic:
        alone = produced(bench.measure(column, "without-readers", *load))
        bench.drop_page_cache()
        with bench.beside(column, *COLD_READERS, topic=topic):
            read = produced(bench.measure(column, "with-readers", *load))
    return {"p99 us without": alone["p99 us"], "p99 us with": read["p99 us"], "p99 with/without": read["p99 us"] / alone["p99 us"]}


def bare_write_us(directory, seconds):
    """Median of a 4 KiB O_DIRECT|O_DSYNC write over written blocks: what the medium alone takes."""
    page, path = mmap.mmap(-1, 4096), directory / "bare-write"
    file = os.open(path, os.O_CREAT | os.O_RDWR | os.O_DIRECT | os.O_DSYNC)
    try:
        for position in range(256):
            os.pwrite(file, page, position * 4096)
        took, deadline = [], time.monotonic() + seconds
        while time.monotonic() < deadline:
            began = time.perf_counter()
            os.pwrite(file, page, len(took) % 256 * 4096)
            took.append((time.perf_counter() - began) * 1e6)
        return sorted(took)[len(took) // 2]
    finally:
        os.close(file)
        path.unlink()


WORKLOADS = {
    **{name: batches(name) for name in BATCHES},
    "one": one_in_flight,
    "rate": fixed_rate,
    "partitions": many_partitions,
    "tail": tail_fetch,
    "cold": cold_fetch,
    "cold-readers": cold_readers,
}
