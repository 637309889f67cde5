"""What no schema says of the rendered manifests; writes the kinds that have a schema to the second file."""

import sys
import yaml

rendered, standard = sys.argv[1:]
with open(rendered, encoding="utf-8") as file:
    documents = [document for document in yaml.safe_load_all(file) if document]
wrong = []


def hold(true, what):
    if not true:
        wrong.append(what)


def only(kind, name="pullgate"):
    found = [document for document in documents if document["kind"] == kind and document["metadata"]["name"] == name]
    if len(found) != 1:
        sys.exit(f"manifests: {len(found)} of kind {kind} with the name {name}")
    return found[0]


def covers(selector, labels):
    return bool(selector) and all(labels.get(name) == value for name, value in selector.items())


hold(not any(document["kind"] == "Secret" for document in documents), "a Secret is committed")
deployment, service, figures = only("Deployment"), only("Service"), only("Service", "pullgate-metrics")
template = deployment["spec"]["template"]
pod, labels = template["spec"], template["metadata"]["labels"]
container = pod["containers"][0]
ports = {port["name"]: port["containerPort"] for port in container["ports"]}

for kind, selector in [
    ("Deployment", deployment["spec"]["selector"]["matchLabels"]),
    ("Service", service["spec"]["selector"]),
    ("Service pullgate-metrics", figures["spec"]["selector"]),
    ("PodDisruptionBudget", only("PodDisruptionBudget")["spec"]["selector"]["matchLabels"]),
    ("NetworkPolicy", only("NetworkPolicy")["spec"]["podSelector"]["matchLabels"]),
]:
    hold(covers(selector, labels), f"{kind} selects other pods than the Deployment's")
for one in (service, figures):
    for port in one["spec"]["ports"]:
        hold(port["targetPort"] in ports, f"{one['metadata']['name']}: no port {port['targetPort']} in the pod")
hold("metrics" not in [port["targetPort"] for port in service["spec"]["ports"]], "the balancer has the admin listener's port")
hold(service["spec"].get("externalTrafficPolicy") == "Local", "the source address is lost")
for probe in ("startupProbe", "livenessProbe", "readinessProbe"):
    hold(container[probe]["httpGet"]["port"] == "metrics", f"{probe} asks another port than the admin listener's")

hardened = container["securityContext"]
hold(pod["securityContext"].get("runAsNonRoot") is True, "it may run as root")
hold(pod["securityContext"].get("seccompProfile") == {"type": "RuntimeDefault"}, "no seccomp profile")
hold(hardened.get("readOnlyRootFilesystem") is True, "its root can be written")
hold(hardened.get("allowPrivilegeEscalation") is False, "privileges can grow")
hold(hardened.get("capabilities") == {"drop": ["ALL"]}, "capabilities are left")
hold(pod.get("automountServiceAccountToken") is False, "it holds a token of the cluster's")

configuration = yaml.safe_load(only("ConfigMap")["data"]["pullgate.yaml"])
listening = {listener["address"].rsplit(":", 1)[1] for listener in configuration["listeners"]}
hold(listening == {str(ports["https"]), str(ports["http"])}, "listeners and ports differ")
hold(configuration["admin"]["address"] == f"[::]:{ports['metrics']}", "the admin listener is not where the probes ask")
drain = int(configuration.get("runtime", {}).get("drain", "30s").removesuffix("s"))
pause = container["lifecycle"]["preStop"]["sleep"]["seconds"]
hold(pod["terminationGracePeriodSeconds"] > drain + pause, "a pod is killed before its drain ends")
mounted = {volume["name"]: volume for volume in pod["volumes"]}["config"]["projected"]["sources"]
paths = {item["path"] for source in mounted for item in source.get("secret", {}).get("items", [])}
for host in configuration["hosts"]:
    named = [host["certificate"]["chain"], host["certificate"]["key"], *host["origin_pull"].get("trust", [])]
    for path in named:
        hold(path in paths or path == "cloudflare", f"{path} is not mounted")

monitor = only("ServiceMonitor")
hold(monitor["apiVersion"] == "monitoring.coreos.com/v1", "ServiceMonitor: another version")
hold(covers(monitor["spec"]["selector"]["matchLabels"], figures["metadata"]["labels"]), "ServiceMonitor selects no Service")
hold(not covers(monitor["spec"]["selector"]["matchLabels"], service["metadata"]["labels"]), "ServiceMonitor selects the balancer's Service")
for endpoint in monitor["spec"]["endpoints"]:
    hold(endpoint["port"] in [port["name"] for port in figures["spec"]["ports"]], f"ServiceMonitor: no port {endpoint['port']}")
    hold(endpoint["path"] == "/metrics", "ServiceMonitor asks for another path")

with open(standard, "w", encoding="utf-8") as file:
    yaml.safe_dump_all([document for document in documents if document["kind"] != "ServiceMonitor"], file)
for what in wrong:
    print(f"manifests: {what}", file=sys.stderr)
sys.exit(1 if wrong else 0)
