"""`make spam`: what SpamAssassin says, by its offline rules, of every mail that the demo sends.

Not a part of the tests: the program is the machine's own (`apt-get install spamassassin`), no package could bring it.

Exit 1 where a mail has 2 points or more; 2 where there is no SpamAssassin.
"""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from datetime import UTC, datetime

from channels.email.wire import compose
from tests.demo_mails import demo_mails

#: Points from which on the demo's mails are too much like spam; mail servers refuse from 5 on.
LIMIT = 2.0
#: Scores far above 5 by its words alone: where it does not, the rules are not there, and no score means anything.
_SPAM = (
    b"From: Winner <win@lotto.example>\r\nTo: you@example.com\r\nSubject: FREE MONEY!!! CLICK HERE\r\n\r\n"
    b"XJS*C4JDBQADN1.NSBN3*2IDNEN*GTUBE-STANDARD-ANTI-UBE-TEST-EMAIL*C.34X\r\n"
)


def score(mail: bytes) -> tuple[float, list[str]]:
    """Points and the names of the rules that gave or took some."""
    answer = subprocess.run(["spamassassin", "-L", "-t"], input=mail, capture_output=True, timeout=120, check=True)
    text = answer.stdout.decode("utf-8", "replace")
    found = re.search(r"score=(-?[\d.]+) .*?tests=(.*?)\s+autolearn", text, re.DOTALL)
    assert found is not None, "SpamAssassin has written no X-Spam-Status"
    return float(found[1]) + 0.0, re.sub(r"\s+", "", found[2]).split(",")


def main() -> int:
    if shutil.which("spamassassin") is None:
        print("There is no SpamAssassin here: `apt-get install spamassassin`.", file=sys.stderr)
        return 2
    assert score(_SPAM)[0] > 5, "SpamAssassin has no rules: run `sa-update`, or install them"
    now = datetime.now(UTC)
    worst = 0.0
    for message in {message.subject: message for message in demo_mails()}.values():
        points, rules = score(compose(message, message.from_ or "", now).content)
        worst = max(worst, points)
        print(f"{points:5.1f}  {'-'.join(message.metadata.values()):28} {message.subject}  ({' '.join(rules)})")
    print(f"worst: {worst:.1f} of at most {LIMIT} points")
    return int(worst >= LIMIT)


if __name__ == "__main__":
    sys.exit(main())
