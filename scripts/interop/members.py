"""Consumer groups at the level of the protocol, with as many members as one likes in one process.

    members.py storm HOST:PORT [--members N] [--seconds S] [--seed N] [--pid SERVER]
    members.py settle HOST:PORT [--members N] [--rounds N]

storm: members join, beat, leave and fall silent in random order; afterwards all of them must meet in one generation, every
member with an assignment, and the group must empty. With --pid the server's memory must not have grown by more than 64 MiB.
settle: how long N members that come at once take to be one stable group, in milliseconds; the median of the rounds.
"""

import argparse
import asyncio
import random
import statistics
import struct
import sys
import time
import uuid

JOIN_GROUP, HEARTBEAT, LEAVE_GROUP, SYNC_GROUP, FIND_COORDINATOR, DESCRIBE_GROUPS = 11, 12, 13, 14, 10, 15
NONE, UNKNOWN_MEMBER_ID, REBALANCE_IN_PROGRESS, ILLEGAL_GENERATION, MEMBER_ID_REQUIRED = 0, 25, 27, 22, 79
RETRIED = {14, 15, 16}  # the coordinator is loading, not available, elsewhere
SETTLE_DEADLINE_S = 90
GROWTH_MAX_BYTES = 64 << 20
SUBSCRIPTION = b"\0\0" + struct.pack(">i", 1) + b"\0\5topic" + b"\xff\xff\xff\xff"


class Failed(Exception):
    pass


def string(text):
    return struct.pack(">h", -1) if text is None else struct.pack(">h", len(text)) + text.encode()


def byte_string(data):
    return struct.pack(">i", len(data)) + data


class Wire:
    """One connection; one request at a time."""

    def __init__(self, address):
        self.address, self.streams = address, None

    async def ask(self, api, version, body):
        if self.streams is None:
            host, port = self.address.rsplit(":", 1)
            self.streams = await asyncio.open_connection(host, int(port))
        reader, writer = self.streams
        frame = struct.pack(">hhi", api, version, 7) + string("members") + body
        writer.write(struct.pack(">i", len(frame)) + frame)
        size = struct.unpack(">i", await reader.readexactly(4))[0]
        return Answer((await reader.readexactly(size))[4:])

    def close(self):
        if self.streams is not None:
            self.streams[1].close()
            self.streams = None


class Answer:
    def __init__(self, data):
        self.data, self.at = data, 0

    def take(self, form):
        value = struct.unpack_from(form, self.data, self.at)[0]
        self.at += struct.calcsize(form)
        return value

    def string(self):
        return self.raw(self.take(">h")).decode()

    def raw(self, size):
        value = self.data[self.at : self.at + max(size, 0)]
        self.at += max(size, 0)
        return value


class Member:
    """One member, with JoinGroup 4, SyncGroup 2, Heartbeat 2 and LeaveGroup 2."""

    def __init__(self, address, group, session_ms=6_000, rebalance_ms=3_000):
        self.wire, self.group = Wire(address), group
        self.session_ms, self.rebalance_ms = session_ms, rebalance_ms
        self.id, self.generation, self.assignment = "", -1, None

    async def join(self):
        """Once; returns whether the member is in a generation with an assignment."""
        self.assignment = None
        protocols = struct.pack(">i", 1) + string("range") + byte_string(SUBSCRIPTION)
        timeouts = struct.pack(">ii", self.session_ms, self.rebalance_ms)
        body = string(self.group) + timeouts + string(self.id) + string("consumer") + protocols
        answer = await self.wire.ask(JOIN_GROUP, 4, body)
        answer.take(">i")
        error, self.generation = answer.take(">h"), answer.take(">i")
        _protocol, leader, member_id = answer.string(), answer.string(), answer.string()
        if error == MEMBER_ID_REQUIRED:
            self.id = member_id
            return False
        if error:
            return self.start_over(error)
        self.id = member_id
        members = []
        for _ in range(answer.take(">i")):
            members.append(answer.string())
            answer.raw(answer.take(">i"))
        if (leader == self.id) != bool(members):
            raise Failed(f"the leader is {leader}, and {self.id} was told {len(members)} members")
        return await self.sync(members)

    async def sync(self, members):
        assignments = struct.pack(">i", len(members)) + b"".join(string(m) + byte_string(m.encode()) for m in members)
        answer = await self.wire.ask(SYNC_GROUP, 2, self.me() + assignments)
        answer.take(">i")
        error = answer.take(">h")
        if error:
            return self.start_over(error)
        self.assignment = answer.raw(answer.take(">i")).decode()
        if self.assignment not in ("", self.id):
            raise Failed(f"{self.id} was given what is {self.assignment}'s")
        return True

    def start_over(self, error):
        if error == UNKNOWN_MEMBER_ID:
            self.id = ""
        elif error not in RETRIED | {REBALANCE_IN_PROGRESS, ILLEGAL_GENERATION}:
            raise Failed(f"error {error}")
        return False

    async def beat(self):
        """Whether all is well."""
        answer = await self.wire.ask(HEARTBEAT, 2, self.me())
        answer.take(">i")
        error = answer.take(">h")
        return error == NONE or self.start_over(error)

    async def leave(self):
        answer = await self.wire.ask(LEAVE_GROUP, 2, string(self.group) + string(self.id))
        answer.take(">i")
        self.id, self.assignment = "", None

    def me(self):
        return string(self.group) + struct.pack(">i", self.generation) + string(self.id)

    async def until_in(self):
        while not await self.join():
            await asyncio.sleep(0)

    async def stay(self, seconds):
        """Beats, and joins again when it has to."""
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            await asyncio.sleep(min(0.3, max(0, end - time.monotonic())))
            if not await self.beat():
                await self.until_in()


async def find_coordinator(address, group):
    wire = Wire(address)
    for _ in range(100):
        answer = await wire.ask(FIND_COORDINATOR, 0, string(group))
        if answer.take(">h") == NONE:
            return wire.close()
        await asyncio.sleep(0.1)
    raise Failed("no coordinator")


async def state_of(address, group):
    wire = Wire(address)
    answer = await wire.ask(DESCRIBE_GROUPS, 0, struct.pack(">i", 1) + string(group))
    answer.take(">i")
    error, _name, state = answer.take(">h"), answer.string(), answer.string()
    wire.close()
    return state if error == NONE else f"error {error}"


def resident_bytes(pid):
    with open(f"/proc/{pid}/status", encoding="ascii") as status:
        return next(int(line.split()[1]) << 10 for line in status if line.startswith("VmRSS"))


async def wander(member, rng, end):
    """Comes and goes."""
    await asyncio.sleep(rng.uniform(0, 1))
    while time.monotonic() < end:
        try:
            await asyncio.wait_for(member.until_in(), max(0.1, end - time.monotonic()))
            await asyncio.wait_for(member.stay(rng.expovariate(1)), max(0.1, end - time.monotonic()))
        except (TimeoutError, asyncio.TimeoutError):
            # In the middle of an answer: its connection goes, the member stays behind for a session.
            member.wire.close()
            return
        if rng.random() < 0.03:
            member.wire.close()
            member.id = ""
        else:
            await member.leave()
        await asyncio.sleep(rng.expovariate(5))


async def storm(options):
    group, rng = f"storm-{uuid.uuid4().hex[:8]}", random.Random(options.seed)
    await find_coordinator(options.address, group)
    before = resident_bytes(options.pid) if options.pid else 0
    members = [Member(options.address, group) for _ in range(options.members)]
    end = time.monotonic() + options.seconds
    await asyncio.gather(*(wander(member, random.Random(rng.random()), end) for member in members))

    async def settle(member):
        while True:
            await member.until_in()
            generations = {other.generation for other in members if other.assignment}
            if len(generations) == 1 and all(other.assignment for other in members):
                return
            await asyncio.sleep(0.2)
            while member.assignment and await member.beat():
                generations = {other.generation for other in members if other.assignment}
                if len(generations) == 1 and all(other.assignment for other in members):
                    return
                await asyncio.sleep(0.2)

    await asyncio.wait_for(asyncio.gather(*(settle(member) for member in members)), SETTLE_DEADLINE_S)
    if (state := await state_of(options.address, group)) != "Stable":
        raise Failed(f"{options.members} members, and the group is {state}")
    generation = members[0].generation
    await asyncio.gather(*(member.leave() for member in members))
    for _ in range(SETTLE_DEADLINE_S):
        if (state := await state_of(options.address, group)) == "Empty":
            break
        await asyncio.sleep(1)
    else:
        raise Failed(f"everybody has left, and the group is {state}")
    grown = resident_bytes(options.pid) - before if options.pid else 0
    if grown > GROWTH_MAX_BYTES:
        raise Failed(f"the server's memory grew by {grown >> 20} MiB")
    print(f"{options.members} members, {options.seconds:g} s, generation {generation}, memory +{grown >> 20} MiB")


async def settle(options):
    times = []
    for _ in range(options.rounds):
        group = f"settle-{uuid.uuid4().hex[:8]}"
        await find_coordinator(options.address, group)
        members = [Member(options.address, group) for _ in range(options.members)]
        # Connected before, one after the other: a full listen backlog costs a second, and is not what is measured.
        for member in members:
            await member.wire.ask(FIND_COORDINATOR, 0, string(group))
        began = time.monotonic()

        async def arrive(member):
            await member.until_in()
            while len({other.generation for other in members if other.assignment}) != 1 or not all(
                other.assignment for other in members
            ):
                await asyncio.sleep(0.01)
                if not await member.beat():
                    await member.until_in()

        await asyncio.wait_for(asyncio.gather(*(arrive(member) for member in members)), SETTLE_DEADLINE_S)
        times.append((time.monotonic() - began) * 1000)
        await asyncio.gather(*(member.leave() for member in members))
    rounds = " ".join(f"{time:.0f}" for time in times)
    print(f"{options.members} members settle in {statistics.median(times):.0f} ms (rounds: {rounds})")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("command", choices=["storm", "settle"])
    parser.add_argument("address", metavar="HOST:PORT")
    parser.add_argument("--members", type=int, default=200)
    parser.add_argument("--seconds", type=float, default=10)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seed", type=int, default=random.SystemRandom().randrange(1 << 32))
    parser.add_argument("--pid", type=int)
    options = parser.parse_args()
    print(f"seed {options.seed}", flush=True)
    try:
        asyncio.run({"storm": storm, "settle": settle}[options.command](options))
    except (Failed, TimeoutError, asyncio.TimeoutError, OSError, asyncio.IncompleteReadError) as error:
        sys.exit(f"members.py: {type(error).__name__} {error}")


if __name__ == "__main__":
    main()
