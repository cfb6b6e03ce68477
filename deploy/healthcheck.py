"""The image's health check: exit code 0 when the API of this container can serve; else 1, with a line that says why.

It is run every few seconds, so it needs nothing but the standard library, and no proxy of the environment.
"""

import http.client
import os
import sys

SECONDS = 3.0


def fault(port: int) -> str | None:
    """What is wrong with the API at a port of this machine; None when it is ready."""
    connection = http.client.HTTPConnection(os.environ.get("HUB_HOST", "127.0.0.1"), port, timeout=SECONDS)
    try:
        connection.request("GET", "/readyz")
        answer = connection.getresponse()
        body = answer.read(1000).decode(errors="replace")
    except (OSError, http.client.HTTPException) as error:
        return f"no answer on port {port}: {error or type(error).__name__}"
    finally:
        connection.close()
    return None if answer.status == http.client.OK else f"{answer.status} {body}"


def main() -> None:
    """Check, and say what is wrong."""
    sys.exit(fault(int(os.environ.get("HUB_PORT", "8000"))))


if __name__ == "__main__":
    main()
