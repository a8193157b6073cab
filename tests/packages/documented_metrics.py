"""What deploy/docs/metrics.md says is told, and what a running pgkeel tells."""

import re
import urllib.request

# One that is alone has nothing to tell of these.
OF_SEVERAL = frozenset(f"pgkeel_{name}" for name in (
    "agreement_age_seconds", "etcd_reachable", "leader_known", "leader_term", "leadership_handed_over_total", "leads",
    "lease_remaining_seconds", "may_route_seconds", "member_cannot_decide", "member_differences", "member_follows_route", "member_has_lease", "member_leads", "promises_held", "promises_wanted", "vip_held"))


def documented_metrics(page):
    return set(re.findall(r"^\| `(\w+)`", page, re.MULTILINE))


def must_tell(url, trust, wanted):
    with urllib.request.urlopen(url, context=trust) as answer:
        told = set(re.findall(r"^# TYPE (\S+) ", answer.read().decode(), re.MULTILINE))
    if told != wanted:
        raise RuntimeError(f"metrics.md and /metrics differ in {sorted(told ^ wanted)}")
