"""The process that measures: `python -m vertebra.core.tuning.child SOCKET`, started by `bench`.

It takes `Arguments` and (`Job`, seconds), one after the other, and answers each job.
"""

import socket
import sys

from vertebra.core.errors import VertebraError
from vertebra.core.tuning.bench import receive, send
from vertebra.core.tuning.job import Arguments, Blocks, measure


def main(file: int) -> None:
    blocks = None
    with socket.socket(fileno=file) as connection:
        while True:
            try:
                request = receive(connection)
            except EOFError:
                return
            if isinstance(request, Arguments):
                blocks = Blocks(request)
                continue
            job, seconds = request
            assert blocks is not None
            try:
                answer: object = measure(job, blocks, seconds)
            except VertebraError as error:
                answer = str(error)
            send(connection, answer)


if __name__ == "__main__":
    main(int(sys.argv[1]))
