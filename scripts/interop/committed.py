"""Offsets that groups committed, so that two brokers on one directory can be compared.

    committed.py commit BOOTSTRAP TOPIC     has twenty groups commit for TOPIC, some of them more than once
    committed.py print BOOTSTRAP TOPIC      one line for each of them: group, offset
"""

import sys
import time

import wire

GROUPS = [f"committed-{number}" for number in range(20)]
DEADLINE_S = 60
# The coordinator is loading, not available, elsewhere: it will be there.
RETRIED = {14, 15, 16}


def patiently(what, ask):
    """The answer of `ask` (an error code, or a tuple that begins with one) once it is none of those to try again for."""
    end = time.monotonic() + DEADLINE_S
    while True:
        answer = ask()
        error = answer[0] if isinstance(answer, tuple) else answer
        if error == 0:
            return answer
        if error not in RETRIED or time.monotonic() > end:
            sys.exit(f"committed.py: {what}: error {error}")
        time.sleep(0.1)


def main(command, bootstrap, topic):
    with wire.Connection(bootstrap, timeout_s=DEADLINE_S) as connection:
        for number, group in enumerate(GROUPS):
            patiently(f"no coordinator of {group}", lambda: wire.find_coordinator(connection, group))
            if command == "commit":
                for offset in range(number, 10 * number + 1, max(1, number)):
                    patiently(f"commit of {group}", lambda: wire.commit_offset(connection, group, topic, offset))
            else:
                answer = patiently(f"offset of {group}", lambda: wire.committed_offset(connection, group, topic))
                print(group, answer[1])


if __name__ == "__main__":
    main(*sys.argv[1:])
