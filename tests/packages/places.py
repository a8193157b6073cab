"""What deploy/docker, deploy/kubernetes and deploy/examples hold, as far as it can be looked at without a daemon or a cluster.

places.py docker|kubernetes|examples SOURCE PGKEEL"""

import json
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile

SKIPPED = 77
TOOLS = pathlib.Path(__file__).resolve().parents[2] / "build/tools"  # of deploy/install-deps
problems = []
looked_at = []
missing = []


def tell(what, text=""):
    problems.append(f"{what}: {text}".strip())


def find(tool):
    """Its path; where it is not installed the test looks at the rest, and counts as skipped."""
    found = shutil.which(tool) or shutil.which(TOOLS / tool)
    if not found and tool not in missing:
        missing.append(tool)
    return found


def run(*command, where=None):
    return subprocess.run([str(part) for part in command], cwd=where, capture_output=True, text=True, check=False)


def must_succeed(*command, where=None):
    looked_at.append(str(command[0]))
    done = run(*command, where=where)
    if done.returncode != 0:
        tell(" ".join(map(str, command)), done.stdout + done.stderr)


def check_configuration(pgkeel, file, folder, hosts, own_host="pgkeel"):
    """pgkeel check, with the files that the configuration names made for it. Of several pgkeels: of that on own_host."""
    keys = folder / "keys"
    if not keys.exists():
        run(pgkeel, "keygen", "--out", keys, *[word for host in hosts for word in ("--agent", host)], "--admin", "pgkeel",
            "--proxy", "pgkeel", "--proxy", "pgkeel-0.pgkeel-peers")
        for end in ("crt", "key"):
            (keys / f"admin-pgkeel.{end}").rename(keys / f"admin.{end}")
        for password in ("monitor", "replication", "monitor_password", "replication_password"):
            (folder / password).write_text("secret")
            (folder / password).chmod(0o600)
    text = re.sub('"/(admin-)?keys/', f'"{keys}/', file.read_text())
    text = re.sub(r'"/run/(secrets|passwords)/', f'"{folder}/', text).replace("@HOST@", own_host)
    # Which of the certificates the container is given as its own.
    if own_host == "pgkeel" and "[coordination]" in text:
        text = text.replace(f"{keys}/proxy.", f"{keys}/proxy-pgkeel.")
    copy = folder / "pgkeel.toml"
    copy.write_text(text)
    must_succeed(pgkeel, "check", "--config", copy)


def check_dockerfile(source, file):
    text = re.sub(r"\\\n", " ", file.read_text())
    stages = []
    users = {}
    for line in text.splitlines():
        word, _, rest = line.strip().partition(" ")
        if word == "FROM":
            image, _, name = rest.partition(" AS ")
            stages.append(name)
            if not re.fullmatch(r"debian:12(-slim)?", image):
                tell("Dockerfile", f"{image} is not Debian 12")
        elif word == "COPY" and "--from" not in rest and not rest.startswith(". "):
            for path in rest.split()[:-1]:
                if not (source / path).exists():
                    tell("Dockerfile", f"COPY {path}: there is no such file")
        elif word in ("ENTRYPOINT", "CMD"):
            json.loads(rest)
        elif word == "HEALTHCHECK":
            json.loads(rest[rest.index("CMD ") + 4:])
        elif word == "USER":
            users[stages[-1]] = rest
        elif word == "RUN":
            script = re.sub(r"--mount=\S+", "", rest)
            done = subprocess.run(["bash", "-n"], input=script, capture_output=True, text=True, check=False)
            if done.returncode != 0:
                tell(f"Dockerfile: RUN {script}", done.stderr)
            for stage in re.findall(r"from=(\w+)", rest):
                if stage not in stages:
                    tell("Dockerfile", f"there is no stage {stage}")
        elif word and not word.startswith("#") and word not in ("COPY", "WORKDIR", "VOLUME", "EXPOSE", "ENV", "STOPSIGNAL"):
            tell("Dockerfile", f"unknown instruction {word}")
    if users != {"proxy": "pgkeel", "node": "postgres", "etcd": "etcd"}:
        tell("Dockerfile", f"the images run as {users}")


def check_docker(source, pgkeel, folder):
    place = source / "deploy/docker"
    check_dockerfile(source, place / "Dockerfile")
    for script in ("node-entrypoint", "make-keys", "make-secrets"):
        must_succeed("bash", "-n", place / script)
        if find("shellcheck"):
            must_succeed("shellcheck", place / script)
    check_configuration(pgkeel, place / "pgkeel.toml", folder, ["pg-a", "pg-b"])
    check_configuration(pgkeel, place / "several.toml", folder, [])
    compose = yaml.safe_load((place / "compose.yml").read_text())
    several = yaml.safe_load((place / "several.yml").read_text())
    for file, services, known in (("compose.yml", compose["services"], compose["volumes"]),
                                  ("several.yml", several["services"], {**compose["volumes"], **several["volumes"]})):
        for name, service in services.items():
            for volume in service.get("volumes", []):
                origin = volume.split(":")[0]
                if origin.startswith(".") and not (place / origin).exists():
                    tell(f"{file}: {name}", f"there is no {origin}")
                if not origin.startswith(".") and origin not in known:
                    tell(f"{file}: {name}", f"there is no volume {origin}")
            target = service.get("build", {}).get("target")
            if target and not re.search(rf"AS {target}$", (place / "Dockerfile").read_text(), re.MULTILINE):
                tell(f"{file}: {name}", f"there is no stage {target}")
    must_succeed("sh", place / "make-secrets", folder / "secrets")
    if find("docker-compose"):
        must_succeed("docker-compose", "--file", place / "compose.yml", "config", "--quiet")
        must_succeed("docker-compose", "--file", place / "compose.yml", "--file", place / "several.yml", "config", "--quiet")
    prometheus = folder / "prometheus"
    prometheus.mkdir()
    scraped = yaml.safe_load((place / "prometheus.yml").read_text())["scrape_configs"][0]
    if scraped["scheme"] != "https" or scraped["static_configs"][0]["targets"] != ["pgkeel:7432"]:
        tell("prometheus.yml", "pgkeel's admin endpoint is https://pgkeel:7432")
    (prometheus / "prometheus.yml").write_text((place / "prometheus.yml").read_text().replace("/keys/", f"{folder}/keys/"))
    shutil.copy(source / "deploy/observe/pgkeel.rules.yml", prometheus)
    if promtool := find("promtool"):
        must_succeed(promtool, "check", "config", prometheus / "prometheus.yml")
    datasource = yaml.safe_load((place / "grafana-datasources.yml").read_text())["datasources"][0]
    if datasource["type"] != "prometheus" or datasource["url"] != "http://prometheus:9090":
        tell("grafana-datasources.yml", "Prometheus is reached as prometheus:9090")
    folder_of_boards = yaml.safe_load((place / "grafana-dashboards.yml").read_text())["providers"][0]["options"]["path"]
    if not any(volume.split(":")[1].startswith(folder_of_boards) for volume in compose["services"]["grafana"]["volumes"]):
        tell("grafana-dashboards.yml", f"nothing is mounted below {folder_of_boards}")


def lost_in(told, kept, path=""):
    """Where `kept` lacks or changes something of `told`."""
    if isinstance(told, dict):
        for key, value in told.items():
            if not isinstance(kept, dict) or key not in kept:
                yield f"{path}.{key}"
            else:
                yield from lost_in(value, kept[key], f"{path}.{key}")
    elif isinstance(told, list):
        if not isinstance(kept, list) or len(told) > len(kept):
            yield path
        else:
            for place, (one, other) in enumerate(zip(told, kept)):
                yield from lost_in(one, other, f"{path}[{place}]")
    elif told != kept:
        yield path


def as_kubectl_reads(document):
    """What has a pod template goes through Kubernetes' own types: what they do not have is dropped."""
    with tempfile.NamedTemporaryFile("w", suffix=".json") as file:
        json.dump(document, file)
        file.flush()
        done = run("kubectl", "set", "env", "--local", "-f", file.name, "-o", "json", "LOOKED_AT=1")
    return (json.loads(done.stdout), "") if done.returncode == 0 else ({}, done.stderr)


# kubectl looks at these only with a cluster.
KEYS_OF_SPEC = {
    "Service": {"type", "clusterIP", "externalTrafficPolicy", "publishNotReadyAddresses", "selector", "ports"},
    "PersistentVolumeClaim": {"accessModes", "resources", "storageClassName"},
    "PodDisruptionBudget": {"maxUnavailable", "minAvailable", "selector"},
    "NetworkPolicy": {"podSelector", "policyTypes", "ingress"},
}


def check_pod(name, template, documents):
    pod = template["spec"]
    if not pod["securityContext"].get("runAsNonRoot") or pod.get("automountServiceAccountToken") is not False:
        tell(name, "runs as root, or has the service account's token")
    mounted = {volume["name"]: volume for volume in pod.get("volumes", [])}
    claims = {claim["metadata"]["name"] for document in documents for claim in document.get("spec", {}).get("volumeClaimTemplates", [])
              if document["metadata"]["name"] == name}
    named = {(document["kind"], document["metadata"]["name"]) for document in documents}
    for container in pod["containers"]:
        confined = container["securityContext"]
        if confined.get("allowPrivilegeEscalation") is not False or confined.get("capabilities") != {"drop": ["ALL"]}:
            tell(name, "may gain privileges")
        if "readinessProbe" not in container:
            tell(name, "has no readiness probe")
        for mount in container["volumeMounts"]:
            if mount["name"] not in mounted and mount["name"] not in claims:
                tell(name, f"there is no volume {mount['name']}")
    for volume in mounted.values():
        if "configMap" in volume and ("ConfigMap", volume["configMap"]["name"]) not in named:
            tell(name, f"there is no ConfigMap {volume['configMap']['name']}")
        if "secret" in volume and volume["secret"]["secretName"] not in README_SECRETS:
            tell(name, f"README.md does not say how to make the secret {volume['secret']['secretName']}")


README_SECRETS = {"pgkeel-proxy-keys", "pgkeel-peer-keys", "pgkeel-admin-keys", "pg-a-keys", "pg-b-keys", "pgkeel-passwords"}


def check_kubernetes(source, pgkeel, folder):
    place = source / "deploy/kubernetes"
    several = source / "deploy/kubernetes-several"
    check_configuration(pgkeel, place / "pgkeel.toml", folder, ["pg-a", "pg-b"])
    check_configuration(pgkeel, several / "several.toml", folder, [], "pgkeel-0")
    text = (place / "README.md").read_text()
    for secret in README_SECRETS:
        if secret not in text and secret.replace("pg-a", "pg-$node").replace("pg-b", "pg-$node") not in text:
            tell("README.md", f"does not say how to make {secret}")
    check_manifests(place)
    if kubectl_there():
        check_manifests(several)


def check_manifests(place):
    if not find("kubectl"):
        print("kubectl is not installed: the manifests are only read as YAML")
        documents = [document for file in place.glob("*.yaml") if file.name != "kustomization.yaml"
                     for document in yaml.safe_load_all(file.read_text())]
    else:
        built = run("kubectl", "kustomize", place)
        if built.returncode != 0:
            tell("kubectl kustomize", built.stderr)
        documents = list(yaml.safe_load_all(built.stdout))
        for document in documents:
            name = f"{document['kind']} {document['metadata']['name']}"
            if document["kind"] not in ("Deployment", "StatefulSet"):
                for key in set(document.get("spec", {})) - KEYS_OF_SPEC.get(document["kind"], set()):
                    tell(name, f"has the unknown key {key}")
                continue
            read, complaint = as_kubectl_reads(document)
            if complaint:
                tell(name, complaint)
            for lost in lost_in(document, read):
                tell(name, f"Kubernetes knows no {lost}, or takes it otherwise")
        # It can tell: a misspelt key must not pass.
        wrong = json.loads(json.dumps(next(one for one in documents if one["kind"] == "StatefulSet")))
        wrong["spec"]["template"]["spec"]["containers"][0]["readynessProbe"] = {}
        if not list(lost_in(wrong, as_kubectl_reads(wrong)[0])):
            tell("kubectl", "did not notice a misspelt key")
    if len(documents) < 8:
        tell("manifests", f"there are only {len(documents)}")
    for document in documents:
        name = document["metadata"]["name"]
        if document["kind"] in ("Deployment", "StatefulSet"):
            labels = document["spec"]["template"]["metadata"]["labels"]
            if not document["spec"]["selector"]["matchLabels"].items() <= labels.items():
                tell(name, "does not select its own pods")
            if kubectl_there():
                check_pod(name, document["spec"]["template"], documents)
        if document["kind"] in ("Service", "PodDisruptionBudget"):
            wanted = document["spec"]["selector"]
            wanted = wanted.get("matchLabels", wanted)
            pods = [one["spec"]["template"]["metadata"]["labels"] for one in documents if one["kind"] in ("Deployment", "StatefulSet")]
            if not any(wanted.items() <= labels.items() for labels in pods):
                tell(name, "selects no pod")


def kubectl_there():
    return find("kubectl") is not None


def check_examples(source, pgkeel, folder):
    place = source / "deploy/examples"
    scripts = ("pgkeel-is-ready", "pgkeel-says")
    for script in scripts:
        must_succeed("sh", "-n", place / script)
        if find("shellcheck"):
            must_succeed("shellcheck", place / script)
    if find("haproxy"):
        run(pgkeel, "keygen", "--out", folder / "keys")
        for name in ("haproxy.cfg", "haproxy-several.cfg"):
            configuration = folder / name
            configuration.write_text((place / name).read_text().replace("/etc/haproxy/pgkeel-ca.crt", f"{folder}/keys/ca.crt"))
            must_succeed("haproxy", "-c", "-q", "-f", configuration)
    if find("keepalived"):
        for name in ("keepalived.conf", "keepalived-several.conf"):
            # It wants the script where it will be installed.
            text = (place / name).read_text()
            for script in scripts:
                text = text.replace(f"/usr/local/sbin/{script}", "/bin/true")
            configuration = folder / name
            configuration.write_text(text)
            must_succeed("keepalived", "--config-test", "--use-file", configuration)


def main():
    what, source, pgkeel = sys.argv[1], pathlib.Path(sys.argv[2]), sys.argv[3]
    with tempfile.TemporaryDirectory() as folder:
        {"docker": check_docker, "kubernetes": check_kubernetes, "examples": check_examples}[what](source, pgkeel, pathlib.Path(folder))
    print("\n".join(problems) or f"looked at with {', '.join(sorted({pathlib.Path(tool).name for tool in looked_at}))}")
    if missing:
        print(f"not installed (deploy/install-deps --tests): {', '.join(missing)}")
    return 1 if problems else SKIPPED if missing else 0


try:
    import yaml
except ImportError:
    print("python3-yaml is not installed")
    sys.exit(SKIPPED)
sys.exit(main())
