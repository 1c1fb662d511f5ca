"""Standard input and output to a unix socket: lets a gateway start, as its stdio server, one that is already running.

python -I relay.py SOCKET
"""

import os
import socket
import sys
import threading


def _pump(source: int, sink: int) -> None:
    while chunk := os.read(source, 65536):
        while chunk:
            chunk = chunk[os.write(sink, chunk) :]


def main() -> None:
    with socket.socket(socket.AF_UNIX) as connection:
        connection.connect(sys.argv[1])
        handle = connection.fileno()
        back = threading.Thread(target=_pump, args=(handle, 1))
        back.start()
        _pump(0, handle)
        connection.shutdown(socket.SHUT_WR)
        back.join()


if __name__ == "__main__":
    main()
