"""The admin endpoint of a stage of runbooks.py: every answer, to every order with preview and for real too, is what openapi.json
says, strictly: a member that is not described is as wrong as one that lacks."""

import datetime
import json
import urllib.error
import urllib.request

from collision import collide

TYPES = {"object": dict, "array": list, "string": str, "integer": int, "number": (int, float), "boolean": bool}
ORDERED_S = 240  # ends only a broken run


def mismatches(schema, value, document, path):
    """Where the value is not what the schema (of OpenAPI 3.0, as far as openapi.json uses it) says."""
    if "$ref" in schema:
        schema = resolved(schema, document)
    if value is None:
        if not schema.get("nullable"):
            yield f"{path} is null"
        return
    wanted = schema["type"]
    if not isinstance(value, TYPES[wanted]) or (wanted != "boolean" and isinstance(value, bool)):
        yield f"{path} is no {wanted}"
        return
    if "enum" in schema and value not in schema["enum"]:
        yield f"{path} is {value}, none of {schema['enum']}"
    if schema.get("format") == "date-time":
        try:
            datetime.datetime.strptime(value, "%Y-%m-%dT%H:%M:%S.%fZ")
        except ValueError:
            yield f"{path} is no time: {value}"
    if wanted == "object" and ("properties" in schema or "additionalProperties" in schema):
        for name in schema.get("required", []):
            if name not in value:
                yield f"{path} has no {name}"
        for name, member in value.items():
            described = schema.get("properties", {}).get(name) or schema.get("additionalProperties")
            if described:
                yield from mismatches(described, member, document, f"{path}.{name}")
            else:
                yield f"{path}.{name} is not described"
    if wanted == "array":
        for place, one in enumerate(value):
            yield from mismatches(schema["items"], one, document, f"{path}[{place}]")


def resolved(part, document):
    if "$ref" not in part:
        return part
    for name in part["$ref"].removeprefix("#/").split("/"):
        document = document[name]
    return document


class Api:
    """Asks, and holds each answer against the description. What differs is in `problems`."""

    def __init__(self, stage):
        self.stage, self.problems, self.ordered = stage, [], set()
        self.token = token_of(stage)
        self.document = json.loads(self.request("GET", "/api/v1/openapi.json")[2])

    def request(self, method, path, body=None, token=None, kind="application/json"):
        headers = {"Content-Type": kind} | ({"Authorization": f"Bearer {token}"} if token else {})
        request = urllib.request.Request(f"https://127.0.0.1:{self.stage.ports['admin']}{path}", method=method, headers=headers,
                                         data=None if body is None else json.dumps(body).encode())
        try:
            with urllib.request.urlopen(request, context=self.stage.trust()) as answer:
                return answer.status, answer.headers.get_content_type(), answer.read().decode()
        except urllib.error.HTTPError as refused:
            return refused.code, refused.headers.get_content_type(), refused.read().decode()

    def ask(self, method, pattern, names=None, **more):
        """Status and body, as JSON where it is some."""
        path = pattern
        for name, value in ({"cluster": "orders", "node": "a", "id": "1"} | (names or {})).items():
            path = path.replace(f"{{{name}}}", value)
        status, kind, body = self.request(method, path, **more)
        place = f"{method} {pattern}, {status}"
        described = self.document["paths"][pattern][method.lower()]["responses"].get(str(status))
        if described is None:
            self.problems.append(f"{place}: not described")
            return status, body
        content = resolved(described, self.document).get("content", {})
        if kind not in content and (content or body):
            self.problems.append(f"{place}: {kind} instead of {sorted(content)}")
        if kind != "application/json":
            return status, body
        answer = json.loads(body)
        self.problems += mismatches(content[kind]["schema"], answer, self.document, f"{place}: answer")
        return status, answer

    def look(self):
        """Every path that is read."""
        for pattern, operations in self.document["paths"].items():
            if "get" in operations:
                self.ask("GET", pattern)

    def need(self, wanted, pattern, body, **more):
        status, answer = self.ask("POST", pattern, body=body, **more)
        if status != wanted:
            raise RuntimeError(f"POST {pattern} {body}: {status} instead of {wanted}: {answer}")
        return answer

    def order(self, verb, **members):
        """A preview, then for real, and watched until it is done."""
        pattern = f"/api/v1/clusters/{{cluster}}/{verb}"
        print("api:", verb, members, flush=True)
        # pgkeel may not have heard of an agent, or of a node, yet.
        self.stage.wait(f"a preview of {verb}", lambda: self.ask("POST", pattern, body=members | {"preview": True}, token=self.token)[0] == 200)
        given = self.need(202, pattern, members, token=self.token)
        self.ordered.add(verb)

        def ended():
            self.look()
            return self.ask("GET", "/api/v1/clusters/{cluster}/orders/{id}", {"id": str(given["id"])})[1]["state"] != "running"
        self.stage.wait(f"the end of {verb}", ended, ORDERED_S)
        order = self.ask("GET", "/api/v1/clusters/{cluster}/orders/{id}", {"id": str(given["id"])})[1]
        if order["state"] != "done":
            raise RuntimeError(f"{verb} {members}: {order}")


def token_of(stage):
    for line in (stage.folder / "pgkeel.toml").read_text().splitlines():
        if line.replace(" ", "").startswith("token_file="):
            return open(line.split('"')[1], encoding="utf-8").read().split()[-1]
    raise RuntimeError("pgkeel.toml names no token_file")


def check_refusals(api):
    """What is wrong with a request, and what cannot be."""
    unknown = {"cluster": "nobody"}
    for pattern, operations in api.document["paths"].items():
        if "post" not in operations:
            continue
        order = pattern.startswith("/api/v1/clusters/")
        api.need(401, pattern, {})
        api.need(415, pattern, {}, token=api.token, kind="text/plain")
        api.need(400, pattern, {"nonsense": True}, token=api.token)
        api.need(413, pattern, {"to": "b" * 100_000}, token=api.token)
        if order:
            body = {"node": "a", "keep": "a", "on": True, "name": "nobody"}
            known = resolved(operations["post"]["requestBody"]["content"]["application/json"]["schema"], api.document)["properties"]
            api.need(404, pattern, {name: value for name, value in body.items() if name in known}, token=api.token, names=unknown)
    primary = api.stage.condition()["route"]
    for verb, members in {"switchover": {"to": primary}, "failover": {"to": primary}, "rejoin": {"node": primary}, "start": {},
                          "provision": {"node": primary}, "resolve": {"keep": primary}, "maintenance": {"on": False}}.items():
        api.need(409, f"/api/v1/clusters/{{cluster}}/{verb}", members, token=api.token)
    api.need(409, "/api/v1/lead", {}, token=api.token)


def check_reload_and_restart(api):
    api.need(200, "/api/v1/reload", {"preview": True}, token=api.token)
    api.need(200, "/api/v1/reload", {}, token=api.token)
    file = api.stage.folder / "pgkeel.toml"
    good = file.read_text()
    file.write_text(good + "\nnonsense = 1\n")
    api.need(409, "/api/v1/reload", {}, token=api.token)
    # The new process refuses the file: this one goes on, and says so.
    failed = lambda: api.ask("GET", "/api/v1/process")[1]["handovers_failed"]
    before = failed()
    api.need(202, "/api/v1/restart", {}, token=api.token)
    api.stage.wait("the end of the restart", lambda: failed() > before)
    # Orders do all from here on.
    file.write_text(good.replace("[cluster.orders]\n", "[cluster.orders]\nauto_rejoin = false\n"))
    if not api.need(200, "/api/v1/reload", {}, token=api.token)["changes"]:
        raise RuntimeError("a changed key is not told")


def check_api(stage, provision):
    """`provision(node)`: makes its host an empty one. Ends with a cluster that pgkeel has left; its primary and standby."""
    api = Api(stage)
    api.look()
    check_refusals(api)
    check_reload_and_restart(api)
    standby = lambda: next(node["name"] for node in stage.condition()["nodes"] if node["name"] != stage.condition()["route"])
    api.order("maintenance", on=True, node=standby())
    api.order("maintenance", on=False, node=standby())
    stage.wait_normal()
    api.order("switchover", to=standby())
    stage.wait_normal()
    api.order("failover", to=standby(), accept_loss=True)
    stage.wait("the new primary", lambda: stage.condition()["route"])
    api.order("rejoin", node=standby(), rebuild=True)
    stage.wait_normal()
    api.order("stop")
    api.order("start")
    stage.wait_normal()
    lost = standby()
    provision(lost)
    api.order("provision", node=lost)
    stage.wait_normal()
    collide(stage, standby())
    api.order("resolve", keep=stage.condition()["route"])
    api.order("rejoin", node=standby())
    stage.wait_normal()
    primary, other = stage.condition()["route"], standby()
    api.order("teardown", name="orders")
    api.look()
    verbs = {pattern.rsplit("/", 1)[1] for pattern, operations in api.document["paths"].items() if pattern.startswith("/api/v1/clusters/") and "post" in operations}
    if api.ordered != verbs:
        api.problems.append(f"never ordered: {verbs - api.ordered}")
    for wrong in range(20):
        if api.ask("POST", "/api/v1/reload", body={}, token=f"fedcba987654321{wrong}")[0] == 429:
            break
    else:
        api.problems.append("wrong tokens without end")
    if api.problems:
        raise RuntimeError("\n".join(sorted(set(api.problems))))
    return primary, other
